"""`schema`: JSON for editors."""

from __future__ import annotations

import json

import pytest

from image_factory_cli.group import run


@pytest.mark.parametrize(("words", "title"), [(["schema"], "images.yaml"), (["schema", "--config"], "config.yaml")])
def test_the_schema_is_printed_as_json(words: list[str], title: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0

    printed = json.loads(capsys.readouterr().out)
    assert printed["title"] == title
    assert printed["$schema"] == "https://json-schema.org/draft/2020-12/schema"
