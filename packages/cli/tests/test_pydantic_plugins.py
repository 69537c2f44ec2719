from __future__ import annotations

import os
import subprocess
import sys

import pytest

BEGIN = "import sys\nfrom image_factory_cli.pydantic_plugins import leave_out_plugins\nleave_out_plugins()\n"
MODEL = "from pydantic import BaseModel\nclass A(BaseModel):\n    x: int\nassert A(x='1').x == 1\n"


def said(program: str, **environ: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name != "PYDANTIC_DISABLE_PLUGINS"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env={**kept, **environ}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_validates_and_nothing_that_is_installed_is_looked_through() -> None:
    assert said(f"{BEGIN}{MODEL}print('importlib.metadata' in sys.modules)") == "False\n"


@pytest.mark.parametrize("chosen", ["logfire", ""])
def test_who_chooses_plugins_gets_them(chosen: str) -> None:
    told = "import pydantic.plugin._loader as loader\nprint(type(loader).__name__)"

    assert said(f"{BEGIN}{MODEL}{told}", PYDANTIC_DISABLE_PLUGINS=chosen) == "module\n"


def test_who_asks_for_more_than_plugins_gets_the_module_itself() -> None:
    asked = (
        "import pydantic.plugin._loader as first\n"
        "print(first.PYDANTIC_ENTRY_POINT_GROUP, list(first.get_plugins()))\n"
        "import pydantic.plugin._loader as second\n"
        "print(sys.modules['pydantic.plugin._loader'].__file__ is not None)\n"
    )

    assert said(f"{BEGIN}{MODEL}{asked}") == "pydantic []\nTrue\n"
