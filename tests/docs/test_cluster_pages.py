"""The pages on Secrets and on Backstage: their settings are settings, and their tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from image_factory.model.catalog import Annotation, RebuildStatus
from image_factory.model.cluster import Sender
from image_factory.state.settings_yaml import read_settings

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")

from image_factory_synth.receivers import SECRET_KEYS

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to"
SECRETS, BACKSTAGE = (
    (HOW_TO / f"{name}.md").read_text(encoding="utf-8")
    for name in ("give-the-cluster-its-secrets", "show-images-in-backstage")
)


@pytest.mark.parametrize("page", [SECRETS, BACKSTAGE], ids=["secrets", "backstage"])
def test_every_piece_of_yaml_is_of_config_yaml(page: str) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)

    assert blocks
    for block in blocks:
        read = read_settings(block, "config.yaml")
        assert (read.problems, read.warnings) == ((), ())


def test_the_keys_of_receivers_secrets_are_those_that_kargo_looks_for() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| `([\w-]+)` \| .* \|$", SECRETS, re.MULTILINE)
    told = {sender: key for senders, key in rows for sender in re.findall(r"`(\w+)`", senders)}

    assert told == SECRET_KEYS
    assert told.keys() == set(get_args(Sender))


def test_every_annotation_of_an_entity_is_described() -> None:
    table = BACKSTAGE.partition("## What is known of it")[2]

    assert {name for name in Annotation if f"`{name}`" in table} == set(Annotation)
    assert all(f"`{status}`" in table for status in RebuildStatus)
