"""Join what is asked for with what was observed before, and record what is observed now. Pure.

Configuration is the new one; runtime and history are always the old record's. A function that
records an observation returns the very same record where there is nothing new in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, TypeVar

from image_factory.model.enrollment import Kind
from image_factory.model.image_state import (
    MIN_UPDATE_HISTORY,
    BaseConfiguration,
    BaseHistory,
    BaseRuntime,
    BaseState,
    Build,
    DigestUpdate,
    DiscoveryStatus,
    ImageConfiguration,
    ImageHistory,
    ImageRuntime,
    ImageState,
)
from image_factory.oci.reference import DEFAULT_TAG

State = TypeVar("State", ImageState, BaseState)

_WATCHING = ("repo_url", "allow_tags", "image_selection_strategy", "constraint")
_DISCOVERED = ("base_images", "secondary_images", "references")


def merge_image(old: ImageState | None, configuration: ImageConfiguration, *, at: datetime | None = None) -> ImageState:
    """Return the record of an enrolled image: its configuration anew, all else as it was.

    Managed images carry no watching fields; external ones have the discovery status `external`.

    Args:
        old: the record so far, or None for an image that is new.
        configuration: what images.yaml and the Dockerfile say now.
        at: when a new image was enrolled; an old one keeps what it has.
    """
    kind = configuration.enrollment.kind
    if kind is Kind.MANAGED:
        configuration = configuration.model_copy(update=dict.fromkeys(_WATCHING))
    if old is None:
        status = DiscoveryStatus.EXTERNAL if kind is Kind.EXTERNAL else DiscoveryStatus.PENDING
        return ImageState(
            configuration=configuration,
            runtime=ImageRuntime(discovery_status=status),
            history=ImageHistory(enrolled_at=_whole(at)),
        )
    if configuration == old.configuration:
        return old
    return old.model_copy(update={"configuration": configuration})


def keep_discovered(old: ImageState | None, configuration: ImageConfiguration) -> ImageConfiguration:
    """Return `configuration` with the base images found before: for a run in which finding them failed."""
    if old is None:
        return configuration
    return configuration.model_copy(update={name: getattr(old.configuration, name) for name in _DISCOVERED})


def merge_base(old: BaseState | None, configuration: BaseConfiguration, *, at: datetime | None = None) -> BaseState:
    """Return the record of a base image: its configuration anew, all else as it was.

    An image that is pinned carries no watching fields, since nothing about it can move.

    Args:
        old: the record so far, or None for a base that was not known.
        configuration: what the Dockerfiles say now.
        at: when a new base was first found; an old one keeps what it has.
    """
    if configuration.pinned:
        configuration = configuration.model_copy(
            update={"repo_url": None, "allow_tags": None, "image_selection_strategy": None}
        )
    if old is None:
        return BaseState(
            configuration=configuration, runtime=BaseRuntime(), history=BaseHistory(first_discovered=_whole(at))
        )
    if configuration == old.configuration:
        return old
    return old.model_copy(update={"configuration": configuration})


def record_discovery(
    state: ImageState, status: DiscoveryStatus, *, at: datetime, error: str | None = None, learned: bool = False
) -> ImageState:
    """Return `state` with the result of an analysis; the same record where that is the result it has.

    Args:
        status: how it ended.
        at: when.
        error: why it failed.
        learned: whether the analysis changed the configuration, so that the time moves.
    """
    runtime = state.runtime
    if not learned and runtime.discovery_status is status and runtime.discovery_error == error:
        return state
    update = {"discovery_status": status, "discovery_error": error, "last_discovery": _whole(at)}
    return state.model_copy(update={"runtime": runtime.model_copy(update=update)})


def record_build(
    state: ImageState,
    *,
    version: str | None,
    digest: str | None,
    at: datetime,
    metadata: Mapping[str, Any] | None = None,
) -> ImageState:
    """Return `state` with the version and digest of a finished build; the same record where they are its own.

    `latest` is no version, since it stands at each build: what is known of the version stays.

    Args:
        metadata: what the registry tells of the digest; None leaves nothing of an old digest's.
    """
    runtime = state.runtime
    version = runtime.current_version if version in (None, DEFAULT_TAG) else version
    if version == runtime.current_version and digest in (None, runtime.current_digest):
        return state
    update: dict[str, Any] = {"current_version": version, "last_built": _whole(at)}
    history = state.history
    if digest is not None and digest != runtime.current_digest:
        update |= {"current_digest": digest, "previous_digest": runtime.current_digest}
        update["metadata"] = None if metadata is None else dict(metadata)
        # What is built on this image counts the age of its digests from here.
        entry = DigestUpdate(at=_whole(at), old_digest=runtime.current_digest, new_digest=digest, source="build")
        history = history.model_copy(update={"update_history": _thinned((*history.update_history, entry))})
    return state.model_copy(update={"runtime": runtime.model_copy(update=update), "history": history})


def _thinned(updates: tuple[DigestUpdate, ...]) -> tuple[DigestUpdate, ...]:
    """Keep the last ten, and of each earlier day its last: an image built on this one may wait for any to age."""
    earlier = {update.at.date(): update for update in updates[:-MIN_UPDATE_HISTORY]}
    return (*list(earlier.values())[-MAX_DAYS:], *updates[-MIN_UPDATE_HISTORY:])


MAX_DAYS = 100
"""Days of which an image's updateHistory keeps a digest of its own: more than any delay that people set."""


def record_rebuild(state: ImageState, build: Build) -> ImageState:
    """Return `state` with a rebuild in its history; one that is there already, by request id, is replaced."""
    builds = list(state.history.rebuild_history)
    if build in builds:
        return state
    for index, known in enumerate(builds):
        if build.request_id is not None and known.request_id == build.request_id:
            builds[index] = build
            break
    else:
        builds.append(build)
    history = state.history.model_copy(update={"rebuild_history": tuple(builds)})
    return state.model_copy(update={"history": history})


def record_digest(
    state: State,
    digest: str,
    *,
    at: datetime,
    metadata: Mapping[str, Any] | None = None,
    source: str = "registry",
    unabsorbed: Collection[str] = (),
) -> State:
    """Return `state` with a digest that its tag was seen to point at; the same record where it did before.

    A move that is recorded as seen later than now was seen while the clock was wrong: its age counts from
    now, so that a clock put right neither lets a digest pass early nor holds it for longer than policy says.

    Sets currentDigest, previousDigest, lastUpdated (a base's lastChecked too) and metadata, and adds
    to updateHistory, of which the last ten entries stay, and every one that is not yet absorbed.

    Args:
        digest: `algorithm:hex`.
        at: when it was seen; the update's age counts from here.
        metadata: what the registry tells of it; None leaves nothing of the old digest's.
        source: who saw it.
        unabsorbed: digests that some dependent was not yet built with.
    """
    runtime = state.runtime
    seen = _whole(at)
    if digest == runtime.current_digest:
        return _without_future(state, seen)
    platforms = (metadata or {}).get("platforms") or None
    entry = DigestUpdate(
        at=seen, old_digest=runtime.current_digest, new_digest=digest, source=source, platforms=platforms
    )
    state = _without_future(state, seen)
    updates: tuple[DigestUpdate, ...] = (*state.history.update_history, entry)
    kept: tuple[DigestUpdate, ...] = tuple(
        known for known in updates[:-MIN_UPDATE_HISTORY] if known.new_digest in unabsorbed
    )
    update: dict[str, Any] = {
        "current_digest": digest,
        "previous_digest": runtime.current_digest,
        "last_updated": seen,
        "metadata": None if metadata is None else dict(metadata),
    }
    update["problem"] = None
    if isinstance(state, BaseState):
        update["last_checked"] = seen
    # Validated anew, since metadata comes from outside and may hold times.
    changed = type(runtime).model_validate({**dict(runtime), **(runtime.model_extra or {}), **update})
    history = state.history.model_copy(update={"update_history": (*kept, *updates[-MIN_UPDATE_HISTORY:])})
    return state.model_copy(update={"runtime": changed, "history": history})


def _without_future(state: State, now: datetime) -> State:
    updates = state.history.update_history
    if all(update.at <= now for update in updates):
        return state
    put_right = tuple(update if update.at <= now else update.model_copy(update={"at": now}) for update in updates)
    history = state.history.model_copy(update={"update_history": put_right})
    return state.model_copy(update={"history": history})


def record_problem(state: State, problem: str | None, *, at: datetime) -> State:
    """Return `state` with why it cannot be watched just now, or None; the same record where that is so already."""
    if state.runtime.problem == problem:
        return state
    update: dict[str, Any] = {"problem": problem}
    if isinstance(state, BaseState):
        update["last_checked"] = _whole(at)
    return state.model_copy(update={"runtime": state.runtime.model_copy(update=update)})


def _whole(at: Any) -> Any:
    """Cut an instant to whole seconds: more than that says nothing, and makes files noisy."""
    return None if at is None else at.replace(microsecond=0)
