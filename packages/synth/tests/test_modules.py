"""The parts of the library stand alone: each can be imported by itself, without Node, cdk8s or the parts above it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["data", "warehouses", "stages", "steps", "analysis", "infrastructure"])
def test_a_part_of_the_library_can_be_imported_by_itself(module: str) -> None:
    code = (
        f"import sys, image_factory_synth.{module}\n"
        "heavy = {'jsii', 'cdk8s', 'constructs', 'image_factory_synth.kargo', 'image_factory_synth.synth'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")
