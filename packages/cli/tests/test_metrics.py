"""The option `--metrics-file`: a path or nothing, and the counting that follows from it."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from image_factory.model.metric import LIFECYCLE_TRANSITIONS, count
from image_factory_cli.metrics import metrics_option, record_metrics


@click.command()
@metrics_option
def command(metrics_file: Path | None) -> None:
    record_metrics(metrics_file, [count(LIFECYCLE_TRANSITIONS, {"from": "base", "to": "archived"})])


def test_the_file_that_is_named_is_written(tmp_path: Path) -> None:
    file = tmp_path / "a.prom"

    CliRunner().invoke(command, ["--metrics-file", str(file)], catch_exceptions=False)

    assert file.read_text().endswith('{from="base",to="archived"} 1\n')


def test_without_the_option_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    CliRunner().invoke(command, [], catch_exceptions=False)

    assert list(tmp_path.iterdir()) == []
