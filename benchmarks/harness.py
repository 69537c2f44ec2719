"""Measuring whole processes: wall time and peak memory of a process and all that it starts.

Machines are noisy, so nothing here is judged in seconds: ours and the yardstick are run in turns,
and the ratio of their medians is the figure. Only the standard library is imported, so that the
harness itself stays small beside what it measures.
"""

from __future__ import annotations

import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

POLL = 0.005
"""Seconds between two looks at the memory of a running process tree."""


class Skipped(Exception):
    """A benchmark cannot run here; the message is the reason that is printed."""


@dataclass(frozen=True, slots=True)
class Job:
    """One command line to measure. `prepare` runs before each measured run and is not counted."""

    command: Sequence[str]
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment of the harness."""
    prepare: Callable[[], None] | None = None
    exit_codes: tuple[int, ...] = (0,)
    """Any other exit code stops the benchmark: a figure of a failed run means nothing."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished process: wall seconds, and bytes at the peak of the whole process tree."""

    seconds: float
    peak: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Several runs of one job."""

    runs: tuple[Run, ...]

    @property
    def seconds(self) -> float:
        """The median wall time."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def peak(self) -> int:
        """The median peak memory, in bytes."""
        return int(statistics.median(run.peak for run in self.runs))


@dataclass(frozen=True, slots=True)
class Figure:
    """Ours beside the yardstick, with the ratio that is promised."""

    name: str
    size: int
    ours: Sample
    yardstick: Sample
    limit: float
    """Promised: our time is at most this part of the yardstick's."""
    memory_limit: float | None = None
    """Promised: our peak memory is at most this part of the yardstick's; None where nothing is promised."""

    @property
    def ratio(self) -> float:
        return self.ours.seconds / self.yardstick.seconds

    @property
    def memory_ratio(self) -> float:
        return self.ours.peak / self.yardstick.peak

    @property
    def holds(self) -> bool:
        """Whether every promise of this figure is kept."""
        return self.ratio <= self.limit and (self.memory_limit is None or self.memory_ratio <= self.memory_limit)


@dataclass(frozen=True, slots=True)
class Count:
    """Something counted beside a yardstick's, the same on every machine, with the ratio that is promised."""

    name: str
    size: int
    ours: float
    yardstick: float
    limit: float
    """Promised: ours is at most this part of the yardstick's."""
    unit: str
    more: Mapping[str, object] = field(default_factory=dict)
    """What else was counted."""

    @property
    def ratio(self) -> float:
        """Ours as a part of the yardstick's; 1 where both are nothing."""
        if self.yardstick:
            return self.ours / self.yardstick
        return 1.0 if not self.ours else float("inf")

    @property
    def holds(self) -> bool:
        """Whether the promise is kept."""
        return self.ratio <= self.limit


@dataclass(frozen=True, slots=True)
class Room:
    """What a benchmark is given: a folder of its own, the sizes asked for, how often to run."""

    folder: Path
    """Empty at the start and removed at the end."""
    cache: Path
    """Kept between runs, outside the repository: tools that a yardstick needs."""
    sizes: tuple[int, ...]
    runs: int

    def compare(
        self, name: str, size: int, *, ours: Job, yardstick: Job, limit: float, memory_limit: float | None = None
    ) -> Figure:
        """Measure ours and the yardstick in turns, after one unmeasured run of each to warm the disk cache."""
        measure(ours)
        measure(yardstick)
        pairs = [(measure(ours), measure(yardstick)) for _ in range(self.runs)]
        mine, theirs = zip(*pairs, strict=True)
        return Figure(name, size, Sample(mine), Sample(theirs), limit, memory_limit)


def growth(name: str, small: Figure, large: Figure) -> Figure:
    """Return the figure that holds where the cost of our work grows no faster than its size.

    Ours at the large size is set beside ours at the small one.
    """
    return Figure(name, large.size, large.ours, small.ours, large.size / small.size, large.size / small.size)


def measure(job: Job) -> Run:
    """Run the job once.

    Raises:
        RuntimeError: it ended with an exit code that the job does not name; the end of its output is shown.
    """
    if job.prepare is not None:
        job.prepare()
    # A file and not a pipe: the measured process never waits for the harness to read.
    with tempfile.TemporaryFile() as output:
        begin = time.perf_counter()
        process = subprocess.Popen(
            list(job.command),
            cwd=job.cwd,
            env={**os.environ, **job.env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        peak = _watch(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        code = process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begin
        # It may have ended before it was looked at once. The kernel's own figure counts what the harness
        # held when it forked, too, so it serves only there.
        peak = peak or usage.ru_maxrss * 1024
        if code not in job.exit_codes:
            output.seek(max(0, output.tell() - 2000))
            shown = output.read().decode(errors="replace")
            raise RuntimeError(f"exit code {code}: {' '.join(job.command)}\n{shown}")
    return Run(seconds, peak)


def _watch(pid: int) -> int:
    """Return the peak memory, in bytes, of a process and its descendants, once it has ended."""
    peak = 0
    handle = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        while not poll.poll(POLL * 1000):
            peak = max(peak, _tree_memory(pid))
    finally:
        os.close(handle)
    return peak


def _tree_memory(root: int) -> int:
    """Return the larger of: what the tree holds now, and what its largest process ever held."""
    held = largest = 0
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        try:
            base = f"/proc/{pid}"
            status = Path(f"{base}/status").read_text()
            for task in os.listdir(f"{base}/task"):  # noqa: PTH208
                waiting += map(int, Path(f"{base}/task/{task}/children").read_text().split())
        except (OSError, ValueError):
            continue  # it ended between two reads
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                largest = max(largest, int(line.split()[1]) * 1024)
            elif line.startswith("VmRSS:"):
                held += int(line.split()[1]) * 1024
    return max(held, largest)


def python(code: str, *arguments: str) -> list[str]:
    """Return the command line that runs `code` in this interpreter: a yardstick in two lines."""
    return [sys.executable, "-c", code, *arguments]


def program(*arguments: str) -> list[str]:
    """Return the command line of the installed `image-factory`, started as a user's shell does."""
    script = Path(sys.executable).with_name("image-factory")
    if not script.exists():
        raise Skipped(f"image-factory is not installed beside {sys.executable}")
    return [str(script), *arguments]
