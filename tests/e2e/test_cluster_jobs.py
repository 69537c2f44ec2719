"""The jobs of the cluster, as processes: the command lines of the rendered manifest, in a container's narrowness.

What Kargo and argo-rollouts would fill in is filled in; the environment is what the container's `env` names,
from Secrets; nothing but /tmp can be written. The state repository lies on loopback, and wants a password.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml

from image_factory.ports import Credentials
from image_factory.testing.git_server import GitServer
from image_factory.testing.github_server import GitHubServer
from image_factory.testing.image_content import build_image
from image_factory.testing.registry_server import RegistryServer
from image_factory_cli.group import run as run_in_process

pytest.importorskip("image_factory_github", reason="the plugin github is not installed")
pytest.importorskip("image_factory_ghcr", reason="the plugin ghcr is not installed")
node = pytest.importorskip("image_factory_synth.node", reason="image-factory-synth is not installed")
try:
    node.find_node()
except node.NoNode as none:
    pytest.skip(f"{none.message}: {none.hint}", allow_module_level=True)

PASSWORD = "ghp_plantedClusterJobs"
SECRETS = {"github-credentials": {"username": "robot", "password": PASSWORD}}
STATE = "platform.git"
IMAGES = ("web", "api", "cron")
WORKFLOW = (
    "name: b\nrun-name: ${{ inputs.request_id }}\non: {workflow_dispatch: {inputs: {request_id: {}, base_images: {},"
    " version_bump: {}, triggered_by: {}}}}\njobs: {}\n"
)
PROGRAM = Path(sysconfig.get_path("scripts"), "image-factory")
HOSTILE = ["x; rm -rf .", "--upload-pack=x", "$(id)", "a\nb", "' || id #"]


@dataclass(frozen=True)
class Ran:
    code: int
    said: str


@dataclass
class Cluster:
    """A git server with the state repository, a GitHub, a registry, and what synth wrote for them."""

    folder: Path
    server: GitServer
    github: GitHubServer
    registry: RegistryServer
    resources: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)

    def git(self, *words: str, repository: Path | None = None) -> str:
        folder = repository or self.server.path(STATE)
        return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout

    def branches(self) -> Mapping[Path, str]:
        """Return the commit of each repository."""
        owners = [self.github.repositories.path(f"acme/{name}.git") for name in IMAGES]
        return {
            folder: self.git("rev-parse", "main", repository=folder).strip()
            for folder in (self.server.path(STATE), *owners)
        }

    def changed_since(self, commit: str) -> list[str]:
        return self.git("diff", "--name-only", commit, "main").splitlines()

    def head(self) -> str:
        return self.git("rev-parse", "main").strip()

    def state(self, path: str) -> Any:
        return yaml.safe_load(self.git("show", f"main:image-factory/state/{path}"))

    def analyze(self, image: str, tag: str, digest: str) -> Ran:
        """Run the verification of the image's stage for a Freight with this tag and digest."""
        return self.verify(f"Stage/analyze-dockerfile-{image}", tag, digest)

    def observe(self, base: str, digest: str) -> Ran:
        return self.verify(f"Stage/observe-{base}", "", digest)

    def coordinate(self) -> Ran:
        job = self.resources["CronJob/coordinate"]["spec"]["jobTemplate"]
        return self.run_job(job, {})

    def verify(self, stage: str, tag: str, digest: str, /, **instead: str) -> Ran:
        verification = self.resources[stage]["spec"]["verification"]
        (template,) = verification["analysisTemplates"]
        spec = self.resources[f"AnalysisTemplate/{template['name']}"]["spec"]
        given = {one["name"]: evaluated(one["value"], tag, digest) for one in verification["args"]} | instead
        assert {one["name"] for one in spec["args"]} == given.keys()
        return self.run_job(spec["metrics"][0]["provider"]["job"], given)

    def run_job(self, job: Mapping[str, Any], given: Mapping[str, str]) -> Ran:
        """Run a Job's container as a kubelet would, as far as that can be done without one."""
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert "command" not in container
        # argo-rollouts puts the arguments into the text of the Job.
        args = [re.sub(r"\{\{args\.(\w+)\}\}", lambda found: given[found[1]], word) for word in container["args"]]
        environ = {"PATH": self.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
        for variable in container["env"]:
            key = variable["valueFrom"]["secretKeyRef"]
            value = SECRETS.get(key["name"], {}).get(key["key"])
            assert value is not None or key.get("optional"), f"the container would not start without {key}"
            if value is not None:
                environ[variable["name"]] = value
        return self.run(args, environ)

    def run(self, args: list[str], environ: Mapping[str, str]) -> Ran:
        tmp = Path(self.environ["TMPDIR"], str(time.monotonic_ns()))
        tmp.mkdir(mode=0o700)
        root = self.folder / "root"
        wrapper = (*narrowed(), str(tmp)) if narrowed() else ()
        done = subprocess.run(
            [*wrapper, str(PROGRAM), *args],
            cwd=root,
            env={**environ, "HOME": str(root), "TMPDIR": str(tmp)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            umask=0o077,
        )
        assert list(tmp.iterdir()) == [], "a job leaves nothing behind"
        assert list(root.iterdir()) == [], "a job writes to nothing but /tmp"
        said = done.stdout + done.stderr
        assert PASSWORD not in said
        return Ran(done.returncode, said)


def evaluated(value: str, tag: str, digest: str) -> str:
    """Return what Kargo would make of an argument's value: the two expressions of ours, or the text itself."""
    known = {
        r"\$\{\{ quote\(imageFrom\(\"[^\"]+\"\)\.Tag\) \}\}": tag,
        r"\$\{\{ imageFrom\(\"[^\"]+\"\)\.Digest \}\}": digest,
    }
    for expression, result in known.items():
        if re.fullmatch(expression, value):
            return result
    assert "${" not in value, value
    return value


@cache
def narrowed() -> tuple[str, ...]:
    """Return what narrows a process as its container would be: read-only but for the folder named next, no capability.

    Without the right to mount there is only what file modes deny.
    """
    script = (
        'mount --make-rprivate / && mount --bind "$1" "$1" && mount -o remount,ro,bind / && shift'
        ' && exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"'
    )
    wrapper = ("unshare", "--mount", "sh", "-c", script, "sh")
    try:
        tried = subprocess.run([*wrapper, tempfile.gettempdir(), "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return ()
    return wrapper if tried.returncode == 0 else ()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Mapping[Path, str]]]:
    """A cluster that knows three images at version 1.0.0, whose base was observed once; and all branches of it."""
    folder = tmp_path_factory.mktemp("cluster")
    with (
        pytest.MonkeyPatch.context() as patch,
        GitServer(folder / "state", credentials=Credentials("robot", PASSWORD)) as server,
        GitHubServer(folder / "github", token=PASSWORD) as github,
        RegistryServer() as registry,
    ):
        for variable in ("IMAGE_FACTORY_DIR", "IMAGE_FACTORY_STATE_DIR", "IMAGES_YAML", "GITHUB_TOKEN", "GH_TOKEN"):
            patch.delenv(variable, raising=False)
        found = Cluster(folder, server, github, registry)
        begin(found, patch)
        yield found, found.branches()


@pytest.fixture
def cluster(begun: tuple[Cluster, Mapping[Path, str]]) -> Cluster:
    """The cluster as it has begun."""
    found, branches = begun
    for repository, commit in branches.items():
        subprocess.run(["git", "update-ref", "refs/heads/main", commit], cwd=repository, check=True)
    found.github.states.clear()
    return found


def begin(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    github, registry = cluster.github, cluster.registry
    config = {
        "engine": "kargo",
        "coordinationWindow": "0s",
        "registries": {host: {"endpoint": registry.url} for host in ("docker.io", "ghcr.io")},
        "plugins": {"github": {"hosts": {github.url: {"tokenEnv": "ROBOT_TOKEN"}}}, "ghcr": {"api": registry.url}},
        "kargo": {
            "stateRepository": cluster.server.url(STATE),
            "jobImage": f"ghcr.io/craigedmunds/image-factory@sha256:{'a' * 64}",
            "jobEnvironment": {
                "ROBOT_TOKEN": {"secret": "github-credentials"},
                "NOT_THERE": {"secret": "no-such-secret"},
            },
        },
    }
    entries = [
        {
            "name": name,
            "registry": "ghcr.io",
            "repository": f"acme/{name}",
            "rebuildDelay": "0s",
            "source": {"provider": "github", "host": github.url, "repo": f"acme/{name}"},
        }
        for name in IMAGES
    ]
    files = {
        "image-factory/images.yaml": yaml.safe_dump(entries),
        "image-factory/config.yaml": yaml.safe_dump(config),
    }
    cluster.server.create(STATE, files)
    for name in IMAGES:
        dockerfile = "FROM alpine:3.22\n"
        github.repositories.create(
            f"acme/{name}.git", {"Dockerfile": dockerfile, f".github/workflows/{name}.yml": WORKFLOW}
        )
    root, tmp = cluster.folder / "root", cluster.folder / "tmp"
    root.mkdir()
    root.chmod(0o555)
    tmp.mkdir()
    cluster.environ = {"PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(tmp)}
    cluster.resources = rendered(cluster, monkeypatch)
    registry.push("library/alpine", ["3.22"], build_image(seed="one"))
    for name in IMAGES:
        digest = str(registry.push(f"acme/{name}", ["1.0.0"], build_image(seed=f"{name} one")))
        ran = cluster.analyze(name, "1.0.0", digest)
        assert ran.code == 0, ran.said
    cluster.resources = rendered(cluster, monkeypatch)  # the base is known by now
    observed = cluster.observe("alpine-3-22", str(registry.push("library/alpine", ["3.22"], build_image(seed="one"))))
    assert observed.code == 0, observed.said


def rendered(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    """Return what `image-factory synth` writes for the state repository as it is, by kind and name."""
    checkout = cluster.folder / f"checkout-{time.monotonic_ns()}"
    bare = cluster.server.path(STATE)
    subprocess.run(["git", "clone", "--quiet", str(bare), str(checkout)], check=True)
    monkeypatch.setenv("ROBOT_TOKEN", PASSWORD)
    assert run_in_process(["synth", "--image-factory-dir", str(checkout / "image-factory")]) == 0
    monkeypatch.delenv("ROBOT_TOKEN")
    text = (checkout / "image-factory/dist/image-factory.k8s.yaml").read_text()
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in yaml.safe_load_all(text)}


def move_base(cluster: Cluster) -> str:
    """Let the base point at another digest, and have it observed."""
    time.sleep(1.1)  # times in state are whole seconds: what is seen in the second of a build is taken for built in
    digest = str(cluster.registry.push("library/alpine", ["3.22"], build_image(seed="two")))
    ran = cluster.observe("alpine-3-22", digest)
    assert ran.code == 0, ran.said
    return digest


def promote(cluster: Cluster, image: str) -> str:
    """Make the call of the image's stage, for the request that lies in git; return the request's id."""
    request = cluster.state(f"rebuild-requests/{image}.yaml")
    inputs = {"request_id": request["requestId"], "base_images": "[]", "version_bump": "patch", "triggered_by": "x"}
    url = f"{cluster.github.url}/api/v3/repos/acme/{image}/actions/workflows/{image}.yml/dispatches"
    headers = {"Authorization": f"Bearer {PASSWORD}", "Content-Type": "application/json"}
    body = yaml.safe_dump({"ref": "main", "inputs": inputs}, default_flow_style=True, width=10_000)
    with urlopen(Request(url, json.dumps(yaml.safe_load(body)).encode(), headers, method="POST")) as answer:
        assert answer.status in (200, 204)
    return str(request["requestId"])


# --- what they are for -------------------------------------------------------------------------------------


def test_from_a_base_that_moves_to_a_version_that_is_recorded(cluster: Cluster) -> None:
    moved = move_base(cluster)
    before = cluster.head()

    decided = cluster.coordinate()

    assert decided.code == 0, decided.said
    request = cluster.state("rebuild-requests/web.yaml")
    assert (request["status"], request["causes"][0]["to"]) == ("requested", moved)
    assert cluster.git("rev-list", "--count", f"{before}..main").strip() == "1"

    request_id = promote(cluster, "web")
    (run,) = cluster.github.state("acme/web").runs
    cluster.github.finish("acme/web", run.id)
    labels = {"image-factory.io/request-id": request_id}
    built = str(cluster.registry.push("acme/web", ["1.0.1"], build_image(seed="web two", labels=labels)))
    before = cluster.head()
    settled = cluster.coordinate()

    assert settled.code == 0, settled.said
    image = cluster.state("images/web.yaml")
    assert (image["currentVersion"], image["currentDigest"]) == ("1.0.1", built)
    (build,) = image["rebuildHistory"]
    assert (build["result"], build["requestId"], build["runId"]) == ("succeeded", request_id, str(run.id))
    assert cluster.git("log", "-1", "--format=%s").strip() == "Settle web"
    assert cluster.git("rev-list", "--count", f"{before}..main").strip() == "1"
    assert cluster.coordinate().code == 0
    assert cluster.git("log", "-1", "--format=%s").strip() == "Settle web", "nothing new is no commit"


def test_jobs_that_push_at_once_lose_nothing_of_each_other(cluster: Cluster) -> None:
    time.sleep(1.1)
    moved = str(cluster.registry.push("library/alpine", ["3.22"], build_image(seed="two")))
    published = {name: f"sha256:{number:064x}" for number, name in enumerate(IMAGES, 1)}
    with ThreadPoolExecutor(len(IMAGES) + 1) as pool:
        waiting = [pool.submit(cluster.analyze, name, "1.1.0", digest) for name, digest in published.items()]
        waiting.append(pool.submit(cluster.observe, "alpine-3-22", moved))
        ran = [one.result() for one in waiting]

    assert [one.code for one in ran] == [0] * len(ran), "\n".join(one.said for one in ran)
    for name, digest in published.items():
        image = cluster.state(f"images/{name}.yaml")
        assert (image["currentVersion"], image["currentDigest"]) == ("1.1.0", digest)
    assert cluster.state("base-images/alpine-3-22.yaml")["currentDigest"] == moved
    assert cluster.git("rev-list", "--count", "--merges", "main").strip() == "0"


def test_two_coordinations_at_once_request_each_rebuild_once(cluster: Cluster) -> None:
    move_base(cluster)
    with ThreadPoolExecutor(2) as pool:
        ran = [one.result() for one in [pool.submit(cluster.coordinate) for _ in range(2)]]

    assert [one.code for one in ran] == [0, 0], "\n".join(one.said for one in ran)
    for name in IMAGES:
        path = f"image-factory/state/rebuild-requests/{name}.yaml"
        assert cluster.git("rev-list", "--count", "main", "--", path).strip() == "1"


# --- what people write -------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["imageName", "imageTag", "imageDigest", "dockerfile", "sourceRepo", "gitBranch"])
def test_a_hostile_value_is_an_error_and_nothing_else(cluster: Cluster, argument: str) -> None:
    before, digest = cluster.head(), f"sha256:{'b' * 64}"
    for value in HOSTILE:
        ran = cluster.verify("Stage/analyze-dockerfile-web", "1.2.0", digest, **{argument: value})

        assert ran.code in (2, 3), f"{value!r}: {ran.said}"
        assert "Traceback" not in ran.said
        assert "uid=" not in ran.said
    # That a Dockerfile is not where it is said to be is recorded of its image, as of every other.
    assert set(cluster.changed_since(before)) <= {"image-factory/state/images/web.yaml"}


def test_a_hostile_base_or_digest_is_an_error_and_nothing_else(cluster: Cluster) -> None:
    before = cluster.head()
    for value in HOSTILE:
        for argument in ("name", "digest"):
            ran = cluster.verify("Stage/observe-alpine-3-22", "", f"sha256:{'b' * 64}", **{argument: value})
            assert ran.code in (2, 3), f"{argument} {value!r}: {ran.said}"
    assert cluster.head() == before


# --- how they fail -----------------------------------------------------------------------------------------


def test_a_wrong_password_is_said_without_it_and_is_a_failure(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SECRETS, "github-credentials", {"username": "robot", "password": "ghp_plantedWrong"})

    for ran in (cluster.coordinate(), cluster.analyze("web", "1.2.0", f"sha256:{'b' * 64}")):
        assert ran.code == 5, ran.said
        assert "ghp_plantedWrong" not in ran.said


def test_a_dockerfile_that_is_gone_fails_the_verification_and_is_recorded(cluster: Cluster) -> None:
    cluster.github.repositories.commit("acme/web.git", {"Dockerfile": None}, "Remove it")

    ran = cluster.analyze("web", "1.2.0", f"sha256:{'b' * 64}")

    assert ran.code != 0
    image = cluster.state("images/web.yaml")
    assert (image["discoveryStatus"], image["baseImages"]) == ("failed", ["alpine-3-22"])


def test_an_image_that_nobody_enrolled_fails_the_verification(cluster: Cluster) -> None:
    ran = cluster.verify("Stage/analyze-dockerfile-web", "1.2.0", f"sha256:{'b' * 64}", imageName="nobody")

    assert ran.code == 2


def test_what_a_job_says_is_a_line_of_json_each(cluster: Cluster) -> None:
    ran = cluster.verify("Stage/analyze-dockerfile-web", "1.2.0", f"sha256:{'b' * 64}", imageName="nobody")

    (line,) = [json.loads(line) for line in ran.said.splitlines() if line]
    assert (line["level"], line["image"], "nobody" in line["event"]) == ("error", "nobody", True)
