from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from image_factory_cli.group import run

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")

from image_factory_synth.node import NoNode, find_node

try:
    find_node()
except NoNode as none:
    pytest.skip(f"{none.message}: {none.hint}", allow_module_level=True)

IMAGES = """
- {name: redis, repository: library/redis, tag: 7-alpine}
- {name: web, registry: ghcr.io, repository: acme/web, source: {repo: acme/web}}
"""
HALF_A_BASE = (
    "name: node-22\nfullImage: docker.io/library/node:22\nregistry: docker.io\nrepository: library/node\ntag: '22'\n"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "images.yaml").write_text(IMAGES)
    (tmp_path / "state" / "base-images").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


NO_STAGES = "nothing but Warehouses is written: stages and jobs need kargo.stateRepository and kargo.jobImage"


def test_without_a_place_for_its_state_a_folder_has_no_stages_and_that_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["synth"]) == 0

    assert capsys.readouterr().err == f"warning: stateRepository: {NO_STAGES}\n"


def test_the_summary_says_what_was_added_changed_and_removed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["synth"]) == 0
    first = capsys.readouterr().out
    (folder / "images.yaml").write_text(IMAGES.replace("7-alpine", "8-alpine").replace("- {name: web", "- {name: shop"))
    assert run(["synth"]) == 0
    second = capsys.readouterr().out
    assert run(["synth"]) == 0
    third = capsys.readouterr().out

    output = "dist/image-factory.k8s.yaml"
    assert first.splitlines()[0] == f"{output} holds 5 resources for Kargo 1.11: 5 added, 0 changed, 0 removed"
    assert second.splitlines() == [
        f"{output} holds 5 resources for Kargo 1.11: 1 added, 1 changed, 1 removed",
        "  + Warehouse/shop",
        "  ~ Warehouse/redis",
        "  - Warehouse/web",
    ]
    assert third == f"{output} is up to date: 5 resources for Kargo 1.11\n"


def test_with_a_program_s_log_nothing_but_its_lines_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "state" / "base-images" / "node-22.yaml").write_text(HALF_A_BASE)

    assert run(["synth", "--dry-run", "--log-format", "json"]) == 0

    shown = capsys.readouterr()
    assert shown.out == ""
    assert [json.loads(line)["image"] for line in shown.err.splitlines()] == ["node-22", "stateRepository"]


def test_an_images_yaml_in_another_encoding_is_named_with_its_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "images.yaml").write_bytes(IMAGES.encode() + b"- name: caf\xe9\n")

    assert run(["synth"]) == 2

    assert capsys.readouterr().err.splitlines() == [
        f"error: {folder}/images.yaml:4: not UTF-8: the byte 0xe9",
        "hint: save the file as UTF-8",
    ]


@pytest.mark.parametrize("content", [b"\xff", b"a: [", b"- 1\n", b"<<<<<<< HEAD\n"])
def test_an_output_that_was_broken_is_written_anew(folder: Path, content: bytes) -> None:
    assert run(["synth"]) == 0
    output = folder / "dist/image-factory.k8s.yaml"
    whole = output.read_bytes()
    output.write_bytes(content)

    assert run(["synth"]) == 0

    assert output.read_bytes() == whole


def test_json_is_one_document_and_warnings_stay_out_of_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "state" / "base-images" / "node-22.yaml").write_text(HALF_A_BASE)

    assert run(["synth", "--json", "--diff", "--dry-run"]) == 0

    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert (found["resources"], found["written"]) == (5, False)
    assert "+kind: Warehouse" in found["diff"]
    assert shown.err.splitlines() == [
        "warning: node-22: no repoURL and no allowTags: it gets no Warehouse",
        f"warning: stateRepository: {NO_STAGES}",
    ]
    assert not (folder / "dist").exists()


def test_a_broken_state_file_is_a_warning_and_with_strict_an_exit_of_3(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "state" / "base-images" / "bad.yaml").write_text("a: [")

    for arguments, code in ((["synth"], 0), (["synth", "--strict"], 3), (["synth", "--strict"], 3)):
        assert run(arguments) == code
        assert "bad.yaml" in capsys.readouterr().err


def test_a_program_reads_warnings_as_json_with_image_and_op(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "state" / "base-images" / "node-22.yaml").write_text(HALF_A_BASE)

    assert run(["synth", "--log-format", "json"]) == 0

    line, _ = capsys.readouterr().err.splitlines()
    logged = json.loads(line)
    assert (logged["op"], logged["image"], logged["level"]) == ("synth", "node-22", "warning")
    assert "repoURL" in logged["event"]


def test_an_image_that_kargo_refuses_ends_with_3(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "images.yaml").write_text(IMAGES + "- {name: odd, registry: ghcr.io, repository: a/b--c, tag: x}\n")

    assert run(["synth"]) == 3
    assert f"error: {folder}/images.yaml:4: odd: repository: Kargo refuses 'ghcr.io/a/b--c'" in capsys.readouterr().err


def test_an_unknown_kargo_version_ends_with_2_and_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["synth", "--kargo-version", "1.12"]) == 2

    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "hint"]
    assert "'1.12'" in lines[0]


def rows(shown: str) -> dict[str, list[str]]:
    """Return the cells of the report by registry."""
    cells = ([cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines())
    return {row[0]: row[1:] for row in cells if row}


def test_the_report_says_what_each_registry_takes_and_who_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("image_factory_dockerhub", reason="image-factory-dockerhub is not installed")
    (folder / "config.yaml").write_text("registries: {ghcr.io: {requestsPerDay: 5}}\n")

    for _ in ("worked out", "remembered"):
        assert run(["synth", "--report"]) == 0

        found = rows(capsys.readouterr().out)
        assert found["docker.io"] == ["1", "1", "400", "plugin dockerhub", "0"]
        assert found["ghcr.io"][2:4] == ["5", "config.yaml"]


def test_without_its_plugin_no_budget_of_docker_hub_is_known(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.yaml").write_text("disabledPlugins: [dockerhub]\n")

    assert run(["synth", "--report"]) == 0

    assert rows(capsys.readouterr().out)["docker.io"] == ["1", "1", "not known", "-", "-"]


def test_the_report_as_json_names_budget_and_origin(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.yaml").write_text("registries: {docker.io: {requestsPerDay: 9}}\n")

    assert run(["synth", "--json"]) == 0

    (hub, other) = json.loads(capsys.readouterr().out)["registries"]
    assert (hub["budget"], hub["budgetFrom"]) == (9, "config.yaml")
    assert (other["budget"], other["budgetFrom"]) == (None, None)


def test_an_empty_folder_ends_with_2_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run(["synth"]) == 2
    assert "images.yaml" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_schemas_that_do_not_fit_end_with_2(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    crd = {
        "kind": "CustomResourceDefinition",
        "spec": {
            "group": "kargo.akuity.io",
            "names": {"kind": "Project"},
            "versions": [{"name": "v1alpha1", "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    }
    (tmp_path / "release" / "crds").mkdir(parents=True)
    (tmp_path / "release" / "crds" / "a.yaml").write_text(json.dumps(crd))

    assert run(["synth", "--crds", str(tmp_path / "release")]) == 2
    told = capsys.readouterr()
    assert "no schema of kargo.akuity.io/v1alpha1 ProjectConfig" in told.err
    # Nothing is said to be right, or written, that does not fit.
    assert told.out == ""
    assert not (folder / "dist" / "image-factory.k8s.yaml").exists()

    run(["synth"])
    capsys.readouterr()
    assert run(["synth", "--crds", str(tmp_path / "release")]) == 2
    assert capsys.readouterr().out == ""


LIMIT = "discoveryLimit is not between 1 and 100: 0"
FIELD = "spec.subscriptions[0].image.discoveryLimit"


def test_a_check_reads_the_file_as_it_lies_there_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = folder / "dist" / "image-factory.k8s.yaml"
    assert run(["synth"]) == 0
    assert run(["synth", "--check"]) == 0
    assert capsys.readouterr().out.endswith("dist/image-factory.k8s.yaml: 5 resources fit Kargo 1.11\n")
    (folder / "images.yaml").write_text("[]")
    text = output.read_text()
    output.write_text(text.replace("discoveryLimit: 1", "discoveryLimit: 0", 1))
    line = text.splitlines().index("        discoveryLimit: 1") + 1

    assert run(["synth", "--check"]) == 2

    assert capsys.readouterr().err.splitlines() == [
        f"error: dist/image-factory.k8s.yaml:{line}: Warehouse/web: {FIELD}: {LIMIT}",
        "1 finding in 5 resources",
    ]
    assert "discoveryLimit: 0" in output.read_text()
    assert run(["synth", "--check", "--json"]) == 2
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert (found["resource"], found["line"]) == ("Warehouse/web", line)


def test_a_check_of_what_was_never_written_ends_with_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["synth", "--check"]) == 2
    assert "image-factory synth writes it" in capsys.readouterr().err


def test_a_check_takes_no_flag_that_it_would_pass_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["synth", "--check", "--diff", "--report"]) == 2
    assert "nothing to show by --diff and --report" in capsys.readouterr().err


def test_without_kubectl_a_check_by_the_cluster_ends_with_5(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["synth"]) == 0
    monkeypatch.setenv("PATH", "/nonexistent")

    assert run(["synth", "--check", "--server"]) == 5
    assert "kubectl is not on PATH" in capsys.readouterr().err


def test_at_a_terminal_the_fields_that_change_are_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["synth"]) == 0
    (folder / "images.yaml").write_text(IMAGES.replace("7-alpine", "8-alpine"))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    capsys.readouterr()

    assert run(["synth", "--diff", "--dry-run"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == [
        "  ~ Warehouse/redis",
        "      spec.subscriptions[0].image.constraint: 7-alpine -> 8-alpine",
    ]
    assert lines[3].startswith("--- ")
    assert run(["synth", "--diff", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fields"] == {
        "Warehouse/redis": [{"field": "spec.subscriptions[0].image.constraint", "old": "7-alpine", "new": "8-alpine"}]
    }


def test_a_flag_wins_over_the_environment_that_over_the_file_and_that_over_the_default(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = folder / "dist" / "image-factory.k8s.yaml"

    def told(*words: str) -> tuple[str, int, int]:
        assert run(["synth", *words]) == 0
        text = output.read_text()
        # Staggered, so each is a little more than what is set.
        ((minutes, _),) = re.findall(r"interval: (\d+)m([\d.]+s)?", text)
        ((hours, _),) = re.findall(r"interval: (\d+)h(\S+)?", text)
        return re.findall(r"namespace: (\S+)", text)[0], int(minutes) // 5 * 5, int(hours) // 24 * 24

    assert told() == ("image-factory-kargo", 5, 24)
    (folder / "config.yaml").write_text("kargo: {namespace: of-file, managedInterval: 10m, baseInterval: 2d}\n")
    assert told() == ("of-file", 10, 48)
    monkeypatch.setenv("IMAGE_FACTORY_KARGO_NAMESPACE", "of-environment")
    monkeypatch.setenv("IMAGE_FACTORY_KARGO_MANAGED_INTERVAL", "15m")
    monkeypatch.setenv("IMAGE_FACTORY_KARGO_BASE_INTERVAL", "3d")
    assert told() == ("of-environment", 15, 72)
    flags = ("--namespace", "of-flag", "--managed-interval", "20m", "--base-interval", "4d")
    assert told(*flags) == ("of-flag", 20, 96)


def test_a_flag_that_is_no_name_or_time_ends_with_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["synth", "--namespace", "No Name"]) == 2
    assert "not a name: 'No Name'" in capsys.readouterr().err
    assert run(["synth", "--base-interval", "7x"]) == 2
    assert "7x" in capsys.readouterr().err


def test_without_the_package_the_hint_names_the_extra() -> None:
    code = (
        "import sys\n"
        "from image_factory_cli.group import run\n"
        "class Missing:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.startswith('image_factory_synth'):\n"
        "            raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "sys.exit(run(['synth']))"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert "image-factory[synth]" in ended.stderr


def test_the_command_is_imported_without_the_package() -> None:
    code = "import sys, image_factory_cli.commands.synth; print('image_factory_synth' in sys.modules)"

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown == "False\n"
