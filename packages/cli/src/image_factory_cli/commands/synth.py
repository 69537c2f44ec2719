"""`image-factory synth`: the Kargo resources of a folder.

Runs in which nothing changed are the many, so nothing heavy is imported before that is known.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from image_factory.errors import UnknownPlugin
from image_factory_cli.folder import folder_options
from image_factory_cli.logs import LogFormat, configure_logs

_SHOWN = 10
"""Resources named in each list; the others are counted."""


@click.command(epilog="Example: image-factory synth --dry-run --diff --kargo-version 1.10")
@folder_options
@click.option("--kargo-version", metavar="V", help="The Kargo that will read them, such as 1.11.")
@click.option("--namespace", metavar="NAME", help="The namespace, and the name of the Project.")
@click.option("--base-interval", metavar="TIME", help="How often base and external images are asked for, such as 24h.")
@click.option("--managed-interval", metavar="TIME", help="How often managed images are asked for, such as 5m.")
@click.option("--report", "with_report", is_flag=True, help="Show how many requests a day each registry gets.")
@click.option("--json", "as_json", is_flag=True, help="Write the outcome as JSON.")
@click.option("--dry-run", is_flag=True, help="Write nothing.")
@click.option("--diff", "with_diff", is_flag=True, help="Show which fields change, and the file's lines.")
@click.option("--strict", is_flag=True, help="End with 3 where a state file is unreadable or an image is left out.")
@click.option(
    "--crds",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Check against the schemas in this folder: crds/*.yaml, subscriptions/*.json, steps/*.json.",
)
@click.option(
    "--server", is_flag=True, help="Check against the cluster of kubectl's context; it changes nothing there."
)
@click.option("--check", "only_check", is_flag=True, help="Write nothing: check the file as it lies there.")
def command(
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
    kargo_version: str | None,
    namespace: str | None,
    base_interval: str | None,
    managed_interval: str | None,
    with_report: bool,
    as_json: bool,
    dry_run: bool,
    with_diff: bool,
    strict: bool,
    crds: Path | None,
    server: bool,
    only_check: bool,
) -> int:
    """Write the Kargo resources to dist/image-factory.k8s.yaml.

    From images.yaml and state/: a Namespace, a Project with its ProjectConfig, and a Warehouse for each
    image that can be watched. Only what changed is rendered again.

    With --check the file that lies there is checked: each resource, and whether what they refer to is there.
    With --crds or --server, and without --check, nothing is written that does not fit.

    A flag wins over the environment (IMAGE_FACTORY_KARGO_NAMESPACE), that over config.yaml (kargo.namespace).
    """
    flags = {"namespace": namespace, "base_interval": base_interval, "managed_interval": managed_interval}
    settings = {f"kargo.{name}": value for name, value in flags.items()}
    if only_check:
        idle = [name for name, is_set in (("--diff", with_diff), ("--report", with_report)) if is_set]
        if idle:
            raise click.UsageError(f"--check renders nothing, so there is nothing to show by {' and '.join(idle)}")
        return _check_file(directory, settings, kargo_version, crds, server=server, as_json=as_json)
    synth = functools.partial(
        _synth(),
        directory,
        os.environ,
        Path.cwd(),
        kargo_version=kargo_version,
        budgets=_budgets,
        plugins=_plugins,
        overrides=settings,
    )
    checked = None
    if crds is not None or server:
        checked = _inspected(synth(dry_run=True), crds, server=server)
        if checked.findings:  # what does not fit is not written
            return _tell(checked, as_json=as_json)
    run = synth(dry_run=dry_run)
    found = run.report
    if as_json:
        sys.stdout.write(json.dumps({**found, **_diff(run)} if with_diff else found, indent=2) + "\n")
    elif log_format != "json":  # with a program's log, nothing but its lines is said
        fields = run.differences if with_diff and sys.stdout.isatty() else {}
        sys.stdout.write("".join(f"{line}\n" for line in _lines(found, fields, dry_run=dry_run)))
        if with_report:
            _write_traffic(found)
        if with_diff:
            sys.stdout.write(run.diff)
    sys.stdout.flush()
    if found["problems"]:
        configure_logs(log_format, log_level)
        _warn(found["problems"], log_format)
    if checked is not None:
        sys.stderr.write(f"{_fitting(checked)}\n")

    from image_factory_synth.report import exit_code

    return exit_code(found, strict=strict)


def _synth() -> Callable[..., Any]:
    try:
        from image_factory_synth.synth import synth
    except ModuleNotFoundError as error:
        if error.name != "image_factory_synth":
            raise
        raise UnknownPlugin(
            "synth is not installed", hint="pip install 'image-factory[synth]', which brings cdk8s"
        ) from error
    return synth


def _plugins(root: Path, settings: Any) -> Any:
    """Return the plugins, which know the providers' URLs and calls."""
    return _bench(root, settings).plugins


def _bench(root: Path, settings: Any) -> Any:
    """Return the one workbench of this command, so that plugins are loaded once."""
    from image_factory_cli.folder import workbench

    known = click.get_current_context().meta
    key = f"{__name__}.{root}"
    if key not in known:
        known[key] = workbench(root, settings)
    return known[key]


def _budgets(root: Path, settings: Any) -> Callable[[Any], Any]:
    """Return what asks the plugins for registries' budgets: they are loaded at the first question."""
    from image_factory_synth.schedule import Budget

    bench = _bench(root, settings)

    def budget_of(repository: Any) -> Budget | None:
        registry = bench.plugins.registry_for(repository)
        profile = registry.rate_profile(repository)
        return None if profile is None else Budget(profile.per_day, f"plugin {registry.name}")

    return budget_of


def _diff(run: Any) -> dict[str, Any]:
    changed = {
        resource: [{"field": each.field, "old": each.old, "new": each.new} for each in fields]
        for resource, fields in run.differences.items()
    }
    return {"diff": run.diff, "fields": changed}


def _lines(found: Mapping[str, Any], fields: Mapping[str, Any], *, dry_run: bool) -> Iterator[str]:
    """Yield the summary: what became of the file, then what was added, changed and removed, and in which fields."""
    output = os.path.relpath(found["output"])
    counts = [(mark, word, found[word]) for mark, word in (("+", "added"), ("~", "changed"), ("-", "removed"))]
    if not any(names for _, _, names in counts):
        state = "is up to date" if not found["written"] else "was written anew"
        yield f"{output} {state}: {_count(found['resources'], 'resource')} for Kargo {found['kargoVersion']}"
        return
    told = ", ".join(f"{len(names)} {word}" for _, word, names in counts)
    does = "would hold" if dry_run else "holds"
    yield f"{output} {does} {_count(found['resources'], 'resource')} for Kargo {found['kargoVersion']}: {told}"
    for mark, _, names in counts:
        for name in names[:_SHOWN]:
            yield f"  {mark} {name}"
            yield from (f"      {field}" for field in fields.get(name, ())[:_SHOWN])
        if len(names) > _SHOWN:
            yield f"  {mark} and {len(names) - _SHOWN} more"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _write_traffic(found: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("registry", title="requests a day", title_justify="left")
    for heading in ("Warehouses", "requests", "budget"):
        table.add_column(heading, justify="right")
    table.add_column("says")
    table.add_column("excess", justify="right")
    for of in found["registries"]:
        is_known = of["budget"] is not None
        table.add_row(
            of["registry"],
            str(of["warehouses"]),
            str(of["requestsPerDay"]),
            str(of["budget"]) if is_known else "not known",
            of["budgetFrom"] or "-",
            str(of["excess"]) if is_known else "-",
        )
    Console(file=sys.stdout).print(table)


def _warn(problems: Sequence[Mapping[str, Any]], log_format: LogFormat) -> None:
    import logging

    log = logging.getLogger("image_factory.synth")
    for problem in problems:
        place = f"{problem['file'] or ''}{':' if problem['line'] else ''}{problem['line'] or ''}"
        level = logging.ERROR if problem["kind"] == "failed" else logging.WARNING
        image, message = problem["image"], problem["message"].removeprefix(f"{problem['image']}: ")
        if place and image and log_format == "text":  # people read the place first, as a compiler writes it
            image, message = None, problem["message"]
        text = f"{place}{': ' if place else ''}{message}"
        fields = {"op": "synth", "image": image, "input": place or None}
        log.log(level, "%s", text, extra={**fields, "hint": problem["hint"]})


def _check_file(
    directory: Path | None,
    flags: Mapping[str, str | None],
    version: str | None,
    crds: Path | None,
    *,
    server: bool,
    as_json: bool,
) -> int:
    _synth()
    from image_factory.shell.settings import find_root, load_settings
    from image_factory_synth.inspection import inspect_file

    root = find_root(directory, os.environ, Path.cwd())
    settings = load_settings(root, os.environ, {"kargo.version": version, **flags}, cwd=Path.cwd())
    return _tell(inspect_file(root, settings, crds=crds, server=server), as_json=as_json)


def _inspected(run: Any, crds: Path | None, *, server: bool) -> Any:
    from image_factory_synth.inspection import inspect_text
    from image_factory_synth.versions import KargoVersion

    output = Path(run.report["output"])
    text = run.text if run.text is not None else output.read_text("utf-8")
    return inspect_text(text, output, KargoVersion.parse(run.report["kargoVersion"]), crds=crds, server=server)


def _tell(checked: Any, *, as_json: bool) -> int:
    """Say what was found, one line each, and return 2 where something was."""
    if as_json:
        sys.stdout.write(json.dumps(checked.report(), indent=2) + "\n")
    elif not checked.findings:
        sys.stdout.write(f"{_fitting(checked)}\n")
    else:
        output = os.path.relpath(checked.output)
        for found in checked.findings:
            place = output if found.line is None else f"{output}:{found.line}"
            sys.stderr.write(f"error: {place}: {found}\n")
            if found.hint:
                sys.stderr.write(f"hint: {found.hint}\n")
        sys.stderr.write(f"{_count(len(checked.findings), 'finding')} in {_count(checked.resources, 'resource')}\n")
    return 2 if checked.findings else 0


def _fitting(checked: Any) -> str:
    *others, last = checked.against
    against = f"{', '.join(others)} and {last}" if others else last
    fit = "fits" if checked.resources == 1 else "fit"
    return f"{os.path.relpath(checked.output)}: {_count(checked.resources, 'resource')} {fit} {against}"
