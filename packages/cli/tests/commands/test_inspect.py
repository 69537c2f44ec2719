"""`image-factory inspect`: its JSON to the letter, its tables, its exit codes, and what it must not import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from image_factory_cli.commands.inspect import command
from image_factory_cli.group import run

DOCKERFILE = """\
# syntax=docker/dockerfile:1.7
ARG V=3.19
FROM golang:1.22 AS build
RUN true
FROM alpine:${V}
COPY --from=build /a /a
"""


_MAIN = "from image_factory_cli.main import main; main()"
"""The program as its script starts it."""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "Dockerfile": DOCKERFILE,
        "web/app.Dockerfile": "FROM nginx\n",
        "web/Dockerfile.dockerignore": "*\n",
        "api/Containerfile": "FROM Not/Valid\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def _invoke(*arguments: str, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(command, list(arguments), input=given, catch_exceptions=False, standalone_mode=False)


def _json(*arguments: str, given: str | bytes | None = None) -> Any:
    return json.loads(_invoke(*arguments, "--json", given=given).stdout)


def test_the_json_of_one_file_is_this_to_the_letter(tree: Path) -> None:
    result = _invoke("Dockerfile", "--json", "--platform", "linux/amd64,linux/arm64")

    platform = "linux/amd64,linux/arm64"
    expected = {
        "file": "Dockerfile",
        "references": [
            {
                "written": "docker/dockerfile:1.7",
                "canonical": "docker.io/docker/dockerfile:1.7",
                "role": "frontend",
                "line": 1,
                "end_line": 1,
                "stage": None,
                "reachable": True,
                # The build runs it, so it is pulled for the machine that builds.
                "platform": "linux/amd64",
            },
            {
                "written": "golang:1.22",
                "canonical": "docker.io/library/golang:1.22",
                "role": "stage",
                "line": 3,
                "end_line": 3,
                "stage": "build",
                "reachable": True,
                "platform": platform,
            },
            {
                "written": "alpine:${V}",
                "canonical": "docker.io/library/alpine:3.19",
                "role": "final",
                "line": 5,
                "end_line": 5,
                "stage": "1",
                "reachable": True,
                "platform": platform,
            },
        ],
        "diagnostics": [],
    }
    # As text: the order of the keys is promised too.
    assert json.dumps(json.loads(result.stdout)) == json.dumps(expected)


def test_a_diagnostic_in_json_has_three_keys_in_order(tree: Path) -> None:
    (diagnostic,) = _json("api/Containerfile")["diagnostics"]

    assert list(diagnostic) == ["category", "line", "message"]
    assert (diagnostic["category"], diagnostic["line"]) == ("invalid-reference", 1)


def test_a_tree_gives_a_list_with_paths_below_it_in_order(tree: Path) -> None:
    assert [one["file"] for one in _json(".")] == ["Dockerfile", "api/Containerfile", "web/app.Dockerfile"]
    assert [one["file"] for one in _json("web")] == ["app.Dockerfile"]


def test_several_paths_give_a_list_that_tells_their_files_apart(tree: Path) -> None:
    assert [one["file"] for one in _json("web/", "Dockerfile", "api")] == [
        "web/app.Dockerfile",
        "Dockerfile",
        "api/Containerfile",
    ]


def test_a_tree_without_dockerfiles_gives_an_empty_list(tree: Path) -> None:
    (tree / "empty").mkdir()

    assert _json("empty") == []


def test_standard_input_is_one_file(tree: Path) -> None:
    found = _json("-", given="FROM alpine")

    assert (found["file"], found["references"][0]["canonical"]) == ("-", "docker.io/library/alpine:latest")


def test_build_args_and_target_are_given_on(tree: Path) -> None:
    found = _json("Dockerfile", "--build-arg", "V=edge=x", "--target", "build")

    roles = {one["canonical"]: (one["role"], one["reachable"]) for one in found["references"]}
    assert roles["docker.io/library/golang:1.22"] == ("final", True)
    assert _json("Dockerfile", "--build-arg", "V=edge")["references"][2]["canonical"] == "docker.io/library/alpine:edge"


def test_a_build_arg_without_a_value_is_the_environment_s(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("V", "3.1")

    assert _json("Dockerfile", "--build-arg", "V")["references"][2]["canonical"].endswith("alpine:3.1")


def test_a_file_that_cannot_be_read_is_said_and_the_others_are_read(tree: Path) -> None:
    (tree / "web/Dockerfile").symlink_to("/etc/hostname")
    found = {one["file"]: one for one in _json(".")}

    assert [one["category"] for one in found["web/Dockerfile"]["diagnostics"]] == ["unreadable"]
    assert found["web/app.Dockerfile"]["references"][0]["written"] == "nginx"


def test_the_same_content_twice_is_read_the_same(tree: Path) -> None:
    (tree / "web/b.Dockerfile").write_text("FROM nginx\n")
    first, second = _json("web")

    assert first["references"] == second["references"]


@pytest.mark.parametrize("strict", [False, True], ids=["without --strict", "with --strict"])
@pytest.mark.parametrize("as_json", [False, True], ids=["as text", "as JSON"])
def test_diagnostics_end_the_program_with_2_only_if_strict(tree: Path, strict: bool, as_json: bool) -> None:
    arguments = ["api", *(["--strict"] if strict else []), *(["--json"] if as_json else [])]

    assert run(["inspect", *arguments]) == (2 if strict else 0)
    assert run(["inspect", "Dockerfile", *arguments[1:]]) == 0


def test_a_path_that_is_missing_is_one_clear_error(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "Dockerfile", "nowhere", "--json"]) == 2
    out, err = capfd.readouterr()

    assert out == ""
    assert err.splitlines() == [
        "error: no such file or folder: 'nowhere'",
        "hint: give Dockerfiles, folders, or - for standard input",
    ]


@pytest.mark.parametrize(
    "arguments",
    [["Dockerfile", "--build-arg", "=x"], ["Dockerfile", "--platform", "a b"], []],
    ids=["a build arg without a name", "a platform that is none", "no path"],
)
def test_wrong_usage_ends_with_2(tree: Path, arguments: list[str]) -> None:
    assert run(["inspect", *arguments]) == 2


def test_people_get_a_table_and_a_summary(tree: Path) -> None:
    assert _invoke("Dockerfile", "api").stdout.splitlines() == [
        "Dockerfile",
        "      1  frontend  docker.io/docker/dockerfile:1.7               linux/amd64",
        "      3  stage     docker.io/library/golang:1.22    stage build  linux/amd64",
        "      5  final     docker.io/library/alpine:3.19    stage 1      linux/amd64",
        "api/Containerfile",
        next(line for line in _invoke("api").stdout.splitlines() if "invalid-reference" in line),
        "2 files, 3 references, 1 diagnostic",
    ]


def test_what_could_steer_a_terminal_is_written_out(tree: Path) -> None:
    (tree / "web/Dockerfile").write_text("FROM alpine AS \x1b[31m\nFROM $\x1b]0;x\x07\n")

    assert "\x1b" not in _invoke("web").stdout
    assert "\x07" not in _invoke("web").stdout


def test_a_bake_file_gives_a_list_of_its_builds(tree: Path) -> None:
    (tree / "docker-bake.hcl").write_text(
        'target "web" {\n context = "web"\n dockerfile = "app.Dockerfile"\n}\n'
        'target "inline" { dockerfile-inline = "FROM $${BASE}" }\n'
    )
    web, inline = _json("docker-bake.hcl", "--build-arg", "BASE=busybox")

    assert list(web) == ["file", "definition", "target", "references", "diagnostics"]
    assert (web["file"], web["definition"], web["target"]) == ("web/app.Dockerfile", "docker-bake.hcl", "web")
    assert (inline["file"], inline["target"]) == ("docker-bake.hcl", "inline")
    assert _json("docker-bake.hcl", "--target", "web") == [web]


def test_a_compose_file_is_read_from_where_it_stands(tree: Path) -> None:
    (tree / "deploy").mkdir()
    (tree / "deploy/compose.yaml").write_text("services: {web: {build: {context: ../web, dockerfile: app.Dockerfile}}}")
    (web,) = _json("deploy/compose.yaml")

    assert (web["file"], web["references"][0]["written"]) == ("web/app.Dockerfile", "nginx")


def test_a_bake_file_does_not_lead_out_of_its_tree(tree: Path) -> None:
    (tree / "inner/.git").mkdir(parents=True)
    (tree / "inner/link").symlink_to("../web")
    (tree / "inner/docker-bake.hcl").write_text(
        'target "a" { dockerfile = "../Dockerfile" }\ntarget "b" { dockerfile = "link/app.Dockerfile" }'
    )
    found = _json("inner/docker-bake.hcl")

    assert [(one["references"], one["diagnostics"][0]["category"]) for one in found] == [([], "unreadable")] * 2


def test_what_a_bake_file_lacks_is_said_beside_its_builds(tree: Path) -> None:
    (tree / "docker-bake.hcl").write_text('target "web" {\n dockerfile = NOPE\n}\n')
    (web,) = _json("docker-bake.hcl")

    assert web["diagnostics"] == [
        {
            "category": "unresolved-arg",
            "line": 2,
            "message": "docker-bake.hcl: dockerfile: the file has no variable 'NOPE'",
        }
    ]


def test_a_file_that_is_not_utf_8_is_still_json(tree: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MAIN, "inspect", "-", "--json"],
        input=b"FROM alpine:\xff\xfe\nFROM nginx\x00\n# \xed\xa0\x80\nFROM busybox\n",
        capture_output=True,
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    )

    assert json.loads(done.stdout)["references"][-1]["canonical"] == "docker.io/library/busybox:latest"


def test_a_reader_that_goes_away_is_no_defect(tree: Path) -> None:
    for number in range(3000):
        (tree / f"{number}.Dockerfile").write_text(DOCKERFILE)
    with subprocess.Popen(
        [sys.executable, "-c", _MAIN, "inspect", str(tree), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read()

    assert b"Traceback" not in complaint


def test_json_imports_nothing_heavy(tree: Path) -> None:
    code = (
        "import sys; from image_factory_cli.group import run; code = run(['inspect', '.', '--json']);"
        "print(sorted({'pydantic', 'rich', 'httpx', 'yaml', 'ruamel', 'pluggy', 'asyncio'} & set(sys.modules)),"
        " file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tree)

    assert done.stderr.strip() == "[]"
