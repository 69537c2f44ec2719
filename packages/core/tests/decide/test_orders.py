"""What may be ordered: a vulnerability by its id, a reason, and a base or images."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from image_factory.decide.orders import MAX_REASON, parse_order, read_order
from image_factory.errors import UserError

GOOD: dict[str, Any] = {"cve": "CVE-2026-12345", "reason": "exploited", "base": "node:22"}


@pytest.mark.parametrize(
    ("written", "id_"),
    [
        ("CVE-2026-1234", "CVE-2026-1234"),
        (" cve-1999-0001 ", "CVE-1999-0001"),
        ("CVE-2026-1234567890123456789", "CVE-2026-1234567890123456789"),
        ("GHSA-2345-6789-cfgh", "GHSA-2345-6789-cfgh"),
        ("ghsa-JMPQ-rvwx-2222", "GHSA-jmpq-rvwx-2222"),
    ],
)
def test_the_id_of_a_vulnerability_is_taken(written: str, id_: str) -> None:
    assert parse_order(**{**GOOD, "cve": written}).cve == id_


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("", id="nothing"),
        pytest.param("2026-1234", id="no prefix"),
        pytest.param("CVE-2026-123", id="three digits"),
        pytest.param("CVE-1998-1234", id="before there were any"),
        pytest.param("CVE-2026-12345678901234567890", id="too many digits"),
        pytest.param("CVE-2026\n-1234", id="a line break inside"),
        pytest.param("CVE-2026-1234; rm -rf /", id="a shell's word"),
        pytest.param("--upload-pack=x", id="an option"),
        pytest.param("../CVE-2026-1234", id="a path"),
        pytest.param("CVE-२०२६-1234", id="digits of another script"),
        pytest.param("GHSA-0123-4567-89ab", id="characters that GHSA leaves out"),
        pytest.param("GHSA-2345-6789", id="two groups"),
    ],
)
def test_what_is_no_id_is_refused_with_what_would_be_right(written: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_order(**{**GOOD, "cve": written})

    assert "CVE-2026-12345 or GHSA-" in refused.value.hint
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("reason", ["", "  ", "\n\t\n"], ids=["nothing", "spaces", "lines"])
def test_a_blank_reason_is_refused(reason: str) -> None:
    with pytest.raises(UserError, match="the reason is missing"):
        parse_order(**{**GOOD, "reason": reason})


@pytest.mark.parametrize(
    "reason",
    [
        pytest.param("\x1b[31mred", id="a terminal's control sequence"),
        pytest.param("${{ secrets.TOKEN }}", id="an expression"),
        pytest.param("\u202egnp.exe", id="a character that turns the text around"),
        pytest.param("x" * (MAX_REASON + 1), id="too long"),
    ],
)
def test_a_reason_that_is_no_plain_text_is_refused(reason: str) -> None:
    with pytest.raises(UserError):
        parse_order(**{**GOOD, "reason": reason})


def test_a_reason_becomes_one_line() -> None:
    assert parse_order(**{**GOOD, "reason": " it is\n  exploited "}).reason == "it is exploited"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param({"base": None}, id="neither"),
        pytest.param({"images": ["web"]}, id="both"),
        pytest.param({"base": None, "images": [" ", ""]}, id="images without a name"),
        pytest.param({"base": None, "images": ["web"], "digest_range": "a..b"}, id="a range without a base"),
    ],
)
def test_an_order_is_for_a_base_or_for_images(words: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="base"):
        parse_order(**{**GOOD, **words})


def test_images_are_named_once_each() -> None:
    assert parse_order(**{**GOOD, "base": None, "images": ["web", "api", " web"]}).images == ("api", "web")


def test_what_is_signed_holds_all_of_the_order_and_when() -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    order = parse_order(**GOOD, digest_range="a..b", anyway=True)

    assert json.loads(order.text(at)) == {
        "action": "emergency-rebuild",
        "cve": "CVE-2026-12345",
        "reason": "exploited",
        "base": "node:22",
        "digestRange": "a..b",
        "anyway": True,
        "at": "2026-03-01T12:00:00Z",
    }
    assert "\n" not in order.text(at)


def test_all_that_is_wrong_is_told_by_field() -> None:
    order, problems = read_order(cve="CVE-1", reason=" ")

    assert order is None
    assert set(problems) == {"base", "cve", "reason"}
    assert str(problems["cve"]) == "not the id of a vulnerability: 'CVE-1'"


def test_what_is_right_has_no_problems() -> None:
    order, problems = read_order(**GOOD)

    assert (order, problems) == (parse_order(**GOOD), {})
