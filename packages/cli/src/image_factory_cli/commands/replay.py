"""`image-factory replay`: what another policy would have come to, over what is recorded."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from image_factory.errors import UserError
from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.image_names import complete_image
from image_factory_cli.logs import LogFormat
from image_factory_cli.render import show_problems, show_table, write_json
from image_factory_cli.times import instant, length

if TYPE_CHECKING:
    from image_factory.decide.replay_record import Tried
    from image_factory.usecases.replay import Replay


@click.command(epilog="Example: image-factory replay --delay 3d --since 2026-01-01")
@click.option("--delay", type=length, metavar="DURATION", help="The rebuildDelay to try, such as 3d.")
@click.option("--mode", type=click.Choice(["aged", "first-change"]), help="The delayMode to try.")
@click.option("--window", type=length, metavar="DURATION", help="The coordinationWindow to try.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Any other key to try. May be repeated.")
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_image,
    help="The image to try it for, and to count. May be repeated. [default: all]",
)
@click.option("--since", type=instant, metavar="INSTANT", help="Count from then on. [default: the first record]")
@click.option("--until", type=instant, metavar="INSTANT", help="Where to end. [default: now]")
@click.option("--builds", "has_builds", is_flag=True, help="List every build under each policy.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, with every build.")
@folder_options
def command(
    delay: timedelta | None,
    mode: str | None,
    window: timedelta | None,
    pairs: tuple[str, ...],
    images: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    has_builds: bool,
    as_json: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Show what another policy would have come to, beside the present one: builds, and how far behind images would be.

    The decisions of `image-factory run` are made anew over the recorded history, with the moves of bases that
    the git history of the state holds too. The lag of an image is the time since the first move of a base that
    it does not hold; its median and 90th percentile are over all images and all of the time, in days.
    """
    from image_factory.usecases.replay import PolicyChange, replay, replay_to_json

    values = _values(delay, mode, window, pairs)
    bench = open_workbench(directory, log_format, log_level)
    found = replay(bench, PolicyChange(values, images), since=since, until=until)
    if as_json:
        write_json(replay_to_json(found))
    else:
        _show(found, has_builds=has_builds)
    show_problems(found.problems)
    return 3 if found.problems else 0


def _values(
    delay: timedelta | None, mode: str | None, window: timedelta | None, pairs: tuple[str, ...]
) -> dict[str, str]:
    from image_factory.model.duration import format_duration

    values = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UserError(f"not a key and a value: {pair[:80]!r}", hint="write --set maxConcurrentRebuilds=3")
        values[key] = value
    if delay is not None:
        values["rebuildDelay"] = format_duration(delay)
    if mode is not None:
        values["delayMode"] = mode
    if window is not None:
        values["coordinationWindow"] = format_duration(window)
    return values


def _show(found: Replay, *, has_builds: bool) -> None:
    from image_factory.usecases.status import instant as shown

    images = len(found.recorded.lags)
    click.echo(
        f"From {shown(found.begin)} to {shown(found.until)}: {images} image{'' if images == 1 else 's'}, "
        f"{found.moves} moves of bases."
    )
    tried = {"recorded": found.recorded}
    if found.changed is not None:
        tried[", ".join(f"{key}: {value}" for key, value in found.change.values.items())] = found.changed
    rows = [_row(name, one) for name, one in tried.items()]
    rows.append(("what was built", str(len(found.happened)), "-", "-", "-", "-", "-"))
    show_table(("POLICY", "BUILDS", "BUILD TIME", "LAG MEDIAN", "LAG P90", "LAG MAX", "UP TO DATE"), rows)
    if found.changed is not None and images > 1:
        click.echo()
        _show_images(found.recorded, found.changed)
    if has_builds:
        for name, one in tried.items():
            click.echo(f"\n{name}:")
            _show_builds(one)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)


def _row(name: str, tried: Tried) -> tuple[str, ...]:
    from image_factory.model.duration import format_duration
    from image_factory.usecases.replay import days

    lag = tried.lag
    return (
        name,
        str(len(tried.builds)),
        format_duration(tried.build_time),
        f"{days(lag.median):.2f} d",
        f"{days(lag.p90):.2f} d",
        f"{days(lag.longest):.2f} d",
        f"{lag.current_share:.0%}",
    )


def _show_images(recorded: Tried, changed: Tried) -> None:
    from image_factory.usecases.replay import days

    counts = [
        {name: sum(build.image == name for build in one.builds) for name in one.lags} for one in (recorded, changed)
    ]
    rows = []
    for name, lag in recorded.lags.items():
        other = changed.lags[name]
        rows.append(
            (
                name,
                f"{counts[0][name]} -> {counts[1][name]}",
                f"{days(lag.median):.2f} d -> {days(other.median):.2f} d",
                f"{days(lag.longest):.2f} d -> {days(other.longest):.2f} d",
            )
        )
    show_table(("IMAGE", "BUILDS", "LAG MEDIAN", "LAG MAX"), rows)


def _show_builds(tried: Tried) -> None:
    from image_factory.usecases.observe import short_digest
    from image_factory.usecases.status import instant as shown

    rows = [
        (
            shown(build.requested_at) or "-",
            build.image,
            build.result,
            ", ".join(f"{cause.base} {short_digest(cause.to)}" for cause in build.causes) or build.trigger,
        )
        for build in tried.builds
    ]
    show_table(("AT", "IMAGE", "RESULT", "CAUSES"), rows)
