"""Every error that Image Factory raises on purpose: one tree, sorted by who acts next.

Each error says what is wrong in its message, what to do next in its hint, and which exit code a
program ends with. Libraries raise these and never exit; a third party's exception never crosses a
port. No message may hold a secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Location:
    """Where in the user's files something is wrong: a file, and a line (from 1) where one is known."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


class ImageFactoryError(Exception):
    """The root of the tree.

    Args:
        message: lower case, no full stop, the offending value shown.
        hint: one line that says what to do next.
        location: the file and line that the message is about.
    """

    exit_code = 1
    usual_hint = ""
    """The hint of an error of this class that is given none."""
    image: str | None = None
    """The image that was asked for, where a command named one."""
    is_logged = False
    """Whether it was logged where it was met, with more fields than can be told later."""

    def __init__(self, message: str, *, hint: str = "", location: Location | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.usual_hint
        self.location = location

    def __str__(self) -> str:
        return self.message if self.location is None else f"{self.location}: {self.message}"


# --- the user acts next ------------------------------------------------------------------------


class UserError(ImageFactoryError):
    """Input or usage is wrong; the user corrects it."""

    exit_code = 2


class InvalidReference(UserError):
    """A text is not an image reference, or not a repository, tag, digest or platform."""


class InvalidEnrollment(UserError):
    """An entry of images.yaml is wrong; the message names the entry and the field."""


class InvalidDockerfile(UserError):
    """A Dockerfile names an image that cannot be told, or would be refused by a build."""


class InvalidSettings(UserError):
    """The settings file, a flag or an environment variable holds a value that cannot be used."""


class InvalidState(UserError):
    """A state file cannot be read as the record that it should hold."""


class UnsupportedVersion(InvalidState):
    """A state file was written by a newer program; it is left as it is."""


class NotFound(UserError):
    """Something that the user named (an image, a file, a folder) does not exist."""


class Conflict(UserError):
    """Two things that must differ are the same, such as two images of one name."""


class UnknownPlugin(UserError):
    """No loaded plugin has the name that an enrollment asks for; the hint names the extra to install."""


class ConflictingClaims(UserError):
    """Two plugins claim the same repository or location; the message names both."""


class UnsafeValue(UserError):
    """A value from an enrollment could escape where it is used: a path, a git option, an expression."""


# --- time acts next ----------------------------------------------------------------------------


class RemoteError(ImageFactoryError):
    """Something outside did not do what was asked. `transient` says whether trying again may help."""

    exit_code = 5
    transient = False


class Unavailable(RemoteError):
    """A service does not answer, or answers 5xx; it may be back later."""

    transient = True


class RateLimited(RemoteError):
    """A service refuses more requests for now.

    Args:
        retry_after: how long it asks to wait, where it says so.
    """

    transient = True

    def __init__(
        self,
        message: str,
        *,
        retry_after: timedelta | None = None,
        hint: str = "",
        location: Location | None = None,
    ) -> None:
        super().__init__(message, hint=hint, location=location)
        self.retry_after = retry_after


class AuthenticationRequired(RemoteError):
    """A service wants credentials, refuses the ones it got, or hides what does not exist (401, 403)."""


class RemoteNotFound(RemoteError):
    """A tag, manifest, repository, branch or file does not exist at its service (404): the user named it."""

    exit_code = UserError.exit_code


class RemoteRefused(RemoteError):
    """A service refuses a request that it understood (409, 422): asking again changes nothing, the user does."""

    exit_code = UserError.exit_code


class ProtocolError(RemoteError):
    """An answer breaks its protocol: HTML for JSON, a wrong digest, an endless body, a foreign link."""

    usual_hint = "check that the address is that of the service; if it is, tell those who run it"


# --- security acts next ------------------------------------------------------------------------


class VerificationError(ImageFactoryError):
    """A policy, a signature or an order that must hold does not hold."""

    exit_code = 4


class DependencyCycle(VerificationError):
    """Managed images are built on each other in a circle.

    Args:
        path: the names along the circle, the first repeated at the end.
    """

    def __init__(self, path: Iterable[str]) -> None:
        self.path = tuple(path)
        super().__init__(
            f"images depend on each other in a cycle: {' -> '.join(self.path)}",
            hint="change one of these Dockerfiles so that it is built on something outside the cycle",
        )


# --- a plugin's author acts next ----------------------------------------------------------------


class PluginError(ImageFactoryError):
    """A plugin broke its contract; the message names the plugin, and the bug is the plugin's."""
