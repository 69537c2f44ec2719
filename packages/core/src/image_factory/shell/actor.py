"""Who gives an order here, as far as the machine can tell: a name for people to read, and no proof. I/O."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from pathlib import Path

from image_factory.model.event import one_line
from image_factory.shell.git_program import Git

_OF_CI = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN")
MAX_NAME = 100
"""Characters of a name that are kept."""


def find_actor(environ: Mapping[str, str], folder: Path) -> str | None:
    """Return who gives an order: the CI's user, else git's in `folder`, else the login name, else None."""
    for variable in _OF_CI:
        if environ.get(variable, "").strip():
            return _name(environ[variable])
    configured = Git(folder).attempt("config", "--get", "user.name")
    if configured.is_ok and configured.text().strip():
        return _name(configured.text())
    try:
        return _name(getpass.getuser())
    except (OSError, KeyError):
        return None


def _name(text: str) -> str:
    return one_line(text)[:MAX_NAME]
