"""Add an image to images.yaml, with everything that is there kept as it is: here, or by a change request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_factory.errors import ImageFactoryError, InvalidEnrollment, UserError
from image_factory.model.enrollment import GIT_PROVIDER
from image_factory.model.settings import Settings
from image_factory.oci.reference import DOCKER_HUB
from image_factory.plugins import PUBLISHED
from image_factory.ports import ChangeProposal, ChangeRequest, FileEdit, SourceRepository
from image_factory.shell.git import Checkout
from image_factory.shell.images_file import images_path, load_images_text, save_images_text
from image_factory.state.images_edit import add_entry
from image_factory.state.images_yaml import PluginNames, check_entry
from image_factory.usecases.validate import clash_with_base
from image_factory.usecases.workbench import Workbench
from image_factory.usecases.workflow import repository_path

_HOST = re.compile(
    r"(?:https://(?=[^/])(?P<web>[^/@]+)/|(?P<plain>http://[^/@]+)/"
    r"|ssh://(?:[^/@]*@)?(?P<ssh>[^/@:]+)(?::\d+)?/|(?:[^/@:]*@)?(?P<scp>[^/@:]+):(?!//))"
)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What enrolling an image changes in images.yaml."""

    path: Path
    old: str
    new: str
    warnings: tuple[ImageFactoryError, ...] = ()


class EntryRefused(InvalidEnrollment):
    """An entry is wrong; `problems` holds everything that is."""

    def __init__(self, problems: Sequence[ImageFactoryError]) -> None:
        super().__init__("; ".join(problem.message for problem in problems), hint=problems[0].hint)
        self.problems = tuple(problems)


def enroll(
    root: Path,
    settings: Settings,
    entry: Mapping[str, Any],
    *,
    plugins: PluginNames | None = None,
    dry_run: bool = False,
) -> Enrolled:
    """Add `entry`, in images.yaml's own keys, at the end of the list.

    Raises:
        EntryRefused: the entry is wrong; it holds one error for each thing that is.
        Conflict: an image of that name is enrolled already, a base image has it, or the file was changed meanwhile.
        NotFound: there is no images.yaml.
        InvalidEnrollment: images.yaml is no list to append to.
    """
    path = images_path(root, settings)
    problems, warnings = check_entry(entry, plugins)
    if problems:
        raise EntryRefused(problems)
    old = load_images_text(path, root)
    new = add_entry(old, entry, str(path))
    _check_name(root, settings, entry)
    if not dry_run:
        save_images_text(path, root, old=old, new=new)
    return Enrolled(path, old, new, warnings)


def _check_name(root: Path, settings: Settings, entry: Mapping[str, Any]) -> None:
    clash = clash_with_base(root, settings, str(entry["name"]))
    if clash is not None:
        raise clash


@dataclass(frozen=True, slots=True)
class Proposed:
    """An enrollment as a change to review: what it changes, and the request once it is opened."""

    repository: SourceRepository
    proposal: ChangeProposal
    old: str
    new: str
    warnings: tuple[ImageFactoryError, ...] = ()
    opened: ChangeRequest | None = None


def propose_enrollment(bench: Workbench, entry: Mapping[str, Any], *, dry_run: bool = False) -> Proposed:
    """Open a change request that adds `entry` to images.yaml in the state repository; write nothing here.

    The request is made from the file as it is on the repository's branch, and one that is open for this
    image is used again. Where it cannot be opened, its branch is removed again.

    Raises:
        EntryRefused: the entry is wrong; it holds one error for each thing that is.
        Conflict: the name is a base image's, or is enrolled already, here or on the repository's branch.
        UserError: it cannot be told which repository holds the folder, or no plugin opens requests there.
        RemoteError: what the provider answers.
    """
    installed = {"source": frozenset(bench.plugins.sources)}
    plugins = PluginNames(installed, PUBLISHED, tuple(map(str, bench.plugins.broken.values())))
    problems, warnings = check_entry(entry, plugins)
    if problems:
        raise EntryRefused(problems)
    add_entry(load_images_text(bench.images_file, bench.root), entry, str(bench.images_file))
    _check_name(bench.root, bench.settings, entry)
    place = state_place(bench)
    source = bench.plugins.source_named(place.repository.provider)
    revision = source.revision(place.repository, place.branch)
    shown = f"{place.repository}:{place.path}"
    try:
        old = source.read(place.repository, revision, place.path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidEnrollment(f"{shown} is not UTF-8", hint="save the file as UTF-8") from error
    new = add_entry(old, entry, shown)
    name = str(entry["name"])
    proposal = ChangeProposal(
        branch=f"image-factory/enroll-{name}",
        base=place.branch,
        title=f"Enroll {name}",
        body=_described(entry, old, new),
        message=f"Enroll {name}\n",
        edits=(FileEdit(place.path, new.encode("utf-8")),),
    )
    opened = None if dry_run else source.open_change_request(place.repository, proposal)
    return Proposed(place.repository, proposal, old, new, warnings, opened)


@dataclass(frozen=True, slots=True)
class StatePlace:
    """Where images.yaml lies at its provider."""

    repository: SourceRepository
    branch: str
    path: str


def state_place(bench: Workbench) -> StatePlace:
    """Return the repository that holds the folder: as the settings say, else the checkout's remote.

    Raises:
        UserError: neither says it, or no source plugin claims it.
    """
    kargo, commit = bench.settings.kargo, bench.settings.commit
    checkout = Checkout.find(bench.root)
    url = kargo.state_repository
    branch = kargo.state_branch if url is not None else commit.branch
    if url is None and checkout is not None:
        url = checkout.remotes().get(commit.remote)
        branch = branch or checkout.branch()
    if url is None:
        raise UserError(
            "cannot tell which repository holds this folder", hint="set kargo.stateRepository in config.yaml"
        )
    file = bench.images_file.resolve()
    inside = checkout is not None and file.is_relative_to(checkout.root.resolve())
    path = file.relative_to(checkout.root.resolve()) if checkout is not None and inside else None
    within = path.as_posix() if path is not None else f"{bench.root.resolve().name}/{bench.settings.images_file}"
    return StatePlace(claimed_repository(bench, url), branch or "main", within)


def claimed_repository(bench: Workbench, url: str) -> SourceRepository:
    """Return the repository of a clone URL, by the source plugin that claims it.

    Raises:
        UserError: none does, beside plain git, which knows no change requests.
    """
    for source in bench.plugins.sources.values():
        if source.name != GIT_PROVIDER and source.claims(url):
            host = _HOST.match(url)
            # Only the port of a web address is the API's too; http is for loopback, and has to be said.
            name = None if host is None else host["web"] or host["plain"] or host["ssh"] or host["scp"]
            return SourceRepository(source.name, name, repository_path(url))
    raise UserError(
        f"no plugin opens change requests at {url}",
        hint="install the provider's plugin (pip install 'image-factory[github]'), or enroll without --pr",
    )


def _described(entry: Mapping[str, Any], old: str, new: str) -> str:
    """Return the request's text: what is enrolled, and what happens then."""
    source = entry.get("source")
    registry = entry.get("registry", DOCKER_HUB)
    lines = [f"Enrolls **{entry['name']}**, the image `{registry}/{entry['repository']}`.", ""]
    if isinstance(source, Mapping):
        at = f"`{source.get('dockerfile', 'Dockerfile')}` in `{source['repo']}`"
        lines += [
            f"It is built from {at}, branch `{source.get('branch', 'main')}`. Once this is merged, its base images are",
            "found in that Dockerfile and watched, and it is rebuilt on them",
            f"{entry.get('rebuildDelay', '7d')} after they moved.",
        ]
    else:
        lines += ["It is watched, and not built by us."]
    metadata = entry.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get("owner"):
        lines += ["", f"Its owner: `{metadata['owner']}`."]
    added = [line for line in new.splitlines() if line.strip()][
        len([line for line in old.splitlines() if line.strip()]) :
    ]
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", new)), 3)
    return "\n".join([*lines, "", f"{fence}yaml", *added, fence, ""])
