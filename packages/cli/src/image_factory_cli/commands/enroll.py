"""`image-factory enroll`: add an image to images.yaml."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from image_factory.errors import InvalidSettings
from image_factory_cli.commands.validate import installed_plugins
from image_factory_cli.folder import folder_options, workbench
from image_factory_cli.logs import LogFormat, configure_logs
from image_factory_cli.render import show_problems

if TYPE_CHECKING:
    from image_factory.model.settings import Settings

METADATA = ("title", "description", "owner", "system", "lifecycle")
"""The options that end up below `metadata`, in its order."""


@click.command(
    epilog="Example: image-factory enroll web --registry ghcr.io --repository acme/web --source-repo acme/web"
)
@click.argument("name")
@click.option("--registry", metavar="HOST", help="The registry's host; docker.io for an image that is only watched.")
@click.option("--repository", metavar="PATH", help="The image's path at its registry, without host and tag.")
@click.option("--source-repo", metavar="OWNER/REPO", help="The repository that it is built from: it is managed then.")
@click.option("--source-provider", metavar="NAME", help="The source's plugin. [default: github]")
@click.option("--source-host", metavar="HOST", help="The source's host where it is not its provider's usual one.")
@click.option("--branch", metavar="BRANCH", help="The branch that is built. [default: main]")
@click.option("--dockerfile", metavar="PATH", help="The Dockerfile's path. [default: Dockerfile]")
@click.option("--target", metavar="STAGE", help="The stage that is built; the last one where it is not given.")
@click.option("--platform", "platforms", multiple=True, metavar="P", help="A platform that is built; several times.")
@click.option("--build-arg", "build_args", multiple=True, metavar="K=V", help="A build argument; several times.")
@click.option("--workflow", metavar="FILE", help="The file name of the workflow that builds it, such as build.yml.")
@click.option("--delay", metavar="DURATION", help="How old a base's new digest must be. [default: 7d]")
@click.option("--allow-tags", metavar="REGEX", help="The tags to watch, of an image without a source.")
@click.option("--tag", metavar="TAG", help="The one tag to watch.")
@click.option("--constraint", metavar="RANGE", help="The range of versions to watch.")
@click.option("--title", metavar="TEXT", help="Its name for people, for the catalog.")
@click.option("--description", metavar="TEXT", help="What it is, in a sentence.")
@click.option("--owner", metavar="WHO", help="Who answers for it, for the catalog.")
@click.option("--system", metavar="NAME", help="The system that it is a part of.")
@click.option("--lifecycle", metavar="WORD", help="Where it is in its life, such as production.")
@click.option("--pr", "as_request", is_flag=True, help="Open a change request with it in place of writing it here.")
@click.option("--dry-run", is_flag=True, help="Show the change to images.yaml, and make none.")
@folder_options
def command(
    name: str,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
    as_request: bool,
    dry_run: bool,
    **given: Any,
) -> int:
    """Add the image NAME to images.yaml, below what is there.

    With a source it is managed: its base images are found and it is rebuilt on them. Without one it
    is only watched. At a terminal, what is missing is asked for. With --pr it becomes a pull or merge
    request in the repository that holds the folder: kargo.stateRepository, else the checkout's remote.
    """
    from image_factory.shell.settings import find_root, load_settings
    from image_factory.shell.store import FileChange
    from image_factory.usecases.enroll import EntryRefused, enroll
    from image_factory_cli.render import show_diff

    configure_logs(log_format, log_level)
    root = find_root(directory, os.environ, Path.cwd())
    settings = load_settings(root, os.environ, {})
    if sys.stdin.isatty() and sys.stdout.isatty():
        given |= _ask(name, given)
    entry = entry_of(name, given)
    if as_request:
        return _propose(root, settings, entry, dry_run=dry_run)
    try:
        enrolled = enroll(root, settings, entry, plugins=installed_plugins(root, settings), dry_run=dry_run)
    except EntryRefused as refused:
        show_problems(refused.problems)
        return refused.exit_code
    if dry_run:
        show_diff([FileChange(PurePosixPath(enrolled.path.name), enrolled.old, enrolled.new)])
        return 0
    click.echo(f"enrolled {name} in {enrolled.path}")
    click.echo(f"next: image-factory analyze --image {name}")
    return 0


def _propose(root: Path, settings: Settings, entry: Mapping[str, Any], *, dry_run: bool) -> int:
    from image_factory.shell.store import FileChange
    from image_factory.usecases.enroll import EntryRefused, propose_enrollment
    from image_factory_cli.render import show_diff

    try:
        proposed = propose_enrollment(workbench(root, settings), entry, dry_run=dry_run)
    except EntryRefused as refused:
        show_problems(refused.problems)
        return refused.exit_code
    proposal = proposed.proposal
    if proposed.opened is None:
        click.echo(f"would open in {proposed.repository}: {proposal.branch} to {proposal.base}, {proposal.title!r}")
        show_diff([FileChange(PurePosixPath(proposal.edits[0].path), proposed.old, proposed.new)])
        return 0
    click.echo(f"opened {proposed.opened.url}")
    click.echo(f"next: once it is merged, image-factory analyze --image {entry['name']}")
    return 0


def entry_of(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry that the options describe, in images.yaml's keys and order; what was not given is left out."""
    source = {
        "provider": given.get("source_provider"),
        "host": given.get("source_host"),
        "repo": given.get("source_repo"),
        "branch": given.get("branch"),
        "dockerfile": given.get("dockerfile"),
        "target": given.get("target"),
        "buildArgs": _pairs(given.get("build_args") or ()),
        "platforms": list(given.get("platforms") or ()),
        "workflow": given.get("workflow"),
    }
    entry = {
        "name": name,
        "registry": given.get("registry"),
        "repository": given.get("repository"),
        "source": _written(source),
        "rebuildDelay": given.get("delay"),
        "allowTags": given.get("allow_tags"),
        "tag": given.get("tag"),
        "constraint": given.get("constraint"),
        "metadata": _written({key: given.get(key) for key in METADATA}),
    }
    return _written(entry)


def _written(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in (None, {}, [])}


def _pairs(words: Iterable[str]) -> dict[str, str]:
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise InvalidSettings(f"not a build arg: {word!r}", hint="write NAME=VALUE")
        pairs[name] = value
    return pairs


def _ask(name: str, given: Mapping[str, Any]) -> dict[str, str]:
    """Ask at the terminal for what an entry cannot do without and no option gave."""
    answers: dict[str, str] = {}
    described = any(given.get(key) for key in ("source_repo", "allow_tags", "tag", "constraint"))
    if not given.get("repository"):
        answers["repository"] = click.prompt("Repository, without host and tag (such as acme/web)")
    if not described:
        source = click.prompt("Built from (owner/repository; empty if it is only watched)", default="")
        key, question = ("source_repo", "") if source else ("tag", "Tag to watch (such as 16-alpine)")
        answers[key] = source or click.prompt(question)
    if not given.get("registry") and (given.get("source_repo") or answers.get("source_repo")):
        answers["registry"] = click.prompt("Registry", default="ghcr.io")
    return answers
