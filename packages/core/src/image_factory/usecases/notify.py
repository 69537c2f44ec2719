"""Deliver events through every notifier; a delivery that fails stops neither the work nor the others.

What may succeed later is tried again, with backoff and never before a service's `Retry-After`,
within a budget for each notifier. A delivery whose answer was lost is made again: rather two
notices than none.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from image_factory.decide.notices import decide_batch
from image_factory.errors import ImageFactoryError, PluginError, RateLimited, RemoteError
from image_factory.model.event import Event
from image_factory.ports import Clock, Notifier
from image_factory.usecases.workbench import Workbench

log = logging.getLogger("image_factory.notify")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long one notifier is tried."""

    attempts: int = 4
    first_wait: timedelta = timedelta(seconds=1)
    """Doubled with each attempt."""
    budget: timedelta = timedelta(minutes=1)
    """All waiting for one notifier together; a wait that goes beyond it is not begun."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a batch at one notifier."""

    notifier: str
    events: int
    attempts: int
    error: ImageFactoryError | None = None
    """Why it did not arrive; None where it did."""


def notify(
    bench: Workbench,
    events: Iterable[Event],
    *,
    patience: Patience | None = None,
    randomness: Callable[[], float] = random.random,
) -> tuple[Delivery, ...]:
    """Deliver `events` as one batch through every notifier that is set up, and return what became of it.

    Raises nothing: a failure is logged and returned. Without events, or without notifiers, nothing
    is sent.

    Args:
        bench: the plugins, and the clock that waits.
        events: in any order; equal ones are told once.
        patience: how often and how long is tried.
        randomness: a number from 0 up to 1, for the jitter of waits.
    """
    batch = decide_batch(events)
    if not batch:
        return ()
    try:
        # Plugins may register no sooner than their port is looked at.
        plugins, notifiers = bench.plugins, sorted(bench.plugins.notifiers.items())
    except ImageFactoryError as error:
        log.error("no notices: %s", error, extra={"image": None, "op": "notify", "input": None, "hint": error.hint})
        return ()
    deliveries = []
    for name, notifier in notifiers:
        plugin = plugins.origins.get(("notifier", name), name)
        attempts, failure = _deliver(notifier, plugin, batch, bench.clock, patience or Patience(), randomness)
        deliveries.append(Delivery(name, len(batch), attempts, failure))
        fields = {
            "image": None,
            "op": "notify",
            "input": name,
            "notifier": name,
            "events": len(batch),
            "attempts": attempts,
        }
        if failure is None:
            log.info("notices delivered", extra=fields)
        else:
            log.error("notices were not delivered: %s", failure, extra={**fields, "hint": failure.hint})
    return tuple(deliveries)


def _deliver(
    notifier: Notifier,
    plugin: str,
    batch: tuple[Event, ...],
    clock: Clock,
    patience: Patience,
    randomness: Callable[[], float],
) -> tuple[int, ImageFactoryError | None]:
    """Return how often was tried, and the error that the last try ended with."""
    waited = timedelta()
    for attempt in range(1, patience.attempts + 1):
        try:
            notifier.deliver(batch)
            return attempt, None
        except ImageFactoryError as error:
            if not isinstance(error, RemoteError) or not error.transient or attempt == patience.attempts:
                return attempt, error
            wait = _wait(error, attempt, patience, randomness)
            if waited + wait > patience.budget:
                return attempt, error
            waited += wait
            clock.sleep(wait)
        except (Exception, SystemExit) as error:  # noqa: BLE001  (a plugin's defect stays the plugin's)
            # Its text may hold what was to be sent where, a secret address included.
            return attempt, PluginError(
                f"plugin {plugin!r} failed in deliver: {type(error).__name__}",
                hint="report it to the plugin's author, or list it under disabledPlugins in config.yaml",
            )
    raise AssertionError("the last attempt returns")  # pragma: no cover


def _wait(error: RemoteError, attempt: int, patience: Patience, randomness: Callable[[], float]) -> timedelta:
    asked = error.retry_after if isinstance(error, RateLimited) else None
    backoff: timedelta = patience.first_wait * 2 ** (attempt - 1)
    if asked is None:
        return backoff * (0.5 + randomness() / 2)
    # Never before what was asked, and not all clients at the same instant after it.
    return asked + patience.first_wait * randomness()
