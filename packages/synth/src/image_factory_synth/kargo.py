"""Charts as YAML, through cdk8s: the only place where Node is started. I/O.

All charts cross into Node together, become constructs there (render.js) and come back as text: through
jsii, a construct and a patch for each resource would cross four times a resource
(docs/decisions/0004-one-crossing.md). Node may be started before it is known what it will be asked, so
that it is ready by then, and works on charts while further ones are planned; little is imported here,
so that it can be started before all else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import selectors
import subprocess
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from image_factory_synth.library import RenderingFailed, cdk8s_library, library_name
from image_factory_synth.node import NoNode, find_node

if TYPE_CHECKING:
    from types import TracebackType

    from image_factory_synth.charts import Chart

SCRIPT = Path(__file__).with_name("render.js")
_PART = 1 << 20
"""Bytes that are read at once."""
_SHOWN = 300
"""Characters of what Node had to say."""


class Cdk8s:
    """cdk8s in a Node of its own, for one rendering; used as a context, which ends it."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._charts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process = None
        self._stack.close()

    @cached_property
    def name(self) -> str:
        """What texts depend on beside the charts: the versions of cdk8s and constructs, and our script.

        Raises:
            RenderingFailed: cdk8s is not installed.
        """
        return f"{library_name()} {hashlib.sha256(SCRIPT.read_bytes()).hexdigest()}"

    def prepare(self) -> None:
        """Start Node where that can be done; where it cannot, `add` says why, if it comes to that."""
        with contextlib.suppress(NoNode, RenderingFailed):
            self.start()

    def start(self) -> None:
        """Start Node now; it loads cdk8s and waits for the charts.

        Raises:
            NoNode: none was found.
            RenderingFailed: it cannot be started, or cdk8s is not installed.
        """
        if self._process is not None:
            return
        node = find_node()
        library = self._stack.enter_context(cdk8s_library())
        try:
            self._process = subprocess.Popen(  # noqa: S603 - no shell, and no word of it comes from a folder
                [str(node), str(SCRIPT), str(library)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "CDK8S_DISABLE_SORT": "1"},
            )
        except OSError as error:
            raise RenderingFailed(f"cannot start {node}: {error.strerror}", hint="check JSII_NODE and PATH") from error
        self._stack.callback(_end, self._process)

    def add(self, charts: Sequence[Chart]) -> None:
        """Hand charts over; Node works on them until `finish` asks for the texts.

        Raises:
            NoNode, RenderingFailed: as `start`.
        """
        self.start()
        process = self._process
        if process is None or process.stdin is None:
            raise AssertionError("Node was started with a pipe")
        self._charts += len(charts)
        # It reads while it works, and writes nothing before it has read all. Where it has ended already,
        # `finish` tells what it said.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write("".join(f"{chart.line}\n" for chart in charts).encode("ascii"))
            process.stdin.flush()

    def finish(self) -> list[str]:
        """Return the YAML text of each chart that was added, its resources in their order.

        Raises:
            RenderingFailed: Node did not answer with a text for each chart.
        """
        process = self._process
        if process is None:
            raise AssertionError("nothing was added")
        answer, complaint = _listen(process)
        # What it made it would take down piece by piece.
        process.kill()
        self._process = None
        charts, self._charts = self._charts, 0
        try:
            texts = json.loads(answer)
        except ValueError:
            texts = None
        if not isinstance(texts, list) or len(texts) != charts:
            raise RenderingFailed(
                f"cdk8s failed on {process.args[0]!r}: {_last_words(complaint)}",  # type: ignore[index]
                hint="image-factory synth needs Node 22 or newer; see which one JSII_NODE and PATH give",
            )
        return texts

    def render(self, charts: Sequence[Chart]) -> list[str]:
        """Return the YAML text of each chart: `add` and `finish` in one."""
        self.add(charts)
        return self.finish()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End Node, whatever it is at, and wait for that; its words are dropped, since nobody asks it any more."""
    process.kill()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.wait()


def _listen(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Return the line that is Node's answer, and what it complained of; where it ends without one, all that it said.

    Its end is not waited for: `_end` sees to that.
    """
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise AssertionError("Node was started with pipes")
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    said: dict[Any, list[bytes]] = {process.stdout: [], process.stderr: []}
    with selectors.DefaultSelector() as waiting:
        for pipe in said:
            waiting.register(pipe, selectors.EVENT_READ)
        while waiting.get_map():
            for key, _ in waiting.select():
                part = os.read(key.fd, _PART)
                if not part:
                    waiting.unregister(key.fileobj)
                said[key.fileobj].append(part)
                if key.fileobj is process.stdout and part.endswith(b"\n"):
                    return b"".join(said[process.stdout]), b"".join(said[process.stderr])
    return b"".join(said[process.stdout]), b"".join(said[process.stderr])


def _last_words(complaint: bytes) -> str:
    lines = [line.strip() for line in complaint.decode(errors="replace").splitlines()]
    telling = [line for line in lines if "Error" in line] or [line for line in lines if line]
    return telling[0][:_SHOWN] if telling else "it said nothing"
