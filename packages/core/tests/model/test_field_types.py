"""What a single field takes and refuses. The refused ones are what could escape where the value is used."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from image_factory.model import field_types

HOSTILE = [
    pytest.param("--upload-pack=x", id="a git option"),
    pytest.param("${{ secrets.TOKEN }}", id="an expression of a workflow or of Kargo"),
    pytest.param("${% x %}", id="Kargo's other expression"),
    pytest.param("a\nb", id="two lines"),
    pytest.param("a\x00b", id="a NUL"),
    pytest.param("a\x1b[2Jb", id="a terminal's control sequence"),
    pytest.param("a\u202eb", id="an override of the writing direction"),
    pytest.param("a\u200bb", id="a zero-width space"),
    pytest.param("a\u2028b", id="a line separator"),
]


def accepts(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    "kind",
    [
        "Label",
        "GitRef",
        "InnerPath",
        "TagName",
        "StageName",
        "VariableName",
        "InputName",
        "WorkflowFile",
        "Constraint",
        "RegistryHost",
        "RepositoryPath",
        "SourceRepository",
        "GitHost",
        "PlatformName",
        "DateText",
        "RemoteName",
        "EmailAddress",
        "KargoVersion",
        "WebAddress",
    ],
)
def test_nothing_hostile_becomes_a_field(kind: str, value: str) -> None:
    assert not accepts(getattr(field_types, kind), value)


@pytest.mark.parametrize("value", HOSTILE[1:])
def test_plain_text_holds_no_expression_and_nothing_invisible(value: str) -> None:
    assert not accepts(field_types.Plain, value)


@pytest.mark.parametrize("value", [each for each in HOSTILE[1:] if each.id != "two lines"])
def test_text_for_people_holds_no_expression_and_nothing_invisible(value: str) -> None:
    assert not accepts(field_types.Text, value)


def test_text_for_people_may_have_several_lines() -> None:
    assert accepts(field_types.Text, "The shop's front end.\n\n\tIt costs € 5 – a day 🙂.")


@pytest.mark.parametrize(
    "value",
    ["main", "release/1.2", "dependabot/npm/@types/node-1.0", "fix-#12", "v1.2.3", "größe", "HEAD", "a" * 255],
)
def test_a_branch_as_people_name_them_is_taken(value: str) -> None:
    assert accepts(field_types.GitRef, value)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="nothing"),
        pytest.param("a..b", id="a range"),
        pytest.param("/a", id="a slash first"),
        pytest.param("a/", id="a slash last"),
        pytest.param("a//b", id="two slashes"),
        pytest.param(".a", id="a dot first"),
        pytest.param("a/.b", id="a part that begins with a dot"),
        pytest.param("a.lock", id="git's lock file"),
        pytest.param("a@{1}", id="a reflog entry"),
        pytest.param("@", id="git's word for HEAD"),
        pytest.param("a b", id="a blank"),
        pytest.param("a~1", id="a parent"),
        pytest.param("a^", id="another parent"),
        pytest.param("a:b", id="a refspec"),
        pytest.param("x; rm -rf", id="a second command"),
        pytest.param("$(id)", id="a command substitution"),
        pytest.param("`id`", id="an old command substitution"),
        pytest.param("a\\b", id="a backslash"),
        pytest.param("a" * 256, id="256 characters"),
    ],
)
def test_a_branch_that_git_or_a_shell_reads_otherwise_is_refused(value: str) -> None:
    assert not accepts(field_types.GitRef, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("apps/web/Dockerfile", "apps/web/Dockerfile", id="as it is"),
        pytest.param("./apps//web/", "apps/web", id="without what says nothing"),
        pytest.param(".", ".", id="the repository itself"),
        pytest.param("a/...", "a/...", id="three dots are a name"),
        pytest.param("apps/[slug]/(group)/größe x", "apps/[slug]/(group)/größe x", id="brackets, letters, blanks"),
        pytest.param(".github/Dockerfile", ".github/Dockerfile", id="a hidden folder that is not git's"),
    ],
)
def test_a_path_inside_the_repository_is_taken(value: str, expected: str) -> None:
    assert expected == TypeAdapter(field_types.InnerPath).validate_python(value)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("../../etc/passwd", id="out of the repository"),
        pytest.param("a/../../b", id="out of it on a detour"),
        pytest.param("/etc/passwd", id="from the root"),
        pytest.param("~/x", id="from the home"),
        pytest.param("", id="nothing"),
        pytest.param("C:\\x", id="Windows"),
        pytest.param("regex:.*", id="Kargo's pattern"),
        pytest.param(":(top)x", id="git's pathspec magic"),
        pytest.param("HEAD:x", id="git's revision and path"),
        pytest.param(".git/hooks/post-checkout", id="git's own folder"),
        pytest.param("a/.GIT/config", id="git's own folder where case does not count"),
        pytest.param("a/.git. /config", id="git's own folder where trailing dots do not count"),
        pytest.param("a/git~1/config", id="git's own folder by its short name"),
        pytest.param("a" * 1025, id="1025 characters"),
    ],
)
def test_a_path_that_leads_out_or_means_more_is_refused(value: str) -> None:
    assert not accepts(field_types.InnerPath, value)


@given(st.text(max_size=40))
def test_no_path_that_is_taken_leads_out(value: str) -> None:
    try:
        path = TypeAdapter(field_types.InnerPath).validate_python(value)
    except ValidationError:
        return

    assert not path.startswith(("/", "-"))
    assert ".." not in path.split("/")
    assert path.isprintable()
    assert path == TypeAdapter(field_types.InnerPath).validate_python(path)


@pytest.mark.parametrize(
    "value",
    [
        "acme/web",
        "group/sub/sub/project",
        "https://git.example.com/acme/web.git",
        "ssh://git@git.example.com:22/acme/web.git",
        "git@git.example.com:acme/web.git",
        "file:///srv/git/web.git",
        "/srv/git/web",
        "../web",
        "",
    ],
)
def test_a_source_repository_is_taken(value: str) -> None:
    assert accepts(field_types.SourceRepository, value)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("ext::sh -c id", id="a transport helper that runs a command"),
        pytest.param("-oProxyCommand=id", id="an ssh option"),
        pytest.param("ssh://-oProxyCommand=id/x", id="an ssh option as the host"),
        pytest.param("owner/--upload-pack=x", id="an option as the name"),
        pytest.param("a/b/$(id)", id="a command substitution"),
        pytest.param("a" * 1025, id="1025 characters"),
    ],
)
def test_a_source_repository_that_runs_something_is_refused(value: str) -> None:
    assert not accepts(field_types.SourceRepository, value)


def test_a_token_in_a_clone_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(field_types.SourceRepository).validate_python("https://me:s3cr3t@git.example.com/a/b")

    (found,) = caught.value.errors(include_input=False, include_url=False)
    assert "s3cr3t" not in str(found)
    assert "token" in found["ctx"]["problem"]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        pytest.param("TagName", "16-alpine", "16:alpine", id="a tag has no colon"),
        pytest.param("TagName", "a" * 128, "a" * 129, id="a tag has at most 128 characters"),
        pytest.param("WorkflowFile", "build.yml", ".github/workflows/build.yml", id="a workflow has no folder"),
        pytest.param("WorkflowFile", "build-it.yaml", "build.sh", id="a workflow is YAML"),
        pytest.param("StageName", "runtime-1", "a/b", id="a stage is no path"),
        pytest.param("VariableName", "NODE_VERSION", "NODE-VERSION", id="a build argument has no hyphen"),
        pytest.param("Constraint", ">=1.2.0 <2 || ^3", "latest; rm", id="a range is no command"),
        pytest.param("Regex", r"^3\.12(-slim)?$", "(", id="a regular expression is whole"),
        pytest.param("RegistryHost", "localhost:5000", "https://ghcr.io", id="a host is no URL"),
        pytest.param("RepositoryPath", "acme/team/web.app_x", "Acme/web", id="a repository is lower case"),
        pytest.param("RepositoryPath", "acme/web", "acme/web:1.2", id="a repository has no tag"),
        pytest.param("DateText", "2027-06-30", "30.6.2027", id="a date is year, month and day"),
        pytest.param("PlatformName", "linux/arm64", "arm64/", id="a platform has a system"),
        pytest.param("Label", "a" * 63, "a" * 64, id="a name has at most 63 characters"),
        pytest.param("Label", "web-1", "web_1", id="a name has no underscore"),
        pytest.param("Label", "web", "wеb", id="a name has no Cyrillic letter that looks Latin"),
        pytest.param("KargoVersion", "1.11", "latest", id="a version has numbers"),
        pytest.param("CommitterName", "Image Factory Bot", "a <b>", id="a committer's name has no brackets"),
        pytest.param("WebAddress", "https://mirror.example.com/hub", "https://u:p@x/", id="an address has no password"),
        pytest.param("PinnedImage", "ghcr.io/a/b:1.2", "ghcr.io/a/b:latest", id="a pinned image has no moving tag"),
        pytest.param("PinnedImage", f"a.io/b@sha256:{'0' * 64}", "a.io/b", id="a pinned image has a tag or digest"),
        pytest.param("GitHost", "git.example.com:8443", "a..b", id="a host has no empty part"),
    ],
)
def test_each_type_takes_the_one_and_refuses_the_other(kind: str, good: str, bad: str) -> None:
    assert accepts(getattr(field_types, kind), good)
    assert not accepts(getattr(field_types, kind), bad)
