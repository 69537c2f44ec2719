"""The types of single fields that people write: each says what it takes, and refuses what could escape.

A value of images.yaml may not be trusted with the platform (architecture, "Security boundaries"): none
of these can become a git option, a path outside its folder, a second line, a terminal's control
sequence or an expression of Kargo or of a workflow. Messages show the value, hints say what to write. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from image_factory.errors import ImageFactoryError
from image_factory.model.duration import DURATION_PATTERN, format_duration, parse_duration
from image_factory.oci.platform import Platform
from image_factory.oci.reference import DEFAULT_TAG, MAX_TAG, Reference, Repository

MAX_LABEL = 63
"""Characters of a DNS-1123 label (RFC 1123, section 2.1)."""
MAX_TEXT = 4096
"""Characters of a free text. GitHub cuts a repository's description at 350."""
MAX_PATH = 1024
"""Characters of a path or a regular expression; PATH_MAX is 4096 on Linux."""

BY_HAND = {"by_hand": True}
"""The context of validating what a person may have edited, as against what this program made."""

_KNOWN = 32_768
"""Values whose check is remembered: a record of state repeats what its enrollment says."""
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")  # OCI distribution-spec, "Pulling manifests"
_STAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_INPUT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}\Z")
_DECLARED = re.compile(r"([A-Za-z_][A-Za-z0-9_-]{0,99})?\Z")
_WORKFLOW = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,99}\.ya?ml\Z")
_CONSTRAINT = re.compile(r"(?!-)[A-Za-z0-9.*^~<>=!|,+ _-]{1,255}\Z")
# What a shell, an expression or git's revision syntax gives a meaning to (git-check-ref-format, rules 3 to 10).
_NOT_IN_A_REF = re.compile(r"[\s~^:?*\[\\$`;|&<>'\"(){}!]|@\{|//|/\.|\.\.")
_EXPRESSION = re.compile(r"\$\{\{|\$\{%|\{\{|\$\(|`")


def wrong(problem: str, hint: str) -> PydanticCustomError:
    """Return the error of one field: what is wrong with it, and what would be right."""
    return PydanticCustomError("image_factory", "{problem}", {"problem": problem, "hint": hint})


def _shown(value: str) -> str:
    return repr(value if len(value) <= 80 else f"{value[:80]}…")


def _refuse(what: str, value: str, hint: str) -> PydanticCustomError:
    return wrong(f"not {what}: {_shown(value)}", hint)


def is_plain(value: str) -> bool:
    """Whether every character is visible or a space: no control, no bidirectional and no zero-width character."""
    return value.isprintable()


def matching(pattern: re.Pattern[str], what: str, hint: str) -> Callable[[str], str]:
    """Return what accepts a text that `pattern` matches, and refuses any other as not being `what`."""

    def check(value: str) -> str:
        if not pattern.match(value):
            raise _refuse(what, value, hint)
        return value

    return check


def _duration(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return value
    try:
        return parse_duration(str(value))
    except ImageFactoryError as error:
        raise wrong(error.message, error.hint) from error


def _label(value: str) -> str:
    if len(value) > MAX_LABEL or not _DNS_LABEL.match(value):
        raise _refuse("a name", value, f"write at most {MAX_LABEL} lower-case letters, digits and inner hyphens")
    return value


def _git_ref(value: str) -> str:
    """Accept what git-check-ref-format takes, but nothing that git takes for an option or a shell for more."""
    bad = value.startswith(("-", "/", ".")) or value.endswith(("/", ".", ".lock")) or value == "@" or "@{" in value
    if bad or not value or len(value) > 255 or not is_plain(value) or _NOT_IN_A_REF.search(value):
        raise _refuse("a branch", value, "write a branch or tag name such as main or release/1.2")
    return value


@lru_cache(maxsize=_KNOWN)
def _inner_path(value: str) -> str:
    """Accept a relative path that stays inside its folder, and return it without `.` parts and double slashes."""
    hint = "write a path inside the repository, such as apps/web/Dockerfile"
    if not value:
        raise wrong("the path is empty", hint)
    parts = value.split("/")
    escapes = value.startswith(("/", "-", "~")) or ".." in parts
    # A part called .git would be git's own folder in a working tree: a file written there may run as a hook.
    inside_git = any(part.rstrip(". ").lower() in (".git", "git~1") for part in parts)
    if escapes or inside_git or len(value) > MAX_PATH or not is_plain(value):
        raise _refuse("a path inside the repository", value, hint)
    # A colon is git's pathspec magic, git's `revision:path`, and Kargo's `glob:` and `regex:`.
    if re.search(r"[\\:$`]|\{\{", value):
        raise _refuse("a path inside the repository", value, r"write it without \ : $ ` and {{")
    return "/".join(part for part in parts if part not in ("", ".")) or "."


def _plain(value: str) -> str:
    if not is_plain(value) or _EXPRESSION.search(value):
        raise wrong(f"{_shown(value)} holds an expression or an invisible character", "write plain text")
    if len(value) > MAX_TEXT:
        raise wrong(f"longer than {MAX_TEXT} characters", "write less")
    return value


def _text(value: str) -> str:
    """Accept what a person reads: several lines, but no expression, since the catalog's templates know them."""
    if not is_plain(re.sub(r"[\n\t]", " ", value)) or "${{" in value or "${%" in value:
        raise wrong(f"{_shown(value)} holds an expression or an invisible character", "write plain text")
    if len(value) > MAX_TEXT:
        raise wrong(f"longer than {MAX_TEXT} characters", "write less")
    return value


@lru_cache(maxsize=_KNOWN)
def _host(value: str) -> str:
    try:
        return Repository.parse(f"{value}/a/b").registry
    except ImageFactoryError as error:
        hint = "write a host such as ghcr.io, with :port if it has one, without https://"
        raise _refuse("a registry host", value, hint) from error


@lru_cache(maxsize=_KNOWN)
def _repository(value: str) -> str:
    try:
        Repository.parse(f"registry.invalid/{value}")
    except ImageFactoryError as error:
        hint = "write a lower-case path without host and tag, such as acme/web"
        raise _refuse("a repository", value, hint) from error
    return value


def _pinned_image(value: str) -> str:
    """Accept an image by digest, or by a tag that is not `latest`, and return it in full."""
    hint = "write it with its digest or version, such as ghcr.io/acme/tool:1.2.3@sha256:…"
    try:
        reference = Reference.parse(value)
    except ImageFactoryError as error:
        raise wrong(error.message, hint) from error
    if reference.digest is None and reference.tag in (None, DEFAULT_TAG):
        raise _refuse("a pinned image", value, hint)
    return reference.canonical


_OWNER_AND_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.~-]*(?:/[A-Za-z0-9_.][A-Za-z0-9_.~-]*)*\Z")
_CLONE_URL = re.compile(
    r"(?:(?:https?|git|file)://(?P<userinfo>[^/@]*@)?|ssh://(?:[A-Za-z0-9_.-]+@)?|[A-Za-z0-9_.]+[A-Za-z0-9_.-]*@[A-Za-z0-9.-]+:|/|\./|\.\./)"
    r"[A-Za-z0-9_.~/:@%+\[\]-]*\Z"
)


def _source_repository(value: str) -> str:
    """Accept `owner/repository`, and a clone URL or a folder; never an option, a transport helper or a secret."""
    url = _CLONE_URL.match(value)
    if url is not None and url["userinfo"]:
        # Never shown: what stands before the @ of an http URL is a user name and often a token.
        raise wrong("the clone URL holds a user name or a token", "remove what stands between // and @")
    if value and len(value) <= MAX_PATH and (url is not None or _OWNER_AND_NAME.match(value)):
        return value
    if not value:
        return value
    raise _refuse("a source repository", value, "write owner/repository, or with provider: git a clone URL or a folder")


_GIT_HOST = re.compile(
    r"(?:(?:https?://)?[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?"
    r"|\[[0-9a-fA-F:]+\](?::[0-9]{1,5})?)\Z"
)


def _git_host(value: str) -> str:
    if not _GIT_HOST.match(value) or ".." in value:
        raise _refuse("a host", value, "write a host name such as git.example.com")
    return value


def _platform(value: str) -> str:
    try:
        return str(Platform.parse(value))
    except ImageFactoryError as error:
        raise wrong(error.message, error.hint) from error


def _regex(value: str) -> str:
    hint = "write one such as ^16-alpine$"
    if not value or len(value) > MAX_PATH or not is_plain(value) or "${{" in value or "${%" in value:
        raise _refuse("a regular expression", value, hint)
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise wrong(f"not a regular expression: {_shown(value)} ({error})", hint) from error
    return value


def _date(value: str) -> str:
    try:
        date.fromisoformat(value)
    except ValueError as error:
        raise _refuse("a date", value, "write year-month-day, such as 2027-03-31") from error
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"const": 0}]}),
]
"""A sum of whole numbers with a unit of s, m, h, d or w, such as `7d`; or `0`."""
Label = Annotated[
    str,
    AfterValidator(_label),
    WithJsonSchema({"type": "string", "maxLength": MAX_LABEL, "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}),
]
"""A DNS-1123 label."""
GitRef = Annotated[
    str,
    AfterValidator(_git_ref),
    WithJsonSchema({"type": "string", "maxLength": 255, "pattern": r"^[^-/.\s~^:?*\[\\$`][^\s~^:?*\[\\$`]*$"}),
]
"""A branch or tag of git's."""
InnerPath = Annotated[
    str,
    AfterValidator(_inner_path),
    WithJsonSchema({"type": "string", "maxLength": MAX_PATH, "pattern": r"^[^-/~\\:$`][^\\:$`]*$"}),
]
"""A relative path that stays inside its folder."""
Plain = Annotated[str, AfterValidator(_plain)]
"""One line of text that can become no expression."""
Text = Annotated[str, AfterValidator(_text)]
"""Text for people, of one line or several."""
RegistryHost = Annotated[str, AfterValidator(_host)]
RepositoryPath = Annotated[str, AfterValidator(_repository)]
SourceRepository = Annotated[str, AfterValidator(_source_repository)]
PinnedImage = Annotated[str, AfterValidator(_pinned_image)]
"""A container image by digest, or by a tag other than `latest`."""
GitHost = Annotated[str, AfterValidator(_git_host)]
PlatformName = Annotated[str, AfterValidator(_platform)]
Regex = Annotated[str, AfterValidator(_regex)]
DateText = Annotated[str, AfterValidator(_date), WithJsonSchema({"type": "string", "format": "date"})]
TagName = Annotated[
    str,
    AfterValidator(matching(_TAG, "a tag", f"write letters, digits and _ . -, at most {MAX_TAG}, such as 16-alpine")),
    WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"}),
]
StageName = Annotated[
    str, AfterValidator(matching(_STAGE, "a stage", "write the name after AS in the Dockerfile, such as runtime"))
]
VariableName = Annotated[
    str, AfterValidator(matching(_VARIABLE, "a build argument", "write the name after ARG, such as NODE_VERSION"))
]
InputName = Annotated[
    str, AfterValidator(matching(_INPUT, "an input", "write letters, digits, _ and -, such as base_images"))
]
DeclaredName = Annotated[
    str,
    AfterValidator(
        matching(
            _DECLARED, "an input", 'write letters, digits, _ and -, such as bases; "" where there is no such input'
        )
    ),
]
"""What a workflow calls an input of ours; empty where it declares none for it."""
WorkflowFile = Annotated[
    str,
    AfterValidator(
        matching(_WORKFLOW, "a workflow's file name", "write the file's name without its folder, such as build.yml")
    ),
]
Constraint = Annotated[
    str, AfterValidator(matching(_CONSTRAINT, "a version range", "write one such as ^16.0.0 or >=1.2 <2"))
]
RemoteName = Annotated[
    str,
    AfterValidator(
        matching(
            re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_./-]{0,254}|(?:https?|ssh|git|file)://[A-Za-z0-9_.~/:@%+-]+)\Z"),
            "a remote",
            "write a remote's name such as origin",
        )
    ),
]
CommitterName = Annotated[
    str,
    AfterValidator(_plain),
    AfterValidator(matching(re.compile(r"[^<>]{1,200}\Z"), "a name", "write one without < and >")),
]
EmailAddress = Annotated[
    str,
    AfterValidator(
        matching(re.compile(r"[^\s<>@]+@[^\s<>@]+\Z"), "an address", "write one such as image-factory@example.com")
    ),
]
KargoVersion = Annotated[
    str,
    AfterValidator(matching(re.compile(r"v?[0-9]+\.[0-9]+(?:\.[0-9]+)?\Z"), "a version", 'write one such as "1.11"')),
]
WebAddress = Annotated[
    str,
    AfterValidator(
        matching(
            re.compile(r"https?://[A-Za-z0-9._\[\]:-]+(?:/[A-Za-z0-9._~/-]*)?\Z"),
            "an address",
            "write one such as https://mirror.example.com, without user name and query",
        )
    ),
]
