"""The benchmarks' own measuring: what it counts, and that every benchmark can be run."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the harness reads /proc")

_ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(_ROOT))


def test_time_and_the_memory_of_children_are_counted() -> None:
    harness = importlib.import_module("benchmarks.harness")
    child = "import time; held = bytearray(60_000_000); time.sleep(0.2)"
    run = harness.measure(
        harness.Job(harness.python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"))
    )

    assert run.seconds > 0.2
    assert 60_000_000 < run.peak < 200_000_000


def test_a_run_that_failed_is_no_figure() -> None:
    harness = importlib.import_module("benchmarks.harness")

    with pytest.raises(RuntimeError, match="exit code 3"):
        harness.measure(harness.Job(harness.python("raise SystemExit(3)")))


def test_what_is_prepared_is_not_counted() -> None:
    harness = importlib.import_module("benchmarks.harness")
    time = importlib.import_module("time")

    run = harness.measure(harness.Job(harness.python("pass"), prepare=lambda: time.sleep(0.5)))

    assert run.seconds < 0.5


def test_a_promise_holds_by_time_and_by_memory() -> None:
    harness = importlib.import_module("benchmarks.harness")

    def sample(seconds: float, peak: int) -> object:
        return harness.Sample((harness.Run(seconds, peak),) * 3)

    figure = harness.Figure("f", 1, sample(1, 10), sample(4, 100), limit=0.25, memory_limit=0.1)

    assert (figure.ratio, figure.memory_ratio, figure.holds) == (0.25, 0.1, True)
    assert not harness.Figure("f", 1, sample(1.1, 10), sample(4, 100), limit=0.25).holds
    assert not harness.Figure("f", 1, sample(1, 11), sample(4, 100), limit=0.25, memory_limit=0.1).holds


def test_every_benchmark_holds_sizes_and_run() -> None:
    names = importlib.import_module("benchmarks.__main__").names()

    assert {"inspect", "version"} <= set(names)
    for name in names:
        module = importlib.import_module(f"benchmarks.{name}")
        assert all(isinstance(size, int) for size in module.SIZES), name
        assert callable(module.run), name


def test_results_are_written_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json = importlib.import_module("json")
    main = importlib.import_module("benchmarks.__main__").main
    if not Path(sys.executable).with_name("image-factory").exists():
        pytest.skip("image-factory is not installed beside this Python")

    assert main(["version", "--runs", "1", "--json", str(tmp_path / "results.json")]) == 0
    (result,) = json.loads((tmp_path / "results.json").read_text())["results"]
    assert (result["benchmark"], result["size"], len(result["ours"]["runs"])) == ("version", 1, 1)
    assert "version" in capsys.readouterr().out


def test_a_count_holds_by_its_ratio_and_nothing_beside_nothing_is_even() -> None:
    harness = importlib.import_module("benchmarks.harness")

    def count(ours: float, yardstick: float) -> Any:
        return harness.Count("c", 1, ours=ours, yardstick=yardstick, limit=0.5, unit="builds")

    assert (count(1, 2).holds, count(2, 2).holds, count(0, 0).ratio) == (True, False, 1.0)
    assert not count(1, 0).holds


def test_the_lag_of_each_policy_is_counted_beside_a_cooldown_that_starves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json = importlib.import_module("json")
    main = importlib.import_module("benchmarks.__main__").main

    assert main(["lag", "--size", "60", "--check", "--json", str(tmp_path / "lag.json")]) == 0

    results = {one["figure"]: one for one in json.loads((tmp_path / "lag.json").read_text())["results"]}
    assert len(results) == 16
    daily = results["median lag, aged, 7d, base moves every 1 d"]
    # It moves for the first time after a day, and is never taken in by a rule that waits for it to rest.
    assert daily["more"]["yardstick"] == {"medianDays": 29.0, "p90Days": 53.0, "maxDays": 59.0, "builds": 0}
    assert 7 <= daily["more"]["ours"]["maxDays"] <= 7.1
    rested = results["median lag, aged, 7d, base moves every 10 d"]["more"]
    assert rested["ours"]["builds"] == rested["yardstick"]["builds"] == 5
    assert "ours 0 days" in capsys.readouterr().out


def test_a_cascade_builds_each_image_once(tmp_path: Path) -> None:
    json = importlib.import_module("json")
    main = importlib.import_module("benchmarks.__main__").main

    assert main(["cascade", "--size", "40", "--check", "--json", str(tmp_path / "cascade.json")]) == 0

    builds, runs = json.loads((tmp_path / "cascade.json").read_text())["results"]
    # Two moves for each of the ten of the first layer, and three times as many in each layer below.
    assert (builds["ours"], builds["yardstick"]) == (40, 10 * (2 + 6 + 18 + 54))
    assert runs["ours"] == 4
