"""Where the folder lies for those in the cluster who clone it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from image_factory.model.settings import KargoSettings


@dataclass(frozen=True, slots=True)
class StateRepository:
    """Where jobs find the folder."""

    url: str
    branch: str
    path: str
    """The folder's, from the repository's root."""


def state_repository(settings: KargoSettings) -> StateRepository | None:
    """Return where jobs find the folder; None where no setting says so, and then there is nothing for them to do."""
    if settings.state_repository is None:
        return None
    return StateRepository(settings.state_repository, settings.state_branch, settings.state_path)
