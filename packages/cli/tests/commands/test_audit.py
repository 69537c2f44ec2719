"""`audit`: the orders are listed, and a log that is not whole ends with 4 and names the entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ORDER = ("emergency", "--cve", "CVE-2026-12345", "--images", "web", "--rebuild-anyway", "--no-notify", "--reason")


@pytest.fixture
def shop(folder: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("GITHUB_ACTOR", "alice")
    for variable in ("GITHUB_ACTIONS", "IMAGE_FACTORY_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL"):
        monkeypatch.delenv(variable, raising=False)
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    settings = folder.root / "config.yaml"
    settings.write_text(
        settings.read_text() + "emergency: {actors: [alice], trustedIdentities: [unverified], alertAfter: 99}\n"
    )
    folder.git("add", ".")
    folder.git("commit", "--quiet", "--message", "Enroll")
    assert folder.run("analyze", "--no-notify").code == 0
    for actor, reason in (("alice", "first"), ("mallory", "second"), ("alice", "third")):
        monkeypatch.setenv("GITHUB_ACTOR", actor)
        folder.run(*ORDER, reason)
        request = folder.root / "state/rebuild-requests/web.yaml"
        request.write_text(request.read_text().replace("status: requested", "status: failed"))
        folder.git("commit", "--quiet", "--all", "--allow-empty", "--message", "It failed")
    return folder


def entry(folder: Any, number: int) -> Path:
    return Path(folder.root / f"state/audit/{number:06}.yaml")


def test_all_orders_are_listed_refused_ones_too(shop: Any) -> None:
    ran = shop.run("audit", "list")
    told = shop.run("audit", "list", "--json").json

    assert ran.code == 0, ran.err
    assert [(one["actor"], one["outcome"], one["reason"]) for one in told["entries"]] == [
        ("alice", "granted", "first"),
        ("mallory", "refused", "second"),
        ("alice", "granted", "third"),
    ]
    assert told["entries"][0]["id"] in ran.out
    assert told["broken"] is None


def test_without_orders_that_is_said(folder: Any) -> None:
    folder.service("web", "FROM node:22\n")
    folder.managed("web")

    assert "no emergency was ordered yet" in folder.run("audit", "list").out
    assert "no entries yet" in folder.run("audit", "verify").out


def test_a_whole_log_is_said_to_be_with_its_head(shop: Any) -> None:
    ran = shop.run("audit", "verify")
    told = shop.run("audit", "verify", "--json").json

    assert ran.code == 0
    assert f"3 entries, the last is {told['head']['id']}" in ran.out
    assert (told["whole"], told["entries"], told["historyRead"]) == (True, 3, True)
    assert shop.run("audit", "verify", "--expect", told["head"]["hash"]).code == 0


def test_a_changed_entry_ends_with_4_and_is_named(shop: Any) -> None:
    file = entry(shop, 2)
    file.write_text(file.read_text().replace("mallory", "nobody"))

    ran = shop.run("audit", "verify")
    told = shop.run("audit", "verify", "--json")

    assert ran.code == told.code == 4
    assert "the audit log is changed at entry 000002" in ran.err
    assert "git log" in ran.err
    assert told.json["broken"]["entry"] == "000002"


def test_a_broken_log_is_listed_up_to_the_break(shop: Any) -> None:
    entry(shop, 2).unlink()

    ran = shop.run("audit", "list", "--json")

    assert ran.code == 4
    assert [one["reason"] for one in ran.json["entries"]] == ["first"]
    assert shop.run("audit", "list").code == 4


def test_a_head_that_was_kept_elsewhere_shows_what_is_missing(shop: Any) -> None:
    ran = shop.run("audit", "verify", "--expect", "000009-0123456789ab")

    assert ran.code == 4
    assert "truncated at entry 000009-0123456789ab" in ran.err
