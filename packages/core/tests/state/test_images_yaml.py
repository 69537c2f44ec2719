from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import ImageFactoryError, UnknownPlugin
from image_factory.state.images_yaml import ImagesFile, PluginNames, check_entry, read_images

WEB = """\
- name: web
  registry: ghcr.io
  repository: acme/web
  source:
    repo: acme/web
"""
POSTGRES = """\
- name: postgres
  repository: library/postgres
  allowTags: ^16-alpine$
"""
ENTRY: dict[str, Any] = {"name": "redis", "repository": "library/redis", "tag": "7.0"}


def read(text: str, plugins: PluginNames | None = None) -> ImagesFile:
    return read_images(text, "images.yaml", plugins)


def said(problems: tuple[ImageFactoryError, ...]) -> list[str]:
    return [str(problem) for problem in problems]


def names(images: ImagesFile) -> list[str]:
    return [entry.enrollment.name for entry in images.enrollments]


# --- reading -------------------------------------------------------------------------------------------


def test_entries_are_read_with_their_lines() -> None:
    images = read(f"# ours\n{WEB}\n{POSTGRES}")

    assert images.problems == ()
    assert [(entry.enrollment.name, entry.line) for entry in images.enrollments] == [("web", 2), ("postgres", 8)]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "[]\n", "---\n"])
def test_an_empty_file_enrolls_nothing_and_is_right(text: str) -> None:
    assert ImagesFile() == read(text)


def test_a_missing_name_and_a_wrong_delay_are_two_errors_and_cost_no_other_entry() -> None:
    images = read(
        f"{POSTGRES}- registry: ghcr.io\n  repository: acme/web\n  source: {{repo: acme/web}}\n  rebuildDelay: 7x\n"
    )

    assert said(images.problems) == [
        "images.yaml:4: entry 2: name: missing",
        "images.yaml:7: entry 2: rebuildDelay: not a duration: '7x'",
    ]
    assert [problem.hint for problem in images.problems] == [
        "write it, such as name: web",
        "write a number and a unit of s, m, h, d or w, such as 7d",
    ]
    assert names(images) == ["postgres"]


def test_two_entries_of_one_name_are_an_error_naming_both_lines_and_neither_counts() -> None:
    images = read(WEB + POSTGRES + WEB)

    assert said(images.problems) == ["images.yaml:9: web: enrolled twice, in lines 1 and 9"]
    assert names(images) == ["postgres"]
    assert images.names == {"web", "postgres"}


def test_the_name_of_a_bad_entry_is_known_so_that_its_state_is_not_archived() -> None:
    images = read("- name: web\n  repository: UPPER\n")

    assert names(images) == []
    assert images.names == {"web"}


@pytest.mark.parametrize(
    ("lines", "error", "hint"),
    [
        pytest.param(
            ["tag: 3.10"], "9: pg: tag: YAML takes 3.10 for a number, and text is meant", '"3.10"', id="number"
        ),
        pytest.param(["tag: on"], "9: pg: tag: YAML takes on for true or false, and text is meant", '"on"', id="truth"),
        pytest.param(
            ["tag:"], "8: pg: allowTags: missing, as are tag, constraint and source", "^16-alpine$", id="none"
        ),
        pytest.param(["tag: [a]"], "9: pg: tag: a list stands where text is meant", "16-alpine", id="a list"),
        pytest.param(
            ["constraint: not a range"],
            "9: pg: constraint: not a range of versions: 'not a range'",
            "^16.0.0",
            id="a constraint that is no range",
        ),
        pytest.param(["tag: 'a:b'"], "9: pg: tag: not a tag: 'a:b'", "letters", id="a tag that is none"),
        pytest.param(
            ["tag: x", "criticality: hihg"],
            "10: pg: criticality: 'hihg' is none of low, normal, high, critical",
            "did you mean 'high'?",
            id="a misspelt word",
        ),
        pytest.param(
            ["tag: x", "autoRebuild: perhaps"],
            "10: pg: autoRebuild: 'perhaps' stands where true or false is meant",
            "write true or false",
            id="no truth",
        ),
        pytest.param(
            ["tag: x", "metadata: text"],
            "10: pg: metadata: 'text' stands where a mapping is meant",
            "below",
            id="no map",
        ),
        pytest.param(
            ["tag: x", "updates: text"], "10: pg: updates: 'text' stands where a list is meant", "- ", id="no list"
        ),
        pytest.param(
            ["tag: x", "updates:", "  - repo: a/b", "    path: ../x", "    type: yaml-update"],
            "12: pg: updates[0].path: not a path inside the repository: '../x'",
            "apps/web",
            id="deep inside",
        ),
        pytest.param(["tag: x", "tag: y"], "10: pg: tag: written twice, in lines 9 and 10", "keep one", id="twice"),
        pytest.param(
            ["tag: x", "metadata:", "  title: ${{ x }}"],
            "11: pg: metadata.title: '${{ x }}' holds an expression or an invisible character",
            "plain text",
            id="an expression",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line_its_field_and_what_would_be_right(
    lines: list[str], error: str, hint: str
) -> None:
    text = WEB + "\n# the database\n- name: pg\n" + "".join(f"  {line}\n" for line in lines) + "  repository: x/pg\n"

    (problem,) = read(text).problems

    assert str(problem) == f"images.yaml:{error}"
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("images:\n  - name: a\n", "images.yaml:1: a mapping stands where a list", id="a mapping above"),
        pytest.param("hello\n", "images.yaml:1: text stands where a list", id="text"),
        pytest.param("- hello\n", "images.yaml:1: entry 1: 'hello' stands where an image", id="text for an entry"),
        pytest.param("- [a]\n", "images.yaml:1: entry 1: a list stands where an image", id="a list for an entry"),
        pytest.param("- name: a\n b: c\n", "images.yaml:2: not YAML at column 2", id="wrong indentation"),
    ],
)
def test_a_file_of_another_shape_is_one_error(text: str, error: str) -> None:
    (problem,) = read(text).problems

    assert str(problem).startswith(error)
    assert problem.hint


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("rebuildDely", "did you mean 'rebuildDelay'?"),
        ("rebuild_delay", "did you mean 'rebuildDelay'?"),
        ("dockerfile", "did you mean 'source.dockerfile'?"),
        ("zzz", "known keys: name, registry,"),
    ],
)
def test_an_unknown_key_is_a_warning_that_names_the_key_that_was_meant(key: str, hint: str) -> None:
    images = read(f"{WEB}  {key}: 3d\n")

    (warning,) = images.warnings
    assert str(warning) == f"images.yaml:6: web: {key}: unknown key {key!r}"
    assert hint in warning.hint
    assert names(images) == ["web"]


def test_an_unknown_key_is_found_inside_lists_and_mappings_too() -> None:
    images = read(f"{WEB}    brnch: x\n  updates:\n    - {{repo: a/b, path: x, type: yaml-update, kye: y}}\n")

    assert [warning.hint for warning in images.warnings] == ["did you mean 'branch'?", "did you mean 'key'?"]


def test_a_key_in_snake_case_sets_nothing() -> None:
    images = read(f"{WEB}  rebuild_delay: 3d\n")

    (entry,) = images.enrollments
    assert entry.enrollment.rebuild_delay.days == 7


def test_both_shapes_say_the_same_and_keep_their_lines() -> None:
    first, *fields = WEB.splitlines()
    nested = "\n".join([first, "  enrollment:", *(f"  {line}" for line in fields), ""])

    assert read(WEB).enrollments[0].enrollment == read(nested).enrollments[0].enrollment
    assert said(read(nested.replace("acme/web", "A")).problems)[0].startswith("images.yaml:4: web: repository: not a")


def test_anchors_and_merge_keys_are_followed() -> None:
    images = read(
        "- &web\n  name: a\n  registry: ghcr.io\n  repository: acme/a\n  source: {repo: acme/a}\n"
        "- <<: *web\n  name: b\n  repository: acme/b\n"
    )

    assert images.problems == ()
    assert names(images) == ["a", "b"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("branch", "--upload-pack=x"),
        ("dockerfile", "../../etc/passwd"),
        ("workflow", "../x.yml"),
        ("repo", "ext::sh -c id"),
        ("target", "${{ x }}"),
        ("context", "/etc"),
    ],
)
def test_a_value_that_could_escape_is_an_error_of_its_field(field: str, value: str) -> None:
    source = {"repo": "acme/web", field: value}
    lines = "".join(f"    {key}: {item!r}\n" for key, item in source.items())
    images = read(f"- name: web\n  registry: ghcr.io\n  repository: acme/web\n  source:\n{lines}")

    assert names(images) == []
    assert f"source.{field}" in said(images.problems)[0]


def test_a_name_with_an_expression_is_shown_and_refused() -> None:
    images = read("- name: '${{ x }}'\n  repository: a/b\n  tag: x\n")

    assert said(images.problems)[0].startswith("images.yaml:1: ${{ x }}: name: not a name: '${{ x }}'")


@pytest.mark.parametrize(
    "field", ["policy: {rule: '${{ x }}'}", "verification: {a: ['${% x %}']}", 'unknown: "a\\e[2J"']
)
def test_what_no_type_checks_holds_no_expression_either(field: str) -> None:
    images = read(f"{WEB}  {field}\n")

    (problem,) = images.problems
    assert "images.yaml:6: web: " in str(problem)
    assert "holds an expression or an invisible character" in problem.message


def test_keys_and_names_of_control_characters_do_not_reach_the_terminal() -> None:
    images = read('- "k\\e[2J": 1\n  name: "a\\e[2J"\n- name: "a\\e[2J"\n  name: x\n  updates: [{"z\\e": 1}]\n')

    assert "\x1b" not in "".join(said(images.problems + images.warnings))


def test_a_thousand_unknown_keys_are_told_shortly() -> None:
    images = read(WEB + "".join(f"  unknown{number}: 1\n" for number in range(1_000)))

    assert len(images.warnings) == 51
    assert "950 more unknown keys" in str(images.warnings[-1])


def test_a_name_of_control_characters_does_not_reach_the_terminal() -> None:
    images = read('- name: "a\\e[2J"\n  repository: a/b\n  tag: x\n')

    assert "\x1b" not in str(images.problems[0])


# --- plugins ---------------------------------------------------------------------------------------------

PLUGINS = PluginNames(
    installed={"source": frozenset({"git"}), "file updater": frozenset({"yaml-update", "helm-update-image"})},
    published={"source": frozenset({"github", "gitlab"})},
)


def test_a_provider_that_is_not_installed_names_the_extra_even_where_it_is_the_default() -> None:
    (problem,) = read(WEB, PLUGINS).problems

    assert isinstance(problem, UnknownPlugin)
    assert str(problem) == "images.yaml:4: web: source.provider: no source plugin is called 'github'"
    assert problem.hint == "pip install 'image-factory[github]'"


def test_an_unknown_update_type_names_the_installed_ones() -> None:
    text = WEB.replace("repo: acme/web", "repo: acme/web\n    provider: git")
    images = read(f"{text}  updates:\n    - {{repo: a/b, path: x, type: yaml-updat}}\n", PLUGINS)

    (problem,) = images.problems
    assert "web: updates[0].type: no file updater plugin is called 'yaml-updat'" in str(problem)
    assert "did you mean 'yaml-update'? installed: helm-update-image, yaml-update" in problem.hint


# --- size --------------------------------------------------------------------------------------------------


def test_a_billion_laughs_end_at_once() -> None:
    text = "- &a0 {x: y}\n" + "".join(f"- &a{n} [{f'*a{n - 1},' * 9}]\n" for n in range(1, 12))

    (problem,) = read(text).problems

    assert "aliases" in problem.message


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    for problem in read(text).problems:
        assert problem.location is not None


FRAGMENTS = [
    "- ",
    "name: ",
    "web",
    "\n",
    "  ",
    "source:",
    " repo: a/b",
    "&a ",
    "*a",
    "<<: ",
    "[",
    "]",
    "{",
    "}",
    "'",
    "7",
    "~",
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join))
def test_nothing_that_looks_like_an_entry_breaks_the_reader(text: str) -> None:
    for problem in read(text, PLUGINS).problems:
        assert str(problem).startswith("images.yaml")


def test_an_entry_is_checked_before_it_stands_anywhere() -> None:
    problems, warnings = check_entry({"name": "Web", "repository": "a/b", "tga": "x"})

    assert said(problems) == [
        "Web: name: not a name: 'Web'",
        "Web: allowTags: missing, as are tag, constraint and source",
    ]
    assert [warning.hint for warning in warnings] == ["did you mean 'tag'?"]


# --- one image under two names ---------------------------------------------------------------------------

TWINS = """\
- {name: cache, registry: docker.io, repository: library/redis, tag: "7"}
- {name: queue, registry: index.docker.io, repository: library/redis, allowTags: ^7$}
- {name: next, registry: docker.io, repository: library/redis, tag: "8"}
- {name: web, registry: ghcr.io, repository: acme/web, source: {repo: acme/web}}
- {name: shop, registry: ghcr.io, repository: acme/web, source: {repo: acme/shop}}
"""


def test_an_image_under_two_names_is_the_first_ones_and_told_with_both_names_and_lines() -> None:
    found = read_images(TWINS, "images.yaml")

    assert [entry.enrollment.name for entry in found.enrollments] == ["cache", "next", "web"]
    assert [str(problem) for problem in found.problems] == [
        "images.yaml:2: queue: docker.io/library/redis:7 is enrolled already, as cache in line 1",
        "images.yaml:5: shop: ghcr.io/acme/web is enrolled already, as web in line 4",
    ]
    assert "shop" in found.names
