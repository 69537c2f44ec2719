"""Charts as YAML, through cdk8s: the only place where Node is started. I/O.

All charts cross into Node together, whole, and their texts come back whole: a construct and a patch for
each resource would cross four times a resource (docs/decisions/0004-one-crossing.md). Node may be
started before it is known what it will be asked, so that it is ready by then.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from image_factory_synth.charts import Chart
from image_factory_synth.library import RenderingFailed, cdk8s_library
from image_factory_synth.node import find_node

SCRIPT = Path(__file__).with_name("render.js")
_SHOWN = 300
"""Characters of what Node had to say."""
_ENDING = 10
"""Seconds that Node may take to end."""


class Cdk8s:
    """cdk8s in a Node of its own, for one rendering; used as a context, which ends it."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
        self._stack.close()

    def start(self) -> None:
        """Start Node now; it waits for the charts.

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

    def render(self, charts: Sequence[Chart]) -> list[str]:
        """Return the YAML text of each chart, its resources in their order.

        Raises:
            NoNode, RenderingFailed: as `start`; or Node did not answer with a text for each chart.
        """
        self.start()
        process = self._process
        if process is None:
            raise AssertionError("Node was started")
        request = "".join(f"{chart.line}\n" for chart in charts)
        answer, complaint = process.communicate(request.encode("ascii"))
        self._process = None
        try:
            texts = json.loads(answer)
        except ValueError:
            texts = None
        if process.returncode != 0 or not isinstance(texts, list) or len(texts) != len(charts):
            raise RenderingFailed(
                f"cdk8s failed on {process.args[0]!r}: {_last_words(complaint)}",  # type: ignore[index]
                hint="image-factory synth needs Node 22 or newer; see which one JSII_NODE and PATH give",
            )
        return texts


def _last_words(complaint: bytes) -> str:
    lines = [line.strip() for line in complaint.decode(errors="replace").splitlines()]
    telling = [line for line in lines if "Error" in line] or [line for line in lines if line]
    return telling[0][:_SHOWN] if telling else "it said nothing"
