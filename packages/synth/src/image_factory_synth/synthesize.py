"""The use-case `synth`: a folder's images.yaml and state in, one file of Kargo's resources out. I/O."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from image_factory.errors import ImageFactoryError, InvalidEnrollment, NotFound
from image_factory.model.settings import Settings
from image_factory.shell.store import Store
from image_factory.state.images_yaml import ImagesFile, read_images
from image_factory.state.layout import OUTPUT_FILE
from image_factory.usecases.outcome import Failed, Skipped
from image_factory_synth.charts import Chart, plan_charts
from image_factory_synth.data import merge
from image_factory_synth.kargo import Cdk8s
from image_factory_synth.rendered import load_rendered, replace_file, save_rendered
from image_factory_synth.schedule import PUBLIC_BUDGETS, Traffic, traffic
from image_factory_synth.versions import KargoVersion
from image_factory_synth.warehouses import Note

HEADER = "# Written by image-factory synth from images.yaml and state/. The next run undoes what is changed here.\n"
Render = Callable[[Sequence[Chart]], list[str]]
_BREAK = "---\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """What one run made of a folder."""

    output: Path
    version: KargoVersion
    old: str | None = field(repr=False)
    """The file's text before; None where there was none."""
    new: str = field(repr=False)
    added: tuple[str, ...]
    """Resources, such as `Warehouse/backstage`, sorted."""
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    resources: int
    rendered: int
    """Charts that passed through cdk8s."""
    failures: tuple[ImageFactoryError, ...]
    """Entries of images.yaml that are wrong: none of them is in the file."""
    refused: tuple[Failed, ...]
    """Images that Kargo would refuse: nor are they."""
    broken: Mapping[str, ImageFactoryError]
    """State files that could not be read, by the name of their record."""
    skipped: tuple[Skipped, ...]
    """Images without a Warehouse, and why."""
    pinned: tuple[str, ...]
    """Base images that are named by digest alone, so that nothing is watched."""
    notes: tuple[Note, ...]
    traffic: tuple[Traffic, ...]

    def diff(self) -> str:
        """Return what changes in the file as a unified diff; empty where nothing does."""
        name = self.output.name
        old = (self.old or "").splitlines(keepends=True)
        before = name if self.old is not None else "/dev/null"
        return "".join(difflib.unified_diff(old, self.new.splitlines(keepends=True), before, name))


def synthesize(
    root: Path,
    settings: Settings,
    *,
    kargo_version: str | None = None,
    dry_run: bool = False,
    render: Render | None = None,
    budgets: Mapping[str, int] | None = None,
) -> Synthesis:
    """Write the Kargo resources of the image-factory folder `root`, and return what changed.

    Args:
        kargo_version: such as `1.11`; the settings' where it is None.
        dry_run: whether to write nothing.
        render: turns charts into YAML; cdk8s where it is None, started only if there is work for it.
        budgets: requests a day by registry, before the settings' own.

    Raises:
        NotFound: there is no images.yaml.
        InvalidEnrollment: it is no YAML at all.
        InvalidSettings: the Kargo version is not known.
        Conflict: two entries have one name.
        NoNode, RenderingFailed: cdk8s cannot run.
    """
    version = KargoVersion.parse(kargo_version or settings.kargo.version)
    enrolled = _read_images(root / settings.images_file)
    kept = load_rendered(root)
    with Cdk8s() as cdk8s:
        if render is None and not kept:
            # There will be work for it, and it takes as long to start as reading the state takes.
            cdk8s.start()
        store = Store(root, settings)
        images, bases = store.images(), store.bases()
        inventory = merge(
            (entry.enrollment for entry in enrolled.enrollments), images.records.values(), bases.records.values()
        )
        plan = plan_charts(inventory, settings.kargo, version)
        new, rendered = _render(root, plan.charts, kept, render or cdk8s.render, keep=not dry_run)
    output = root / settings.dist_dir / OUTPUT_FILE
    old = _read(output)
    if new != old and not dry_run:
        replace_file(output, new)
    before, after = _resources(old or ""), _resources(new)
    planned = plan.planned
    limits = {**PUBLIC_BUDGETS, **(budgets or {}), **_budgets(settings)}
    return Synthesis(
        output=output,
        version=version,
        old=old,
        new=new,
        added=tuple(sorted(after.keys() - before.keys())),
        changed=tuple(sorted(key for key in after.keys() & before.keys() if after[key] != before[key])),
        removed=tuple(sorted(before.keys() - after.keys())),
        resources=len(after),
        rendered=rendered,
        failures=enrolled.problems,
        refused=tuple(found for found in planned.outcomes if isinstance(found, Failed)),
        broken={**images.broken, **bases.broken},
        skipped=tuple(found for found in planned.outcomes if isinstance(found, Skipped)),
        pinned=planned.pinned,
        notes=planned.notes,
        traffic=traffic(planned.checks, planned.intervals, limits),
    )


def _read_images(path: Path) -> ImagesFile:
    text = _read(path)
    if text is None:
        raise NotFound(f"no {path}", hint="image-factory init makes one")
    images = read_images(text, str(path))
    if images.problems and not images.names:
        # Nothing of it can be read. An output without any image would have the cluster drop them all.
        raise images.problems[0]
    return images


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidEnrollment(f"cannot read {path}: {error}", hint="make it a readable UTF-8 file") from error


def _budgets(settings: Settings) -> dict[str, int]:
    return {host: of.requests_per_day for host, of in settings.registries.items() if of.requests_per_day is not None}


def _render(
    root: Path, charts: Sequence[Chart], kept: dict[str, str], render: Render, *, keep: bool
) -> tuple[str, int]:
    """Return the whole text, and how many charts were not among those kept."""
    digests = [chart.digest for chart in charts]
    missing = [(chart, digest) for chart, digest in zip(charts, digests, strict=True) if digest not in kept]
    if missing:
        texts = render([chart for chart, _ in missing])
        kept.update(zip((digest for _, digest in missing), texts, strict=True))
    if keep and (missing or len(kept) > len(set(digests))):
        save_rendered(root, {digest: kept[digest] for digest in digests})
    return HEADER + _BREAK.join(kept[digest] for digest in digests), len(missing)


def _resources(text: str) -> dict[str, str]:
    """Return the documents of an output by kind and name; a document of neither stands by itself."""
    found: dict[str, str] = {}
    for number, part in enumerate(text.split(f"\n{_BREAK}") if text else ()):
        kind = name = ""
        for line in part.splitlines():
            if line.startswith("kind: "):
                kind = line.removeprefix("kind: ")
            elif line.startswith("  name: ") and not name:
                name = line.removeprefix("  name: ").strip("\"'")
        found[f"{kind}/{name}" if kind and name else f"document {number + 1}"] = part.rstrip("\n")
    return found
