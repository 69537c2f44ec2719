"""A Warehouse for each image that can be watched, and the reason for each that cannot. Pure.

A tag that moves is watched by its digest: one request a look, and no list of tags. Each Warehouse watches
one image, since Kargo fails a whole Warehouse where one of its repositories fails; a managed image's watches
its source and its enrollment too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from image_factory.decide.semver import SemanticVersion
from image_factory.errors import InvalidReference, UnknownPlugin, UserError
from image_factory.model.enrollment import SelectionStrategy
from image_factory.model.settings import KargoSettings
from image_factory.oci.reference import DEFAULT_TAG, Repository
from image_factory.usecases.outcome import Failed, Skipped
from image_factory_synth.data import ANY_TAG, Inventory, ManagedImage, Role, WatchedImage
from image_factory_synth.fields import Document, RefusedByKargo
from image_factory_synth.names import warehouse_name
from image_factory_synth.records import (
    MANAGED_BY,
    PULL_SECRET_ANNOTATION,
    ROLE_LABEL,
    FreightCreationPolicy,
    GitSubscription,
    ImageSubscription,
    ObjectMeta,
    Subscription,
    Warehouse,
    WarehouseSpec,
)
from image_factory_synth.schedule import DAY, PUBLIC_FLOORS, Check, stagger
from image_factory_synth.versions import KargoVersion

if TYPE_CHECKING:
    from image_factory_synth.sources import SourceWatch
    from image_factory_synth.stages import Stages

SEVERAL = 5
"""Tags that a Warehouse keeps in view where it compares tags; a Digest Warehouse sees one."""
_RELEASED = ">=0.0.0"
_WITH_PRERELEASES = ">=0.0.0-0"
"""Ranges that never change, since each change of a spec makes Kargo look again at once."""
_LITERAL = re.compile(r"\^((?:[A-Za-z0-9_-]|\\[.-])+)\$\Z")


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was done otherwise than asked for, and why."""

    item: str
    message: str


@dataclass(frozen=True, slots=True)
class Planned:
    """What became of an inventory."""

    warehouses: tuple[tuple[str, Document], ...]
    """By image name, in the order of the inventory."""
    checks: tuple[Check, ...]
    intervals: Mapping[str, timedelta]
    repositories: Mapping[str, Repository]
    """One of each registry that is looked at, so that its plugin can be asked about it."""
    outcomes: tuple[Failed | Skipped, ...]
    """Images that should have a Warehouse and have none, and why."""
    pinned: tuple[str, ...]
    """Base images named by digest alone: nothing of them moves, so nothing is watched."""
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class _Watch:
    """One image's subscription, and how it is looked at."""

    role: Role
    subscription: ImageSubscription
    repository: Repository
    check: Check
    image: ManagedImage | WatchedImage


def plan_warehouses(
    inventory: Inventory,
    settings: KargoSettings,
    version: KargoVersion,
    ready: Callable[[str, tuple[Document, ...]], None] = lambda *_: None,
    stages: Stages | None = None,
    sources: SourceWatch | None = None,
    others: Sequence[Check] = (),
) -> Planned:
    """Return a Warehouse for every managed image, and for every other that has repoURL and allowTags.

    Args:
        ready: is given each Warehouse and what stands beside it as soon as they are made, with the image's name:
            first those for which no plugin is asked, which may take a while to load.
        stages: makes what stands beside a Warehouse.
        sources: tells what is watched of a managed image's source.
        others: Warehouses that are there already, which the intervals are to keep apart from; their own are told, too.
    """
    notes: list[Note] = []
    outcomes: list[Failed | Skipped] = []
    watches: list[_Watch] = []
    if settings.base_interval < DAY:
        notes.append(Note("kargo.baseInterval", "base and external images are looked at once a day, not more often"))
    images: tuple[ManagedImage | WatchedImage, ...] = (*inventory.managed, *inventory.watched)
    pinned = tuple(image.name for image in inventory.watched if image.pinned)
    for image in images:
        if image.name in pinned:
            continue
        try:
            missing = _missing(image)
            if missing is not None:
                outcomes.append(missing)
            else:
                watches.append(_watch(image, settings, notes))
        except UserError as error:
            outcomes.append(Failed(image.name, _named(image.name, error)))
    intervals = stagger((*others, *(watch.check for watch in watches)))
    written: dict[str, Document] = {}
    failed: dict[str, Failed] = {}
    for watch in sorted(watches, key=_needs_plugins):
        name = watch.check.name
        try:
            enrolled = _enrolled(watch.image)
            git = () if sources is None else _git(enrolled, sources, notes)
            document = _warehouse(watch, git, intervals[name], settings).document(version)
            beside = _beside(stages, enrolled, watch.subscription.repo_url, notes)
        except UserError as error:
            failed[name] = Failed(name, _named(name, error))
        else:
            written[name] = document
            ready(name, (document, *beside))
    done = [watch for watch in watches if watch.check.name in written]
    return Planned(
        tuple((watch.check.name, written[watch.check.name]) for watch in done),
        tuple(watch.check for watch in done),
        intervals,
        {watch.check.registry: watch.repository for watch in reversed(done)},
        (*outcomes, *(failed[watch.check.name] for watch in watches if watch.check.name in failed)),
        pinned,
        tuple(notes),
    )


def _needs_plugins(watch: _Watch) -> bool:
    return isinstance(watch.image, ManagedImage) and watch.image.source is not None


def _enrolled(image: ManagedImage | WatchedImage) -> ManagedImage | WatchedImage:
    """Return a managed image without what was observed of it: of that its Warehouse's image alone follows."""
    return replace(image, current_version=None, known_since=None) if isinstance(image, ManagedImage) else image


def _git(image: ManagedImage | WatchedImage, sources: SourceWatch, notes: list[Note]) -> tuple[GitSubscription, ...]:
    if not isinstance(image, ManagedImage):
        return ()
    try:
        return sources.of(image)
    except UnknownPlugin as error:
        notes.append(Note(image.name, f"its source is not watched: {error.message}"))
        return ()


def _beside(
    stages: Stages | None, image: ManagedImage | WatchedImage, repo_url: str, notes: list[Note]
) -> tuple[Document, ...]:
    if stages is None:
        return ()
    return stages.beside(image, repo_url, lambda message: notes.append(Note(image.name, message)))


def _missing(image: ManagedImage | WatchedImage) -> Skipped | None:
    if isinstance(image, ManagedImage):
        return None
    missing = [key for key, value in (("repoURL", image.repo_url), ("allowTags", image.allow_tags)) if not value]
    return Skipped(image.name, f"no {' and no '.join(missing)}: it gets no Warehouse") if missing else None


def _named(name: str, error: UserError) -> UserError:
    return (
        type(error)(f"{name}: {error.message}", hint=error.hint)
        if not isinstance(error, RefusedByKargo)
        else (RefusedByKargo(f"{name}: {error.field}: {error.message}", field=error.field, hint=error.hint))
    )


def _watch(image: ManagedImage | WatchedImage, settings: KargoSettings, notes: list[Note]) -> _Watch:
    try:
        repository = Repository.parse(image.repo_url or "")
    except InvalidReference as error:
        raise RefusedByKargo(error.message, field="repoURL", hint=error.hint) from error
    if isinstance(image, ManagedImage):
        role = Role.MANAGED
        subscription = _managed_subscription(image)
        interval = max(settings.managed_interval, PUBLIC_FLOORS.get(repository.registry, timedelta()))
    else:
        role = image.role
        subscription = _watched_subscription(image, notes)
        interval = max(settings.base_interval, DAY)
    # One GET of the manifest; strategies that compare tags list them first, and get each that they keep.
    requests = 1 if subscription.image_selection_strategy is SelectionStrategy.DIGEST else 1 + SEVERAL
    check = Check(
        name=image.name,
        registry=repository.registry,
        interval=interval,
        requests=requests,
        known_since=image.known_since,
    )
    return _Watch(role, subscription, repository, check, image)


def _managed_subscription(image: ManagedImage) -> ImageSubscription:
    """Return what to watch of a published image: its versions once there are any, else what `latest` is.

    The Warehouse keeps its name and its repository through the change, and so its Freight.
    """
    if image.strategy is not None or image.tag or image.constraint:
        return _subscription(image, image.strategy or _implied(image))
    version = SemanticVersion.parse(image.current_version or "")
    if version is None:
        return _subscription(replace(image, tag=DEFAULT_TAG), SelectionStrategy.DIGEST)
    constraint = _WITH_PRERELEASES if version.prerelease else _RELEASED
    subscription = _subscription(replace(image, constraint=constraint), SelectionStrategy.SEMVER)
    # Kargo passes over 1.27 and 22 unless told otherwise, and finds nothing in a repository of such tags.
    full = image.current_version is not None and image.current_version.split("-")[0].split("+")[0].count(".") == 2
    return subscription if full else replace(subscription, strict_semvers=False)


def _watched_subscription(image: WatchedImage, notes: list[Note]) -> ImageSubscription:
    strategy = image.strategy or _implied(image)
    if strategy is SelectionStrategy.DIGEST and not (image.tag or _literal(image.allow_tags)):
        notes.append(
            Note(
                image.name, f"Digest watches one tag and allowTags {image.allow_tags!r} names several: Lexical instead"
            )
        )
        strategy = SelectionStrategy.LEXICAL
    return _subscription(image, strategy)


def _implied(image: ManagedImage | WatchedImage) -> SelectionStrategy:
    """Return the strategy that what is given implies: one tag Digest, a range SemVer, else Lexical."""
    if image.tag:
        return SelectionStrategy.DIGEST
    if image.constraint:
        return SelectionStrategy.SEMVER
    return SelectionStrategy.DIGEST if _literal(image.allow_tags) else SelectionStrategy.LEXICAL


def _subscription(image: ManagedImage | WatchedImage, strategy: SelectionStrategy) -> ImageSubscription:
    repo_url = image.repo_url or ""
    if strategy is SelectionStrategy.DIGEST:
        tag = image.tag or _literal(image.allow_tags) or DEFAULT_TAG
        return ImageSubscription(
            repo_url=repo_url, image_selection_strategy=strategy, constraint=tag, discovery_limit=1
        )
    allowed = (image.allow_tags,) if image.allow_tags and image.allow_tags != ANY_TAG else ()
    return ImageSubscription(
        repo_url=repo_url,
        image_selection_strategy=strategy,
        constraint=image.constraint if strategy is SelectionStrategy.SEMVER else None,
        allow_tags_regexes=allowed,
        discovery_limit=SEVERAL,
    )


def _literal(pattern: str | None) -> str | None:
    """Return the one tag that an anchored, escaped pattern matches, or None where it may match others."""
    found = _LITERAL.match(pattern or "")
    return None if found is None else found[1].replace("\\", "")


def _warehouse(
    watch: _Watch, git: tuple[GitSubscription, ...], interval: timedelta, settings: KargoSettings
) -> Warehouse:
    pull_secret = settings.registry_credentials.get(watch.repository.registry)
    return Warehouse(
        metadata=ObjectMeta(
            name=warehouse_name(watch.check.name),
            namespace=settings.namespace,
            labels={**MANAGED_BY, ROLE_LABEL: watch.role.value},
            annotations=None if pull_secret is None else {PULL_SECRET_ANNOTATION: pull_secret},
        ),
        spec=WarehouseSpec(
            interval=interval,
            freight_creation_policy=FreightCreationPolicy.AUTOMATIC,
            subscriptions=(
                Subscription(image=watch.subscription),
                *(Subscription(git=each) for each in git),
            ),
        ),
    )
