"""The folder that is served: a fresh workbench for each call, one writer at a time, notices after the answer."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from image_factory.builtins import builtin_plugins
from image_factory.errors import ImageFactoryError
from image_factory.model.event import Event
from image_factory.model.metric import Sample
from image_factory.plugins import PluginTable, load_plugins
from image_factory.ports import Clock, Http
from image_factory.shell.settings import load_settings
from image_factory.shell.store import Store
from image_factory.usecases.notify import notify
from image_factory.usecases.workbench import Workbench
from image_factory_server.counts import Counts
from image_factory_server.remembered import RememberedHttp

log = logging.getLogger("image_factory.server")


@dataclass
class Desk:
    """What routes work with.

    Args:
        root: the image-factory folder.
        http: speaks to issuers of tokens (through `issuers`), and to what plugins ask.
        push: whether each commit is pushed.
        environ: where settings and secrets may be; a caller's identity never is.
    """

    root: Path
    http: Http
    clock: Clock
    push: bool = False
    counts: Counts = field(default_factory=Counts)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Held by the call that writes. Other processes are kept apart by the folder's own lock."""

    @cached_property
    def issuers(self) -> Http:
        """What issuers of tokens are asked with."""
        return RememberedHttp(self.http, self.clock)

    @cached_property
    def plugins(self) -> PluginTable:
        """The plugins, loaded when the first call asks for one; config.yaml counts as it was then."""
        settings = load_settings(self.root, self.environ, {})
        return load_plugins(settings, self.http, self.clock, builtins=builtin_plugins(), lazily=True)

    def workbench(self) -> Workbench:
        """Return a workbench on the folder as it is now.

        Raises:
            InvalidSettings: config.yaml holds what cannot be used.
        """
        settings = load_settings(self.root, self.environ, {})
        return Workbench(self.root, settings, Store(self.root, settings), self.clock, lambda: self.plugins)

    def count(self, samples: Iterable[Sample]) -> None:
        """Count what was done; what cannot be counted is logged, and is done all the same."""
        try:
            self.counts.add(samples)
        except ImageFactoryError as error:
            fields = {"image": None, "op": "metrics", "input": None, "hint": error.hint}
            log.error("not counted: %s", error, extra=fields)

    def tell(self, bench: Workbench, events: Sequence[Event]) -> None:
        """Deliver notices; a failure is logged, and changes nothing else."""
        try:
            notify(bench, events)
        except Exception:
            log.exception("notices were not delivered", extra={"image": None, "op": "notify", "input": None})

    def close(self) -> None:
        """Give back what plugins hold."""
        if "plugins" in vars(self):
            self.plugins.close()
