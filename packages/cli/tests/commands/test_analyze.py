"""`analyze` as people and Kargo's Job call it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from image_factory.model.settings import KargoSettings

Folder = Any  # of this package's conftest


@pytest.fixture
def web(folder: Folder) -> Folder:
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    return folder


def test_an_empty_folder_is_one_error_and_one_hint_and_no_file(folder: Folder) -> None:
    ran = folder.run("analyze", "--all")

    assert ran.code == 2
    error, hint = ran.err.splitlines()
    assert error.startswith("error: ")
    assert "images.yaml" in error
    assert "image-factory init" in hint
    assert [path.name for path in folder.checkout.iterdir()] == [".git"]


def test_a_run_writes_state_and_makes_one_commit(web: Folder) -> None:
    ran = web.run("analyze", "--all")

    assert ran.code == 0
    assert "web: enrolled as managed, built on node-22" in ran.out
    assert web.git("log", "--format=%s").splitlines() == ["Analyze web"]
    assert "1 changed" in ran.out


def test_a_second_run_leaves_git_as_it_is(web: Folder) -> None:
    web.run("analyze", "--all")

    ran = web.run("analyze", "--all", "--verbose")

    assert ran.out.splitlines() == ["· web: nothing new", "1 unchanged"]
    assert web.git("rev-list", "--count", "HEAD").strip() == "1"


def test_a_dry_run_prints_a_diff_and_writes_nothing(web: Folder) -> None:
    before = sorted(path.name for path in web.root.iterdir())

    ran = web.run("analyze", "--all", "--dry-run")

    assert "+++ b/state/images/web.yaml" in ran.out
    assert sorted(path.name for path in web.root.iterdir()) == before


def test_the_british_spelling_works_too(web: Folder) -> None:
    assert web.run("analyse", "--all").code == 0


def test_json_tells_outcomes_files_and_commit(web: Folder) -> None:
    ran = web.run("analyze", "--json")

    assert ran.json["outcomes"][0]["name"] == "web"
    assert ran.json["files"] == ["state/base-images/node-22.yaml", "state/images/web.yaml"]
    assert ran.json["commit"] == web.git("rev-parse", "HEAD").strip()


@pytest.mark.parametrize("change", ["nothing", "memory gone", "enrollment", "state gone"])
def test_a_second_run_parses_no_dockerfile_again(web: Folder, change: str) -> None:
    assert web.run("analyze", "--all", "--json").json["dockerfiles"] == {"parsed": 1, "cached": 0}

    if change == "memory gone":
        (web.root / ".image-factory-cache/analysis/last.json").unlink()
    elif change == "enrollment":
        web.write("images.yaml", (web.root / "images.yaml").read_text() + "  rebuildDelay: 3d\n")
    elif change == "state gone":
        (web.root / "state/images/web.yaml").unlink()

    assert web.run("analyze", "--all", "--json").json["dockerfiles"] == {"parsed": 0, "cached": 1}


def test_a_dry_run_keeps_nothing_of_dockerfiles(web: Folder) -> None:
    for _ in range(2):
        assert web.run("analyze", "--dry-run", "--json").json["dockerfiles"] == {"parsed": 1, "cached": 0}


def test_the_log_says_how_many_dockerfiles_were_parsed(web: Folder) -> None:
    lines = [json.loads(line) for line in web.run("analyze", "--log-format", "json").err.splitlines()]

    (told,) = [line for line in lines if line["event"] == "Dockerfiles read"]
    assert (told["parsed"], told["cached"], told["op"]) == (1, 0, "analyze")


def test_with_a_json_log_every_line_is_json_with_image_and_op(web: Folder) -> None:
    web.service("bad", "FROM node:${NOPE}\n")
    web.managed("web", "bad")

    ran = web.run("analyze", "--all", "--log-format", "json")

    lines = [json.loads(line) for line in (ran.out + ran.err).splitlines()]
    assert {line["image"] for line in lines} == {"web", "bad", None}  # None: of all of them
    assert {line["op"] for line in lines} == {"analyze"}
    assert {line["level"] for line in lines} == {"info", "error"}


def test_the_log_s_level_can_be_raised(web: Folder) -> None:
    assert web.run("analyze", "--log-format", "json", "--log-level", "error").err == ""


def test_one_bad_image_leaves_nine_done_and_ends_with_3(folder: Folder) -> None:
    names = [f"service-{number}" for number in range(9)]
    for name in names:
        folder.service(name, "FROM node:22\n")
    folder.managed(*names, "missing")

    ran = folder.run("analyze", "--all")

    assert ran.code == 3
    assert "9 changed, 1 failed" in ran.out


def test_eight_jobs_write_what_one_writes(folder: Folder) -> None:
    names = [f"service-{number}" for number in range(9)]
    for number, name in enumerate(names):
        folder.service(name, f"FROM node:{number}\nCOPY --from=busybox:{number} /a /a\n")
    folder.managed(*names)

    one = folder.run("analyze", "--jobs", "1", "--dry-run")
    eight = folder.run("analyze", "--jobs", "8", "--dry-run")

    assert len(one.out) > 1000
    assert [line for line in one.out.splitlines() if "20" not in line] == [
        line for line in eight.out.splitlines() if "20" not in line
    ]


def test_a_build_s_version_and_digest_are_recorded(web: Folder) -> None:
    ran = web.run("analyze", "--image", "web", "--tag", "0.6.3", "--digest", "sha256:abc123")

    state = yaml.safe_load((web.root / "state/images/web.yaml").read_text())
    assert ran.code == 0
    assert (state["currentVersion"], state["currentDigest"]) == ("0.6.3", "sha256:abc123")
    assert state["lastBuilt"]


def test_a_job_clones_the_state_repository_and_pushes_what_it_learns(web: Folder, tmp_path: Any) -> None:
    web.git("add", ".")
    web.git("commit", "--quiet", "--message", "Enroll web")
    bare = tmp_path / "state.git"
    web.git("clone", "--quiet", "--bare", str(web.checkout), str(bare), folder=tmp_path)

    ran = web.run(
        *("analyze", "--image", "web", "--tag", "1.0.0", "--digest", f"sha256:{'a' * 64}"),
        *("--dockerfile", "web/Dockerfile", "--source-repo", str(web.services), "--source-provider", "git"),
        *("--git-repo", str(bare), "--git-branch", "main", "--image-factory-dir", "image-factory"),
    )

    assert ran.code == 0, ran.err
    assert "and pushed" in ran.out
    assert web.git("log", "--format=%s", "main", folder=bare).splitlines()[0] == "Analyze web"
    assert not (web.root / "state").exists()


def test_the_words_of_the_generated_job_analyze_and_push(web: Folder, tmp_path: Any) -> None:
    jobs = pytest.importorskip("image_factory_synth.jobs", reason="image-factory-synth is not installed")
    web.git("add", ".")
    web.git("commit", "--quiet", "--message", "Enroll web")
    bare = tmp_path / "state.git"
    web.git("clone", "--quiet", "--bare", str(web.checkout), str(bare), folder=tmp_path)
    given = {
        "imageName": "web",
        "imageTag": "1.0.0",
        "imageDigest": f"sha256:{'a' * 64}",
        "dockerfile": "web/Dockerfile",
        "sourceRepo": str(web.services),
        "sourceProvider": "git",
        "gitRepo": str(bare),
        "gitBranch": "main",
    }
    settings = KargoSettings(state_repository="https://git.example.com/state.git", job_image="ghcr.io/acme/tool:1")
    template = next(one for one in jobs.jobs(settings) if one.metadata.name == "analyze-dockerfile")
    (container,) = template.spec.metrics[0].provider.job.spec.template.spec.containers

    words = [re.sub(r"{{args[.](\w+)}}", lambda found: given[found[1]], word) for word in container.args]
    ran = web.run(*words)

    assert ran.code == 0, ran.err
    assert web.git("log", "--format=%s", "main", folder=bare).splitlines()[0] == "Analyze web"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["--tag", "1"], "--tag without --image", id="a tag of no image"),
        pytest.param(["--image", "web", "--all"], "--image and --all together", id="one and all"),
        pytest.param(["--image", "nope"], "no image 'nope'", id="an image that is not enrolled"),
        pytest.param(["--git-branch", "main"], "--git-branch without --git-repo", id="a branch of no repository"),
        pytest.param(
            ["--git-repo", "--upload-pack=x"], "not a clone URL: '--upload-pack=x'", id="an option for a repository"
        ),
        pytest.param(
            ["--git-repo", "https://git.example.com/a.git", "--image-factory-dir", "../../etc"],
            "leads out of the clone",
            id="a folder outside the clone",
        ),
        pytest.param(
            ["--image", "web", "--dockerfile", "../../etc/passwd"],
            "../../etc/passwd",
            id="a path outside the repository",
        ),
    ],
)
def test_bad_usage_is_one_error_that_says_what(web: Folder, words: list[str], message: str) -> None:
    ran = web.run("analyze", *words)

    assert ran.code == 2
    assert message in ran.err
    assert not (web.root / "state").exists()


def test_a_broken_state_file_makes_the_run_partial(web: Folder) -> None:
    web.run("analyze")
    web.write("state/images/web.yaml", "a: [\n")

    ran = web.run("analyze")

    assert ran.code == 3
    assert "web.yaml" in ran.err
    assert (web.root / "state/images/web.yaml.corrupt").read_text() == "a: [\n"
    assert web.run("analyze").code == 0


@pytest.mark.parametrize("text", ["- name: [\n", "hello\n"], ids=["not YAML", "no list"])
def test_an_images_yaml_of_which_nothing_can_be_read_is_bad_input(web: Folder, text: str) -> None:
    web.write("images.yaml", text)

    ran = web.run("analyze", "--json")

    assert ran.code == 2
    assert [problem["file"] for problem in ran.json["problems"]] == [str(web.root / "images.yaml")]


def test_a_digest_alone_is_told_as_such(web: Folder) -> None:
    web.run("analyze")

    ran = web.run("analyze", "--image", "web", "--digest", "sha256:abc123")

    assert ran.out.splitlines()[0] == "✓ web: digest sha256:abc123"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        pytest.param(["--dockerfile", "../../etc/passwd"], "not a path inside the repository", id="path"),
        pytest.param(["--source-repo", "--upload-pack=x"], "not a source repository", id="option"),
    ],
)
def test_a_source_that_is_none_is_told_in_our_words(web: Folder, words: list[str], hint: str) -> None:
    ran = web.run("analyze", "--image", "web", *words)

    assert ran.code == 2
    assert ran.err.splitlines()[1].startswith(f"hint: {hint}")
    assert "type=" not in ran.err


def test_what_was_learned_is_shown_although_the_push_is_refused(web: Folder, tmp_path: Any) -> None:
    web.git("add", ".")
    web.git("commit", "--quiet", "--message", "Enroll web")
    bare = tmp_path / "state.git"
    web.git("clone", "--quiet", "--bare", str(web.checkout), str(bare), folder=tmp_path)
    web.git("remote", "add", "origin", str(bare))
    hook = bare / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)

    ran = web.run("analyze", "--push")

    assert ran.code != 0
    assert "error: " in ran.err
    assert "✓ web: " in ran.out
    assert "committed" in ran.out
    assert "pushed" not in ran.out


@pytest.fixture
def gone(folder: Folder) -> Folder:
    """A folder with an image that was just removed from images.yaml."""
    for name in ("web", "api"):
        folder.service(name, "FROM node:22\n")
    folder.managed("web", "api")
    folder.run("analyze")
    folder.managed("api")
    return folder


def test_a_dry_run_lists_what_is_removed_and_moves_nothing(gone: Folder) -> None:
    ran = gone.run("analyze", "--dry-run")

    assert "web: removed from images.yaml, archived" in ran.out
    assert (gone.root / "state/images/web.yaml").exists()
    assert not (gone.root / "state/_archive").exists()
    assert gone.run("analyze", "--dry-run", "--json").json["transitions"] == [
        {"image": "web", "from": "managed", "to": "archived", "reason": "removed from images.yaml"}
    ]


def test_what_images_become_is_one_commit_logged_and_counted(gone: Folder) -> None:
    file = gone.checkout / "image-factory.prom"

    ran = gone.run("analyze", "--log-format", "json", "--metrics-file", str(file))
    gone.run("analyze", "--metrics-file", str(file))

    told = [line for line in map(json.loads, ran.err.splitlines()) if line["op"] == "lifecycle"]
    assert [(line["image"], line["from"], line["to"]) for line in told] == [("web", "managed", "archived")]
    assert 'image_factory_lifecycle_transitions_total{from="managed",to="archived"} 1' in file.read_text()
    moved = gone.git("show", "--name-status", "--format=%s", "--find-renames=50%", "HEAD").split()
    assert moved[:2] == ["Analyze", "web"]
    assert moved[-1].startswith("image-factory/state/_archive/images/web/")
    assert moved[-2] == "image-factory/state/images/web.yaml"
