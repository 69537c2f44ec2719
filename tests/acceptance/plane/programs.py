"""Kubernetes' API server, Kargo's control plane and Argo Rollouts' controller, built from their Go modules.

Each is built once for its go.mod, into a cache folder; the first build takes some minutes on two cores.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).with_name("programs")
PACKAGES = {
    "kube-apiserver": ".",
    "kargo": "github.com/akuity/kargo/cmd/controlplane",
    "rollouts-controller": "github.com/argoproj/argo-rollouts/cmd/rollouts-controller",
}
_CRDS = {
    "github.com/akuity/kargo": "charts/kargo/resources/crds/*.yaml",
    "github.com/argoproj/argo-rollouts": "manifests/crds/*-crd.yaml",
}
_NEEDED = ("go", "etcd", "kubectl", "openssl", "git")


class CannotBuild(Exception):
    """A program is not to be had here; the message says why."""


@dataclass(frozen=True)
class Programs:
    """Where the programs and the definitions of their resources lie."""

    folder: Path
    crds: tuple[Path, ...]


def programs() -> Programs:
    """Return the programs, built where no earlier run has.

    Raises:
        CannotBuild: what they need is not installed, or a module is not to be had.
    """
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing:
        raise CannotBuild(f"not installed: {', '.join(missing)}")
    stamp = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(SOURCES.rglob("go.mod")))).hexdigest()[:16]
    home = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(home) if home else Path.home() / ".cache") / "image-factory-tests" / f"control-plane-{stamp}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, package in PACKAGES.items():
            if not (folder / name).exists():
                _build(name, package, folder)
    return Programs(folder, tuple(sorted((folder / "crds").glob("*.yaml"))))


def _build(name: str, package: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as room:
        module = Path(room, name)
        shutil.copytree(SOURCES / name, module)
        _go(module, "mod", "tidy")
        for dependency, pattern in _CRDS.items():
            if dependency in (module / "go.mod").read_text("utf-8"):
                found = Path(_go(module, "list", "-m", "-f", "{{.Dir}}", dependency).strip())
                (folder / "crds").mkdir(exist_ok=True)
                for file in found.glob(pattern):
                    shutil.copyfile(file, folder / "crds" / file.name)
        made = module / "program"
        _go(module, "build", "-ldflags=-s -w", "-o", str(made), package)
        shutil.move(made, folder / name)


def _go(module: Path, *words: str) -> str:
    # Kargo's inner modules are not in the checksum database: no tag of theirs names them.
    told = {"GOFLAGS": "-mod=mod", "GONOSUMDB": "github.com/akuity/kargo/*", "CGO_ENABLED": "0"}
    done = subprocess.run(
        ["go", *words], cwd=module, env={**os.environ, **told}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CannotBuild(f"go {words[0]} {module.name}: {done.stderr.strip()[-600:]}")
    return done.stdout
