"""Name base images: short familiar names that are safe as file names and as Kubernetes names.

A name once given is kept for ever. A new reference gets its familiar name, or, where that is taken
or longer than 63 characters, the same name with 8 hex digits of the canonical reference's hash.
Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping

from image_factory.model.enrollment import MAX_LABEL
from image_factory.oci.reference import Reference

_UNSAFE = re.compile(r"[^a-z0-9]+")
_HASH_DIGITS = 8


def familiar_name(canonical: str) -> str:
    """Return the name that people expect: `docker.io/library/node:22-bookworm-slim` is `node-22-bookworm-slim`.

    It may be taken by another reference, and be longer than a label: `assign_names` sees to both.
    """
    reference = Reference.parse(canonical)
    parts = [reference.repository.familiar]
    if reference.tag is not None:
        parts.append(reference.tag)
    elif reference.digest is not None:
        parts.append(f"{reference.digest.algorithm}-{reference.digest.hex[:12]}")
    return _UNSAFE.sub("-", "-".join(parts).lower()).strip("-")


def assign_names(references: Iterable[str], known: Mapping[str, str], reserved: Collection[str] = ()) -> dict[str, str]:
    """Return a name for each canonical reference, no two the same.

    Args:
        references: canonical references.
        known: names given earlier, by canonical reference; they are kept.
        reserved: names that no base image may get, such as those of enrolled images.
    """
    taken = set(known.values()) | set(reserved)
    names: dict[str, str] = {}
    # In sorted order, so that the same set is named the same way whatever order it comes in.
    for canonical in sorted(set(references)):
        if canonical in known:
            names[canonical] = known[canonical]
            continue
        name = familiar_name(canonical)
        if name in taken or len(name) > MAX_LABEL:
            name = _hashed(name, canonical, taken)
        names[canonical] = name
        taken.add(name)
    return names


def _hashed(name: str, canonical: str, taken: Collection[str]) -> str:
    digits = hashlib.sha256(canonical.encode()).hexdigest()
    for length in range(_HASH_DIGITS, len(digits) + 1):
        candidate = f"{name[: MAX_LABEL - length - 1].rstrip('-')}-{digits[:length]}"
        # 8 digits of two references may be the same too; then one of them shows more.
        if candidate not in taken and len(candidate) <= MAX_LABEL:
            return candidate
        if length + 1 >= MAX_LABEL:
            break
    raise AssertionError(f"no free name for {canonical}")
