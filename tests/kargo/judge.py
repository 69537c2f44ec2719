"""Kargo's own judgement of our manifests: a client of the Go program in `judge/`, which runs Kargo's real packages.

`Judge` speaks JSON lines to one long-lived process; ask it with `judge.ask(op, **request)` or with the methods named
for the operations. Get one from the fixture `judge`, which skips, with the reason, where the program cannot be had:

    def test_the_tag_is_a_string(judge: Judge) -> None:
        freight = {"metadata": {"name": "f1"}, "origin": {"kind": "Warehouse", "name": "web"},
                   "images": [{"repoURL": "ghcr.io/acme/web", "tag": "22", "digest": "sha256:…"}]}
        assert judge.evaluate(
            "${{ quote(imageFrom('ghcr.io/acme/web').Tag) }}", ctx={"project": "p", "stage": "s", "freight": freight}
        ) == "22"

The README beside this file says what each operation takes and answers, and where the program comes from.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SOURCES = Path(__file__).with_name("judge")
MODULES = Path(__file__).parents[3] / "shared" / "goproxy"
"""Where Go modules may lie that no proxy serves, as Go's own cache holds downloads."""
BUILD_TIMEOUT = 900
"""Seconds. A cold build takes two to three minutes on two cores."""

Document = Mapping[str, Any]
"""A resource, as YAML reads it."""


class CannotJudge(Exception):
    """The judge's program is not to be had here; the message says why."""


class Refused(Exception):
    """Kargo cannot answer what was asked: the message is Kargo's own."""


class Judge:
    """One process of Kargo's code, asked one thing at a time from any thread."""

    def __init__(self, program: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "LOG_LEVEL": "ERROR", **(environment or {})},
        )
        self._lock = threading.Lock()

    def ask(self, op: str, **request: Any) -> dict[str, Any]:
        """Return the answer to one request.

        Raises Refused with Kargo's words where there is none.
        """
        line = json.dumps({"op": op, **{key: value for key, value in request.items() if value is not None}})
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answered = self._process.stdout.readline()
        if not answered:
            raise RuntimeError(f"the judge ended with exit code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(answered)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer

    def evaluate(self, value: Any, **request: Any) -> Any:
        """Return a value with its expressions evaluated, as in the config, `if` or vars of a promotion step.

        Takes ctx (project, stage, promotion, freight), vars, outputs, freight, secrets, warehouses, requests, statuses
        and alias. Raises Refused.
        """
        return self.ask("evaluate", value=value, **request)["value"]

    def promote(self, stage: Document, freight: Document, **request: Any) -> dict[str, Any]:
        """Return how one promotion of freight into a stage ends, each step run by Kargo's own code.

        Takes collection, tasks, warehouses, secrets, sharedSecrets, rewrite, credentialsOverHTTP and patience; answers
        phase, message, steps, outputs, stageMetadata and freightMetadata. Raises Refused.
        """
        return self.ask("promote", stage=stage, freight=freight, **request)

    def validate(self, document: Document, existing: Sequence[Document] = (), **request: Any) -> list[str]:
        """Return what Kargo's schemas, their rules and its admission webhooks say against a resource.

        existing is what is in the cluster already, such as the project's namespace; crds, folders of definitions, where
        those of Kargo 1.11.2 are not meant. Raises Refused.
        """
        answer = self.ask("validate", object=document, existing=list(existing), **request)
        problems: list[str] = answer["problems"]
        return problems

    def verify(self, stage: Document, freight: Document, **request: Any) -> dict[str, Any]:
        """Return the AnalysisRun by which Kargo verifies promoted freight (`run`), and its arguments by name (`args`).

        Takes collection, templates (AnalysisTemplates), warehouses and secrets. Raises Refused.
        """
        return self.ask("verify", stage=stage, freight=freight, **request)

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait(timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def program() -> Path:
    """Return the judge's program, built where no earlier run has: once for the same sources, wherever they lie.

    Raises CannotJudge where Go or one of its modules is not to be had.
    """
    named = os.environ.get("IMAGE_FACTORY_JUDGE")
    if named:
        return Path(named)
    built = _cache() / f"kargo-judge-{_fingerprint()}" / "judge"
    if not built.exists():
        built.parent.mkdir(parents=True, exist_ok=True)
        with _alone(built.parent / "lock"):
            if not built.exists():
                _build(built)
    return built


def custom_resources() -> Path:
    """Return the folder of Kargo's CustomResourceDefinitions, of the version that the judge is made of."""
    return program().with_name("crds")


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "image-factory-tests"


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for file in sorted([*SOURCES.glob("*.go"), SOURCES / "go.mod", SOURCES / "go.sum"]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Let one process at a time do what follows: several workers of a test run want the program at once."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(built: Path) -> None:
    if shutil.which("go") is None:
        raise CannotJudge("no Go: the judge of Kargo's own code needs it (tests/kargo/README.md)")
    with tempfile.TemporaryDirectory(dir=built.parent) as room:
        fresh = Path(room, "judge")
        _go("build", "-ldflags=-s -w", "-o", str(fresh), ".")
        module = Path(_go("list", "-m", "-f", "{{.Dir}}", "github.com/akuity/kargo").strip())
        _copy(module / "charts/kargo/resources/crds", built.with_name("crds"))
        fresh.replace(built)


def _copy(folder: Path, to: Path) -> None:
    """Copy the files of a folder; not their modes, for Go keeps its modules read-only."""
    to.mkdir(exist_ok=True)
    for file in folder.iterdir():
        shutil.copyfile(file, to / file.name)


def _go(*command: str) -> str:
    """Return what a command of Go prints. Raises CannotJudge with the first thing that it complains of."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    modules = Path(os.environ.get("IMAGE_FACTORY_GOPROXY") or MODULES)
    if modules.is_dir():
        asked = subprocess.run(["go", "env", "GOPROXY"], capture_output=True, text=True, check=False).stdout.strip()
        environment["GOPROXY"] = ",".join(filter(None, (modules.resolve().as_uri(), asked)))
    try:
        done = subprocess.run(
            ["nice", "go", *command],
            cwd=SOURCES,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT,
        )
    except subprocess.TimeoutExpired as late:
        raise CannotJudge(f"go {command[0]} took more than {BUILD_TIMEOUT} s") from late
    if done.returncode != 0:
        complaint = next((line for line in done.stderr.splitlines() if "downloading" not in line), "no reason given")
        raise CannotJudge(f"go {command[0]}: {complaint} (tests/kargo/README.md says what it needs)")
    return done.stdout


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{program()}\n")
    except CannotJudge as reason:
        sys.exit(str(reason))
