"""Which of the watched references this run asks for: gather what is known of them, decide, say."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from image_factory.decide.due import Budget, Turn, Watched, decide_due
from image_factory.model.image_state import BaseState, ImageState
from image_factory.oci.reference import Repository
from image_factory.shell.asked import read_asked
from image_factory.usecases.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Watch:
    """What is due, and when the rest will be."""

    due: Collection[str]
    """Names of base and external images."""
    turns: Mapping[str, Turn]
    """By name."""

    @property
    def next_at(self) -> datetime | None:
        """The first instant at which another one is due."""
        return min((turn.next_at for turn in self.turns.values() if turn.next_at is not None), default=None)


def plan_watch(bench: Workbench, bases: Mapping[str, BaseState], images: Mapping[str, ImageState]) -> Watch:
    """Return which of these are to be asked for now.

    Args:
        bases: base images that are watched by a tag.
        images: external images.
    """
    records: dict[str, BaseState | ImageState] = {**bases, **images}
    keys = {name: watch_key(record) for name, record in records.items()}
    asked = read_asked(bench.root)
    hosts: dict[str, Repository] = {}
    found: dict[str, Watched] = {}
    for name, record in records.items():
        repository = _repository(record)
        hosts.setdefault(repository.registry, repository)
        moves = tuple(sorted(update.at for update in record.history.update_history))
        known = found.get(keys[name])
        if known is None or len(moves) > len(known.moves):
            found[keys[name]] = Watched(keys[name], repository.registry, asked.get(keys[name]), moves)
    watched = sorted(found.values(), key=lambda one: one.reference)
    turns = decide_due(watched, budgets=_budgets(bench, hosts), policy=bench.settings.watch, now=bench.clock.now())
    by_key = {turn.reference: turn for turn in turns}
    named = {name: by_key[key] for name, key in keys.items()}
    return Watch(frozenset(name for name, turn in named.items() if turn.is_due), named)


def watch_key(record: BaseState | ImageState) -> str:
    """Return what is asked for on behalf of a record: a reference, or a repository and how its tag is picked."""
    if isinstance(record, BaseState):
        return record.configuration.full_image
    enrollment = record.configuration.enrollment
    tag = enrollment.only_tag
    return f"{enrollment.image}:{tag}" if tag is not None else f"{enrollment.image} ({record.name})"


def _repository(record: BaseState | ImageState) -> Repository:
    if isinstance(record, ImageState):
        return record.configuration.enrollment.image
    return Repository(record.configuration.registry, record.configuration.repository)


def _budgets(bench: Workbench, hosts: Mapping[str, Repository]) -> dict[str, Budget]:
    budgets = {}
    for host, repository in hosts.items():
        profile = bench.plugins.registry_for(repository).rate_profile(repository)
        if profile is not None:
            budgets[host] = Budget(profile.requests, profile.window, profile.heads_are_free)
    return budgets
