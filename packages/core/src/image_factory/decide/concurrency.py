"""Decide which of the rebuilds that are due find a place. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from image_factory.model.request import RebuildRequest, RequestStatus


def taken_places(requests: Iterable[RebuildRequest]) -> tuple[str, ...]:
    """Return the images whose requests take a place, sorted: all that are open and wait for no person."""
    return tuple(
        sorted(
            request.name
            for request in requests
            if request.status.is_open and request.status is not RequestStatus.NEEDS_APPROVAL
        )
    )


def without_place(due: Sequence[str], taken: Sequence[str], max_concurrent: int) -> tuple[str, ...]:
    """Return those of `due`, which are in their order, that find no place beside the ones that are taken."""
    return tuple(due[max(0, max_concurrent - len(taken)) :])
