"""Propose enrollments from the configurations of Renovate or Dependabot, and what lies in the repositories beside them.

Nothing is fetched and no program of the repositories is run: what counts is in their files. One that
cannot be read costs no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from image_factory.errors import ImageFactoryError, InvalidSettings, Location, UserError
from image_factory.imports.answers import Bot, BotConfig, Remark, Site
from image_factory.imports.pipelines import Home
from image_factory.imports.proposals import Enrolled, Facts, Origin, Proposed, Row, propose
from image_factory.model.enrollment import GIT_PROVIDER, Kind
from image_factory.model.mention import FOLDER_TYPES
from image_factory.oci.reference import Repository
from image_factory.plugins import PUBLISHED
from image_factory.shell.git import Checkout
from image_factory.shell.images_file import load_images_text, save_images_text
from image_factory.state.images_edit import add_entries
from image_factory.state.images_yaml import ImagesFile, PluginNames, check_entry
from image_factory.usecases.enroll import claimed_repository
from image_factory.usecases.import_trees import Tree, find_trees, kind_of
from image_factory.usecases.scan import scan
from image_factory.usecases.workbench import Workbench

T = TypeVar("T")

_BUILD_FILES = (".github/", ".gitlab", ".circleci/")


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import proposes, and what it could not carry over."""

    path: Path
    """images.yaml."""
    old: str
    new: str
    """The file's text with the proposed entries at its end."""
    entries: tuple[Proposed, ...] = ()
    rows: tuple[Row, ...] = ()
    remarks: tuple[Remark, ...] = ()
    problems: tuple[ImageFactoryError, ...] = ()
    trees: int = 0
    """How many repositories have a configuration that could be read."""


@dataclass(slots=True)
class _Read:
    """What one repository gave."""

    tree: Tree
    facts: Facts
    problems: list[ImageFactoryError] = field(default_factory=list)


def import_enrollments(
    bench: Workbench, paths: Sequence[Path], *, bot: Bot | None = None, registry: str | None = None
) -> Imported:
    """Return the entries that are proposed for the repositories at or below `paths`; nothing is written.

    Args:
        bot: whose configuration counts; None takes what is there, of Renovate first.
        registry: the host to which images go whose pipelines do not say it.

    Raises:
        NotFound: one of `paths` is no folder, or there is no images.yaml.
        InvalidSettings: `registry` is no host.
        InvalidEnrollment: images.yaml is no list to append to.
    """
    if registry is not None:
        _check_host(registry)
    trees = list(dict.fromkeys(tree for path in paths for tree in find_trees(path)))
    old = load_images_text(bench.images_file, bench.root)
    images = bench.enrolled()
    read: list[_Read] = []
    problems: list[ImageFactoryError] = []
    rows: list[Row] = []
    remarks: list[Remark] = []
    for root in trees:
        try:
            found = _read(bench, root, bot, remarks)
        except ImageFactoryError as error:
            problems.append(
                error if error.location else type(error)(error.message, hint=error.hint, location=Location(str(root)))
            )
            continue
        if found is None:
            rows.append(
                Row(
                    str(root),
                    "",
                    "",
                    f"left out: no configuration of {bot.called if bot else 'Renovate or Dependabot'}",
                )
            )
            continue
        read.append(found)
        problems += found.problems
    proposals = propose([each.facts for each in read], _enrolled(images), registry)
    updates = _updates(bench, read, proposals.entries, proposals.remarks)
    completed = [
        replace(each, entry={**each.entry, **updates.get(str(each.entry["name"]), {})}) for each in proposals.entries
    ]
    kept: list[Proposed] = []
    new = _appended(bench, old, completed, kept, problems)
    names = {each.entry["name"] for each in kept}
    rows += [
        replace(row, outcome="left out: see the errors", name=None) if row.name and row.name not in names else row
        for row in proposals.rows
    ]
    said = sorted(dict.fromkeys([*remarks, *proposals.remarks]), key=_place)
    return Imported(bench.images_file, old, new, tuple(kept), tuple(rows), tuple(said), tuple(problems), len(read))


def _place(remark: Remark) -> tuple[str, int]:
    return remark.location.file, remark.location.line or 0


def write_import(bench: Workbench, imported: Imported) -> None:
    """Append the proposed entries to images.yaml, all at once.

    Raises:
        Conflict: the file was changed meanwhile.
    """
    if imported.new != imported.old:
        save_images_text(imported.path, bench.root, old=imported.old, new=imported.new)


def _check_host(registry: str) -> None:
    try:
        is_host = Repository.parse(f"{registry}/a/b").registry == registry.lower() and "/" not in registry
    except ImageFactoryError:
        is_host = False
    if not is_host:
        raise InvalidSettings(
            f"not a registry host: {registry!r}", hint="write a host such as ghcr.io, without https:// and path"
        )


def _enrolled(images: ImagesFile) -> Enrolled:
    listed = [entry.enrollment for entry in images.enrollments]
    return Enrolled(
        images.names,
        frozenset(each.image for each in listed if each.kind is Kind.MANAGED),
        frozenset((each.image, each.only_tag) for each in listed if each.kind is Kind.EXTERNAL),
    )


def _read(bench: Workbench, root: Path, bot: Bot | None, remarks: list[Remark]) -> _Read | None:
    """Return what one repository's tree says; None where it has no configuration."""
    tree = Tree(root)
    config, said = tree.config(bot)
    remarks += said
    if config is None:
        return None
    origin = _origin(bench, root, config)
    home = Home(None, "") if origin is None else Home(origin.host, _path_of(origin.repo))
    updaters = sorted(bench.plugins.updaters.values(), key=lambda each: each.name)
    problems: list[ImageFactoryError] = []

    return _Read(
        tree,
        Facts(
            str(root),
            origin,
            config,
            tuple(_good(tree.dockerfiles(), problems)),
            tuple(_good(tree.builds(home), problems)),
            tuple(_good(tree.mentions(config, updaters), problems)),
        ),
        problems,
    )


def _good(found: Iterable[T | ImageFactoryError], problems: list[ImageFactoryError]) -> Iterator[T]:
    """Yield what was read, and keep what could not be."""
    for each in found:
        if isinstance(each, ImageFactoryError):
            problems.append(each)
        else:
            yield each


def _origin(bench: Workbench, root: Path, config: BotConfig) -> Origin | None:
    """Return where the clone's remote says that the repository lives; None where it has none of use."""
    checkout = Checkout.find(root)
    if checkout is None or checkout.root.resolve() != root.resolve():
        return None
    remotes = checkout.remotes()
    url = remotes.get("origin") or next(iter(remotes.values()), None)
    if url is None:
        return None
    head = checkout.git.attempt("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
    branch = config.branch or head.text().removeprefix("origin/") if head.is_ok else config.branch or checkout.branch()
    try:
        place = claimed_repository(bench, url)
    except UserError:
        return Origin(GIT_PROVIDER, None, url, branch or "main")
    return Origin(place.provider, place.host, place.path, branch or "main")


def _path_of(repo: str) -> str:
    return re.sub(r"\A(?:[a-z+]+://[^/]*/|[^/@]+@[^:/]+:)", "", repo).strip("/").removesuffix(".git")


def _appended(
    bench: Workbench,
    text: str,
    entries: Sequence[Proposed],
    kept: list[Proposed],
    problems: list[ImageFactoryError],
) -> str:
    """Return the file's text with the entries that are good, which are `kept`; of the others, why they are not."""
    if not entries:
        return text
    installed = {"source": frozenset(bench.plugins.sources)}
    plugins = PluginNames(installed, PUBLISHED, tuple(map(str, bench.plugins.broken.values())))
    try:
        for each in entries:
            wrong, _ = check_entry(each.entry, plugins)
            if wrong:
                raise wrong[0]
        edited = add_entries(text, [each.entry for each in entries], str(bench.images_file))
    except ImageFactoryError as error:
        if len(entries) > 1:
            half = len(entries) // 2
            for part in (entries[:half], entries[half:]):
                text = _appended(bench, text, part, kept, problems)
            return text
        where = Location(str(Path(entries[0].tree) / entries[0].file.partition(":")[0]))
        problems.append(UserError(f"no entry can be proposed: {error.message}", hint=error.hint, location=where))
        return text
    kept += entries
    return edited


# --- consumers ----------------------------------------------------------------------------------------------


def _updates(
    bench: Workbench, read: Sequence[_Read], entries: Sequence[Proposed], remarks: list[Remark]
) -> dict[str, dict[str, object]]:
    """Return the `updates` of the proposed images, by name: the files that name them and that their bot updates."""
    images = {str(each.entry["name"]): each.image for each in entries if each.is_managed}
    if not images:
        return {}
    found: dict[str, list[dict[str, object]]] = {}
    updaters = list(bench.plugins.updaters.values())
    passed_by = [bench.root / bench.settings.state_dir, bench.root / bench.settings.dist_dir]
    own = {str(each.entry["name"]): each.entry["source"] for each in entries if each.is_managed}
    for each in read:
        origin = each.facts.origin
        for proposal in scan(each.tree.root, images, updaters, passed_by=passed_by).proposals:
            if origin is None or proposal.path.startswith(_BUILD_FILES):
                continue
            file = f"{proposal.path}/kustomization.yaml" if proposal.type in FOLDER_TYPES else proposal.path
            kind = kind_of(file)
            reason = each.facts.config.unwatched(file, kind)
            answer = each.facts.config.answer(Site(file, kind, images[proposal.image].familiar))
            if reason is not None or not answer.is_updated:
                text = f"names {images[proposal.image]}, and gets no updates entry: {reason or answer.reason}"
                remarks.append(Remark(Location(each.tree.shown(file), 1), text))
                continue
            keys = each.tree.used_keys(proposal.path, proposal.keys)
            if proposal.keys and not keys:
                continue  # what a compose file builds itself has a name there and no version
            entry = {**proposal.entry(), "repo": origin.repo, **({"keys": list(keys)} if keys else {})}
            entry |= {} if origin.branch == "main" else {"branch": origin.branch}
            source = own[proposal.image]
            provider = source.get("provider", "github") if isinstance(source, Mapping) else None
            entry |= {} if provider == origin.provider else {"provider": origin.provider}
            entry |= {} if answer.merges else {"mode": "pr"}
            found.setdefault(proposal.image, []).append(entry)
    return {name: {"updates": listed} for name, listed in found.items()}
