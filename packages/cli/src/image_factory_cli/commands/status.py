"""`image-factory status`: what is known of every image, and what it waits for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.image_names import complete_image
from image_factory_cli.logs import LogFormat
from image_factory_cli.render import error_to_json, show_problems, show_table, write_json

if TYPE_CHECKING:
    from image_factory.usecases.status import ImageStatus, Status


@click.command(epilog="Example: image-factory status backstage --json")
@click.argument("image", required=False, shell_complete=complete_image)
@click.option("--json", "as_json", is_flag=True, help="Write JSON: configuration and runtime together.")
@folder_options
def command(
    image: str | None, as_json: bool, directory: Path | None, log_format: LogFormat, log_level: str | None
) -> int:
    """Show what is known of every image, or of one, and what each waits for.

    REBUILD is what `image-factory run` would decide now, UNTIL when that ends, where it is known, and
    BLOCKED BY the images, requests, holds or freezes that it waits for. `image-factory explain IMAGE` says why.
    """
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
                "removed": list(status.removed),
                "problems": [error_to_json(problem) for problem in status.problems],
            }
        )
    else:
        _show(status)
        show_problems(status.problems)
    if not status.is_enrolled_known:
        return 2
    return 3 if status.problems else 0


def _show(status: Status) -> None:
    from image_factory.usecases.observe import short_digest
    from image_factory.usecases.status import instant

    rows = [_row(name, one) for name, one in status.images.items()]
    rows += [(name, "-", "-", "not analyzed", "-", "-") for name in status.unanalyzed]
    show_table(("IMAGE", "KIND", "VERSION", "REBUILD", "UNTIL", "BLOCKED BY"), rows)
    for name, one in status.images.items():
        trouble = one.state.runtime.discovery_error or one.state.runtime.problem
        if trouble:
            click.echo(f"{click.style('✗', fg='red')} {name}: {trouble}")
    for name in status.removed:
        click.echo(f"{name} is gone from images.yaml: the next analyze --all archives it")
    if status.bases:
        click.echo()
    bases = [
        (
            name,
            base.configuration.full_image,
            short_digest(base.runtime.current_digest) if base.runtime.current_digest else "-",
            instant(base.runtime.last_updated) or "-",
            str(len(status.dependents.get(name, ()))),
            base.runtime.problem or _manager(base.configuration.managed_by),
        )
        for name, base in status.bases.items()
    ]
    if bases:
        show_table(("BASE IMAGE", "REFERENCE", "DIGEST", "SINCE", "DEPENDENTS", "PROBLEM"), bases)


def _manager(image: str | None) -> str:
    return "" if image is None else f"published by {image}, and not watched"


def _row(name: str, one: ImageStatus) -> tuple[str, ...]:
    from image_factory.decide.eligibility import Reason
    from image_factory.usecases.observe import short_digest
    from image_factory.usecases.status import instant

    runtime = one.state.runtime
    digest = short_digest(runtime.current_digest) if runtime.current_digest else "-"
    version = runtime.current_version or digest
    if one.decision is None:
        return name, str(one.state.kind), version, "-", "-", "-"
    blocked = ", ".join(one.decision.blocked_by)
    if one.rebuild is Reason.NEEDS_APPROVAL:
        blocked = f"a person ({blocked})" if blocked else "a person"
    return name, str(one.state.kind), version, str(one.rebuild), instant(one.until) or "-", blocked or "-"
