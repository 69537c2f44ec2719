"""Look once more at the bases that rebuilds are about to be requested for, where a cluster watches them.

Kargo tells of each digest once: a tag that goes back to what it pointed at before makes no new Freight
(pkg/controller/warehouses/warehouses.go, `AlreadyExists`), so that state still holds the digest that was
withdrawn. One question to a registry for each base that something is due for, and none for all others.
"""

from __future__ import annotations

from collections.abc import Iterable

from image_factory.model.request import RebuildRequest
from image_factory.usecases.observe import Observation, observe
from image_factory.usecases.outcome import Done
from image_factory.usecases.workbench import Workbench


def look_again(bench: Workbench, requests: Iterable[RebuildRequest]) -> Observation | None:
    """Return what has moved of the bases that `requests` are for; None where nothing has, or no registry answers.

    Args:
        requests: not written yet: with what has moved they may not be due.
    """
    known = bench.store.bases().records
    names = sorted({cause.base for request in requests for cause in request.causes if cause.base in known})
    if not names:
        return None
    seen = observe(bench, names)
    return seen if any(isinstance(outcome, Done) for outcome in seen.outcomes) else None
