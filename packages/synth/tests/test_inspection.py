from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from image_factory.errors import NotFound, UserError
from image_factory.model.settings import Settings
from image_factory_synth.inspection import inspect_file, inspect_text
from image_factory_synth.steps import has_step
from image_factory_synth.versions import KNOWN, KargoVersion

GOLDEN = Path(__file__).with_name("golden") / f"cluster-{KNOWN[-1]}.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "image-factory.k8s.yaml").write_text(GOLDEN.read_text())
    return tmp_path


def release(version: KargoVersion = KNOWN[-1]) -> Path:
    named = os.environ.get("IMAGE_FACTORY_SCHEMAS")
    schemas = Path(named) if named else Path(__file__).resolve().parents[3].parent / "shared" / "schemas"
    found = next((schemas / "kargo").glob(f"{version}.*"), None)
    if found is None:
        pytest.skip(f"no schemas of Kargo {version} in {schemas}; IMAGE_FACTORY_SCHEMAS names another folder")
    return found


def wrong(folder: Path, old: str, new: str) -> None:
    file = folder / "dist" / "image-factory.k8s.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_what_we_wrote_fits(folder: Path) -> None:
    found = inspect_file(folder, Settings())

    assert found.findings == ()
    assert found.resources > 10
    assert found.against == ("Kargo 1.11",)


def test_a_finding_is_in_the_report_with_its_place(folder: Path) -> None:
    wrong(folder, "freightCreationPolicy: Automatic", "freightCreationPolicy: Sometimes")

    (told,) = inspect_file(folder, Settings()).report()["findings"]

    assert told["field"] == "spec.freightCreationPolicy"
    line = (folder / "dist" / "image-factory.k8s.yaml").read_text().splitlines()[told["line"] - 1]
    assert line.strip() == "freightCreationPolicy: Sometimes"


def test_another_kargo_is_asked_for_by_its_version(folder: Path) -> None:
    assert inspect_file(folder, Settings(), kargo_version="1.9").against == ("Kargo 1.9",)


def test_with_a_release_s_schemas_its_steps_are_checked_too(folder: Path) -> None:
    pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    crds = release()
    assert inspect_file(folder, Settings(), crds=crds).findings == ()
    wrong(folder, "- uses: git-clone\n", "- uses: git-klone\n")

    found = inspect_file(folder, Settings(), crds=crds).findings

    assert [each.message for each in found] == ["Kargo 1.11 has no step 'git-klone'"]


@pytest.mark.parametrize("version", KNOWN, ids=str)
def test_the_steps_that_are_known_are_those_of_the_release(version: KargoVersion) -> None:
    every = {
        file.name.removesuffix("-config.json") for each in KNOWN for file in release(each).glob("steps/*-config.json")
    }
    there = {file.name.removesuffix("-config.json") for file in release(version).glob("steps/*-config.json")}

    assert {name for name in every if has_step(name, version)} == there


def test_a_step_s_configuration_that_kargo_refuses_is_found_and_an_expression_is_none(folder: Path) -> None:
    pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    wrong(folder, "method: POST", "method: 7")

    found = inspect_file(folder, Settings(), crds=release()).findings

    assert [each.field.rsplit(".", 1)[-1] for each in found] == ["method"]


def test_a_place_is_told_once_though_two_judges_see_it(folder: Path) -> None:
    pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    wrong(folder, "freightCreationPolicy: Automatic", "freightCreationPolicy: Sometimes")

    assert len(inspect_file(folder, Settings(), crds=release()).findings) == 1


def test_without_a_file_the_error_says_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file to check") as caught:
        inspect_file(tmp_path, Settings())

    assert caught.value.hint == "image-factory synth writes it"


@pytest.mark.parametrize("content", [b"\xff", b"a: [", b"- 1\n"])
def test_what_is_no_yaml_of_resources_names_the_file(folder: Path, content: bytes) -> None:
    (folder / "dist" / "image-factory.k8s.yaml").write_bytes(content)

    with pytest.raises(UserError, match=r"image-factory\.k8s\.yaml: "):
        inspect_file(folder, Settings())


def test_a_report_is_plain_values(folder: Path) -> None:
    text = GOLDEN.read_text().replace("interval: ", "interval: x", 1)

    report = inspect_text(text, GOLDEN, KNOWN[-1]).report()

    assert json.loads(json.dumps(report)) == report
    assert len(report["findings"]) == 1
