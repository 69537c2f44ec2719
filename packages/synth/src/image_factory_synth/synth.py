"""The command `synth` as a call: find the folder, answer at once where nothing changed, else synthesize. I/O.

What is heavy (settings, state, cdk8s) is imported only where there is work to do.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from image_factory.shell.collector import collector_paused
from image_factory.shell.folder import is_folder
from image_factory.shell.meanwhile import meanwhile
from image_factory.shell.run_memory import Question, ask, look, recollect, remember
from image_factory_synth.report import Report, report, unchanged

if TYPE_CHECKING:
    from image_factory.model.settings import Settings
    from image_factory.ports import BuildTrigger, FileUpdater, Source
    from image_factory.shell.read_ahead import ReadAhead
    from image_factory.shell.run_memory import Recollection
    from image_factory_synth.differences import Difference
    from image_factory_synth.stages import Providers
    from image_factory_synth.synthesize import BudgetOf, Renderer
    from image_factory_synth.texts import Texts


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did."""

    report: Report
    texts: Texts | None = field(default=None, repr=False)
    """The file before and after; None where it was not looked at, since nothing changed."""

    @property
    def text(self) -> str | None:
        """The file's text, or what it would be; None where it was not looked at."""
        return None if self.texts is None else self.texts.new

    @property
    def diff(self) -> str:
        """The change of the file as a unified diff, which takes a while; empty where there is none."""
        return "" if self.texts is None else self.texts.diff()

    @property
    def differences(self) -> dict[str, tuple[Difference, ...]]:
        """The fields that change, by resource, which takes a while."""
        return {} if self.texts is None else self.texts.differences()


def synth(
    folder: Path | None,
    environ: Mapping[str, str],
    cwd: Path,
    *,
    kargo_version: str | None = None,
    overrides: Mapping[str, str | None] | None = None,
    dry_run: bool = False,
    budgets: Callable[[Path, Settings], BudgetOf] | None = None,
    plugins: Callable[[Path, Settings], Providers] | None = None,
    renderer: Renderer | None = None,
) -> Run:
    """Write the Kargo resources of an image-factory folder.

    Args:
        folder: where it is; None leaves it to the environment and to `cwd`.
        kargo_version: such as `1.11`; the settings' where it is None.
        overrides: flags by the setting's path, such as `kargo.namespace`; None is no flag.
        budgets: what tells the budgets of registries, for the folder and its settings; called where there is
            work to do.
        plugins: what loads the plugins that know sources and builds; called where there is work to do.
        renderer: what makes YAML of charts; cdk8s, in a Node of its own, where it is None.

    Raises:
        UserError: as `image_factory_synth.synthesize.synthesize`, `find_root` and `load_settings`.
        RenderingFailed: cdk8s cannot run.
    """
    flags = {"kargo.version": kargo_version, **(overrides or {})}
    asked = [f"{name}={value}" for name, value in flags.items() if value is not None]
    question = ask("synth", folder, environ, cwd, asked, [str(Path(__file__).parent)])
    last = recollect(question)
    if last is not None and not last.changed:
        return Run(unchanged(last.report))

    from image_factory_synth.kargo import Cdk8s
    from image_factory_synth.rendered import is_anything_kept

    with collector_paused(), contextlib.ExitStack() as stack:
        ahead = None
        cdk8s = stack.enter_context(Cdk8s())
        if last is not None:
            cdk8s.prepare()
        elif is_folder(question.root) and not is_anything_kept(question.root):
            ahead = stack.enter_context(_read_ahead(question.root))
            # There will be work for it: it starts while settings and state are read here.
            cdk8s.prepare()
        return _synth(
            folder,
            environ,
            cwd,
            flags,
            budgets,
            plugins,
            renderer or cdk8s,
            ahead,
            last,
            dry_run=dry_run,
            question=question,
        )


def _read_ahead(root: Path) -> ReadAhead:
    """Have state parsed where it usually lies; where settings say otherwise, nobody asks for it."""
    from image_factory.shell.read_ahead import ReadAhead

    return ReadAhead([root / "state" / folder for folder in ("images", "base-images")])


def _synth(
    folder: Path | None,
    environ: Mapping[str, str],
    cwd: Path,
    flags: Mapping[str, str | None],
    budgets: Callable[[Path, Settings], BudgetOf] | None,
    plugins: Callable[[Path, Settings], Providers] | None,
    renderer: Renderer,
    ahead: ReadAhead | None,
    last: Recollection | None,
    *,
    dry_run: bool,
    question: Question,
) -> Run:
    from image_factory.shell.settings import find_root, load_settings
    from image_factory.state.layout import BASE_IMAGES, IMAGES, REQUESTS, SETTINGS_FILE
    from image_factory_synth.kept_plan import load_plan, save_plan

    root = find_root(folder, environ, cwd)
    settings = load_settings(root, environ, flags, cwd=cwd)
    state = root / settings.state_dir
    shown = [state / REQUESTS] if settings.catalog.enabled else []
    files = (str(root / SETTINGS_FILE), str(root / settings.images_file))
    folders = tuple(map(str, (state / IMAGES, state / BASE_IMAGES, *shown)))
    if last is not None and (last.seen.alone, last.seen.folders) == (files, folders):
        before = last.seen
    else:
        before = look(map(Path, files), map(Path, folders))
    budget_of = None if budgets is None else _asked_later(budgets, root, settings)
    providers = None if plugins is None else _LoadedLater(plugins, root, settings)
    kept = None if last is None else load_plan(root)
    if last is not None and kept is not None:
        from image_factory_synth.patching import patch

        patched = patch(root, settings, renderer, last, kept, dry_run=dry_run, providers=providers)
        if patched is not None:
            if not dry_run or not patched.is_new:
                # What is kept is of the file to come: where that cannot be written, the next run makes all anew.
                with meanwhile(patched.write):
                    remember(question, [before], patched.report, patched.texts.output, patched.content)
                    save_plan(root, patched.plan, before.taken_at, patched.planned)
            return Run(patched.report, patched.texts)
    from image_factory_synth.synthesize import synthesize  # not needed where single images are planned

    synthesis = synthesize(
        root, settings, renderer, dry_run=dry_run, budget_of=budget_of, providers=providers, ahead=ahead
    )
    found = report(synthesis, written=not dry_run)
    if not dry_run or synthesis.old == synthesis.new:
        remember(question, [before], found, synthesis.output)
        if synthesis.plan is not None:
            save_plan(root, synthesis.plan, before.taken_at)
    return Run(found, synthesis.texts)


class _LoadedLater:
    """Plugins that are loaded at the first question, which comes while Node works."""

    def __init__(self, load: Callable[[Path, Settings], Providers], root: Path, settings: Settings) -> None:
        self._load = functools.cache(lambda: load(root, settings))

    def source_named(self, provider: str) -> Source:
        return self._load().source_named(provider)

    def trigger_named(self, provider: str) -> BuildTrigger:
        return self._load().trigger_named(provider)

    def updater_named(self, name: str) -> FileUpdater:
        return self._load().updater_named(name)


def _asked_later(budgets: Callable[[Path, Settings], BudgetOf], root: Path, settings: Settings) -> BudgetOf:
    """Return what asks `budgets` at the first question, which comes while Node works, and not before it can."""
    asked = functools.cache(lambda: budgets(root, settings))
    return lambda repository: asked()(repository)
