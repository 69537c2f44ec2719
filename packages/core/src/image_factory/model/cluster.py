"""Settings of what stands around Kargo's resources: Secrets, and what brings them. Pure.

A Secret is only ever named here; what it holds never passes through this program's files.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from image_factory.model.enrollment import Label, Record
from image_factory.model.field_types import matching

SecretKeyName = Annotated[
    str,
    AfterValidator(
        matching(re.compile(r"[A-Za-z0-9._-]{1,253}\Z"), "a key of a Secret", "write letters, digits and - _ .")
    ),
    WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z0-9._-]{1,253}$"}),
]
"""A key of a Secret's data, as Kubernetes takes it."""
Environment = Annotated[
    str,
    AfterValidator(
        matching(
            re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z"),
            "a variable",
            "write letters, digits and _, such as GITHUB_TOKEN",
        )
    ),
]
"""The name of a variable of a container's environment."""


class SecretSettings(Record):
    """One key of a Secret in the Project's namespace."""

    secret: Label = Field(examples=["github-credentials"])
    """The Secret's name."""
    key: SecretKeyName = Field(default="password", examples=["password"])
    """The key in it."""
