"""The audit log: a chain of numbered files in which every change, gap and swap shows."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from image_factory.errors import InvalidState
from image_factory.state.audit import (
    AuditEntry,
    AuditOutcome,
    Break,
    check_chain,
    check_recorded,
    entry_name,
    read_entry,
    seal_entry,
)

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def entry(number: int = 1, **fields: object) -> AuditEntry:
    values = {
        "at": AT + timedelta(minutes=number),
        "outcome": AuditOutcome.GRANTED,
        "actor": "alice",
        "identity": "oidc",
        "cve": f"CVE-2026-{number:05}",
        "reason": f"reason {number}: 'é' # no comment",
        "images": ("web",),
        "requests": {"web": f"web-{number}"},
    }
    return AuditEntry.model_validate({"number": 1, **values, **fields})


def log(length: int) -> dict[str, str]:
    """Return a whole log, by file name."""
    files, head = {}, None
    for number in range(1, length + 1):
        head, text = seal_entry(entry(number), head)
        files[entry_name(number)] = text
    return files


def test_an_entry_reads_back_as_it_was_sealed() -> None:
    sealed, text = seal_entry(entry(issuer="https://gitlab.com", because="a: b"), None)

    assert read_entry(text, "000001.yaml") == sealed
    assert (sealed.number, sealed.previous) == (1, "")


def test_the_hash_is_that_of_all_bytes_before_its_line() -> None:
    _, text = seal_entry(entry(), None)
    body, line = text.rstrip("\n").rsplit("\n", 1)

    assert line == "hash: sha256:" + hashlib.sha256(body.encode() + b"\n").hexdigest()


def test_each_entry_names_the_one_before() -> None:
    chain = check_chain(log(3))

    assert chain.broken is None
    assert [one.number for one in chain.entries] == [1, 2, 3]
    assert [one.previous for one in chain.entries[1:]] == [one.hash for one in chain.entries[:-1]]
    assert chain.head == chain.entries[-1]


def test_an_empty_log_is_whole() -> None:
    assert check_chain({}).broken is None
    assert check_chain({}).head is None


def resealed(text: str, old: str, new: str) -> str:
    """Return an entry that was changed by somebody who knows how it is sealed."""
    body = text[: text.index("hash: sha256:")].replace(old, new)
    return f"{body}hash: sha256:{hashlib.sha256(body.encode()).hexdigest()}\n"


def changed(files: dict[str, str]) -> None:
    files["000003.yaml"] = files["000003.yaml"].replace("alice", "mallory")


def commented(files: dict[str, str]) -> None:
    files["000003.yaml"] = f"# harmless\n{files['000003.yaml']}"


def changed_and_resealed(files: dict[str, str]) -> None:
    files["000003.yaml"] = resealed(files["000003.yaml"], "alice", "mallory")


def removed(files: dict[str, str]) -> None:
    del files["000003.yaml"]


def first_removed(files: dict[str, str]) -> None:
    del files["000001.yaml"]


def swapped(files: dict[str, str]) -> None:
    files["000003.yaml"], files["000004.yaml"] = files["000004.yaml"], files["000003.yaml"]


def renumbered(files: dict[str, str]) -> None:
    """Take entry 3 out and move the later ones up, numbers and hashes put right, `previous` left."""
    for number in (3, 4):
        later = files[entry_name(number + 1)]
        files[entry_name(number)] = resealed(later, f"number: {number + 1}", f"number: {number}")
    del files["000005.yaml"]


def repeated(files: dict[str, str]) -> None:
    """Put entry 4 in 5's place too, its number and hash put right."""
    files["000005.yaml"] = resealed(files["000004.yaml"], "number: 4", "number: 5")


def misnumbered(files: dict[str, str]) -> None:
    """Give the last entry another number, its hash put right."""
    files["000005.yaml"] = resealed(files["000005.yaml"], "number: 5", "number: 9")


def emptied(files: dict[str, str]) -> None:
    files["000003.yaml"] = ""


def no_entry(files: dict[str, str]) -> None:
    body = "just: text\n"
    files["000003.yaml"] = f"{body}hash: sha256:{hashlib.sha256(body.encode()).hexdigest()}\n"


def strange(files: dict[str, str]) -> None:
    files["notes.yaml"] = "mine: true\n"


def strange_number(files: dict[str, str]) -> None:
    files["0000003.yaml"] = files["000003.yaml"]


@pytest.mark.parametrize(
    ("tamper", "where", "kind"),
    [
        pytest.param(changed, "000003", Break.CHANGED, id="an actor is another"),
        pytest.param(commented, "000003", Break.CHANGED, id="a comment was added"),
        pytest.param(changed_and_resealed, "000004", Break.CHANGED, id="an entry was written anew with its own hash"),
        pytest.param(removed, "000003", Break.CUT, id="one is missing in the middle"),
        pytest.param(first_removed, "000001", Break.CUT, id="the first is missing"),
        pytest.param(swapped, "000003", Break.REORDERED, id="two changed places"),
        pytest.param(renumbered, "000003", Break.CHANGED, id="one was taken out and the rest moved up"),
        pytest.param(repeated, "000005", Break.REORDERED, id="an earlier one stands in its place"),
        pytest.param(misnumbered, "000005", Break.REORDERED, id="one says that it is another"),
        pytest.param(emptied, "000003", Break.CHANGED, id="one is empty"),
        pytest.param(no_entry, "000003", Break.CHANGED, id="one is no entry, with a right hash"),
        pytest.param(strange, "notes.yaml", Break.FOREIGN, id="another file lies there"),
        pytest.param(strange_number, "0000003.yaml", Break.FOREIGN, id="a number is written in another way"),
    ],
)
def test_the_first_break_is_named(tamper: object, where: str, kind: Break) -> None:
    files = log(5)
    tamper(files)  # type: ignore[operator]

    broken = check_chain(files).broken

    assert broken is not None
    assert (broken.entry, broken.kind) == (where, kind)


WHOLE = log(4)


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(sorted(WHOLE)),
    at=st.integers(0, 2000),
    taken=st.integers(0, 40),
    put=st.text(st.characters(codec="utf-8"), max_size=20),
)
def test_no_edit_of_any_entry_goes_unnoticed(name: str, at: int, taken: int, put: str) -> None:
    text = WHOLE[name]
    at = min(at, len(text))
    edited = text[:at] + put + text[at + taken :]
    assume(edited != text)

    broken = check_chain({**WHOLE, name: edited}).broken

    assert broken is not None
    assert broken.entry == name.removesuffix(".yaml")


@given(st.permutations(range(1, 5)), st.sets(st.integers(1, 4)))
def test_no_other_order_and_no_gap_goes_unnoticed(order: list[int], gone: set[int]) -> None:
    files = {
        entry_name(place): WHOLE[entry_name(number)] for place, number in enumerate(order, start=1) if place not in gone
    }
    is_prefix = list(files.values()) == [WHOLE[entry_name(number)] for number in range(1, len(files) + 1)] and sorted(
        files
    ) == [entry_name(number) for number in range(1, len(files) + 1)]

    assert (check_chain(files).broken is None) is is_prefix


def test_the_entries_before_a_break_are_read() -> None:
    files = log(5)
    changed(files)

    assert [one.number for one in check_chain(files).entries] == [1, 2]


def test_that_the_last_is_missing_shows_by_who_remembers_it() -> None:
    files = log(5)
    last = check_chain(files).entries[-1].id
    del files["000005.yaml"]
    chain = check_chain(files)

    assert chain.broken is None
    found = check_recorded(chain, {last: "the rebuild request of web"})
    assert found is not None
    assert (found.entry, found.kind) == ("000005", Break.TRUNCATED)
    assert "the rebuild request of web" in found.sentence


def test_that_the_last_was_replaced_shows_by_who_remembers_it() -> None:
    files = log(5)
    last = check_chain(files).entries[-1].id
    files["000005.yaml"] = resealed(files["000005.yaml"], "alice", "mallory")
    chain = check_chain(files)

    assert chain.broken is None
    found = check_recorded(chain, {last: "a request"})
    assert found is not None
    assert (found.entry, found.kind) == ("000005", Break.CHANGED)


def test_what_is_remembered_rightly_is_no_problem() -> None:
    chain = check_chain(log(3))

    assert check_recorded(chain, {one.id: "a request" for one in chain.entries}) is None
    assert check_recorded(chain, {}) is None


def test_a_remembered_id_that_is_none_is_said() -> None:
    found = check_recorded(check_chain(log(1)), {"../../etc": "the rebuild request of web"})

    assert found is not None
    assert found.kind is Break.CHANGED


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("number: 1\n", id="no hash"),
        pytest.param("hash: sha256:" + "0" * 64 + "\n", id="a hash of something else"),
    ],
)
def test_what_is_no_entry_is_refused_with_its_file(text: str) -> None:
    with pytest.raises(InvalidState) as refused:
        read_entry(text, "000001.yaml")

    assert str(refused.value).startswith("000001.yaml: ")


def test_a_few_lines_that_expand_to_billions_are_no_entry() -> None:
    lines = ["a0: &a0 [x, x]\n"] + [f"a{at}: &a{at} [*a{at - 1}, *a{at - 1}, *a{at - 1}]\n" for at in range(1, 40)]
    body = "".join([*lines, "number: 1\n"])

    with pytest.raises(InvalidState):
        read_entry(f"{body}hash: sha256:{hashlib.sha256(body.encode()).hexdigest()}\n", "000001.yaml")


def test_an_order_for_ten_thousand_images_is_one_entry() -> None:
    names = tuple(f"an-image-with-a-long-name-{number:05}" for number in range(10_000))

    sealed, text = seal_entry(entry(images=names, requests={name: f"{name}-20260301" for name in names}), None)

    assert read_entry(text, "000001.yaml") == sealed
