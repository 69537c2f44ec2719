"""Read the audit log and check that nothing of it was changed, taken out, put elsewhere or cut off.

The chain itself shows every break but one: that its last entries are missing, or that the last was replaced.
Those are noticed by whoever remembers them: the rebuild requests name the entry that they come from, and
git's history shows every entry that was ever changed or removed. Where both were rewritten, only a
head that was kept elsewhere tells (`expected`): every notice of an emergency holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from image_factory.errors import ImageFactoryError, UserError, VerificationError
from image_factory.shell.git import Checkout
from image_factory.state.audit import (
    AuditEntry,
    AuditOutcome,
    Break,
    Chain,
    ChainBreak,
    check_chain,
    check_recorded,
    entry_name,
    seal_entry,
)
from image_factory.state.layout import AUDIT
from image_factory.usecases.workbench import Workbench

MAX_HISTORY = 16 * 1024 * 1024
"""Bytes of git's list of changes to the log: about 100,000 entries."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The log, and what is wrong with it."""

    chain: Chain
    problem: ChainBreak | None
    is_history_whole: bool
    """Whether git's history could be read to its beginning: it cannot in a shallow clone, or outside of git."""

    @property
    def error(self) -> VerificationError | None:
        """The problem as an error, which says where to look."""
        if self.problem is None:
            return None
        return VerificationError(
            f"the audit log is {self.problem.kind} at entry {self.problem.entry}: {self.problem.sentence}",
            hint="git log -p -- image-factory/state/audit shows who did it; put back what was written",
        )


def read_chain(bench: Workbench) -> Chain:
    """Return the entries of the log, and where its chain is broken."""
    return check_chain(_files(bench))


def verify_audit(bench: Workbench, *, expected: str | None = None) -> AuditReport:
    """Return the log and the first thing that is wrong with it.

    Args:
        expected: the id or the hash of an entry that is known to have been written.
    """
    chain = read_chain(bench)
    problem, is_whole = chain.broken, False
    if problem is None:
        problem, is_whole = _history_problem(bench)
    if problem is None:
        problem = check_recorded(chain, _recorded(bench))
    if problem is None and expected is not None:
        known = {text for entry in chain.entries for text in (entry.id, entry.hash)}
        if expected not in known:
            problem = ChainBreak(
                expected[:80], Break.TRUNCATED, "no entry is called so: it was cut off, or another was put in its place"
            )
    return AuditReport(chain, problem, is_whole)


def append_entry(bench: Workbench, entry: AuditEntry, chain: Chain) -> tuple[AuditEntry, PurePosixPath, str]:
    """Return `entry` as the next of the log, where it goes and its file's text; nothing is written.

    A log that is broken grows all the same, after what is there: an order is written down whatever
    somebody did to the log, and the break stays to be seen.
    """
    head = chain.head
    if chain.broken is not None:
        names = [path.name for path in bench.store.files(AUDIT)]
        numbers = [int(name[:-5]) for name in names if name[:-5].isdigit() and entry_name(int(name[:-5])) == name]
        if numbers:
            last = max(numbers)
            text = _text(bench, PurePosixPath(AUDIT, entry_name(last)))
            head = entry.model_copy(update={"number": last, "hash": text.rstrip().rpartition("hash: ")[2][:71]})
    sealed, text = seal_entry(entry, head)
    return sealed, PurePosixPath(AUDIT, entry_name(sealed.number)), text


def count_recent(chain: Chain, *, now: datetime, window: timedelta) -> int:
    """Return how many orders were granted within `window` before `now`."""
    return sum(1 for entry in chain.entries if entry.outcome is AuditOutcome.GRANTED and entry.at > now - window)


def _files(bench: Workbench) -> dict[str, str]:
    return {path.name: _text(bench, path) for path in bench.store.files(AUDIT)}


def _text(bench: Workbench, path: PurePosixPath) -> str:
    try:
        return bench.store.text(path) or ""
    except UserError:
        return ""  # a link out of the folder, or no text: no entry, which its place in the chain shows


def _recorded(bench: Workbench) -> dict[str, str]:
    return {
        request.emergency.audit: f"the rebuild request of {request.name}"
        for request in bench.store.requests().records.values()
        if request.emergency is not None and request.emergency.audit
    }


def _history_problem(bench: Workbench) -> tuple[ChainBreak | None, bool]:
    """Return the first entry that git saw changed or removed, and whether its whole history could be read."""
    checkout = Checkout.find(bench.root)
    folder = bench.root / bench.settings.state_dir / AUDIT
    if checkout is None or not folder.resolve().is_relative_to(checkout.root.resolve()):
        return None, False
    git = checkout.git
    if not git.attempt("rev-parse", "--verify", "--quiet", "HEAD").is_ok:
        return None, True
    relative = folder.resolve().relative_to(checkout.root.resolve()).as_posix()
    shape = ("--no-renames", "--no-ext-diff", "--name-status", "-z")
    # -m: a merge, too, may have dropped what one of its sides had.
    logged = git.run(
        *("log", "-m", "--format=%x01%H", *shape, "--diff-filter=MDT", "--", relative),
        doing="cannot read the history of the audit log",
        max_output=MAX_HISTORY,
    )
    found: dict[str, tuple[str, str]] = {}
    for block in logged.stdout.decode("utf-8", "replace").split("\x01")[1:]:
        commit, *words = [word.strip("\n") for word in block.split("\0")]
        for status, path in zip(words[0::2], words[1::2], strict=False):
            # The log runs backwards: what is met last happened first.
            found[PurePosixPath(path).stem] = (status, commit)
    now = git.run(
        *("diff", *shape, "--diff-filter=MDT", "HEAD", "--", relative), doing="cannot read the changes of the audit log"
    )
    words = now.stdout.decode("utf-8", "replace").split("\0")
    for status, path in zip(words[0::2], words[1::2], strict=False):
        found.setdefault(PurePosixPath(path).stem, (status, ""))
    shallow = git.attempt("rev-parse", "--is-shallow-repository").text() == "true"
    if not found:
        return None, not shallow
    entry = min(found)
    status, commit = found[entry]
    where = f"in commit {commit[:12]}" if commit else "here, and not committed"
    if status == "D":
        return ChainBreak(entry, Break.TRUNCATED, f"it was removed {where}"), not shallow
    return ChainBreak(entry, Break.CHANGED, f"it was changed after it was written, {where}"), not shallow


def broken_log(chain: Chain) -> ImageFactoryError | None:
    """Return the warning of an order that is written to a broken log."""
    return AuditReport(chain, chain.broken, False).error
