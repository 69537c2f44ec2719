"""The files of consumers, read from their repositories and edited as text; nothing is written. Reads."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from image_factory.decide.consumers import Step, entry_id, shown_version, update_id
from image_factory.decide.update_texts import Note
from image_factory.errors import ImageFactoryError, InvalidReference, NotFound, RemoteError, RemoteNotFound, UserError
from image_factory.model.enrollment import Update
from image_factory.model.image_state import Consumer, ImageState
from image_factory.model.mention import FOLDER_TYPES, ImageVersion, Target
from image_factory.oci.reference import Digest, Repository
from image_factory.plugins import PluginTable
from image_factory.ports import FileUpdater, Source, SourceRepository
from image_factory.shell.git_program import checked_path


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """One entry of `updates`, and the version that its file is to name."""

    image: str
    entry: Update
    keys: tuple[str, ...]
    repository: Repository
    """The image's."""
    place: SourceRepository
    """The consumer's."""
    version: str | None
    digest: str | None
    known: Consumer | None
    step: Step
    state: ImageState = field(repr=False)

    @property
    def id(self) -> str:
        return update_id(self.image, self.entry, self.version, self.digest)

    @property
    def entry_id(self) -> str:
        return entry_id(self.image, self.entry)

    @property
    def shown(self) -> str:
        return shown_version(self.version, self.digest)

    @property
    def where(self) -> str:
        """The file and its keys, for people: `acme/deploy:apps/web/values.yaml (image.tag)`."""
        keys = f" ({', '.join(self.keys)})" if self.keys else ""
        return f"{self.place}:{self.entry.path}{keys}"

    def note(self) -> Note:
        was = None if self.known is None or self.known.version == self.version else self.known.version
        return Note(self.image, self.version, self.digest, self.entry.path, self.keys, self.id, was)


@dataclass(slots=True)
class Edited:
    """What the files of some entries hold at one revision, and are to hold."""

    old: dict[str, str] = field(default_factory=dict)
    """The text of each file that was read, by path."""
    new: dict[str, str] = field(default_factory=dict)
    held: list[Wanted] = field(default_factory=list)
    """Whose files name the version already."""
    edited: list[Wanted] = field(default_factory=list)
    failed: list[tuple[Wanted, ImageFactoryError]] = field(default_factory=list)
    paths: dict[Wanted, str] = field(default_factory=dict)

    @property
    def changes(self) -> Mapping[str, bytes]:
        """The whole new content of each file that changes."""
        return {path: text.encode("utf-8") for path, text in self.new.items() if text != self.old[path]}


def edit_files(
    plugins: PluginTable, source: Source, place: SourceRepository, revision: str, entries: Sequence[Wanted]
) -> Edited:
    """Return what makes the files of `entries` name their versions; an entry that cannot be done stops no other.

    Raises:
        RemoteError: the repository cannot be read at all.
    """
    edited = Edited()
    for wanted in entries:
        try:
            updater = plugins.updater_named(wanted.entry.type)
            path = _file_of(updater, source, place, revision, wanted.entry)
            if path not in edited.old:
                text = _text(source.read(place, revision, path), path)
                edited.old[path] = edited.new[path] = text
            new = _replaced(updater, edited.new[path], path, wanted)
            untouched = _replaced(updater, edited.old[path], path, wanted) == edited.old[path]
        except ImageFactoryError as error:
            if is_passing(error):
                raise
            # The same problem at the next revision is no news.
            error.message = error.message.replace(f" at {revision[:12]}", "")
            edited.failed.append((wanted, error))
            continue
        edited.new[path] = new
        (edited.held if untouched else edited.edited).append(wanted)
        edited.paths[wanted] = path
    return edited


def is_passing(error: ImageFactoryError | None) -> bool:
    """Whether an error may be gone at the next try, so that it says nothing of an entry."""
    return isinstance(error, RemoteError) and error.transient


def _file_of(updater: FileUpdater, source: Source, place: SourceRepository, revision: str, entry: Update) -> str:
    """Return the file that an entry means: the one that it names, or the one of the updater's kind in its folder."""
    whole = "." if entry.path.strip("/") in ("", ".") else checked_path(entry.path)
    if updater.name not in FOLDER_TYPES or updater.matches(whole):
        return whole
    inside = "" if whole == "." else whole
    for path in source.files(place, revision, inside):
        if posixpath.dirname(path) == inside and updater.matches(path):
            return path
    raise RemoteNotFound(
        f"no file of {updater.name} in the folder {entry.path} of {place}", hint="give the folder of the kustomization"
    )


def _text(content: bytes, path: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8: the byte 0x{content[error.start]:02x}", hint="save the file as UTF-8"
        ) from error


def _replaced(updater: FileUpdater, text: str, path: str, wanted: Wanted) -> str:
    """Return the text with the tag of the version, and with its digest where the file holds one.

    Raises:
        UserError: as the updater's `replace`; or the file holds a digest, and none is known.
    """
    target = Target(wanted.repository, path, wanted.keys)
    digest = _digest(wanted.digest)
    whole = ImageVersion(wanted.version, digest)
    if wanted.version is None:
        return updater.replace(text, target, whole)
    if _holds_digest(updater, text, target):
        if digest is None:
            raise NotFound(
                f"{path} holds a digest, and none is known of {wanted.image} {wanted.shown}",
                hint=f"record it: image-factory analyze --image {wanted.image} --tag {wanted.shown} --digest DIGEST",
            )
        return updater.replace(text, target, whole)
    try:
        return updater.replace(text, target, ImageVersion(wanted.version))
    except UserError:
        if digest is None:
            raise
    # A key of its own may hold the digest alone, where no reference stands beside it.
    return updater.replace(text, target, whole)


def _holds_digest(updater: FileUpdater, text: str, target: Target) -> bool:
    keys = set(target.keys)
    return any(
        mention.reference.digest is not None
        for mention in updater.mentions(target.path, text)
        if mention.reference.repository == target.repository and (not keys or keys & set(mention.keys))
    )


def _digest(text: str | None) -> Digest | None:
    try:
        return None if text is None else Digest.parse(text)
    except InvalidReference:
        return None  # one that was recorded by hand may be shortened
