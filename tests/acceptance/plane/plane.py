"""A control plane without a node: etcd, kube-apiserver, Kargo's controllers and Argo Rollouts', on loopback.

What is real: the API server with its validation, Kargo's CRDs, admission webhooks, management
controller and controller, Argo Rollouts' analysis controller. What is not: there is no kubelet and no
kube-controller-manager, so that Jobs are run here as processes (`plane.jobs`), and CronJobs when a test
says so. The programs are built from their Go modules by `plane.programs`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

ADMIN = "admin-token"
KARGO = "kargo"
_USERS = {
    ADMIN: "admin",
    "controller-token": f"system:serviceaccount:{KARGO}:kargo-controller",
    "management-token": f"system:serviceaccount:{KARGO}:kargo-management-controller",
    "webhooks-token": f"system:serviceaccount:{KARGO}:kargo-webhooks-server",
    "rollouts-token": "system:serviceaccount:argo-rollouts:argo-rollouts",
}
_KARGO_KINDS = (
    "clusterconfig", "clusterpromotiontask", "freight", "project", "projectconfig", "promotion", "promotiontask",
    "stage", "warehouse",
)  # fmt: skip
_MUTATED = ("freight", "promotion", "stage", "warehouse")
_CLUSTER_WIDE = ("clusterconfig", "clusterpromotiontask", "project")
_NAMESPACES = (KARGO, "argo-rollouts", "kargo-shared-resources", "kargo-system-resources", "kargo-cluster-secrets")


class NotReady(Exception):
    """A part of the control plane did not come up, or what was waited for did not come to be."""


@dataclass
class ControlPlane:
    """A running control plane; `api` answers its API as an administrator."""

    folder: Path
    programs: Path
    crds: tuple[Path, ...]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._client = httpx.Client(verify=False, timeout=30)

    def __enter__(self) -> ControlPlane:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes.clear()
        self._client.close()

    # --- asking it --------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / f"{ADMIN}.yaml"

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a request to the API server and return its answer's JSON; None for a 404 of a GET.

        Raises:
            NotReady: it is refused; the message holds the status and what was said.
        """
        kind = headers.pop("content_type", "application/json")
        answer = self._client.request(
            method,
            f"{self.url}{path}",
            content=None if body is None else json.dumps(body),
            headers={"Authorization": f"Bearer {ADMIN}", "Content-Type": kind, "Accept": "application/json"},
        )
        if answer.status_code == 404 and method == "GET":
            return None
        if answer.status_code >= 400:
            raise NotReady(f"{method} {path}: {answer.status_code} {answer.text[:2000]}")
        return answer.json()

    def apply(self, text: str) -> str:
        """Apply manifests with kubectl, server-side, and return what it says.

        Raises:
            NotReady: the API server or an admission webhook refuses one.
        """
        done = self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=text)
        if done.returncode != 0:
            raise NotReady(f"kubectl apply: {done.stderr}")
        return done.stdout

    def kubectl(self, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["kubectl", f"--kubeconfig={self.kubeconfig}", *words],
            input=given,
            text=True,
            capture_output=True,
            check=False,
        )

    def objects(self, path: str) -> list[dict[str, Any]]:
        """Return the items of a list, such as `/apis/kargo.akuity.io/v1alpha1/namespaces/x/stages`."""
        return list((self.api("GET", path) or {}).get("items") or ())

    # --- starting it ------------------------------------------------------------------------------------

    def _start(self) -> None:
        etcd, peer, self.port = _free_port(), _free_port(), _free_port()
        certificates = self.folder / "certificates"
        certificates.mkdir()
        key = certificates / "sa.key"
        _run("openssl", "genrsa", "-out", str(key), "2048")
        tokens = "".join(f'{token},{user},{user},"system:masters"\n' for token, user in _USERS.items())
        (certificates / "tokens.csv").write_text(tokens)
        for token in _USERS:
            (self.folder / f"{token}.yaml").write_text(yaml.safe_dump(_kubeconfig(self.url, token)))
        self._run(
            "etcd", f"--data-dir={self.folder / 'etcd'}", f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}", f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
        )  # fmt: skip
        self._run(
            str(self.programs / "kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1", f"--secure-port={self.port}", f"--cert-dir={certificates}",
            "--service-account-issuer=https://127.0.0.1", f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}", f"--token-auth-file={certificates / 'tokens.csv'}",
            "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
            "--disable-admission-plugins=ServiceAccount",
        )  # fmt: skip
        self.wait("the API server", lambda: self._client.get(f"{self.url}/readyz", headers=_bearer()).text == "ok")
        for name in _NAMESPACES:
            self.apply(yaml.safe_dump({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
        for crd in self.crds:
            self.apply(crd.read_text("utf-8"))
        self._start_kargo()
        self._run(
            str(self.programs / "rollouts-controller"), f"--kubeconfig={self.folder / 'rollouts-token.yaml'}",
            "--leader-elect=false", f"--metricsPort={_free_port()}", f"--healthzPort={_free_port()}",
            "--controllers=analysis",
        )  # fmt: skip

    def _start_kargo(self) -> None:
        port = _free_port()
        serving = self.folder / "webhooks" / "k8s-webhook-server" / "serving-certs"
        serving.mkdir(parents=True)
        _run(
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(serving / "tls.key"),
            "-out", str(serving / "tls.crt"),
        )  # fmt: skip
        kargo = str(self.programs / "kargo")
        common = {
            "KARGO_NAMESPACE": KARGO,
            "SHARED_RESOURCES_NAMESPACE": "kargo-shared-resources",
            "SYSTEM_RESOURCES_NAMESPACE": "kargo-system-resources",
            "CLUSTER_SECRETS_NAMESPACE": "kargo-cluster-secrets",
            "LOG_LEVEL": "info",
        }
        users = {
            "CONTROLPLANE_USER_REGEX": f"^system:serviceaccount:{KARGO}:[a-z0-9-]+$",
            "MANAGEMENT_CONTROLLER_USERNAME": _USERS["management-token"],
            "EXTERNAL_WEBHOOKS_SERVER_USERNAME": f"system:serviceaccount:{KARGO}:kargo-external-webhooks-server",
        }
        self._run(
            kargo, "kubernetes-webhooks-server",
            environment=common | users | {
                "KUBECONFIG": str(self.folder / "webhooks-token.yaml"), "WEBHOOK_SERVER_PORT": str(port),
                "TMPDIR": str(self.folder / "webhooks"), "CACHE_BY_TAG_POLICY": "Allow",
            },
        )  # fmt: skip
        self.wait("Kargo's webhooks", lambda: _listens(port))
        authority = base64.b64encode((serving / "tls.crt").read_bytes()).decode("ascii")
        for document in _webhooks(f"https://127.0.0.1:{port}", authority):
            self.apply(yaml.safe_dump(document))
        self._run(
            kargo, "management-controller",
            environment=common | {
                "KUBECONFIG": str(self.folder / "management-token.yaml"), "MANAGE_CONTROLLER_ROLE_BINDINGS": "false",
                "EXTERNAL_WEBHOOK_SERVER_BASE_URL": "https://webhooks.example.com",
            },
        )  # fmt: skip
        home = self.folder / "kargo-home"
        home.mkdir()
        self._run(
            kargo, "controller",
            environment=common | {
                "KUBECONFIG": str(self.folder / "controller-token.yaml"), "IS_DEFAULT_CONTROLLER": "true",
                "ALLOW_CREDENTIALS_OVER_HTTP": "true", "ARGOCD_INTEGRATION_ENABLED": "false",
                "ROLLOUTS_INTEGRATION_ENABLED": "true", "GITCLIENT_NAME": "Kargo",
                "GITCLIENT_EMAIL": "kargo@example.com",
                "CACHE_BY_TAG_POLICY": "Allow", "MAX_IMAGE_CACHE_ENTRIES": "1000", "IMAGE_REGISTRY_RATE_LIMIT": "20",
                "HOME": str(home), "TMPDIR": str(home),
            },
        )  # fmt: skip

    def _run(self, *words: str, environment: Mapping[str, str] | None = None) -> None:
        program = Path(words[0]).name if environment is None else words[1]
        with (self.folder / f"{program}.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen(
                    words,
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **(environment or {})},
                    cwd=self.folder,
                    start_new_session=True,
                )
            )

    def wait(self, what: str, is_so: Callable[[], Any], seconds: float = 60) -> Any:
        """Wait until `is_so` gives something true, and return it.

        Raises:
            NotReady: it does not within these seconds, or a part of the control plane has ended.
        """
        until = time.monotonic() + seconds
        while True:
            with contextlib.suppress(httpx.TransportError, ssl.SSLError):
                if found := is_so():
                    return found
            ended = [process.args for process in self.processes if process.poll() is not None]
            if ended or time.monotonic() > until:
                why = f"ended: {ended}" if ended else f"not within {seconds:.0f} s"
                raise NotReady(f"{what}: {why}; logs in {self.folder}")
            time.sleep(0.2)


def _webhooks(url: str, authority: str) -> Iterator[dict[str, Any]]:
    """Yield what Kargo's chart registers (charts/kargo/templates/kubernetes-webhooks-server/webhooks.yaml)."""
    for kind, verb, kinds in (("Mutating", "mutate", _MUTATED), ("Validating", "validate", _KARGO_KINDS)):
        yield {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": f"{kind}WebhookConfiguration",
            "metadata": {"name": KARGO},
            "webhooks": [
                {
                    "name": f"{name}.kargo.akuity.io",
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "NoneOnDryRun" if name.startswith("project") else "None",
                    "clientConfig": {"url": f"{url}/{verb}-kargo-akuity-io-v1alpha1-{name}", "caBundle": authority},
                    "rules": [
                        {
                            "scope": "Cluster" if name in _CLUSTER_WIDE else "Namespaced",
                            "apiGroups": ["kargo.akuity.io"],
                            "apiVersions": ["v1alpha1"],
                            "resources": [f"{name}s"],
                            "operations": ["CREATE", "UPDATE"],
                        }
                    ],
                    "failurePolicy": "Fail",
                }
                for name in kinds
            ],
        }


def _kubeconfig(url: str, token: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "plane", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "plane", "context": {"cluster": "plane", "user": "user"}}],
        "current-context": "plane",
    }


def _bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {ADMIN}"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _run(*words: str) -> None:
    if shutil.which(words[0]) is None:
        raise NotReady(f"{words[0]} is not installed")
    subprocess.run(words, check=True, capture_output=True)
