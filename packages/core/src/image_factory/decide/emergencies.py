"""Decide what an emergency order starts: which images are rebuilt at once, with what, and which cannot be. Pure.

An emergency passes the delay, the window, the limit of concurrent rebuilds, backoff, quarantine and freezes.
It passes no hold, and no gate: what it builds reaches consumers as any other build does. It takes the
newest digest that was seen and that is neither held nor affected; of other bases it takes nothing new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from image_factory.decide.absorption import absorbed_digest, built_in
from image_factory.decide.affected import (
    Affected,
    DigestRange,
    affected_by_base,
    find_base,
    history_of,
    parse_range,
)
from image_factory.decide.eligibility import Reason
from image_factory.decide.holds import Holds, active_holds, short
from image_factory.decide.orders import Order
from image_factory.decide.rebuilds import Facts
from image_factory.errors import NotFound, UserError, VerificationError
from image_factory.model.enrollment import Criticality, Kind
from image_factory.model.image_state import BaseState, ImageState
from image_factory.model.request import PinnedDigest, RebuildCause, RebuildRequest, RequestStatus

_RANK = {Criticality.CRITICAL: 0, Criticality.HIGH: 1, Criticality.NORMAL: 2, Criticality.LOW: 3}


@dataclass(frozen=True, slots=True)
class EmergencyPlan:
    """What becomes of each image that an order concerns."""

    affected: tuple[str, ...]
    requests: tuple[RebuildRequest, ...] = ()
    """Those to write, in their order; their `emergency` is still to be set."""
    kept: Mapping[str, str] = field(default_factory=dict)
    """Where nothing is to be done, and why."""
    refused: Mapping[str, VerificationError] = field(default_factory=dict)
    """What cannot be rebuilt, and why."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What else is to be said of an image that is requested."""


def decide_affected(order: Order, facts: Facts) -> Affected:
    """Return the images that `order` concerns, each after those of them that it is built on.

    Raises:
        NotFound, UserError: it names a base, an image or a digest that is not known; or an image nobody builds.
    """
    if order.base is None:
        return _named_images(order, facts)
    base = find_base(order.base, facts.images, facts.bases)
    span = parse_range(order.digest_range, base) if order.digest_range else None
    return affected_by_base(base, span, facts.images, facts.bases, facts.enrollments)


def _named_images(order: Order, facts: Facts) -> Affected:
    for name in order.images:
        enrollment = facts.enrollments.get(name)
        if enrollment is None:
            raise NotFound(f"no image is enrolled as {name[:100]!r}", hint="image-factory status lists all images")
        if enrollment.kind is not Kind.MANAGED:
            raise UserError(f"{name} is not built here: it is external", hint="name what is built on it: --base")
    left = {
        name: set() if (state := facts.images.get(name)) is None else {*built_in(state)} & {*order.images}
        for name in order.images
    }
    ordered: list[str] = []
    while ready := sorted(name for name, parents in left.items() if not parents - {name}):
        ordered += ready
        left = {name: parents - {*ready} for name, parents in left.items() if name not in ready}
    return Affected(tuple(ordered), frozenset(order.images), tuple(sorted(left)))


def decide_emergency(
    order: Order, facts: Facts, affected: Affected, *, now: datetime, new_id: Callable[[str], str]
) -> EmergencyPlan:
    """Return what becomes of each affected image; an order that was seen to already changes nothing.

    Args:
        new_id: makes the id of a request out of an image's name.
    """
    return _Planning(order, facts, affected, now, new_id).plan()


@dataclass(slots=True)
class _Inputs:
    """What one image is to be built with."""

    causes: list[RebuildCause] = field(default_factory=list)
    digests: list[PinnedDigest] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    problems: list[VerificationError] = field(default_factory=list)


@dataclass(slots=True)
class _Planning:
    order: Order
    facts: Facts
    affected: Affected
    now: datetime
    new_id: Callable[[str], str]
    base: BaseState | ImageState | None = None
    span: DigestRange | None = None
    held: Holds = field(init=False)
    requests: dict[str, RebuildRequest] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    refused: dict[str, VerificationError] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    coming: set[str] = field(default_factory=set)
    """Images whose new digest is on its way: what is built on them waits for it."""

    def plan(self) -> EmergencyPlan:
        if self.order.base is not None:
            self.base = find_base(self.order.base, self.facts.images, self.facts.bases)
            if self.order.digest_range:
                self.span = parse_range(self.order.digest_range, self.base)
        self.held = active_holds(self.facts.holds, self.now)
        for name in self.affected.circular:
            self.refused[name] = VerificationError(
                "it is part of, or built on, a circle of images", hint="image-factory graph shows it"
            )
        for name in self.affected.images:
            self._place(name)
        ordered = self._prioritized()
        concerned = (*self.affected.images, *self.affected.circular)
        return EmergencyPlan(concerned, ordered, self.kept, self.refused, self.notes)

    # --- one image -----------------------------------------------------------------------------------

    def _place(self, name: str) -> None:
        state = self.facts.images.get(name)
        hold = self.held.image(name)
        if hold is not None:
            self.refused[name] = VerificationError(
                hold.because,
                hint=f"an emergency passes no hold; end it: image-factory hold {name} --release",
            )
            return
        if state is None:
            self.refused[name] = VerificationError(
                "it is not analyzed yet", hint=f"image-factory analyze --image {name}"
            )
            return
        known = self.facts.requests.get(name)
        inputs = self._inputs(state, known)
        if known is not None and known.status.is_under_way:
            self._under_way(name, known, inputs)
        elif not inputs.causes and not inputs.waits and not self.order.anyway and not self._is_named_anew(state, known):
            self._nothing_new(state, known, inputs)
        else:
            self._request(state, known, inputs)

    def _is_named_anew(self, state: ImageState, known: RebuildRequest | None) -> bool:
        """Whether the image itself was ordered: its fix may be in what no base brings."""
        return self.order.base is None and not self._was_seen_to(state, known)

    def _was_seen_to(self, state: ImageState, known: RebuildRequest | None) -> bool:
        cve = self.order.cve
        if known is not None and known.emergency is not None and known.emergency.cve == cve:
            return known.status is RequestStatus.SUCCEEDED
        return any(build.cve == cve and build.result == "succeeded" for build in state.history.rebuild_history)

    def _nothing_new(self, state: ImageState, known: RebuildRequest | None, inputs: _Inputs) -> None:
        name = state.name
        if known is not None and known.status.is_open and known.emergency is not None:
            self.kept[name] = f"requested already ({known.request_id})"
            self.coming.add(name)
        elif self._was_seen_to(state, known):
            self.kept[name] = f"rebuilt for {self.order.cve} already"
        elif inputs.problems:
            self.refused[name] = inputs.problems[0]
        else:
            self.refused[name] = VerificationError(
                "nothing that it is built on is newer than what it holds", hint=_ANYWAY
            )

    def _under_way(self, name: str, known: RebuildRequest, inputs: _Inputs) -> None:
        takes = {(cause.base, cause.to) for cause in known.causes}
        lacks = [cause.base for cause in inputs.causes if (cause.base, cause.to) not in takes]
        lacks += inputs.waits
        if not lacks and not inputs.problems:
            self.kept[name] = f"its rebuild is under way already ({known.request_id})"
            self.coming.add(name)
            return
        what = ", ".join(lacks) or "the fix"
        self.refused[name] = VerificationError(
            f"a rebuild of it is under way ({known.request_id}) that does not take in {what}",
            hint="give the same order again when it has ended",
        )

    def _request(self, state: ImageState, known: RebuildRequest | None, inputs: _Inputs) -> None:
        name = state.name
        digests, waits = in_order(state, inputs.digests), tuple(sorted(inputs.waits))
        was_open = known if known is not None and known.status.is_open else None
        is_same = was_open is not None and (was_open.digests, was_open.waits_for) == (digests, waits)
        if was_open is not None and is_same and was_open.emergency is not None:
            self.kept[name] = f"requested already ({was_open.request_id})"
            self.coming.add(name)
            return
        # An attempt that came to nothing we know of may have started all the same: its id finds it again.
        keeps_id = was_open is not None and is_same and was_open.dispatch is not None
        enrollment = self.facts.enrollments[name]
        self.requests[name] = RebuildRequest(
            name=name,
            request_id=was_open.request_id if was_open is not None and keeps_id else self.new_id(name),
            status=RequestStatus.REQUESTED,
            requested_at=self.now,
            reason=str(Reason.EMERGENCY),
            triggered_by="emergency",
            causes=tuple(inputs.causes),
            digests=digests,
            waits_for=waits,
            wave=self._wave(waits),
            version_bump="patch" if was_open is None else was_open.version_bump,
            dispatch=was_open.dispatch.model_copy(update={"not_before": None})
            if was_open is not None and was_open.dispatch is not None and keeps_id
            else None,
            approved_at=None if enrollment.auto_rebuild else self.now,
        )
        self.coming.add(name)
        if was_open is not None:
            self.notes[name] = f"takes the place of {was_open.request_id}" if not keeps_id else "was requested already"
        elif inputs.problems:
            self.notes[name] = inputs.problems[0].message

    def _wave(self, waits: Sequence[str]) -> int:
        waves = [self.requests[parent].wave for parent in waits if parent in self.requests]
        return max(waves, default=-1) + 1 if waits else 0

    # --- what it is built with -------------------------------------------------------------------------

    def _inputs(self, image: ImageState, known: RebuildRequest | None) -> _Inputs:
        inputs = _Inputs()
        chosen = {}
        if known is not None and known.status.is_open:
            chosen = {cause.base: cause for cause in known.causes if cause.to not in self.held.digests}
        for name in built_in(image):
            part = self.facts.images.get(name) or self.facts.bases.get(name)
            if part is None:
                continue
            holds = absorbed_digest(image, part)
            digest = holds
            if name in self.coming:
                if pins_of(image, part, "sha256:0"):
                    inputs.waits.append(name)
                    continue
                inputs.problems.append(_pinned(name))
            elif self._is_meant(name):
                digest = self._newest(image, part, holds, inputs)
            elif name in self.refused:
                inputs.problems.append(
                    VerificationError(
                        f"it is built on {name}, which is not rebuilt: {self.refused[name].message}",
                        hint=f"see to {name} first",
                    )
                )
            elif isinstance(part, ImageState) and name in self.affected.reach:
                digest = part.runtime.current_digest or holds
            elif name in chosen:
                digest = chosen[name].to
            pins = pins_of(image, part, digest)
            inputs.digests += pins
            if digest is not None and digest != holds and pins:
                seen = _seen_at(part, digest)
                inputs.causes.append(RebuildCause(base=name, from_digest=holds, to=digest, seen_at=seen))
        return inputs

    def _is_meant(self, name: str) -> bool:
        """Whether the order asks for a newer digest of `name`."""
        if self.base is not None:
            return name == self.base.name
        return name not in self.affected.reach

    def _newest(
        self, image: ImageState, part: BaseState | ImageState, holds: str | None, inputs: _Inputs
    ) -> str | None:
        """Return the newest digest that is neither held nor affected, else the one that the image holds."""
        history = history_of(part)
        if self.span is not None:
            start = self.span.end + 1
        else:
            # Whatever it holds is affected, for all that is known.
            start = len(history) - history[::-1].index(holds) if holds in history else 0
        newer = history[start:]
        affected = self.span.digests if self.span is not None else frozenset()
        free = [digest for digest in newer if digest not in self.held.digests and digest not in affected]
        if not pins_of(image, part, "sha256:0"):
            inputs.problems.append(_pinned(part.name))
            return holds
        if free:
            return free[-1]
        hold = self.held.digest(newer[-1], part.name) if newer else None
        if hold is not None:
            inputs.problems.append(
                VerificationError(
                    hold.because,
                    hint=f"an emergency passes no hold; end it: image-factory hold {short(newer[-1])} --release",
                )
            )
            return holds
        inputs.problems.append(VerificationError(f"no fixed digest of {part.name} was seen yet", hint=_ANYWAY))
        return holds

    # --- all of them -------------------------------------------------------------------------------------

    def _prioritized(self) -> tuple[RebuildRequest, ...]:
        """Return the requests, the most critical first and what they wait for before them."""
        rank = {name: _RANK[self.facts.enrollments[name].criticality] for name in self.requests}
        for name in reversed([name for name in self.affected.images if name in self.requests]):
            # What something critical waits for is as critical.
            for parent in self.requests[name].waits_for:
                if parent in rank:
                    rank[parent] = min(rank[parent], rank[name])
        ordered = sorted(self.requests.values(), key=lambda one: (rank[one.name], one.wave, one.name))
        # Below zero: before all that policy requests.
        return tuple(
            request.model_copy(update={"priority": place - len(ordered)}) for place, request in enumerate(ordered)
        )


_ANYWAY = "--rebuild-anyway builds it with what it holds, such as where the Dockerfile itself brings the fix"


def pins_of(image: ImageState, part: BaseState | ImageState, digest: str | None) -> list[PinnedDigest]:
    """Return the references of `image` to `part`, each with the digest to build it with; none that holds one itself."""
    if digest is None:
        return []
    sites = [site for site in image.configuration.references if site.name == part.name]
    if not sites and isinstance(part, BaseState) and not part.configuration.pinned:
        return [PinnedDigest(reference=part.configuration.full_image, digest=digest)]
    return [
        PinnedDigest(reference=site.reference, digest=digest, role=site.role)
        for site in sites
        if site.reachable and "@" not in site.reference
    ]


def in_order(image: ImageState, pins: Iterable[PinnedDigest]) -> tuple[PinnedDigest, ...]:
    """Return one pin for each reference and role, in the order of the Dockerfile."""
    place = {site.reference: index for index, site in reversed([*enumerate(image.configuration.references)])}
    found = {(pin.reference, pin.role): pin for pin in pins}
    return tuple(sorted(found.values(), key=lambda pin: (place.get(pin.reference, len(place)), pin.reference)))


def _seen_at(part: BaseState | ImageState, digest: str) -> datetime | None:
    return next((one.at for one in reversed(part.history.update_history) if one.new_digest == digest), None)


def _pinned(name: str) -> VerificationError:
    return VerificationError(
        f"its Dockerfile names {name} by digest", hint="no rebuild changes that: change the Dockerfile"
    )
