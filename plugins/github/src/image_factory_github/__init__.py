"""GitHub for Image Factory: a source of Dockerfiles and a trigger of builds, on github.com and Enterprise.

Everything heavy (PyGithub, requests) is imported at the first request, and the rest
when it registers, so that loading this is quick.
"""

from __future__ import annotations

from collections.abc import Callable

from image_factory.hookspecs import hookimpl
from image_factory.model.settings import Settings
from image_factory.ports import BuildTrigger, Clock, Source

image_factory_api = 1


@hookimpl
def register_sources(register: Callable[[Source], None], settings: Settings, clock: Clock) -> None:
    """Introduce `github` as a source."""
    from image_factory_github.hosts import Hosts
    from image_factory_github.source import GitHubSource

    register(GitHubSource(Hosts.from_settings(settings), clock))


@hookimpl
def register_build_triggers(register: Callable[[BuildTrigger], None], settings: Settings, clock: Clock) -> None:
    """Introduce `github` as a way to start builds."""
    from image_factory_github.hosts import Hosts
    from image_factory_github.trigger import GitHubTrigger

    register(GitHubTrigger(Hosts.from_settings(settings), clock))
