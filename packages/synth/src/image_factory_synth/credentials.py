"""Which Secret holds what, and how stages and jobs take it from there. Pure.

Secrets are named, never written: what they hold reaches the cluster by other ways, so that no file of
ours can leak it. What reads one, Kargo's `secret()` and a container's environment, reads it in the
Project's namespace.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from image_factory.model.cluster import SecretSettings
from image_factory.model.settings import KargoSettings
from image_factory_synth.fields import literal
from image_factory_synth.records import SecretKey

if TYPE_CHECKING:
    from image_factory_synth.job_records import Variable

PASSWORD = "password"  # noqa: S105 - the key of a Secret
"""The key under which Kargo and our jobs find git's password."""
GIT_PASSWORD = "IMAGE_FACTORY_GIT_PASSWORD"  # noqa: S105 - the name of a variable
_MEMBER = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def git_secret(settings: KargoSettings) -> SecretKey:
    """Return where git's password lies."""
    return SecretKey(name=settings.git_credentials, key=PASSWORD)


def secret_of(settings: KargoSettings, provider: str, *, is_trigger_token: bool = False) -> SecretKey:
    """Return where the token lies that starts builds at `provider`, also where no setting says.

    Args:
        is_trigger_token: whether it is of a kind that starts builds and nothing else. Git's password is never one, and
            is not to be sent where one is asked for.
    """
    named = settings.credentials.get(provider)
    if named is not None:
        return _key(named)
    return SecretKey(name=f"{provider}-trigger", key="token") if is_trigger_token else git_secret(settings)


def secret_expression(secret: SecretKey) -> str:
    """Return the expression by which Kargo reads a Secret's key, without the `${{ }}` around it."""
    if _MEMBER.fullmatch(secret.key):
        return f"secret('{secret.name}').{secret.key}"
    # A hyphen would be a subtraction.
    return f"secret('{secret.name}')[{literal(secret.key)}]"


def job_environment(settings: KargoSettings) -> tuple[Variable, ...]:
    """Return the variables that every job gets from Secrets: git's password, then what settings name, sorted."""
    from image_factory_synth.job_records import Variable, VariableSource  # stages need none

    named = {name: _key(secret) for name, secret in sorted(settings.job_environment.items())}
    return tuple(
        Variable(name=name, value_from=VariableSource(secret=secret))
        for name, secret in ({GIT_PASSWORD: git_secret(settings)} | named).items()
    )


def _key(settings: SecretSettings) -> SecretKey:
    return SecretKey(name=settings.secret, key=settings.key)
