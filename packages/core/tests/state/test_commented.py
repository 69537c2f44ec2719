from __future__ import annotations

import pytest

from image_factory.state.commented import update_commented


def test_a_changed_scalar_keeps_the_comments_around_it() -> None:
    chunk = "source:\n  # where\n  repo: acme/web  # ours\n  branch: 'main'   # never develop\n"

    updated = update_commented(
        chunk, "source", {"repo": "acme/web", "branch": "main"}, {"repo": "acme/api", "branch": "3.10"}
    )

    assert updated is not None
    assert updated.startswith("source:\n  # where\n  repo: acme/api")
    assert "# ours\n" in updated
    assert 'branch: "3.10"   # never develop\n' in updated


def test_keys_come_and_go() -> None:
    chunk = "labels:\n  a: x\n  # about b\n  b: y\n"

    updated = update_commented(chunk, "labels", {"a": "x", "b": "y"}, {"b": "y", "on": "1"})

    assert updated is not None
    assert "a: x" not in updated
    assert updated.endswith('  b: y\n  "on": "1"\n')


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (["a", "b", "c", "d"], "list:\n# first\n- a\n- b  # second\n- c\n- d\n"),
        (["a", "b"], "list:\n# first\n- a\n- b  # second\n"),
        (["a", "x", "c"], "list:\n# first\n- a\n- x  # second\n- c\n"),
    ],
    ids=["one more", "one less", "one other"],
)
def test_items_keep_their_comments_while_others_come_and_go(new: list[str], expected: str) -> None:
    chunk = "list:\n# first\n- a\n- b  # second\n- c\n"

    assert update_commented(chunk, "list", ["a", "b", "c"], new) == expected


def test_what_is_not_changed_is_spelled_as_it_was() -> None:
    chunk = "odd:  # mine\n  a: 0x1f\n  b: 3.10\n  c: on\n  d: 2024-01-01 10:00\n  e: ~\n  f:\n  g: 'q'\n  h: x\n"
    old = {"a": "0x1f", "b": "3.10", "c": "on", "d": "2024-01-01 10:00", "e": None, "f": None, "g": "q", "h": "x"}

    assert update_commented(chunk, "odd", old, {**old, "h": "z"}) == chunk.replace("h: x", "h: z")


@pytest.mark.parametrize(
    ("value", "text"), [(3, "3"), (True, "true"), (None, "null"), (1e16, "1.0e+16"), ("3", '"3"'), ([], "[]")]
)
def test_a_new_value_is_written_as_the_writer_writes_it(value: object, text: str) -> None:
    assert update_commented("a:  # mine\n  b: x\n", "a", {"b": "x"}, {"b": value}) == f"a:  # mine\n  b: {text}\n"


def test_indented_lists_stay_indented() -> None:
    chunk = "a:\n  # mine\n  - x\n  - y\n"

    assert update_commented(chunk, "a", ["x", "y"], ["x", "z"]) == chunk.replace("- y", "- z")


@pytest.mark.parametrize("chunk", ["a: [\n", "- a\n", "b: 1\n"])
def test_what_ruamel_cannot_change_is_left_to_the_caller(chunk: str) -> None:
    assert update_commented(chunk, "a", 1, 2) is None
