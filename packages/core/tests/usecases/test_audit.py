"""The log as it lies in git: what was changed, removed or cut off is named, whoever did it and however."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.model.request import EmergencyOrder, RebuildRequest
from image_factory.shell.store import Store
from image_factory.state.audit import AuditEntry, AuditOutcome, Break
from image_factory.usecases.audit import AuditReport, append_entry, count_recent, read_chain, verify_audit
from image_factory.usecases.commit import write_and_commit
from image_factory.usecases.workbench import Workbench

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def append(bench: Workbench, number: int, **fields: Any) -> AuditEntry:
    given = {
        "number": 1,
        "at": bench.clock.now(),
        "outcome": AuditOutcome.GRANTED,
        "actor": "alice",
        "identity": "oidc",
        "cve": "CVE-2026-12345",
        "reason": f"reason {number}",
    }
    entry, path, text = append_entry(bench, AuditEntry.model_validate({**given, **fields}), read_chain(bench))
    write_and_commit(bench, bench.store.plan_text(path, text), subject=f"Order {number}")
    return entry


@pytest.fixture
def log(world: World) -> World:
    """A log of four entries, a commit each; the last is named by a rebuild request."""
    world.enroll()
    bench = world.bench()
    entries = [append(bench, number) for number in (1, 2, 3, 4)]
    order = EmergencyOrder(cve="CVE-2026-12345", reason="x", actor="alice", audit=entries[-1].id)
    request = RebuildRequest(
        name="web", request_id="web-1", requested_at=world.now, reason="emergency", emergency=order
    )
    write_and_commit(bench, bench.store.plan(requests=[request]), subject="Request")
    return world


def file(world: World, number: int) -> Path:
    return Path(world.root / f"state/audit/{number:06}.yaml")


def resealed(text: str, old: str, new: str) -> str:
    body = text[: text.index("hash: sha256:")].replace(old, new)
    return f"{body}hash: sha256:{hashlib.sha256(body.encode()).hexdigest()}\n"


def commit(world: World, message: str = "Tamper") -> None:
    git(world.checkout, "add", "--all")
    git(world.checkout, "commit", "--quiet", "--message", message)


def found(world: World, **words: Any) -> AuditReport:
    return verify_audit(world.bench(), **words)


def broken(world: World) -> tuple[str, Break]:
    problem = found(world).problem
    assert problem is not None
    return problem.entry, problem.kind


def test_a_log_that_was_only_added_to_is_whole(log: World) -> None:
    report = found(log)

    assert report.problem is None
    assert report.error is None
    assert report.is_history_whole
    assert [entry.reason for entry in report.chain.entries] == [f"reason {number}" for number in (1, 2, 3, 4)]


def test_an_empty_log_is_whole(world: World) -> None:
    world.enroll()

    assert found(world).problem is None


def test_a_removed_tail_is_noticed_by_the_request_that_names_it(log: World) -> None:
    """Even where git's history was rewritten too."""
    file(log, 4).unlink()
    git(log.checkout, "checkout", "--quiet", "--orphan", "clean")
    commit(log)
    git(log.checkout, "branch", "--quiet", "-D", "main")

    assert broken(log) == ("000004", Break.TRUNCATED)


def test_a_removed_tail_is_noticed_in_git_s_history_where_no_request_names_it(log: World) -> None:
    file(log, 4).unlink()
    (log.root / "state/rebuild-requests/web.yaml").unlink()
    commit(log)

    problem = found(log).problem
    assert problem is not None
    assert (problem.entry, problem.kind) == ("000004", Break.TRUNCATED)
    assert git(log.checkout, "rev-parse", "HEAD")[:12] in problem.sentence


def test_a_removed_tail_is_noticed_before_it_is_committed(log: World) -> None:
    file(log, 4).unlink()
    (log.root / "state/rebuild-requests/web.yaml").unlink()

    problem = found(log).problem
    assert problem is not None
    assert problem.entry == "000004"
    assert "not committed" in problem.sentence


def test_a_last_entry_that_was_written_anew_is_noticed_in_git_s_history(log: World) -> None:
    file(log, 4).write_text(resealed(file(log, 4).read_text(), "alice", "mallory"))
    (log.root / "state/rebuild-requests/web.yaml").unlink()
    commit(log)

    assert broken(log) == ("000004", Break.CHANGED)


def test_a_whole_log_that_was_written_anew_is_noticed_by_a_head_that_was_kept_elsewhere(log: World) -> None:
    kept = found(log).chain.entries[-1]
    (log.root / "state/rebuild-requests/web.yaml").unlink()
    for number in (1, 2, 3, 4):
        file(log, number).unlink()
    git(log.checkout, "checkout", "--quiet", "--orphan", "clean")
    append(log.bench(), 1)
    git(log.checkout, "branch", "--quiet", "-D", "main")

    assert found(log).problem is None, "nothing here remembers"
    for expected in (kept.id, kept.hash):
        problem = found(log, expected=expected).problem
        assert problem is not None
        assert problem.kind is Break.TRUNCATED


def test_one_that_was_removed_and_put_back_is_told_since_somebody_did_it(log: World) -> None:
    text = file(log, 2).read_text()
    file(log, 2).unlink()
    commit(log)
    file(log, 2).write_text(text)
    commit(log, "Put it back")

    problem = found(log).problem
    assert problem is not None
    assert problem.entry == "000002"


def test_one_that_a_merge_dropped_is_noticed(log: World) -> None:
    (log.root / "state/rebuild-requests/web.yaml").unlink()
    commit(log, "Settle")
    git(log.checkout, "checkout", "--quiet", "-b", "side")
    (log.checkout / "README").write_text("side")
    commit(log, "Side")
    git(log.checkout, "checkout", "--quiet", "main")
    (log.checkout / "OTHER").write_text("main")
    commit(log, "Main")
    git(log.checkout, "merge", "--quiet", "--no-ff", "--no-commit", "side")
    file(log, 4).unlink()
    commit(log, "Merge")

    assert broken(log) == ("000004", Break.TRUNCATED)


def test_a_shallow_clone_says_that_it_cannot_see_all_of_the_history(log: World, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{log.checkout}", str(tmp_path / "shallow"))
    bench = log.bench()
    root = tmp_path / "shallow/image-factory"
    shallow = Workbench(root, bench.settings, Store(root, bench.settings), bench.clock, bench.load)

    report = verify_audit(shallow)

    assert report.problem is None
    assert not report.is_history_whole


def test_outside_of_git_the_chain_alone_is_checked(log: World, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(log.root, tmp_path / "copy/image-factory", ignore=shutil.ignore_patterns(".image-factory-cache"))
    bench = log.bench()
    root = tmp_path / "copy/image-factory"
    copied = Workbench(root, bench.settings, Store(root, bench.settings), bench.clock, bench.load)

    report = verify_audit(copied)

    assert report.problem is None
    assert not report.is_history_whole


def test_a_link_in_an_entry_s_place_is_a_break(log: World, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.yaml").write_text(file(log, 2).read_text())
    file(log, 2).unlink()
    file(log, 2).symlink_to(tmp_path / "elsewhere.yaml")

    assert broken(log)[0] == "000002"


def test_a_broken_log_grows_after_what_is_there(log: World) -> None:
    file(log, 2).unlink()
    bench = log.bench()

    entry, path, _ = append_entry(bench, found(log).chain.entries[0], read_chain(bench))

    assert (entry.number, path.name) == (5, "000005.yaml")
    assert entry.previous.startswith("sha256:")


def test_orders_are_counted_within_the_window_and_refused_ones_are_not(world: World) -> None:
    world.enroll()
    for day in (0, 10, 20, 29, 30):
        world.later(days=day)
        append(world.bench(), day)
        world.now -= timedelta(days=day)
    world.later(days=30)
    append(world.bench(), 99, outcome=AuditOutcome.REFUSED)

    chain = read_chain(world.bench())

    assert count_recent(chain, now=world.now, window=timedelta(days=10)) == 2
    assert count_recent(chain, now=world.now, window=timedelta(days=30)) == 4, "one ago to the second is out"
