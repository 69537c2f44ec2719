"""Predict the cascade of a base that moves, for people and programs: reads, never asks.

Gather: images.yaml, state, requests, holds, policy. Decide: `decide.prediction`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from image_factory.decide.plan import Decision
from image_factory.decide.prediction import Predicted, Prediction, predict
from image_factory.errors import ImageFactoryError
from image_factory.usecases.coordinate import gather_facts
from image_factory.usecases.status import instant
from image_factory.usecases.workbench import Workbench


def predict_cascade(
    bench: Workbench,
    base: str,
    *,
    at: datetime | None = None,
    platforms: Iterable[str] = (),
    duration: timedelta = timedelta(),
) -> tuple[Prediction, tuple[ImageFactoryError, ...]]:
    """Return what would be rebuilt when if `base` moved, and what could not be read for it.

    Args:
        at: when it moves; now where it is not given.
        platforms: the only ones that it moves on; all where none is named.
        duration: how long each build takes.

    Raises:
        NotFound: there is no images.yaml, or no such base.
        UserError: `at` has passed, or the base cannot move so.
        DependencyCycle: what is built on it is built on itself.
    """
    facts, problems = gather_facts(bench)
    now = bench.clock.now().replace(microsecond=0)
    return predict(facts, base, now=now, at=at, platforms=platforms, duration=duration), problems


def prediction_to_json(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as JSON data."""
    return {
        "base": prediction.base,
        "at": instant(prediction.at),
        "builds": len(prediction.builds),
        "waves": [[_to_json(one) for one in wave] for wave in prediction.waves],
        "notRebuilt": [{"image": image, **_left_to_json(why)} for image, why in sorted(prediction.not_rebuilt.items())],
    }


def _to_json(one: Predicted) -> dict[str, Any]:
    return {
        "image": one.image,
        "wave": one.wave,
        "because": list(one.because),
        "eligibleAt": instant(one.eligible_at),
        "windowClosesAt": instant(one.window_closes_at),
        "buildAt": instant(one.build_at),
        "finishedAt": instant(one.finished_at),
    }


def _left_to_json(why: Decision | str) -> dict[str, Any]:
    if isinstance(why, str):
        return {"reason": None, "because": why, "blockedBy": []}
    return {"reason": str(why.reason), "because": why.because, "blockedBy": list(why.blocked_by)}
