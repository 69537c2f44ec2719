"""An emergency from the moment a base is fixed to the last rebuild's end: the simulated critical CVE (row 163)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.decide.authorization import Identity, IdentityKind
from image_factory.decide.orders import Order, parse_order
from image_factory.errors import RemoteRefused
from image_factory.hookspecs import hookimpl
from image_factory.model.event import Event, EventKind
from image_factory.model.hold import Hold
from image_factory.model.request import RequestStatus
from image_factory.model.settings import Freeze
from image_factory.ports import BuildRequest, Notifier, RunStatus, SourceRepository
from image_factory.shell.store import Overtaken, Store
from image_factory.testing.builds import Builds
from image_factory.testing.image_content import build_image
from image_factory.usecases.audit import verify_audit
from image_factory.usecases.cleanup import clean_up
from image_factory.usecases.commit import until_settled, write_and_commit
from image_factory.usecases.dispatch import claim
from image_factory.usecases.emergency import Emergency, carry_out, order_emergency, tell_people
from image_factory.usecases.observe import observe
from image_factory.usecases.outcome import Done, Failed, Skipped
from image_factory.usecases.run import Ran, run
from image_factory.usecases.workbench import Workbench

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any

CVE = "CVE-2026-12345"
ALICE = Identity("alice", IdentityKind.OIDC, issuer="https://token.actions.githubusercontent.com")
MALLORY = Identity("mallory", IdentityKind.OIDC, issuer="https://token.actions.githubusercontent.com")


class Listener:
    """A notifier that remembers what it was told."""

    name = "listener"

    def __init__(self) -> None:
        self.told: list[Event] = []

    def deliver(self, events: Sequence[Event]) -> None:
        self.told += events

    @hookimpl
    def register_notifiers(self, register: Callable[[Notifier], None]) -> None:
        register(self)

    def kinds(self, *wanted: EventKind) -> list[EventKind]:
        return [event.kind for event in self.told if event.kind in wanted]


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


class Shop:
    """web on node, shop on web, api on redis; a provider and a notifier in memory; a freeze for the whole year."""

    def __init__(self, world: World) -> None:
        self.world, self.builds, self.listener = world, Builds(), Listener()
        world.plugins = {"builds": self.builds.plugin(), "listener": self.listener}
        world.service("web", "FROM node:22\n")
        world.service("shop", "FROM ghcr.io/acme/web:1.0.0\n")
        world.service("api", "FROM redis:7\n")
        world.enroll("web", world.managed("shop", criticality="critical"), "api")
        self.publish("library/node:22", "old")
        self.publish("library/redis:7", "redis")
        for name in ("web", "shop", "api"):
            self.publish(f"acme/{name}:1.0.0", name)
        self.configure("emergency: {actors: ['@security'], teams: {security: [alice]}, alertAfter: 1}\n")

    def configure(self, text: str) -> None:
        (self.world.root / "config.yaml").write_text(text)
        git(self.world.checkout, "add", ".")
        git(self.world.checkout, "commit", "--quiet", "--message", "Configure")

    def bench(self) -> Workbench:
        bench = self.world.bench()
        freeze = Freeze.model_validate(
            {"reason": "closed", "from": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}
        )
        settings = bench.settings.model_copy(update={"freezes": (freeze,), "max_concurrent_rebuilds": 1})
        return replace(bench, settings=settings)

    def publish(self, reference: str, seed: str, labels: dict[str, str] | None = None) -> str:
        path, _, tag = reference.partition(":")
        return str(self.world.registry.push(path, [tag], build_image(seed=seed, labels=labels or {})))

    def run(self) -> Ran:
        return run(self.bench())

    def order(self, identity: Identity = ALICE, **words: Any) -> Emergency:
        target = {} if "images" in words else {"base": "node:22"}
        wanted = parse_order(**{"cve": CVE, "reason": "exploited in the wild", **target, **words})
        return self.give(wanted, identity)

    def give(self, wanted: Order, identity: Identity) -> Emergency:
        bench = self.bench()
        found, _ = carry_out(bench, wanted, identity)
        tell_people(bench, found)
        return found

    def requests(self) -> dict[str, Any]:
        return dict(self.bench().store.requests().records)

    def finish(self, name: str, version: str, status: RunStatus = RunStatus.SUCCEEDED) -> str:
        """End the newest build of an image as its workflow would."""
        request = self.requests()[name]
        digest = ""
        if status is RunStatus.SUCCEEDED:
            labels = {"image-factory.io/request-id": request.request_id}
            digest = self.publish(f"acme/{name}:{version}", request.request_id, labels)
        self.builds.finish(request.request_id, status, at=self.world.now)
        return digest

    @property
    def started(self) -> list[str]:
        return [request.request_id.rsplit("-", 2)[0] for request in self.builds.started]


@pytest.fixture
def shop(world: World) -> Shop:
    made = Shop(world)
    made.run()
    world.later(days=1)
    made.publish("library/node:22", "fixed")
    made.run()
    assert made.builds.started == [], "a day is no week, and it is frozen"
    world.later(minutes=1)
    made.listener.told.clear()
    return made


def test_a_critical_vulnerability_from_the_fixed_base_to_the_last_rebuild(shop: Shop) -> None:
    bench = shop.bench()
    fixed = bench.store.bases().records["node-22"].runtime.current_digest

    ordered = shop.order()

    assert [request.name for request in ordered.requests] == ["web", "shop"]
    assert [event.kind for event in shop.listener.told] == [EventKind.EMERGENCY_REQUESTED]
    assert "exploited in the wild" in shop.listener.told[0].facts["Reason"]

    shop.world.later(minutes=1)
    shop.run()
    assert shop.started == ["web"], "at once, whatever the delay, the freeze and the limit say; the child waits"
    assert fixed is not None
    assert fixed in shop.builds.started[0].inputs["base_images"]

    web = shop.finish("web", "1.0.1")
    shop.world.later(minutes=10)
    shop.run()
    assert shop.started == ["web", "shop"], "its parent is rebuilt, and it waits for nothing else"
    assert web in shop.builds.started[1].inputs["base_images"]
    assert shop.listener.kinds(EventKind.EMERGENCY_FINISHED) == []

    shop.finish("shop", "1.0.1")
    shop.world.later(minutes=10)
    shop.run()

    finished = [event for event in shop.listener.told if event.kind is EventKind.EMERGENCY_FINISHED]
    assert [event.facts["Rebuilt"] for event in finished] == ["web, shop"]
    histories = {name: state.history.rebuild_history for name, state in shop.bench().store.images().records.items()}
    assert [(build.cve, build.result) for build in histories["shop"]] == [(CVE, "succeeded")]
    assert [(cause["base"], cause["to"]) for cause in histories["shop"][0].causes] == [("web", web)]
    assert histories["api"] == ()
    report = verify_audit(shop.bench())
    assert report.problem is None
    (entry,) = report.chain.entries
    assert (entry.actor, entry.identity, entry.issuer, entry.cve) == ("alice", "oidc", ALICE.issuer, CVE)
    assert set(entry.requests) == {"web", "shop"}

    shop.world.later(days=1)
    again = shop.run()
    assert again.plan.decisions["web"].reason == "up-to-date"
    assert shop.started == ["web", "shop"]


def test_after_it_the_next_update_waits_as_policy_says(shop: Shop) -> None:
    shop.order(images=["web"])
    shop.run()
    shop.finish("web", "1.0.1")
    shop.world.later(days=1)
    shop.publish("library/node:22", "later")

    ran = shop.run()

    decision = ran.plan.decisions["web"]
    assert decision.reason in ("cooling-down", "frozen")
    assert decision.until is not None
    assert decision.until > shop.world.now
    assert shop.started == ["web"]


def test_a_parent_that_fails_takes_its_children_with_it_and_is_told(shop: Shop) -> None:
    shop.order()
    shop.run()
    shop.finish("web", "", RunStatus.FAILED)
    shop.world.later(minutes=10)

    shop.run()

    requests = shop.requests()
    assert (requests["web"].status, requests["shop"].status) == (RequestStatus.FAILED, RequestStatus.CANCELLED)
    assert "web, which it is built on, was not rebuilt: failed" in requests["shop"].problem
    assert shop.started == ["web"]
    (event,) = [event for event in shop.listener.told if event.kind is EventKind.EMERGENCY_FINISHED]
    assert "0 of 2 images" in event.summary

    again = shop.order()
    assert [request.name for request in again.requests] == ["web", "shop"]


def test_the_same_order_again_changes_no_byte_and_is_not_counted(shop: Shop) -> None:
    shop.order()
    before = git(shop.world.checkout, "rev-parse", "HEAD")

    again = shop.order()

    assert (again.changes, again.events, again.samples) == ((), (), ())
    assert again.entry is None
    assert {type(outcome) for outcome in again.outcomes} == {Skipped}
    assert git(shop.world.checkout, "rev-parse", "HEAD") == before


def test_somebody_who_may_not_is_refused_and_written_down_and_nothing_is_requested(shop: Shop) -> None:
    found = shop.order(MALLORY)

    assert found.refusal is not None
    assert found.refusal.exit_code == 4
    assert shop.requests() == {}
    (entry,) = verify_audit(shop.bench()).chain.entries
    assert (entry.outcome, entry.actor, entry.reason) == ("refused", "mallory", "exploited in the wild")
    assert entry.images == ("web", "shop")
    assert [sample.labels for sample in found.samples] == [(("outcome", "refused"),)]


def test_where_nobody_is_configured_nobody_may(shop: Shop) -> None:
    shop.configure("{}\n")

    found = shop.order()

    assert found.refusal is not None
    assert "none is configured" in found.refusal.message
    assert "actors" in found.refusal.hint


def test_a_hold_is_passed_by_no_emergency_and_said(shop: Shop) -> None:
    bench = shop.bench()
    hold = Hold(name="web", image="web", reason="breaks logins", by="carol", at=shop.world.now)
    write_and_commit(bench, bench.store.plan(holds=[hold]), subject="Hold")

    found = shop.order()

    assert found.requests == ()
    errors = {outcome.item: outcome.error.message for outcome in found.outcomes if isinstance(outcome, Failed)}
    assert "breaks logins" in errors["web"]
    assert "web, which is not rebuilt" in errors["shop"]


def test_a_second_order_past_the_threshold_is_an_alarm(shop: Shop) -> None:
    assert shop.order(images=["web"]).alarm == ""

    second = shop.order(images=["api"])

    assert "2 emergency rebuilds were ordered within 30d, more than 1" in second.alarm
    assert EventKind.EMERGENCY_ALARM in [event.kind for event in shop.listener.told]
    shop.world.later(days=31)
    assert shop.order(images=["api"], anyway=True).alarm == "", "what lies outside of the window does not count"


def test_an_order_that_takes_the_last_open_request_of_another_ends_that(shop: Shop) -> None:
    shop.order(images=["web", "api"])
    bench = shop.bench()
    api = bench.store.requests().records["api"].model_copy(update={"status": RequestStatus.SUCCEEDED})
    write_and_commit(bench, bench.store.plan(requests=[api]), subject="Settle")
    shop.publish("library/node:22", "more fixed")
    shop.world.later(days=1)
    bench = shop.bench()
    write_and_commit(bench, observe(bench, due_only=False).changes, subject="Observe")

    second = shop.order(images=["web"], cve="CVE-2026-99999")

    assert [request.name for request in second.requests] == ["web"]
    assert "takes the place of" in next(one for one in second.outcomes if isinstance(one, Done)).changes[-1]
    finished = [event for event in second.events if event.kind is EventKind.EMERGENCY_FINISHED]
    assert [event.facts["Vulnerability"] for event in finished] == [CVE]


def finished(events: Sequence[Event]) -> list[str]:
    """Return what is told not to be rebuilt, of each order that has ended."""
    return [event.facts["Not rebuilt"] for event in events if event.kind is EventKind.EMERGENCY_FINISHED]


def test_an_image_that_is_removed_ends_the_emergency_that_waits_for_it_alone(shop: Shop) -> None:
    shop.order(images=["web"])
    shop.world.enroll("api")
    shop.world.later(minutes=1)

    shop.run()

    (told,) = finished(shop.listener.told)
    assert told == "web (cancelled: the image was removed from images.yaml)"


def test_it_does_not_end_one_that_waits_for_others_too(shop: Shop) -> None:
    shop.order(images=["web", "api"])
    shop.world.enroll("api")
    shop.world.later(minutes=1)

    shop.run()

    assert finished(shop.listener.told) == []


def test_an_image_that_becomes_external_ends_its_emergency(shop: Shop) -> None:
    shop.order(images=["web"])
    web = {"name": "web", "registry": "ghcr.io", "repository": "acme/web", "tag": "1.0.0"}
    shop.world.enroll(web, "api")
    shop.world.later(minutes=1)

    shop.run()

    (told,) = finished(shop.listener.told)
    assert told == "web (cancelled: the image is external now)"


def test_a_claim_that_gives_up_the_last_request_ends_its_emergency(shop: Shop) -> None:
    shop.order(images=["web"])
    shop.world.enroll("api")

    claimed = claim(shop.bench(), "run-1")

    (told,) = finished(claimed.events)
    assert told.startswith("web (cancelled: ")


def test_a_claim_that_gives_up_a_parent_builds_no_child_on_it(shop: Shop) -> None:
    shop.order()
    # Its parent is gone before anything of the emergency is built, so that the child would be built on the old one.
    shop.world.enroll(shop.world.managed("shop", criticality="critical"), "api")
    bench = shop.bench()

    claimed = claim(bench, "run-1")
    bench.store.apply(claimed.changes)

    assert claimed.requests == ()
    assert {name: one.status for name, one in shop.requests().items()} == {
        "web": RequestStatus.CANCELLED,
        "shop": RequestStatus.CANCELLED,
    }
    assert len(finished(claimed.events)) == 1


def test_a_provider_that_refuses_the_last_build_ends_its_emergency(shop: Shop) -> None:
    shop.order(images=["web"])
    shop.builds.fail("start", RemoteRefused("no such workflow", hint="add it"), times=9)

    shop.run()

    (told,) = finished(shop.listener.told)
    assert told.startswith("web (failed: no such workflow")


def test_a_clean_up_of_a_request_without_an_image_ends_its_emergency(shop: Shop) -> None:
    shop.order(images=["web"])
    shop.world.enroll("api")
    (shop.world.root / "state/images/web.yaml").unlink()

    (told,) = finished(clean_up(shop.bench()).events)

    assert told == "web (cancelled: there is no image of this name)"


# --- notices -----------------------------------------------------------------------------------------


def outboxes(shop: Shop) -> list[str]:
    return [path.name for path in (shop.world.root / "state/outbox").glob("*.yaml")]


def test_notices_are_written_down_in_the_commit_of_the_order_and_removed_when_they_are_told(shop: Shop) -> None:
    before = git(shop.world.checkout, "rev-parse", "HEAD").strip()

    shop.order()

    said = git(shop.world.checkout, "log", "--reverse", "--format=%s", "--name-only", f"{before}..").split("\n\n")
    assert shop.listener.kinds(*EventKind) == [EventKind.EMERGENCY_REQUESTED]
    assert "state/outbox/run-" in said[1], said
    assert "state/audit/000001.yaml" in said[1], said
    assert said[1].split("\n")[-1] == "Emergency: notices are told"
    assert outboxes(shop) == []
    assert git(shop.world.checkout, "status", "--porcelain") == ""


def test_who_is_stopped_before_people_are_told_leaves_it_to_a_later_run(shop: Shop) -> None:
    carry_out(shop.bench(), parse_order(cve=CVE, reason="exploited", base="node:22"), ALICE)
    assert len(outboxes(shop)) == 1

    shop.run()
    assert shop.listener.kinds(EventKind.EMERGENCY_REQUESTED) == [], "whoever ordered may still be at it"
    shop.world.later(minutes=11)
    shop.run()
    shop.world.later(minutes=11)
    shop.run()

    assert shop.listener.kinds(EventKind.EMERGENCY_REQUESTED) == [EventKind.EMERGENCY_REQUESTED]
    assert outboxes(shop) == []


@pytest.mark.parametrize("why", ["not to be told", "refused", "nothing new"])
def test_where_there_is_nothing_to_tell_nothing_is_written_down(shop: Shop, why: str) -> None:
    if why == "nothing new":
        shop.order()
    wanted = parse_order(cve=CVE, reason="exploited in the wild", base="node:22")

    found, _ = carry_out(shop.bench(), wanted, MALLORY if why == "refused" else ALICE, is_told=why != "not to be told")

    assert found.outbox is None
    assert outboxes(shop) == []


# --- the log -----------------------------------------------------------------------------------------


def test_two_who_order_at_once_on_two_clones_make_one_chain(shop: Shop, tmp_path: Path) -> None:
    """One wins; the other's push meets the same file, is taken back, and its work is done again after the first's."""
    remote = tmp_path / "remote.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(shop.world.checkout), str(remote))
    benches = []
    for name in ("one", "two"):
        git(tmp_path, "clone", "--quiet", str(remote), str(tmp_path / name))
        bench = shop.bench()
        root = tmp_path / name / "image-factory"
        benches.append(replace(bench, root=root, store=Store(root, bench.settings)))
    first = parse_order(cve=CVE, reason="first", images=["web"])
    second = parse_order(cve=CVE, reason="second", images=["api"])
    given: list[Emergency] = []

    def work(bench: Workbench, wanted: Order) -> None:
        found = order_emergency(bench, wanted, ALICE)
        given.append(found)
        if len(given) == 1:
            write_and_commit(benches[1], order_emergency(benches[1], second, ALICE).changes, subject="2nd", push=True)
        write_and_commit(bench, found.changes, subject="1st", push=True)

    until_settled(lambda: work(benches[0], first), sleep=lambda _: None)

    assert len(given) == 2, "the first attempt was overtaken"
    git(tmp_path, "clone", "--quiet", str(remote), str(tmp_path / "three"))
    root = tmp_path / "three" / "image-factory"
    third = replace(shop.bench(), root=root, store=Store(root, shop.bench().settings))
    report = verify_audit(third)
    assert report.problem is None
    assert [entry.reason for entry in report.chain.entries] == ["second", "first"]
    requests = third.store.requests().records
    assert requests["web"].emergency is not None
    assert requests["web"].emergency.audit == report.chain.entries[1].id


def test_two_who_order_at_once_in_one_folder_make_one_chain(shop: Shop) -> None:
    bench, other = shop.bench(), shop.bench()
    late = order_emergency(bench, parse_order(cve=CVE, reason="late", images=["web"]), ALICE)
    soon = order_emergency(other, parse_order(cve=CVE, reason="soon", images=["api"]), ALICE)
    write_and_commit(other, soon.changes, subject="soon")

    with pytest.raises(Overtaken):
        write_and_commit(bench, late.changes, subject="late")

    shop.order(images=["web"], reason="late")
    assert [entry.reason for entry in verify_audit(shop.bench()).chain.entries] == ["soon", "late"]


def test_a_broken_log_does_not_hold_an_emergency_and_stays_to_be_seen(shop: Shop) -> None:
    shop.order(images=["web"])
    file = shop.world.root / "state/audit/000001.yaml"
    file.write_text(file.read_text().replace("alice", "nobody"))
    git(shop.world.checkout, "commit", "--quiet", "--all", "--message", "Tamper")

    found = shop.order(images=["api"])

    assert [request.name for request in found.requests] == ["api"]
    assert any("the audit log is changed at entry 000001" in problem.message for problem in found.problems)
    assert found.entry is not None
    assert found.entry.number == 2
    broken = verify_audit(shop.bench()).problem
    assert broken is not None
    assert broken.entry == "000001"


def test_an_entry_that_is_no_text_is_a_break_and_not_a_crash(shop: Shop) -> None:
    shop.order(images=["web"])
    (shop.world.root / "state/audit/000001.yaml").write_bytes(b"\xff\xfe\x00")

    broken = verify_audit(shop.bench()).problem

    assert broken is not None
    assert (broken.entry, broken.kind) == ("000001", "changed")


def test_in_a_cluster_a_build_that_kargo_started_is_known_before_its_request_is_replaced(shop: Shop) -> None:
    bench = shop.bench()
    bench = replace(bench, settings=bench.settings.model_copy(update={"engine": "kargo"}))
    first, _ = carry_out(bench, parse_order(cve=CVE, reason="exploited", base="node:22"), ALICE)
    web = first.requests[0]
    shop.builds.start(BuildRequest(SourceRepository("git", "", "acme/web"), "main", "web.yml", web.request_id))
    shop.world.later(minutes=5)

    order = parse_order(cve="CVE-2026-54321", reason="exploited too", base="node:22", anyway=True)
    carry_out(bench, order, MALLORY)
    assert shop.requests()["web"].status is RequestStatus.REQUESTED, "nothing is asked for who may not order"
    second, _ = carry_out(bench, order, ALICE)

    assert "web" not in [request.name for request in second.requests]
    known = shop.requests()["web"]
    assert (known.request_id, known.status) == (web.request_id, RequestStatus.DISPATCHED)
    assert "started" in git(shop.world.checkout, "show", "--no-patch", "--format=%b")
