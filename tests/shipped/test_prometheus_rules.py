"""The alert rules that ship: they name counters that there are, and promtool takes them and their own tests."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from image_factory.model.metric import COUNTERS

RULES = Path(__file__).resolve().parents[2] / "docs/prometheus"
FILES = sorted(RULES.glob("*.rules.yml"))


def expressions(file: Path) -> list[str]:
    groups = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_rules_name_counters_and_labels_that_there_are(file: Path) -> None:
    for expression in expressions(file):
        named = re.findall(r"(image_factory_\w+)\{(\w+)=", expression)

        assert named
        assert [each for each in named if each[0] not in COUNTERS or each[1] not in COUNTERS[each[0]].labels] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_promtool_takes_the_rules_and_their_tests(file: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    test = file.with_name(file.name.replace(".rules.", ".test."))
    for words in (["check", "rules", file.name], ["test", "rules", test.name]):
        done = subprocess.run([promtool, *words], cwd=RULES, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout + done.stderr
