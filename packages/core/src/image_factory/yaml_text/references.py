"""What a value says of an image, what it is to say next, and the promotion step that makes it so. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from image_factory.errors import InvalidReference, UserError
from image_factory.model.mention import ImageField, ImageVersion, PromotionStep, Target
from image_factory.oci.reference import MAX_REFERENCE, Digest, Reference, Repository, is_tag
from image_factory.yaml_text.keys import parse_key
from image_factory.yaml_text.nodes import Path, ScalarNode, at_line

_WORDS = re.compile(r"[A-Z]+[0-9]*(?![a-z])|[A-Z]?[a-z0-9]+")
_TAG_WORDS = frozenset({"tag", "version"})
_DIGEST_WORDS = frozenset({"digest", "sha", "sha256"})
YAML_UPDATE = "yaml-update"
"""Kargo's promotion step that sets single values of a YAML file by their keys."""


def is_image_key(path: Path) -> bool:
    """Whether what stands at a path is meant for an image: the last named key is `image`, `initImage`, `images`…"""
    named = next((step for step in reversed(path) if isinstance(step, str)), "")
    return named.lower().endswith(("image", "images"))


def read_reference(path: Path, node: ScalarNode) -> Reference | None:
    """Return the reference that a single value is, or None.

    A value that names its registry's host is one wherever it stands, given a tag or digest. Without a
    host (`acme/web:1`, `redis:6379`) it is one where its key says that it is an image, or by a digest.
    """
    text = node.value.strip() if node.style in ("|", ">") else node.value
    if not text or len(text) > MAX_REFERENCE or not node.is_text:
        return None
    named = is_image_key(path)
    if not named and ":" not in text and "@" not in text:
        return None  # the cheap question first: most values are no references
    try:
        reference = Reference.parse(text)
    except InvalidReference:
        return None
    if named or "@" in text:
        return reference
    has_tag = ":" in text.rpartition("/")[2]
    return reference if has_tag and has_host(text) else None


def has_host(text: str) -> bool:
    """Whether a reference or name, as it is written, names its registry's host."""
    first, slash, _ = text.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def name_of(written: str) -> str:
    """Return what a reference is written with before its tag and digest."""
    name = written.partition("@")[0]
    colon = name.rfind(":")
    return name[:colon] if colon > name.rfind("/") else name


def rewrite(written: str, version: ImageVersion) -> str:
    """Return a reference with the tag, digest or both of `version`, its name as it was written.

    Nothing stays of the old tag and digest: an old digest would hold the old image fast.
    """
    renamed = name_of(written) + suffix(version)
    return written if Reference.parse(renamed) == Reference.parse(written) else renamed


def suffix(version: ImageVersion) -> str:
    """Return `:tag`, `@digest` or both.

    Raises:
        UserError: there is neither, or the tag is none.
    """
    check_version(version)
    return (f":{version.tag}" if version.tag is not None else "") + (f"@{version.digest}" if version.digest else "")


def check_version(version: ImageVersion) -> None:
    """Refuse a version that names nothing, or by what is no tag."""
    if version.tag is None and version.digest is None:
        raise UserError("neither a tag nor a digest to change to", hint="give one of them")
    if version.tag is not None and not is_tag(version.tag):
        raise UserError(
            f"not a tag: {version.tag!r}", hint="letters, digits, _ . - and at most 128, not beginning with . or -"
        )


def field_of(key: str) -> ImageField:
    """Return which part of a version a key holds, by its last name: `image.tag` a tag, `image.digest` a digest.

    A promotion step is rendered before the file is read, so that the name alone can tell.
    """
    named = next((step for step in reversed(parse_key(key)) if not step.isdigit()), "")
    words = [word.lower() for word in _WORDS.findall(named)]
    last = words[-1] if words else ""
    if last in _TAG_WORDS:
        return ImageField.TAG
    return ImageField.DIGEST if last in _DIGEST_WORDS else ImageField.REFERENCE


def value_at(key: str, node: ScalarNode, repository: Repository, version: ImageVersion) -> str:
    """Return what the value at a key is to say.

    Raises:
        UserError: the value names another image, or is not of the kind that the key's name says.
    """
    check_version(version)
    current = node.value.strip()
    wanted = field_of(key)
    if wanted is ImageField.REFERENCE:
        if not current or node.is_null:
            return repository.familiar + suffix(version)
        try:
            reference = Reference.parse(current)
        except InvalidReference:
            reference = None
        if reference is None or reference.repository != repository:
            raise at_line(
                f"{key} does not name {repository}: {current!r}",
                node.line,
                "give the key that names it; one that holds a tag alone is called tag or version, or ends in it",
            )
        return rewrite(current, version)
    if "/" in current:
        raise at_line(
            f"{key} holds {current!r}, and its name says a {wanted}",
            node.line,
            "leave keys out, to change every place that names the image",
        )
    part = version.tag if wanted is ImageField.TAG else version.digest
    if part is None:
        raise at_line(f"{key} holds a {wanted}, and none is given", node.line, f"give a {wanted}, or another key")
    return str(part)


def yaml_update_steps(target: Target) -> Sequence[PromotionStep]:
    """Return the step that sets the target's keys.

    Raises:
        UserError: there are no keys, without which Kargo's step knows nothing to do.
    """
    if not target.keys:
        raise UserError(
            f"no keys to update in {target.path}: Kargo's {YAML_UPDATE} changes single keys",
            hint="list them as keys; image-factory scan PATH finds them",
        )
    updates = [{"key": key, "value": field_of(key)} for key in target.keys]
    return (PromotionStep(YAML_UPDATE, {"path": target.path, "updates": updates}),)


def parse_digest(text: str) -> Digest | None:
    """Return the digest that a value is, or None."""
    try:
        return Digest.parse(text)
    except InvalidReference:
        return None


def parse_repository(text: str) -> Repository | None:
    """Return the repository that a value names, or None."""
    if not text or len(text) > MAX_REFERENCE:
        return None
    try:
        return Repository.parse(text)
    except InvalidReference:
        return None
