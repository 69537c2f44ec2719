from __future__ import annotations

import json
import zlib
from datetime import timedelta
from pathlib import Path

import pytest

from image_factory.errors import InvalidSettings, NotFound
from image_factory.model.settings import Settings
from image_factory.shell.folder import CACHE_FOLDER, own_folder
from image_factory.shell.settings import check_settings, find_root, load_settings, variables
from image_factory.shell.state_cache import code_stamp, content_digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "image-factory"
    root.mkdir()
    (root / "images.yaml").touch()
    return root


# --- the folder ------------------------------------------------------------------------------------------


def test_the_flag_wins_over_the_variable_and_both_over_what_lies_here(folder: Path, tmp_path: Path) -> None:
    for name in ("flag", "variable"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "images.yaml").touch()
    environ = {"IMAGE_FACTORY_DIR": "variable"}

    assert find_root(Path("flag"), environ, tmp_path) == tmp_path / "flag"
    assert find_root(None, environ, tmp_path) == tmp_path / "variable"
    assert find_root(None, {"IMAGE_FACTORY_DIR": ""}, tmp_path) == folder


def test_the_working_directory_is_the_folder_where_it_holds_images(folder: Path) -> None:
    assert find_root(None, {}, folder) == folder
    assert find_root(None, {}, folder.parent) == folder


@pytest.mark.parametrize("environ", [{}, {"IMAGE_FACTORY_DIR": "image-factory"}])
def test_without_images_the_error_names_the_path_and_the_command_and_makes_nothing(
    environ: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(NotFound) as caught:
        find_root(None, environ, tmp_path)

    assert caught.value.exit_code == 2
    assert str(tmp_path / "image-factory" / "images.yaml") in caught.value.message
    assert "image-factory init" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_images_may_lie_elsewhere(tmp_path: Path) -> None:
    assert find_root(None, {"IMAGES_YAML": "/elsewhere/images.yaml"}, tmp_path) == tmp_path / "image-factory"


def test_a_config_may_name_the_images(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("imagesFile: ours.yaml\n")

    assert find_root(None, {}, tmp_path) == tmp_path


# --- the settings ----------------------------------------------------------------------------------------


def test_without_anything_said_the_defaults_hold(folder: Path) -> None:
    assert load_settings(folder, {}, {}) == Settings()


def test_flags_win_over_the_environment_and_that_over_the_file(folder: Path) -> None:
    (folder / "config.yaml").write_text("kargo: {namespace: file, serviceAccount: file, gitCredentials: file}\n")
    environ = {"IMAGE_FACTORY_KARGO_NAMESPACE": "variable", "IMAGE_FACTORY_KARGO_SERVICE_ACCOUNT": "variable"}

    kargo = load_settings(folder, environ, {"kargo.namespace": "flag", "kargo.state_branch": None}).kargo

    assert (kargo.namespace, kargo.service_account, kargo.git_credentials) == ("flag", "variable", "file")


def test_paths_of_variables_and_flags_start_from_the_working_directory_those_of_the_file_from_the_folder(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "config.yaml").write_text("distDir: out\n")
    environ = {"IMAGE_FACTORY_STATE_DIR": "elsewhere/state", "IMAGES_YAML": "mine.yaml"}

    settings = load_settings(folder, environ, {}, cwd=tmp_path)

    assert folder / settings.state_dir == tmp_path / "elsewhere" / "state"
    assert folder / settings.images_file == tmp_path / "mine.yaml"
    assert folder / settings.dist_dir == folder / "out"
    assert load_settings(folder, environ, {"state_dir": Path("x")}, cwd=tmp_path).state_dir == str(tmp_path / "x")


@pytest.mark.parametrize(
    ("name", "text", "path", "expected"),
    [
        ("IMAGE_FACTORY_COMMIT_PUSH", "true", "commit.push", True),
        ("IMAGE_FACTORY_COMMIT_PUSH", "off", "commit.push", False),
        ("IMAGE_FACTORY_COORDINATION_WINDOW", "0", "coordination_window", timedelta()),
        ("IMAGE_FACTORY_KARGO_VERSION", "1.10", "kargo.version", "1.10"),
        ("IMAGE_FACTORY_DISABLED_PLUGINS", "ghcr, dockerhub,", "disabled_plugins", ("ghcr", "dockerhub")),
    ],
)
def test_a_variable_sets_its_setting(folder: Path, name: str, text: str, path: str, expected: object) -> None:
    value: object = load_settings(folder, {name: text}, {})
    for step in path.split("."):
        value = getattr(value, step)

    assert expected == value


def test_every_setting_of_one_value_has_a_variable() -> None:
    names = [variable.name for variable in variables()]

    assert len(names) == len(set(names))
    assert {"IMAGES_YAML", "IMAGE_FACTORY_STATE_DIR", "IMAGE_FACTORY_DIST_DIR", "IMAGE_FACTORY_COMMIT_EMAIL"} <= set(
        names
    )
    assert not [name for name in names if "PLUGINS" in name and "DISABLED" not in name]
    assert not [name for name in names if "EMERGENCY" in name], "anybody could give himself leave"


def test_every_problem_of_all_three_is_told_with_where_it_comes_from(folder: Path) -> None:
    (folder / "config.yaml").write_text("kargo:\n  namespace: A B\n")
    environ = {"IMAGE_FACTORY_COMMIT_PUSH": "perhaps"}

    settings, problems, warnings = check_settings(folder, environ, {"kargo.nmespace": "x"})

    assert settings == Settings()
    assert warnings == ()
    assert [str(problem) for problem in problems] == [
        f"{folder / 'config.yaml'}:2: kargo.namespace: not a name: 'A B'",
        "$IMAGE_FACTORY_COMMIT_PUSH: commit.push: 'perhaps' stands where true or false is meant",
        "flag for kargo.nmespace: kargo.nmespace: unknown key 'nmespace'",
    ]
    with pytest.raises(InvalidSettings, match=r"not a name: 'A B' \(and 2 more: image-factory validate lists them\)"):
        load_settings(folder, environ, {"kargo.nmespace": "x"})


def test_a_misspelt_key_is_logged_where_the_settings_are_used(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "config.yaml").write_text("comit: {}\n")

    load_settings(folder, {}, {})

    assert "config.yaml:1: comit: unknown key 'comit' (did you mean 'commit'?)" in caplog.text


def test_a_config_that_is_not_utf_8_is_an_error(folder: Path) -> None:
    (folder / "config.yaml").write_bytes(b"stateDir: \xff\n")

    with pytest.raises(InvalidSettings, match="not UTF-8"):
        load_settings(folder, {}, {})


def test_the_files_own_values_are_not_changed_by_what_wins_over_them(folder: Path) -> None:
    (folder / "config.yaml").write_text("kargo: {namespace: file}\n")

    load_settings(folder, {"IMAGE_FACTORY_KARGO_NAMESPACE": "variable"}, {})

    assert load_settings(folder, {}, {}).kargo.namespace == "file"


@pytest.mark.parametrize(
    ("written", "expected"),
    [("ca.pem", "{root}/ca.pem"), ("/etc/ca.pem", "/etc/ca.pem"), ("~/ca.pem", "{home}/ca.pem")],
)
def test_a_ca_file_starts_from_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, written: str, expected: str
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    (folder / "config.yaml").write_text(f"registries: {{a.example: {{caFile: {written}}}, b.example: {{}}}}\n")

    registries = load_settings(folder, {}, {}, cwd=folder.parent).registries

    assert registries["a.example"].ca_file == expected.format(root=folder, home="/home/someone")
    assert registries["b.example"].ca_file is None


def test_config_is_believed_and_nothing_beside_it(folder: Path) -> None:
    """It says who may order emergencies and where credentials go, and what is committed is what was looked at."""
    text = "commit: {push: false}\nemergency: {actors: [alice]}\n"
    (folder / "config.yaml").write_text(text)
    own_folder(folder)
    forged = b'{"commit": {"push": true}, "emergency": {"actors": ["mallory"]}}'
    header = {"stamp": code_stamp(), "text": content_digest(text.encode()), "checksum": zlib.crc32(forged)}
    for name in ("settings.json", "config.json"):
        (folder / CACHE_FOLDER / name).write_bytes(json.dumps(header).encode() + b"\n" + forged)

    settings = load_settings(folder, {}, {})

    assert (settings.commit.push, settings.emergency.actors) == (False, ("alice",))
