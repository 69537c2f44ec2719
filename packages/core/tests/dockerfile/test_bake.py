"""Bake files: what each target builds, in HCL and JSON, and what cannot be resolved."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.dockerfile.bake import MAX_BUILDS, NOT_KNOWN
from image_factory.dockerfile.definition import Build, Definition, read_definition
from image_factory.dockerfile.reading import Category


def _read(text: str, *targets: str, name: str = "docker-bake.hcl", **environment: str) -> Definition:
    return read_definition(name, text, targets=targets, environment=environment)


def _build(text: str, target: str = "app", **environment: str) -> Build:
    definition = _read(text, target, **environment)
    assert definition.diagnostics == ()
    return definition.builds[0]


def _args(text: str, **environment: str) -> dict[str, str]:
    build = _build(text, **environment)
    assert build.diagnostics == ()
    return dict(build.options.build_args)


def _problems(definition: Definition) -> list[tuple[Category, int]]:
    found = [*definition.diagnostics, *(one for build in definition.builds for one in build.diagnostics)]
    return [(one.category, one.line) for one in found]


# --- where a Dockerfile is ---------------------------------------------------------------------------

PLACES = [
    ("nothing is set", "", ".", "Dockerfile"),
    ("a context", 'context = "app"', "app", "app/Dockerfile"),
    ("a Dockerfile", 'dockerfile = "web.Dockerfile"', ".", "web.Dockerfile"),
    ("a Dockerfile is taken from the context", 'context = "./a/b/"\n dockerfile = "../x"', "a/b", "a/x"),
    ("an empty Dockerfile is the default", 'dockerfile = ""', ".", "Dockerfile"),
    ("the working folder", 'context = "cwd://app"', "app", "app/Dockerfile"),
    ("a Dockerfile of the working folder", 'context = "app"\n dockerfile = "cwd://d"', "app", "d"),
]


@pytest.mark.parametrize(("body", "context", "dockerfile"), [case[1:] for case in PLACES], ids=[c[0] for c in PLACES])
def test_a_dockerfile_is_found_from_its_context(body: str, context: str, dockerfile: str) -> None:
    build = _build(f'target "app" {{\n{body}\n}}')

    assert (build.context, build.dockerfile, build.inline, build.diagnostics) == (context, dockerfile, None, ())


def test_paths_are_taken_from_the_folder_of_the_file() -> None:
    definition = read_definition("deploy/docker-bake.hcl", 'target "app" { context = "../web" }')

    assert [build.dockerfile for build in definition.builds] == ["web/Dockerfile"]


@pytest.mark.parametrize(
    "body",
    [
        'context = ".."',
        'dockerfile = "../Dockerfile"',
        'dockerfile = "/etc/passwd"',
        'context = "/"',
        'context = "a/../../b"',
    ],
)
def test_a_dockerfile_out_of_the_tree_is_said_and_not_given(body: str) -> None:
    build = _read(f'target "app" {{\n{body}\n}}').builds[0]

    assert (build.dockerfile, [found.category for found in build.diagnostics]) == (None, [Category.UNREADABLE])


@pytest.mark.parametrize(
    "context", ["https://github.com/acme/web.git#main", "git@github.com:acme/web.git", "github.com/acme/web", "-"]
)
def test_a_remote_context_is_said_and_not_fetched(context: str) -> None:
    build = _read(f'target "app" {{ context = "{context}" }}').builds[0]

    assert (build.context, build.dockerfile) == (context, None)
    assert [found.category for found in build.diagnostics] == [Category.UNREADABLE]


def test_an_inline_dockerfile_goes_before_one_in_a_file() -> None:
    build = _build('target "app" {\n dockerfile = "x"\n dockerfile-inline = <<EOT\nFROM alpine\nEOT\n}')

    assert (build.inline, build.dockerfile) == ("FROM alpine\n", None)


def test_target_platforms_and_contexts_are_options_of_the_build() -> None:
    build = _build(
        'target "app" {\n target = "run"\n platforms = ["linux/arm64", "local", "linux/aarch64"]\n'
        ' contexts = { base = "docker-image://alpine:3", src = "../src", gone = null }\n}'
    )

    assert build.options.target == "run"
    assert [str(platform) for platform in build.options.platforms] == ["linux/arm64"]
    assert build.options.contexts == {"base": "docker-image://alpine:3", "src": "../src"}


def test_a_platform_that_is_none_is_said() -> None:
    definition = _read('target "app" { platforms = ["lin ux/amd64"] }')

    assert _problems(definition) == [(Category.INVALID_REFERENCE, 1)]


# --- values of args ----------------------------------------------------------------------------------

HEAD = 'variable "TAG" { default = "3.19" }\nvariable "ON" { default = false }\nvariable "N" { default = 2 }\n'
VALUES = [
    ("a text", '"x"', "x"),
    ("a number", "1", "1"),
    ("a number that is not whole", "1.50", "1.5"),
    ("a large number", "1e20", "100000000000000000000"),
    ("a truth", "true", "true"),
    ("a variable", "TAG", "3.19"),
    ("a variable in a text", '"alpine:${TAG}-x"', "alpine:3.19-x"),
    ("a number in a text", '"v${N}"', "v2"),
    ("escaped interpolation", '"$${TAG} %%{x}"', "${TAG} %{x}"),
    ("a dollar that means nothing", '"$TAG 5% $"', "$TAG 5% $"),
    ("escapes", r'"a\tb\"c\\\u00e9"', 'a\tb"c\\é'),
    ("a choice", 'ON ? "a" : "b"', "b"),
    ("a chain of choices", 'N == 1 ? "a" : N == 2 ? "b" : "c"', "b"),
    ("a choice of unlike answers", 'ON ? "a" : 1', "1"),
    ("sums by precedence", "1 + N * 3 - 4 / 2", "5"),
    ("brackets", "(1 + N) * 3", "9"),
    ("from left to right", "10 - 3 - 2", "5"),
    ("a rest", "7 % 4", "3"),
    ("a negative number", "-N + 1", "-1"),
    ("not not", "!!ON", "false"),
    ("and before or", "true || ON && ON", "true"),
    ("comparison", "N >= 2", "true"),
    ("a number is not a text", '1 == "1"', "false"),
    ("equal texts", 'TAG == "3.19"', "true"),
    ("an if in a text", '"%{ if ON }a%{ else }b%{ endif }"', "b"),
    ("an if without else", '"x%{ if ON }a%{ endif }"', "x"),
    ("a for in a text", '"%{ for i, x in ["a", "b"] }${i}${x};%{ endfor }"', "0a;1b;"),
    ("stripped space", '"a ${~ TAG ~} b"', "a3.19b"),
    ("a for over a list", 'join(",", [for x in ["a", "b"] : upper(x) if x != "a"])', "B"),
    ("a for over an object goes by keys", 'join(",", [for k, v in {b = 1, a = 2} : "${k}${v}"])', "a2,b1"),
    ("a for that makes an object", '{for x in ["a", "b"] : x => upper(x)}["b"]', "B"),
    ("a for that groups", 'join("", {for x in ["a1", "a2"] : substr(x, 0, 1) => x...}.a)', "a1a2"),
    ("an index", '["a", "b"][1]', "b"),
    ("an old index", '[["a"], ["b"]].1.0', "b"),
    ("a splat", 'join(",", [{n = "a"}, {n = "b"}][*].n)', "a,b"),
    ("an old splat", 'join(",", [{n = "a"}, {n = "b"}].*.n)', "a,b"),
    ("an object's keys", '{ "a b" = 1, (TAG) = "x", c : 2 }["3.19"]', "x"),
    ("arguments expanded", "max([1, 5, 3]...)", "5"),
    ("format", 'format("%s-%03d-%v%%", TAG, N, true)', "3.19-002-true%"),
    ("regex_replace", 'regex_replace("v1.2.3", "^v(\\\\d+)\\\\..*$", "$1")', "1"),
    ("regex with a group", 'regex("^(\\\\d+)\\\\.", TAG)[0]', "3"),
    ("replace and trim", 'trimprefix(replace("v1.2", ".", "-"), "v")', "1-2"),
    ("split", 'split(".", TAG)[0]', "3"),
    ("coalesce", 'coalesce(null, "a")', "a"),
    ("merge", "merge({a = 1}, {a = 2, b = 3}).a", "2"),
    ("lookup", 'lookup({a = "x"}, "b", "y")', "y"),
    ("concat and length", "length(concat([1], [2, 3]))", "3"),
    ("try", 'try(nothing.at.all, "x")', "x"),
    ("can", "can(nothing)", "false"),
    ("substr from the end", 'substr("abcdef", -2, -1)', "ef"),
    ("sanitize", 'sanitize("a/b.c")', "a_b_c"),
    ("sha256 in part", 'substr(sha256("a"), 0, 8)', "ca978112"),
    ("setproduct", 'join("", flatten(setproduct(["a"], ["b", "c"])))', "abac"),
    ("JSON", 'jsonencode({b = [1, true, null], a = "<"})', '{"a":"\\u003c","b":[1,true,null]}'),
    ("JSON back", 'jsondecode("{\\"a\\": [1.5]}").a[0]', "1.5"),
    ("a heredoc", "<<EOT\n  a ${TAG}\nEOT\n", "  a 3.19\n"),
    ("an indented heredoc", "<<-EOT\n    a\n      b ${TAG}\n\n    EOT\n", "a\n  b 3.19\n\n"),
    ("a heredoc with quotes in its template", '<<EOT\n${TAG == "" ? "q" : "z"}\nEOT\n', "z\n"),
]


@pytest.mark.parametrize(("expression", "value"), [case[1:] for case in VALUES], ids=[case[0] for case in VALUES])
def test_an_expression_has_buildx_s_value(expression: str, value: str) -> None:
    assert _args(f'{HEAD}target "app" {{\n args = {{\n A = {expression}\n}}\n}}\n') == {"A": value}


ENVIRONMENT = [
    ("a text over a text", 'variable "V" { default = "a" }', "b", "b"),
    ("a text over nothing", 'variable "V" {}', "b", "b"),
    ("an empty text over a text", 'variable "V" { default = "a" }', "", ""),
    ("a truth over a truth", 'variable "V" { default = false }', "1", "true"),
    ("a number over a number", 'variable "V" { default = 1 }', "22", "22"),
    ("a text over null", 'variable "V" { default = null }', "b", "b"),
    ("a type without a default", 'variable "V" { type = number }', "3", "3"),
    ("a global attribute stays", 'V = "a"', "b", "a"),
]


@pytest.mark.parametrize(
    ("head", "given", "value"), [case[1:] for case in ENVIRONMENT], ids=[case[0] for case in ENVIRONMENT]
)
def test_the_environment_goes_before_a_variable_s_default(head: str, given: str, value: str) -> None:
    assert _args(f'{head}\ntarget "app" {{ args = {{ A = V }} }}', V=given) == {"A": value}


def test_a_list_takes_the_environment_s_text_by_commas() -> None:
    text = 'variable "V" {\n type = list(string)\n default = ["a"]\n}\ntarget "app" { args = { A = join("+", V) } }'

    assert _args(text, V="x, y") == {"A": "x+y"}


def test_a_variable_that_is_set_nowhere_is_empty_and_said_where_it_is_used() -> None:
    text = 'variable "V" {}\ntarget "app" {\n args = { A = "a${V}" }\n}\ntarget "other" {}'
    app, other = _read(text).builds

    assert app.options.build_args == {"A": "a"}
    assert [(found.category, found.line) for found in app.diagnostics] == [(Category.UNRESOLVED_ARG, 1)]
    assert other.diagnostics == ()


def test_a_function_of_the_file_is_called() -> None:
    text = (
        'function "tag" {\n params = [name]\n variadic_params = rest\n result = "${name}:${join("-", rest)}"\n}\n'
        'target "app" { args = { A = tag("a", "1", "b") } }'
    )

    assert _args(text) == {"A": "a:1-b"}


def test_what_only_the_build_knows_is_no_guess() -> None:
    text = 'target "app" { args = { DATE = formatdate("YYYY", timestamp()), ID = "x${uuidv4()}", A = "a" } }'

    assert _args(text) == {"DATE": NOT_KNOWN, "ID": NOT_KNOWN, "A": "a"}


def test_another_target_s_attribute_is_what_that_target_sets() -> None:
    text = (
        'target "base" { args = { V = "1" } }\n'
        'target "app" { args = { A = target.base.args.V, B = target.base.args["V"] } }'
    )

    assert _args(text) == {"A": "1", "B": "1"}


# --- inheritance, groups, matrices -------------------------------------------------------------------


def test_what_is_inherited_is_merged_by_key_and_in_order() -> None:
    text = (
        'target "a" {\n args = { X = "a", Y = "a", Z = "a" }\n platforms = ["linux/arm64"]\n dockerfile = "a"\n}\n'
        'target "b" {\n inherits = ["a"]\n args = { Y = "b" }\n}\n'
        'target "c" {\n args = { Z = "c" }\n dockerfile = "c"\n}\n'
        'target "app" {\n inherits = ["b", "c"]\n args = { X = "app", Y = null }\n}\n'
    )
    build = _build(text)

    assert build.options.build_args == {"X": "app", "Y": "b", "Z": "c"}
    assert (build.dockerfile, [str(one) for one in build.options.platforms]) == ("c", ["linux/arm64"])


def test_targets_that_inherit_each_other_end() -> None:
    text = 'target "a" {\n inherits = ["app"]\n args = { A = "1" }\n}\ntarget "app" { inherits = ["a", "app"] }'

    assert _args(text) == {"A": "1"}


def test_a_target_that_only_passes_things_on_is_not_listed_but_built_when_named() -> None:
    text = 'target "_common" { args = { A = 1 } }\ntarget "app" { inherits = ["_common"] }'

    assert [build.name for build in _read(text).builds] == ["app"]
    assert [build.name for build in _read(text, "_common").builds] == ["_common"]


def test_a_target_that_is_inherited_and_built_is_listed() -> None:
    text = (
        'target "_common" { args = { A = 1 } }\ntarget "base" { target = "base" }\n'
        'target "cross" {\n inherits = ["_common"]\n platforms = ["linux/arm64"]\n}\n'
        'target "app" { inherits = ["cross", "base"] }'
    )

    assert [build.name for build in _read(text).builds] == ["base", "cross", "app"]


def test_a_group_stands_for_its_targets_and_groups() -> None:
    text = (
        'group "all" { targets = ["one", "b"] }\ngroup "one" { targets = ["a", "all"] }\n'
        'target "b" {}\ntarget "a" {}\ntarget "c" {}'
    )

    assert [build.name for build in _read(text, "all").builds] == ["a", "b"]
    assert [build.name for build in _read(text).builds] == ["b", "a", "c"]


def test_a_matrix_makes_a_target_of_each_combination_and_a_group_of_them() -> None:
    text = (
        'target "app" {\n name = "app-${v.n}-${d}"\n'
        ' matrix = { v = [{n = "x", i = "debian"}, {n = "y", i = "alpine"}], d = ["1", "2"] }\n'
        ' args = { BASE = "${v.i}:${d}" }\n}'
    )
    builds = _read(text, "app").builds

    assert [(build.name, build.options.build_args["BASE"]) for build in builds] == [
        ("app-x-1", "debian:1"),
        ("app-x-2", "debian:2"),
        ("app-y-1", "alpine:1"),
        ("app-y-2", "alpine:2"),
    ]


def test_the_targets_that_a_build_takes_results_from_are_built_too() -> None:
    text = 'target "app" { contexts = { base = "target:base" } }\ntarget "base" { dockerfile = "b" }'

    assert [build.name for build in _read(text, "app").builds] == ["app", "base"]


def test_the_override_file_beside_is_merged_over() -> None:
    over = 'target "app" { args = { B = "over" } }\nvariable "V" { default = "2" }'
    definition = read_definition(
        "a/docker-bake.hcl",
        'variable "V" { default = "1" }\ntarget "app" { args = { A = V, B = "under" } }',
        load={"a/docker-bake.override.hcl": over}.get,
    )

    assert definition.builds[0].options.build_args == {"A": "2", "B": "over"}


def test_json_says_the_same_as_hcl() -> None:
    document = {
        "variable": {"TAG": {"default": "3"}, "N": [{"default": 2}]},
        "function": {"f": {"params": ["x"], "result": "<${x}>"}},
        "group": {"default": {"targets": ["app"]}},
        "target": {
            "app": [{"args": {"A": "alpine:${TAG}", "F": '${f("\\"")}', "N": "${N}", "T": True}, "dockerfile": "D"}],
            "m": {"name": "m-${x}", "matrix": {"x": ["a"]}, "args": {"X": "${x}"}},
        },
    }
    definition = read_definition("docker-bake.json", json.dumps(document, indent=1))

    assert definition.diagnostics == ()
    assert [(build.name, build.options.build_args) for build in definition.builds] == [
        ("app", {"A": "alpine:3", "F": '<">', "N": "2", "T": "true"}),
        ("m-a", {"X": "a"}),
    ]


# --- what cannot be read -----------------------------------------------------------------------------

PROBLEMS = [
    ("no HCL", "target app {\n", [(Category.SYNTAX, 1)]),
    ("a text without an end", 'target "app" {\n args = { A = "x\n}\n}', [(Category.SYNTAX, 2)]),
    ("a heredoc without an end", "a = <<EOT\nx", [(Category.SYNTAX, 1)]),
    ("two attributes on a line", "a = 1 b = 2", [(Category.SYNTAX, 1)]),
    ("an attribute twice", 'target "app" {\ncontext = "a"\ncontext = "b"\n}', [(Category.SYNTAX, 3)]),
    ("a variable that is not there", 'target "app" {\n dockerfile = NOPE\n}', [(Category.UNRESOLVED_ARG, 2)]),
    (
        "a Dockerfile only the build knows",
        'target "app" {\n dockerfile = timestamp()\n}',
        [(Category.UNRESOLVED_ARG, 2)],
    ),
    ("a function that is not there", 'target "app" {\n dockerfile = nope()\n}', [(Category.SYNTAX, 2)]),
    (
        "a variable of itself",
        'variable "A" { default = A }\ntarget "app" {\n dockerfile = A\n}',
        [(Category.SYNTAX, 1)],
    ),
    (
        "a function of itself",
        'function "f" {\n params = []\n result = f()\n}\ntarget "app" {\n dockerfile = f()\n}',
        [(Category.SYNTAX, 3)],
    ),
    ("an index too far", 'target "app" {\n dockerfile = ["a"][1]\n}', [(Category.SYNTAX, 2)]),
    ("a list for a text", 'target "app" {\n dockerfile = ["a"]\n}', [(Category.SYNTAX, 2)]),
    ("a division by nothing", 'target "app" {\n dockerfile = "${1 / 0}"\n}', [(Category.SYNTAX, 2)]),
    ("inherits what is not there", 'target "app" { inherits = ["b"] }', [(Category.SYNTAX, 1)]),
    ("a matrix without a name", 'target "app" { matrix = { a = ["b"] } }', [(Category.SYNTAX, 1)]),
    (
        "a matrix whose names are one",
        'target "app" {\n name = "x"\n matrix = { a = [1, 2] }\n}',
        [(Category.SYNTAX, 1)],
    ),
    ("a name that is none", 'target "a/b" {}', [(Category.SYNTAX, 1)]),
    ("an endless pattern", 'target "app" {\n dockerfile = regex("(a+)+$", "aaaa")\n}', [(Category.SYNTAX, 2)]),
]


@pytest.mark.parametrize(("text", "problems"), [case[1:] for case in PROBLEMS], ids=[case[0] for case in PROBLEMS])
def test_what_cannot_be_resolved_is_said_with_its_line(text: str, problems: list[tuple[Category, int]]) -> None:
    definition = _read(text)

    assert _problems(definition) == problems
    assert all(build.inline is None for build in definition.builds)


def test_a_build_that_cannot_be_resolved_leaves_the_others() -> None:
    broken, whole = _read('target "a" { dockerfile = NOPE }\ntarget "b" { dockerfile = "b" }').builds

    assert (broken.dockerfile, whole.dockerfile) == (None, "b")


def test_a_target_that_is_wanted_and_not_there_is_said() -> None:
    assert _problems(_read('target "app" {}', "web")) == [(Category.SYNTAX, 1)]


def test_what_does_not_decide_images_is_not_evaluated() -> None:
    build = _build('target "app" {\n tags = [nope(NOPE)]\n output = [1 / 0]\n}')

    assert build.diagnostics == ()


# --- hostile input -----------------------------------------------------------------------------------

_TEXTS = 'V0 = "' + "x" * 1000 + '"\n' + "".join(f'V{n} = "${{V{n - 1}}}${{V{n - 1}}}"\n' for n in range(1, 60))
_FUNCTIONS = "".join(f'function "f{n}" {{\n params = [x]\n result = f{n + 1}(f{n + 1}(x))\n}}\n' for n in range(30))
_PARENTS = "".join(f'target "t{n}" {{ inherits = ["t{n + 1}", "t{n + 1}"] }}\n' for n in range(45))
HOSTILE = [
    ("brackets in each other", "a = " + "[" * 100_000),
    ("templates in each other", 'a = "' + '${"' * 50_000),
    ("blocks in each other", "a {" * 50_000),
    ("many operators before a value", "a = " + "!" * 100_000 + "true"),
    ("a long chain", 'target "app" { args = { A = ' + "1 + " * 100_000 + "1 } }"),
    ("a heredoc of blank lines", "a = <<EOT\n" + "\n" * 500_000),
    ("conditions in each other", "a = " + "x ? " * 50_000),
    ("a matrix of a million", 'target "a" {\n name = "a"\n matrix = { x = range(1000), y = range(1000) }\n}'),
    ("a range of a billion", 'target "a" { args = { A = length(range(1e9)) } }'),
    ("a loop in a loop", 'target "a" { args = { A = length([for x in range(999) : [for y in range(999) : y]]) } }'),
    ("a list of long texts", _TEXTS + 'target "a" { args = { A = length([for x in range(9999) : "${V11}."]) } }'),
    ("a doubling text", _TEXTS + 'target "a" { args = { A = V59 } }'),
    ("a doubling function", _FUNCTIONS + 'target "a" { args = { A = f0("x") } }'),
    ("doubling inheritance", _PARENTS + 'target "t45" {}'),
    ("a large power", 'target "a" { args = { A = pow(9, 999) } }'),
    ("large digits", f'target "a" {{ args = {{ A = {"9" * 100_000} }} }}'),
    ("a slow pattern", 'target "a" { args = { A = regex("a*a*a*a*a*b", "' + "a" * 5000 + '") } }'),
    ("a null character", 'target "a" { dockerfile = "a\0b" }'),
    ("a lone surrogate", 'target "a" { args = { A = "\ud800" } }'),
]  # fmt: skip


@pytest.mark.parametrize("text", [case[1] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_hostile_files_end_soon(text: str) -> None:
    before = time.perf_counter()
    definition = _read(text)

    assert time.perf_counter() - before < 5
    assert len(definition.builds) <= MAX_BUILDS


def test_deep_json_ends() -> None:
    definition = _read('{"a": ' + "[" * 100_000, name="docker-bake.json")

    assert _problems(definition) == [(Category.SYNTAX, 1)]


_WORDS = st.sampled_from(
    ["target", '"app"', "{", "}", "=", "args", "(", ")", "[", "]", '"', "${", "%{", "~}", "if", "for", "in", "x", ":",
     "=>", "...", "?", "1", "-", "!", "+", ",", "\n", "<<E\n", "E\n", "#", "/*", "\\", "try(", "inherits", "null", "."]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(_WORDS, max_size=40))
def test_no_arrangement_of_words_breaks_the_reader(words: list[str]) -> None:
    for name in ("docker-bake.hcl", "docker-bake.json"):
        assert isinstance(_read(" ".join(words), name=name), Definition)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    for name in ("docker-bake.hcl", "docker-bake.json"):
        assert isinstance(_read(text, name=name), Definition)
        assert isinstance(_read('target "app" { args = { A = "' + text, name=name), Definition)
