"""Carry a new version of an image into files that name it, here on disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from image_factory.errors import NotFound, UserError
from image_factory.model.mention import FOLDER_TYPES, ImageVersion, Target
from image_factory.oci.reference import Repository
from image_factory.ports import FileUpdater
from image_factory.shell.text_file import load_text, save_text
from image_factory.shell.tree import SKIPPED_FOLDERS
from image_factory.yaml_text.nodes import in_file


@dataclass(frozen=True, slots=True)
class Applied:
    """One file and what it held and holds; both texts are the same where it named the version already."""

    path: Path
    old: str
    new: str

    @property
    def is_changed(self) -> bool:
        return self.old != self.new


def apply_version(
    updater: FileUpdater,
    path: Path,
    repository: Repository,
    version: ImageVersion,
    *,
    keys: Sequence[str] = (),
    dry_run: bool = False,
) -> tuple[Applied, ...]:
    """Make every file that `path` means name `version`; write all of them or, where one cannot be changed, none.

    A folder means its kustomization, for kustomize-set-image; else every file of the updater's kind below
    it that names the image.

    Raises:
        NotFound: there is no such file, or none below the folder that names the image.
        UserError: a file cannot be read or changed; it says where and what to do.
    """
    files = [path] if not path.is_dir() else _files(updater, path, repository)
    applied = []
    for file in files:
        old = load_text(file)
        try:
            new = updater.replace(old, Target(repository, file.as_posix(), tuple(keys)), version)
        except UserError as error:
            raise error if error.location else in_file(error, str(file)) from error
        applied.append(Applied(file, old, new))
    if not dry_run:
        for change in applied:
            if change.is_changed:
                save_text(change.path, old=change.old, new=change.new)
    return tuple(applied)


def _files(updater: FileUpdater, folder: Path, repository: Repository) -> list[Path]:
    if updater.name in FOLDER_TYPES:
        for entry in sorted(folder.iterdir()):
            if updater.matches(entry.as_posix()) and entry.is_file():
                return [entry]
        raise NotFound(f"no file of {updater.name} in {folder}", hint="give the folder of the file, or the file itself")
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        for name in sorted(names):
            file = Path(root) / name
            if not updater.matches(file.as_posix()) or file.is_symlink() or not file.is_file():
                continue
            mentions = updater.mentions(file.as_posix(), load_text(file))
            if any(mention.reference.repository == repository for mention in mentions):
                found.append(file)
    if not found:
        raise NotFound(
            f"no file of {updater.name} below {folder} names {repository}",
            hint="give the file itself, or look where it is named: image-factory scan",
        )
    return found
