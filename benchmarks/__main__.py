"""`python -m benchmarks [NAME…]`: runs benchmarks, prints each figure, writes all of them as JSON."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks.harness import Count, Figure, Room, Sample, Skipped

_NOT_BENCHMARKS = {"__main__", "harness"}


def names() -> list[str]:
    """Return every benchmark's name: the modules of this folder that hold `SIZES` and `run`."""
    return sorted(
        found.name
        for found in pkgutil.iter_modules(benchmarks.__path__)
        if found.name not in _NOT_BENCHMARKS and not found.name.startswith("_")
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 1 where `--check` is given and a promise is broken, 0 otherwise."""
    options = _options(arguments)
    results: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    for name in options.names or names():
        module = importlib.import_module(f"benchmarks.{name}")
        sizes = tuple(options.size) if options.size else module.SIZES
        with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as folder:
            room = Room(Path(folder), options.cache, sizes, options.runs)
            try:
                for figure in module.run(room):
                    print(_line(name, figure), flush=True)
                    results.append(_record(name, figure))
            except Skipped as reason:
                print(f"{name}: skipped: {reason}", flush=True)
                skipped.append({"benchmark": name, "reason": str(reason)})
    document = {"machine": _machine(), "runs": options.runs, "results": results, "skipped": skipped}
    if options.json is not None:
        text = json.dumps(document, indent=2) + "\n"
        sys.stdout.write(text) if options.json == Path("-") else options.json.write_text(text)
    broken = [result for result in results if not result["holds"]]
    return 1 if options.check and broken else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*names(), []], metavar="NAME", help=", ".join(names()))
    parser.add_argument("--size", type=int, action="append", help="size to measure; may be given several times")
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each job (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the results; - for standard output")
    parser.add_argument("--check", action="store_true", help="end with 1 where a promise is broken")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "image-factory-bench"
    parser.add_argument("--cache", type=Path, default=cache, help="where yardsticks are installed")
    return parser.parse_args(arguments)


def _line(name: str, figure: Figure | Count) -> str:
    if isinstance(figure, Count):
        return (
            f"{'ok    ' if figure.holds else 'BROKEN'} {name}: {figure.name}, size {figure.size}: "
            f"ratio {figure.ratio:.3f} (at most {figure.limit:g}); "
            f"ours {figure.ours:g} {figure.unit}, yardstick {figure.yardstick:g} {figure.unit}"
        )
    memory = f", memory {figure.memory_ratio:.3f}"
    if figure.memory_limit is not None:
        memory += f" (at most {figure.memory_limit:g})"
    return (
        f"{'ok    ' if figure.holds else 'BROKEN'} {name}: {figure.name}, size {figure.size}: "
        f"time {figure.ratio:.3f} (at most {figure.limit:g}){memory}; "
        f"ours {_shown(figure.ours)}, yardstick {_shown(figure.yardstick)}"
    )


def _shown(sample: Sample) -> str:
    return f"{sample.seconds:.3f} s {sample.peak / 1e6:.1f} MB"


def _record(name: str, figure: Figure | Count) -> dict[str, Any]:
    if isinstance(figure, Count):
        return {
            "benchmark": name,
            "figure": figure.name,
            "size": figure.size,
            "ratio": round(figure.ratio, 4),
            "limit": figure.limit,
            "holds": figure.holds,
            "unit": figure.unit,
            "ours": figure.ours,
            "yardstick": figure.yardstick,
            "more": dict(figure.more),
        }
    return {
        "benchmark": name,
        "figure": figure.name,
        "size": figure.size,
        "ratio": round(figure.ratio, 4),
        "limit": figure.limit,
        "memoryRatio": round(figure.memory_ratio, 4),
        "memoryLimit": figure.memory_limit,
        "holds": figure.holds,
        "ours": _sample(figure.ours),
        "yardstick": _sample(figure.yardstick),
    }


def _sample(sample: Sample) -> dict[str, Any]:
    runs: Iterable[dict[str, Any]] = [{"seconds": round(run.seconds, 4), "peakBytes": run.peak} for run in sample.runs]
    return {"seconds": round(sample.seconds, 4), "peakBytes": sample.peak, "runs": list(runs)}


def _machine() -> dict[str, Any]:
    return {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}


if __name__ == "__main__":
    sys.exit(main())
