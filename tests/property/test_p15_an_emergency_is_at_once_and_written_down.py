"""P15: who may and says why gets the rebuild at once, whatever the delay, and it is written down; else it is refused.

Whole orders against a real folder of state: random delays, clocks, severities, windows, freezes, actors, identities.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.decide.authorization import Identity, IdentityKind
from image_factory.decide.orders import parse_order
from image_factory.decide.rebuilds import decide_rebuilds
from image_factory.errors import UserError
from image_factory.model.request import RequestStatus
from image_factory.model.settings import Settings
from image_factory.plugins import PluginTable
from image_factory.shell.store import Store
from image_factory.testing.clock import FixedClock
from image_factory.testing.rebuild_world import RebuildWorld
from image_factory.usecases.audit import read_chain
from image_factory.usecases.coordinate import gather_facts
from image_factory.usecases.emergency import order_emergency
from image_factory.usecases.workbench import Workbench

ACTORS = ("alice", "bob", "mallory")
clocks = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
delays = st.integers(0, 400 * 86_400).map(lambda seconds: timedelta(seconds=seconds))
ages = st.integers(0, 400 * 86_400).map(lambda seconds: timedelta(seconds=seconds))
reasons = st.text(st.characters(categories=["L", "N", "P"], exclude_characters="${%"), min_size=1, max_size=40)
advisories = st.from_regex(r"CVE-20[0-9]{2}-[0-9]{4,8}", fullmatch=True) | st.from_regex(
    r"GHSA(-[23456789cfghjmpqrvwx]{4}){3}", fullmatch=True
)


def no_plugins() -> PluginTable:
    raise AssertionError("an order asks nobody")


def folder(root: Path, world: RebuildWorld, allowed: list[str], trusted: list[str]) -> Workbench:
    """Write a world down as an image-factory folder, and return its workbench."""
    entries = [
        entry.model_dump(mode="json", by_alias=True, exclude_defaults=True) for entry in world.enrollments.values()
    ]
    (root / "images.yaml").write_text(yaml.safe_dump(entries))
    policy = {"emergency": {"actors": allowed, "trustedIdentities": trusted}}
    (root / "config.yaml").write_text(yaml.safe_dump(policy))
    freeze = {"reason": "closed", "from": world.now - timedelta(days=1), "until": world.now + timedelta(days=99)}
    chosen = Settings.model_validate({"coordinationWindow": "30d", "maxConcurrentRebuilds": 1, "freezes": [freeze]})
    store = Store(root, chosen, cache=False)
    store.apply(store.plan(images=world.images.values(), bases=world.bases.values()))
    return Workbench(root, chosen, store, FixedClock(world.now), no_plugins)


@settings(max_examples=40, deadline=None)
@given(
    now=clocks,
    delay=delays,
    age=ages,
    criticality=st.sampled_from(["low", "normal", "high", "critical"]),
    automatic=st.booleans(),
    mode=st.sampled_from(["aged", "first-change"]),
    actor=st.sampled_from(ACTORS),
    allowed=st.lists(st.sampled_from(ACTORS), unique=True),
    kind=st.sampled_from(IdentityKind),
    trusted=st.lists(st.sampled_from([one.value for one in IdentityKind]), unique=True),
    cve=advisories,
    reason=reasons,
    by_name=st.booleans(),
)
def test_at_once_for_who_may_and_refused_to_all_others(
    now: datetime,
    delay: timedelta,
    age: timedelta,
    criticality: str,
    automatic: bool,
    mode: str,
    actor: str,
    allowed: list[str],
    kind: IdentityKind,
    trusted: list[str],
    cve: str,
    reason: str,
    by_name: bool,
) -> None:
    world = RebuildWorld(now=now - age - timedelta(days=1))
    policy = {"criticality": criticality, "autoRebuild": automatic, "delayMode": mode}
    world.enroll("web", ["node"], delay=delay, **policy)
    world.enroll("shop", ["web"], delay=delay, **policy)
    world.publish("web")
    world.publish("shop")
    world.now = now - age
    fixed = world.move("node")
    world.now = now
    order = parse_order(
        cve=cve, reason=reason, base=None if by_name else "node", images=["web", "shop"] if by_name else ()
    )
    with tempfile.TemporaryDirectory() as place:
        bench = folder(Path(place), world, allowed, trusted)

        found = order_emergency(bench, order, Identity(actor, kind))
        bench.store.apply(found.changes)

        (entry,) = read_chain(bench).entries
        requests = bench.store.requests().records
        may = actor in allowed and kind.value in trusted
        assert (entry.cve, entry.reason, entry.actor, entry.at) == (
            cve,
            " ".join(reason.split()),
            actor,
            now.replace(microsecond=0),
        )
        assert entry.outcome == ("granted" if may else "refused")
        assert (found.refusal is None) == may
        if not may:
            assert requests == {}
            return
        web, shop = requests["web"], requests["shop"]
        assert (web.status, web.not_before, web.waits_for) == (RequestStatus.REQUESTED, None, ())
        assert [(cause.base, cause.to) for cause in web.causes] == [("node", fixed)]
        assert (shop.status, shop.not_before, shop.waits_for) == (RequestStatus.REQUESTED, None, ("web",))
        assert {request.emergency.audit for request in requests.values() if request.emergency} == {entry.id}
        assert entry.requests == {name: request.request_id for name, request in requests.items()}
        # It is dispatched, and policy makes no second request beside it.
        facts, _ = gather_facts(bench)
        assert decide_rebuilds(facts, now=now).due == ()
        again = order_emergency(bench, order, Identity(actor, kind))
        assert again.changes == ()


@given(
    cve=st.sampled_from(["", "CVE-1", "critical", "GHSA-1", "CVE-2026-12a4"]) | advisories,
    reason=st.sampled_from(["", " ", "\n\t ", "\u00a0"]) | reasons,
)
def test_without_the_vulnerability_or_the_reason_there_is_no_order(cve: str, reason: str) -> None:
    is_known = cve.startswith(("CVE-2", "GHSA-")) and not cve.endswith("a4") and len(cve) > 8
    if is_known and reason.split():
        assert parse_order(cve=cve, reason=reason, base="node").cve == cve
    else:
        with pytest.raises(UserError):
            parse_order(cve=cve, reason=reason, base="node")
