"""Hooks: the only names that pluggy knows, and so the whole plugin surface.

A hook is how a plugin introduces itself, once, before its first use; what it can do afterwards is a Protocol
in `image_factory.ports`. Every hook here answers: when is it called, how many may answer, what may
it raise, who uses it. pluggy passes only the arguments that an implementation names.
"""

from __future__ import annotations

from collections.abc import Callable

import pluggy

from image_factory.model.settings import Settings
from image_factory.oci.reference import Repository
from image_factory.ports import (
    BuildTrigger,
    Clock,
    Credentials,
    FileUpdater,
    Http,
    Notifier,
    Registry,
    Source,
    TagStrategy,
)

PROJECT = "image_factory"
"""pluggy's project name, and the entry-point group."""

API_VERSION = 1
"""Raised when a change breaks plugins; a plugin may say which it was written for as `image_factory_api`."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

# --- registration ---------------------------------------------------------------------------------


@hookspec
def register_registries(
    register: Callable[[Registry], None],
    settings: Settings,
    http: Http,
    clock: Clock,
    credentials: Callable[[Repository], Credentials | None],
) -> None:
    """Introduce registries by calling `register` with each.

    `credentials` asks the `credentials_for` hook; call it when a registry wants authentication, not before.

    Called once, before the first use; all plugins answer. Whatever it raises stops the command with an
    error that names the plugin. Used by oci (built in), ghcr, dockerhub.
    """


@hookspec
def register_sources(register: Callable[[Source], None], settings: Settings, http: Http, clock: Clock) -> None:
    """Introduce sources of Dockerfiles by calling `register` with each.

    Called once, before the first use; all plugins answer. Whatever it raises stops the command with an
    error that names the plugin. Used by git (built in), github, gitlab.
    """


@hookspec
def register_build_triggers(
    register: Callable[[BuildTrigger], None], settings: Settings, http: Http, clock: Clock
) -> None:
    """Introduce ways to start a build by calling `register` with each.

    Called once, before the first use; all plugins answer. Whatever it raises stops the command with an
    error that names the plugin. Used by github, gitlab.
    """


@hookspec
def register_tag_strategies(register: Callable[[TagStrategy], None]) -> None:
    """Introduce strategies that choose among tags by calling `register` with each.

    Called once, before the first use; all plugins answer. Whatever it raises stops the command with an
    error that names the plugin. Used by the built-in digest, semver, newest-build and lexical.
    """


@hookspec
def register_file_updaters(register: Callable[[FileUpdater], None]) -> None:
    """Introduce ways to find and replace image references in files by calling `register` with each.

    Called once, before the first use; all plugins answer. Whatever it raises stops the command with an
    error that names the plugin. Used by kustomize, yaml, helm.
    """


@hookspec
def register_notifiers(register: Callable[[Notifier], None], settings: Settings, http: Http, clock: Clock) -> None:
    """Introduce notifiers by calling `register` with each that is set up.

    Called once, before the first use; all plugins answer. Whatever it raises stops the command with an
    error that names the plugin. Used by slack, email.
    """


# --- work: credentials --------------------------------------------------------------------------------


@hookspec(firstresult=True)
def credentials_for(repository: Repository, settings: Settings) -> Credentials | None:
    """Return the credentials for a registry's repository, or None to let the next plugin answer.

    Called once a repository, when a registry first asks for authentication; stops at the first
    result that is not None. Errors of `image_factory.errors` fail that one image. Used by docker (built
    in), which reads Docker's config.json and its credential helpers.
    """
