"""`image-factory scan`: where a tree names managed images, and the `updates` entries for these places."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.logs import LogFormat
from image_factory_cli.render import error_to_json, show_problems, write_json

if TYPE_CHECKING:
    from image_factory.usecases.scan import Scan


@click.command(epilog="Example: image-factory scan ../deploy --repo acme/deploy")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--image", "names", multiple=True, metavar="NAME", help="Look for this image alone; several times.")
@click.option("--repo", metavar="OWNER/REPO", help="The tree's repository. [default: the checkout's origin]")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@folder_options
def command(
    path: Path,
    names: tuple[str, ...],
    repo: str | None,
    as_json: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Find every place below PATH that names a managed image, and propose entries for images.yaml.

    What is written is YAML: each image with its updates, to be pasted into images.yaml, and the places as comments.
    """
    from image_factory.errors import NotFound
    from image_factory.model.enrollment import Kind
    from image_factory.usecases.scan import scan

    bench = open_workbench(directory, log_format, log_level)
    enrolled = [entry.enrollment for entry in bench.enrolled().enrollments]
    managed = {each.name: each.image for each in enrolled if each.kind is Kind.MANAGED}
    for name in names:
        if name not in managed:
            raise NotFound(f"no managed image is called {name!r}", hint=f"managed: {', '.join(sorted(managed))}")
    wanted = {name: image for name, image in managed.items() if not names or name in names}
    own = [bench.root / bench.settings.state_dir, bench.root / bench.settings.dist_dir]
    found = scan(path, wanted, list(bench.plugins.updaters.values()), passed_by=own)
    if as_json:
        write_json(_document(found, repo))
        return 0
    _write_yaml(found, repo)
    show_problems(found.problems)
    return 0


def _document(found: Scan, repo: str | None) -> dict[str, object]:
    return {
        "places": [
            {
                "image": place.image,
                "file": place.file,
                "line": place.mention.line,
                "key": place.mention.key,
                "reference": place.mention.reference.canonical,
                "type": place.type,
            }
            for place in found.places
        ],
        "updates": [
            {"image": proposal.image, **proposal.entry(), "repo": repo or proposal.repo} for proposal in found.proposals
        ],
        "problems": [error_to_json(problem) for problem in found.problems],
    }


def _write_yaml(found: Scan, repo: str | None) -> None:
    from image_factory.state.yaml_style import dump_block

    for image in sorted({place.image for place in found.places}):
        updates = [
            {**proposal.entry(), **({"repo": repo} if repo else {})}
            for proposal in found.proposals
            if proposal.image == image
        ]
        click.echo(f"- name: {image}")
        for place in found.places:
            if place.image == image:
                key = f" {place.mention.key}" if place.mention.key else ""
                how = "" if place.type else "  (nothing installed can change it)"
                shown = f"{place.file}:{place.mention.line}{key}  {place.mention.reference.canonical}{how}"
                click.echo(f"  # {shown if shown.isprintable() else ascii(shown)}")
        if updates:
            click.echo("".join(f"  {line}\n" for line in dump_block({"updates": updates}).splitlines()), nl=False)
    click.echo(f"# {found.files} files, {len(found.places)} places, {len(found.proposals)} updates")
