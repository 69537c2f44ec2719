"""What a node would do: Jobs of the control plane as processes of this machine, and CronJobs when a test says so.

A container's image is our own, so that its arguments go to the `image-factory` that is installed here;
its environment is what the manifest says, Secrets read from the API server.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.acceptance.plane.plane import ControlPlane

_ENDED = ("Complete", "Failed")


@dataclass(frozen=True)
class Ran:
    """A Job that ran."""

    name: str
    arguments: tuple[str, ...]
    code: int
    said: str = field(repr=False)


@dataclass
class Node:
    """Runs the Jobs of one namespace, one at a time, as they come."""

    plane: ControlPlane
    namespace: str
    environment: dict[str, str] = field(default_factory=dict)
    """What the machine brings beside what manifests say."""
    ran: list[Ran] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Node:
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(60)

    def tick(self, cron_job: str) -> Ran:
        """Run a CronJob's job now, and return what came of it."""
        cron = self.plane.api("GET", f"/apis/batch/v1/namespaces/{self.namespace}/cronjobs/{cron_job}")
        return self._run(cron_job, cron["spec"]["jobTemplate"]["spec"])

    @property
    def _jobs(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.namespace}/jobs"

    def _work(self) -> None:
        while not self._stopped.is_set():
            for job in self.plane.objects(self._jobs):
                ended = {each["type"] for each in job.get("status", {}).get("conditions") or ()}
                if not ended & set(_ENDED):
                    began = _now()
                    ran = self._run(job["metadata"]["name"], job["spec"])
                    self._report(job["metadata"]["name"], ran, began)
            time.sleep(0.3)

    def _run(self, name: str, spec: dict[str, Any]) -> Ran:
        (container,) = spec["template"]["spec"]["containers"]
        program = shutil.which("image-factory")
        assert program is not None, "image-factory is not installed"
        with tempfile.TemporaryDirectory() as folder:
            # The file system is read-only but for /tmp, and there is no home.
            told = {"PATH": os.environ["PATH"], "TMPDIR": folder, "HOME": "/nonexistent"} | self.environment
            for variable in container.get("env") or ():
                value = variable.get("value", self._secret(variable.get("valueFrom")))
                if value is not None:
                    told[variable["name"]] = value
            done = subprocess.run(
                [program, *container["args"]],
                env=told,
                cwd=folder,
                text=True,
                capture_output=True,
                check=False,
                timeout=120,
            )
        ran = Ran(name, tuple(container["args"]), done.returncode, done.stdout + done.stderr)
        self.ran.append(ran)
        return ran

    def _secret(self, source: dict[str, Any] | None) -> str | None:
        key = (source or {}).get("secretKeyRef")
        if key is None:
            return None
        secret = self.plane.api("GET", f"/api/v1/namespaces/{self.namespace}/secrets/{key['name']}") or {}
        held = (secret.get("data") or {}).get(key["key"])
        if held is None and not key.get("optional"):
            raise AssertionError(f"the Job could not start: no {key['key']} in Secret {key['name']}")
        return None if held is None else base64.b64decode(held).decode()

    def _report(self, name: str, ran: Ran, began: str) -> None:
        """Write a Job's end as kube-controller-manager does."""
        well = ran.code == 0
        first, last = ("SuccessCriteriaMet", "Complete") if well else ("FailureTarget", "Failed")
        conditions = [
            {
                "type": kind,
                "status": "True",
                "reason": "Ended",
                "message": "",
                "lastTransitionTime": _now(),
                "lastProbeTime": _now(),
            }
            for kind in (first, last)
        ]
        status: dict[str, Any] = {
            "startTime": began, "conditions": conditions, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {},
            ("succeeded" if well else "failed"): 1,
        }  # fmt: skip
        if well:
            status["completionTime"] = _now()
        patch = "application/merge-patch+json"
        self.plane.api("PATCH", f"{self._jobs}/{name}/status", {"status": status}, content_type=patch)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
