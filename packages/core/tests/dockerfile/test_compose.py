"""Compose files: what each service builds, with variables, anchors, `extends`, `include` and overrides."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.dockerfile.definition import Build, Definition, is_definition, read_definition
from image_factory.dockerfile.reading import Category

Problem = tuple[Category, int]


def _read(
    text: str, *services: str, path: str = "compose.yaml", files: dict[str, str] | None = None, **environment: str
) -> Definition:
    return read_definition(path, text, targets=services, environment=environment, load=(files or {}).get)


def _build(text: str, files: dict[str, str] | None = None, **environment: str) -> Build:
    """Return the last service's build, of a file in which nothing is wrong."""
    definition = _read(text, files=files, **environment)
    assert definition.diagnostics == ()
    build = definition.builds[-1]
    assert build.diagnostics == ()
    return build


def _problems(definition: Definition) -> list[Problem]:
    found = [*definition.diagnostics, *(one for build in definition.builds for one in build.diagnostics)]
    return [(one.category, one.line) for one in found]


def _service(build: str) -> str:
    return "services:\n  app:\n    build:\n" + "".join(f"      {line}\n" for line in build.splitlines())


PLACES = [
    ("the short form", "services: {app: {build: ./web}}", "web", "web/Dockerfile"),
    ("the short form, here", "services: {app: {build: .}}", ".", "Dockerfile"),
    ("the long form", _service("context: web\ndockerfile: ../x"), "web", "x"),
    ("no context", _service("dockerfile: web.Dockerfile"), ".", "web.Dockerfile"),
]


@pytest.mark.parametrize(("text", "context", "dockerfile"), [case[1:] for case in PLACES], ids=[c[0] for c in PLACES])
def test_a_dockerfile_is_found_from_its_context(text: str, context: str, dockerfile: str) -> None:
    build = _build(text)

    assert (build.name, build.context, build.dockerfile, build.inline) == ("app", context, dockerfile, None)


def test_paths_are_taken_from_the_folder_of_the_file() -> None:
    definition = _read("services: {app: {build: ../web}}", path="deploy/docker-compose.yml")

    assert [build.dockerfile for build in definition.builds] == ["web/Dockerfile"]


@pytest.mark.parametrize("context", ["..", "/etc", "a/../../b"])
def test_a_dockerfile_out_of_the_tree_is_said_and_not_given(context: str) -> None:
    build = _read(f"services: {{app: {{build: {context}}}}}").builds[0]

    assert (build.dockerfile, [found.category for found in build.diagnostics]) == (None, [Category.UNREADABLE])


def test_a_remote_context_is_said_and_not_fetched() -> None:
    build = _read("services: {app: {build: 'https://github.com/acme/web.git#main:app'}}").builds[0]

    assert (build.context, build.dockerfile) == ("https://github.com/acme/web.git#main:app", None)
    assert [found.category for found in build.diagnostics] == [Category.UNREADABLE]


def test_an_inline_dockerfile_is_the_text_with_its_variables_put_in() -> None:
    build = _build(_service("dockerfile_inline: |\n  FROM alpine:${V:-3}\n  RUN echo $$HOME"))

    assert (build.inline, build.dockerfile) == ("FROM alpine:3\nRUN echo $HOME\n", None)


def test_options_of_the_build_are_read() -> None:
    build = _build(
        _service(
            "target: run\nplatforms: [linux/amd64, linux/arm64]\n"
            "additional_contexts:\n  base: docker-image://alpine:3\n  src: ../src"
        )
    )

    assert build.options.target == "run"
    assert [str(platform) for platform in build.options.platforms] == ["linux/amd64", "linux/arm64"]
    assert build.options.contexts == {"base": "docker-image://alpine:3", "src": "../src"}


def test_additional_contexts_may_be_a_list() -> None:
    assert _build(_service("additional_contexts: [base=docker-image://a]")).options.contexts == {
        "base": "docker-image://a"
    }


def test_a_service_s_platform_counts_where_the_build_names_none() -> None:
    text = (
        "services:\n  a: {platform: linux/arm64, build: .}\n"
        "  b: {platform: linux/arm64, build: {platforms: [linux/386]}}"
    )

    assert [[str(one) for one in build.options.platforms] for build in _read(text).builds] == [
        ["linux/arm64"],
        ["linux/386"],
    ]


def test_x_bake_adds_platforms_and_contexts() -> None:
    build = _build(_service("x-bake:\n  platforms: linux/amd64 linux/386\n  contexts: {c: docker-image://a}"))

    assert [str(one) for one in build.options.platforms] == ["linux/amd64", "linux/386"]
    assert build.options.contexts == {"c": "docker-image://a"}


def test_services_that_are_not_built_say_nothing() -> None:
    definition = _read("services: {db: {image: 'postgres:16', environment: {A: $NOPE}}, app: {build: .}}")

    assert ([build.name for build in definition.builds], definition.diagnostics) == (["app"], ())


def test_only_the_services_that_are_wanted_and_what_they_take_from_are_built() -> None:
    text = "services:\n  a: {build: {additional_contexts: {base: 'service:b'}}}\n  b: {build: b}\n  c: {build: c}"

    assert [build.name for build in _read(text, "a").builds] == ["a", "b"]
    assert [build.name for build in _read(text).builds] == ["a", "b", "c"]


# --- values ------------------------------------------------------------------------------------------

SCALARS = [
    ("a text", "x", "x"),
    ("a text in quotes", '"3.10"', "3.10"),
    ("a number loses its last zero", "3.10", "3.1"),
    ("a whole number", "20", "20"),
    ("a number in hexadecimal", "0x1F", "31"),
    ("a number in octal", "0o17", "15"),
    ("a large number", "1e3", "1000"),
    ("a version is a text", "3.10.1", "3.10.1"),
    ("a truth", "True", "true"),
    ("yes is a text", "yes", "yes"),
    ("a date is a text", "2024-01-01", "2024-01-01"),
    ("an empty text", '""', ""),
]


@pytest.mark.parametrize(("written", "value"), [case[1:] for case in SCALARS], ids=[case[0] for case in SCALARS])
def test_an_arg_is_what_compose_makes_of_the_word(written: str, value: str) -> None:
    assert _build(_service(f"args:\n  A: {written}")).options.build_args == {"A": value}


def test_args_may_be_a_list_and_a_name_alone_takes_the_environment_s_value() -> None:
    build = _build(_service("args: [A=1, B, C, D=x=y, E=]"), B="b")

    assert build.options.build_args == {"A": "1", "B": "b", "D": "x=y", "E": ""}


def test_a_name_without_a_value_takes_the_environment_s_value() -> None:
    assert _build(_service("args: {A: , B: ~}"), A="a").options.build_args == {"A": "a"}


INTERPOLATIONS = [
    ("a variable", "$SET", "s"),
    ("a variable in braces", "a${SET}b", "asb"),
    ("a default not needed", "${SET:-d}", "s"),
    ("a default for the unset", "${UNSET:-d}", "d"),
    ("a default for the unset, without colon", "${UNSET-d}", "d"),
    ("a default for the empty", "${EMPTY:-d}", "d"),
    ("the empty is set", "${EMPTY-d}", ""),
    ("a replacement", "${SET:+r}", "r"),
    ("no replacement", "${UNSET+r}", ""),
    ("no replacement for the empty", "${EMPTY:+r}", ""),
    ("what is required and there", "${SET:?must}", "s"),
    ("defaults in defaults", "${UNSET:-${ALSO:-a${SET}}}", "as"),
    ("a default with what looks like a reference", "${UNSET:-ghcr.io/a/b:1@x}", "ghcr.io/a/b:1@x"),
    ("an escaped dollar", "$$SET", "$SET"),
]


@pytest.mark.parametrize(("written", "value"), [c[1:] for c in INTERPOLATIONS], ids=[c[0] for c in INTERPOLATIONS])
def test_variables_are_put_in(written: str, value: str) -> None:
    build = _build(_service(f"args: ['A={written}']"), SET="s", EMPTY="")

    assert build.options.build_args == {"A": value}


@pytest.mark.parametrize("written", ["$UNSET", "${UNSET}", "${UNSET:?say why}", "${UNSET?}"])
def test_a_variable_that_is_not_set_is_empty_and_said(written: str) -> None:
    definition = _read(_service(f"args:\n  A: '{written}'"))

    assert definition.builds[0].options.build_args == {"A": ""}
    assert _problems(definition) == [(Category.UNRESOLVED_ARG, 5)]


@pytest.mark.parametrize("written", ["${", "${}", "${A", "a$", "${1}", "$-", "${A!b}"])
def test_what_is_no_interpolation_is_said(written: str) -> None:
    assert _problems(_read(_service(f"target: '{written}'"), A="a")) == [(Category.SYNTAX, 4)]


def test_the_file_env_gives_what_the_environment_does_not() -> None:
    env = "# comment\nA=1 # one\nexport B='2 # $A'\nC=\"3 ${A}\"\nD=env\nnonsense\n"
    build = _build(_service("args: ['X=$A-$B-$C-$D']"), {".env": env}, D="given")

    assert build.options.build_args == {"X": "1-2 # $A-3 1-given"}


# --- merging -----------------------------------------------------------------------------------------


def test_anchors_and_merge_keys_are_followed() -> None:
    text = (
        "x-args: &args {A: 1, B: 1}\nx-build: &build\n  context: web\n  args: *args\n"
        "services:\n  app:\n    build:\n      <<: *build\n      args:\n        <<: [*args, {C: 3}]\n        B: 2\n"
    )
    build = _build(text)

    assert (build.context, build.options.build_args) == ("web", {"A": "1", "B": "2", "C": "3"})


def test_a_service_that_extends_another_is_merged_over_it() -> None:
    text = (
        "services:\n  base: {build: {context: web, target: t, args: [A=1, B=1]}}\n"
        "  app: {extends: {service: base}, build: {args: {B: 2}}}\n  short: {extends: base}\n"
    )
    _, app, short = _read(text).builds

    assert (app.dockerfile, app.options.target, app.options.build_args) == ("web/Dockerfile", "t", {"A": "1", "B": "2"})
    assert (short.dockerfile, short.options.build_args) == ("web/Dockerfile", {"A": "1", "B": "1"})


def test_what_is_extended_in_another_file_has_its_paths_from_there() -> None:
    build = _build(
        "services: {app: {extends: {file: common/base.yml, service: base}}}",
        {"common/base.yml": "services: {base: {build: {context: web, dockerfile: D}}}"},
    )

    assert build.dockerfile == "common/web/D"


def test_files_that_are_included_add_their_services() -> None:
    files = {"a/compose.yaml": "services: {a: {build: .}}", "b.yaml": "services: {b: {build: b}}"}
    definition = _read("include: [a/compose.yaml, {path: b.yaml}]\nservices: {app: {build: .}}", files=files)

    assert [(build.name, build.dockerfile) for build in definition.builds] == [
        ("a", "a/Dockerfile"),
        ("b", "b/Dockerfile"),
        ("app", "Dockerfile"),
    ]


def test_the_override_file_beside_is_merged_over() -> None:
    over = "services: {app: {build: {args: {B: 2}, platforms: [linux/386]}}}"
    build = _build(
        "services: {app: {build: {context: web, args: [A=1, B=1], platforms: [linux/amd64]}}}",
        {"compose.override.yaml": over},
    )

    assert (build.dockerfile, build.options.build_args) == ("web/Dockerfile", {"A": "1", "B": "2"})
    assert [str(one) for one in build.options.platforms] == ["linux/amd64", "linux/386"]


def test_reset_and_override_replace_instead_of_merging() -> None:
    over = "services: {app: {build: {target: !reset null, platforms: !override [linux/386]}}}"
    build = _build("services: {app: {build: {target: t, platforms: [linux/amd64]}}}", {"compose.override.yaml": over})

    assert (build.options.target, [str(one) for one in build.options.platforms]) == (None, ["linux/386"])


# --- what cannot be read -----------------------------------------------------------------------------

PROBLEMS = [
    ("no YAML", "services: [", [(Category.SYNTAX, 1)]),
    ("no mapping", "- a", [(Category.SYNTAX, 1)]),
    ("a tab", "services:\n\tapp: {}", [(Category.SYNTAX, 2)]),
    ("extends a service that is not there", "services:\n  app: {extends: b, build: .}", [(Category.SYNTAX, 2)]),
    ("extends itself", "services:\n  app: {extends: app, build: .}", [(Category.SYNTAX, 2)]),
    (
        "extends what is out of the tree",
        "services:\n  a: {extends: {file: ../x, service: a}}",
        [(Category.UNREADABLE, 2)],
    ),
    ("includes a file out of the tree", "include: [../x.yaml]", [(Category.UNREADABLE, 1)]),
    ("includes a file that is not there", "include: [x.yaml]", [(Category.UNREADABLE, 1)]),
    ("a platform that is none", "services:\n  app: {build: {platforms: [lin ux]}}", [(Category.INVALID_REFERENCE, 2)]),
]


@pytest.mark.parametrize(("text", "problems"), [case[1:] for case in PROBLEMS], ids=[case[0] for case in PROBLEMS])
def test_what_cannot_be_resolved_is_said_with_its_line(text: str, problems: list[Problem]) -> None:
    assert _problems(_read(text)) == problems


@pytest.mark.parametrize("name", ["web", "db"], ids=["not there", "not built"])
def test_a_service_that_is_wanted_and_has_no_build_is_said(name: str) -> None:
    definition = _read("services: {app: {build: .}, db: {image: x}}", name)

    assert (definition.builds, _problems(definition)) == ((), [(Category.SYNTAX, 1)])


_BOMB = "".join(f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
_MERGES = "".join(f"x-{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))
HOSTILE = [
    ("a bomb of anchors", f"x-0: &a0 [a]\n{_BOMB}services: {{app: {{build: {{args: *a11}}}}}}"),
    ("a bomb of merges", f"x-0: &a0 {{A: 1}}\n{_MERGES}services: {{app: {{build: {{args: *a39}}}}}}"),
    ("an anchor in itself", "services: &a {app: {build: {args: *a}}, b: *a}"),
    ("a merge of itself", "services: {app: {build: &b {<<: *b, context: .}}}"),
    ("brackets in each other", "services: " + "[" * 100_000),
    ("braces of variables in each other", _service("target: '" + "${A:-" * 10_000 + "'")),
    ("many variables", _service("target: '" + "${A:-b}" * 50_000 + "'")),
    ("many dollars", _service("target: '" + "$$" * 200_000 + "'")),
    ("many services", "services:\n" + "".join(f"  s{n}: {{extends: s{n + 1}, build: .}}\n" for n in range(3000))),
]  # fmt: skip


@pytest.mark.parametrize("text", [case[1] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_hostile_files_end_soon(text: str) -> None:
    before = time.perf_counter()

    assert isinstance(_read(text), Definition)
    assert time.perf_counter() - before < 10


_WORDS = st.sampled_from(
    ["services:", "app:", "build:", "args:", "extends:", "&a", "*a", "<<:", "{", "}", "[", "]", "- ", "\n", "  ", "x",
     "!reset", "!override", "${", "${A:-", "$", "include:", "context:", "platforms:", "'", '"', "|", "~", "?", ":"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(_WORDS, max_size=40))
def test_no_arrangement_of_words_breaks_the_reader(words: list[str]) -> None:
    text = " ".join(words)

    assert isinstance(_read(text, files={"compose.override.yaml": text, ".env": text, "x": text}), Definition)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=100))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert isinstance(_read(text, files={".env": text}), Definition)
    assert isinstance(_read(_service(f"args: ['A={text}']")), Definition)


@pytest.mark.parametrize(
    "name",
    ["docker-bake.hcl", "docker-bake.json", "docker-bake.override.hcl", "ci.docker-bake.hcl", "release.hcl",
     "compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.prod.yaml", "compose.override.yml",
     "web.compose.yaml"],
)  # fmt: skip
def test_a_name_that_people_give_such_files_is_one(name: str) -> None:
    assert is_definition(name)


@pytest.mark.parametrize(
    "name", ["Dockerfile", "package.json", "values.yaml", "decompose.yaml", "compose.Dockerfile", "-"]
)
def test_any_other_name_is_none(name: str) -> None:
    assert not is_definition(name)
