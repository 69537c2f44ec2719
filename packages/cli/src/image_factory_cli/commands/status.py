"""`image-factory status`: what is known of every image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.image_names import complete_image
from image_factory_cli.logs import LogFormat
from image_factory_cli.render import error_to_json, show_problems, show_table, write_json

if TYPE_CHECKING:
    from image_factory.usecases.status import ImageStatus


@click.command(epilog="Example: image-factory status backstage --json")
@click.argument("image", required=False, shell_complete=complete_image)
@click.option("--json", "as_json", is_flag=True, help="Write JSON: configuration and runtime together.")
@folder_options
def command(
    image: str | None, as_json: bool, directory: Path | None, log_format: LogFormat, log_level: str | None
) -> int:
    """Show what is known of every image, or of one."""
    from image_factory.model.image_state import BaseState
    from image_factory.usecases import status as statuses

    status = statuses.read_status(open_workbench(directory, log_format, log_level))
    if image is not None:
        found = statuses.find_image(status, image)
        if isinstance(found, BaseState):
            data = statuses.base_to_json(found, status.dependents.get(image, ()))
        else:
            data = statuses.to_json(found)
        if as_json:
            write_json(data)
            return 0
        import yaml

        click.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip())
        return 0
    if as_json:
        write_json(
            {
                "images": [statuses.to_json(one) for one in status.images.values()],
                "bases": [
                    statuses.base_to_json(base, status.dependents.get(name, ())) for name, base in status.bases.items()
                ],
                "unanalyzed": list(status.unanalyzed),
                "problems": [error_to_json(problem) for problem in status.problems],
            }
        )
    else:
        _show(status)
        show_problems(status.problems)
    if not status.is_enrolled_known:
        return 2
    return 3 if status.problems else 0


def _show(status: object) -> None:
    from image_factory.usecases.observe import short_digest
    from image_factory.usecases.status import Status, instant

    assert isinstance(status, Status)
    rows = []
    for name, one in status.images.items():
        runtime = one.state.runtime
        rows.append(
            (
                name,
                str(one.state.kind),
                str(runtime.discovery_status),
                runtime.current_version or "-",
                _rebuild(one),
                instant(one.eligible_at) or "-",
                ", ".join(one.state.configuration.base_images) or "-",
            )
        )
    rows += [(name, "-", "not analyzed", "-", "-", "-", "-") for name in status.unanalyzed]
    show_table(("IMAGE", "KIND", "DISCOVERY", "VERSION", "REBUILD", "ELIGIBLE AT", "BUILT ON"), rows)
    for name, one in status.images.items():
        trouble = one.state.runtime.discovery_error or one.state.runtime.problem
        if trouble:
            click.echo(f"{click.style('✗', fg='red')} {name}: {trouble}")
    if status.bases:
        click.echo()
    bases = [
        (
            name,
            base.configuration.full_image,
            short_digest(base.runtime.current_digest) if base.runtime.current_digest else "-",
            instant(base.runtime.last_updated) or "-",
            str(len(status.dependents.get(name, ()))),
            base.runtime.problem or "",
        )
        for name, base in status.bases.items()
    ]
    if bases:
        show_table(("BASE IMAGE", "REFERENCE", "DIGEST", "SINCE", "DEPENDENTS", "PROBLEM"), bases)


def _rebuild(one: ImageStatus) -> str:
    if one.state.kind != "managed":
        return "-"
    return str(one.rebuild)
