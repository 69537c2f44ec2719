"""GitLab for Image Factory: a source of Dockerfiles and a trigger of pipelines, on gitlab.com and self-hosted.

Everything heavy (python-gitlab, requests) is imported at the first request, and the rest
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
    """Introduce `gitlab` as a source."""
    from image_factory_gitlab.hosts import Hosts
    from image_factory_gitlab.source import GitLabSource

    register(GitLabSource(Hosts.from_settings(settings), clock))


@hookimpl
def register_build_triggers(register: Callable[[BuildTrigger], None], settings: Settings, clock: Clock) -> None:
    """Introduce `gitlab` as a way to start builds."""
    from image_factory_gitlab.hosts import Hosts
    from image_factory_gitlab.trigger import GitLabTrigger

    register(GitLabTrigger(Hosts.from_settings(settings), clock))
