"""The demo's story: the production commands, one after another, each said with what it taught.

Every command runs as its own process, exactly as it is shown: no step has a path of its own. What a
step learned is read from what the commands wrote, by `status --json` and `graph --json`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from image_factory.oci.reference import Digest, Reference
from image_factory.shell.clock import SystemClock
from image_factory_cli.demo.consequences import Json, consequences, longest_chain
from image_factory_cli.demo.enrollments import MOVING, OWNER, REGISTRY, SERVICES, enrollment, localized
from image_factory_cli.demo.program import Program
from image_factory_cli.demo.screen import Screen
from image_factory_cli.demo.world import BRANCH, PLATFORM, World, lies_at, pulled_by, push_move, shipped_services
from image_factory_cli.demo.world import SERVICES as SERVICES_REPOSITORY


class Story:
    """Tells the demo in a fresh `world`, on `screen`."""

    def __init__(self, world: World, screen: Screen, clone: Path | None) -> None:
        self.world = world
        self.screen = screen
        self.clone = clone
        self.program = Program(world.root, world.platform)
        self.dockerfiles = {path: text for path, text in shipped_services().items() if path.endswith("Dockerfile")}

    def tell(self) -> None:
        self.screen.title(
            "Image Factory", "Keeps container images current with the images they are built on. All of this runs here."
        )
        self._lay_the_ground()
        self._enroll()
        self._discover()
        self._watch()
        before = self.program.read("status")
        self._move()
        self._show_what_follows(before)

    # --- the chapters -------------------------------------------------------------------------

    def _lay_the_ground(self) -> None:
        self.screen.chapter("A registry, a git server, and services with Dockerfiles")
        world = self.world
        with self.screen.step(None, "start a registry and a git server on this machine") as step:
            started = time.monotonic()
            world.create(SERVICES_REPOSITORY, {"README.md": _SERVICES_README, **shipped_services()}, world.services)
            references = [*pulled_by(self._all_dockerfiles().values()), *self._watched()]
            own = [Reference.parse(f"{REGISTRY}/{OWNER}/{one.name}:{one.version}") for one in SERVICES]
            images = world.publish([*references, *own])
            registries = {reference.repository.registry for reference in references}
            step.learned = (
                f"{world.registry.url}: {images} multi-arch images of {len(registries)} registries · "
                f"{world.git.url(SERVICES_REPOSITORY)}: {len(self.dockerfiles)} Dockerfiles"
            )
            step.seconds = time.monotonic() - started

    def _enroll(self) -> None:
        self.screen.chapter("Enroll: what people write")
        world = self.world
        if self.clone is None:
            world.create(PLATFORM, {"README.md": _PLATFORM_README}, world.platform)
            self._step(("init",), lambda _: "images.yaml and config.yaml for people to write, state/ for the program")
        else:
            with self.screen.step(None, "take this repository's own image-factory/ and Dockerfile") as step:
                step.learned = f"{_listed(self._take(self.clone))} are enrolled there; their sources now lie here"
        with (world.folder / "config.yaml").open("a", encoding="utf-8") as file:
            file.write(self._settings())
        self._enroll_services()
        self._step(("validate",), lambda out: _last(out))
        world.commit(world.platform, "Enroll the services")

    def _take(self, clone: Path) -> list[str]:
        """Make the platform repository from a clone's own files, and return the names that it enrolls."""
        folder = clone / "image-factory"
        images, names = localized((folder / "images.yaml").read_text(encoding="utf-8"), sources=self._sources())
        content = {"Dockerfile": (clone / "Dockerfile").read_bytes(), "image-factory/images.yaml": images.encode()}
        self.world.create(PLATFORM, content, self.world.platform)
        return names

    def _enroll_services(self) -> None:
        """Enroll the first service before the reader's eyes, the others in the same way in one step."""
        url = self.world.git.url(SERVICES_REPOSITORY)
        first, *others = SERVICES
        self._step(enrollment(first, url), lambda _: f"a managed image, rebuilt {first.delay} after a base of it moves")
        with self.screen.step(("image-factory", "enroll", "…"), "enroll the others") as step:
            started = time.monotonic()
            for service in others:
                self.program.run(*enrollment(service, url))
            delays = [f"{service.name} ({service.delay})" for service in others]
            step.learned = f"likewise {_listed(delays)}"
            step.seconds = time.monotonic() - started

    def _discover(self) -> None:
        self.screen.chapter("Analyze: which images their Dockerfiles are built on")
        self._step(("inspect", "../services"), lambda out: _last(out))
        self._step(("analyze", "--all", "--push"), lambda _: self._discovered())
        base = SERVICES[0]
        lies = lies_at(Reference.parse(f"{REGISTRY}/{OWNER}/{base.name}").repository)
        published = self.world.registry.storage.manifest(lies, base.version)
        handed = ("--tag", base.version, "--digest", published[1] if published else "", "--push")
        self._step(
            ("analyze", "--image", base.name, *handed),
            lambda _: f"what a build hands over when it is done: {base.name} is at {base.version} now",
        )

    def _watch(self) -> None:
        self.screen.chapter("Observe: what their tags point at now")
        self._step(("observe", "--push"), lambda _: self._observed())
        self._step(("status",), lambda _: self._standing())
        self._step(("graph",), lambda _: self._graphed())
        self._step(("synth",), lambda out: _first(out))
        self.world.commit(self.world.platform, "Write the Kargo resources")
        with self.screen.step(("git", "log", "--oneline"), "read the log") as step:
            step.learned = f"one commit a run that learned something, pushed to {self.world.git.url(PLATFORM)}"
        self.screen.output(self.world.log(self.world.platform), is_cut=True)

    def _move(self) -> None:
        self.screen.chapter(f"A base image moves: {MOVING.repository.familiar}:{MOVING.tag}")
        with self.screen.step(None, "its publisher pushes a new build under the same tag") as step:
            before = self.world.registry.storage.manifest(lies_at(MOVING.repository), MOVING.tag or "")
            digest = push_move(self.world.registry.url, MOVING)
            old = Digest.parse(before[1]).short if before else "nothing"
            step.learned = f"{MOVING} pointed at {old}, and points at {digest.short} now"
        self._step(("observe", "--push"), lambda out: _first(out))
        with self.screen.step(("git", "show"), "read the commit") as step:
            files, change = self.world.last_change(self.world.platform)
            step.learned = f"the move, with the time at which it was first seen, in {' and '.join(files)}"
        self.screen.output(change, is_cut=True)
        self._step(("synth",), lambda out: _first(out))

    def _show_what_follows(self, before: Json) -> None:
        after = self.program.read("status")
        known = {image["name"]: image["rebuild"]["status"] for image in before["images"]}
        graph = self.program.read("graph")
        rows = consequences(after, graph, known, SystemClock().now())
        moved = next((base["name"] for base in after["bases"] if base["configuration"]["fullImage"] == str(MOVING)), "")
        self.screen.chapter("What would be rebuilt, and when")
        words = ("explain", rows[0].image) if rows else ("explain", moved)
        out = self._step(words, lambda _: "every answer carries its reason")
        self.screen.output(out)
        self.screen.table(
            ("IMAGE", "BECAUSE OF", "DELAY", "WHEN"), [(row.image, row.because, row.delay, row.when) for row in rows]
        )

    # --- running commands ---------------------------------------------------------------------

    def _step(self, words: Sequence[str], learned: Callable[[str], str]) -> str:
        """Run a command as a step, and return what it wrote."""
        with self.screen.step(("image-factory", *words), f"{words[0]}…") as step:
            started = time.monotonic()
            out = self.program.run(*words)
            step.seconds = time.monotonic() - started
            step.learned = learned(out)
        return out

    # --- what was learned ---------------------------------------------------------------------

    def _discovered(self) -> str:
        status = self.program.read("status")
        managed = [image for image in status["images"] if image["kind"] == "managed"]
        places = sum(len(image["configuration"].get("references", ())) for image in managed)
        own = {image["name"] for image in managed}
        on_own = [image["name"] for image in managed if own & set(image["configuration"].get("baseImages", ()))]
        stacked = f"; {_listed(on_own)} on an image of our own" if on_own else ""
        return f"{len(managed)} images are built on {len(status['bases'])} bases, named in {places} places{stacked}"

    def _observed(self) -> str:
        status = self.program.read("status")
        seen = [base for base in status["bases"] if base["runtime"].get("currentDigest")]
        platforms = {
            platform for base in seen for platform in (base["runtime"].get("metadata") or {}).get("platforms", {})
        }
        return f"{len(seen)} bases have a digest, each for {_listed(sorted(platforms))}; first-seen clocks run from now"

    def _standing(self) -> str:
        counts: dict[str, int] = {}
        for image in self.program.read("status")["images"]:
            if image["kind"] == "managed":
                word = image["rebuild"]["status"]
                counts[word] = counts.get(word, 0) + 1
        return ", ".join(f"{number} {word}" for word, number in sorted(counts.items())) + ": nothing to rebuild yet"

    def _graphed(self) -> str:
        graph = self.program.read("graph")
        chain = longest_chain(graph)
        return f"{len(graph['nodes'])} nodes, {len(graph['edges'])} edges, no cycle; the longest: {' → '.join(chain)}"

    # --- the content --------------------------------------------------------------------------

    def _all_dockerfiles(self) -> dict[str, bytes]:
        own = {} if self.clone is None else {"Dockerfile": (self.clone / "Dockerfile").read_bytes()}
        return {**self.dockerfiles, **own}

    def _sources(self) -> dict[str, tuple[str, str]]:
        """Return where each image's Dockerfile lies here: ours in the platform repository, the others' beside."""
        services = {
            path.removesuffix("/Dockerfile"): (self.world.git.url(SERVICES_REPOSITORY), path)
            for path in self.dockerfiles
        }
        return {**services, "image-factory": (self.world.git.url(PLATFORM), "Dockerfile")}

    def _watched(self) -> list[Reference]:
        """Return what the clone's external images are watched by, and a few tags that their patterns choose from."""
        if self.clone is None:
            return []
        from image_factory.state.images_yaml import read_images

        text = (self.clone / "image-factory" / "images.yaml").read_text(encoding="utf-8")
        found = [entry.enrollment for entry in read_images(text, "images.yaml").enrollments]
        return [
            Reference(one.image, tag)
            for one in found
            for tag in ([one.tag] if one.tag else EXTERNAL_TAGS)
            if one.source is None
        ]

    def _settings(self) -> str:
        hosts = {reference.repository.registry for reference in pulled_by(self._all_dockerfiles().values())}
        hosts |= {REGISTRY, "docker.io"}
        lines = ["", "# Added by the demo: every registry is asked here in place of out there.", "registries:"]
        lines += [f"  {host}:\n    endpoint: {self.world.endpoint(host)}" for host in sorted(hosts)]
        lines += ["kargo:", f"  stateRepository: {self.world.git.url(PLATFORM)}", f"  stateBranch: {BRANCH}"]
        lines += ["  jobImage: ghcr.io/craigedmunds/image-factory:0.1.0"]
        return "\n".join(lines) + "\n"


EXTERNAL_TAGS = ("16-alpine", "16.4-alpine", "17-alpine", "7-alpine", "7.4-alpine", "7.4.1", "16.4", "17.0")
"""Tags that the registry holds for each external image."""

_PLATFORM_README = "# Platform\n\nWhich images are kept current: image-factory/images.yaml.\n"
_SERVICES_README = "# Services\n\nThe demo's services; change a Dockerfile, push, and analyze again.\n"


def _listed(names: Sequence[str]) -> str:
    """Return names as one says them: a, b and c."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _lines(out: str) -> list[str]:
    return [line.strip() for line in out.splitlines() if line.strip()]


def _last(out: str) -> str:
    return (_lines(out) or ["done"])[-1]


def _first(out: str) -> str:
    return (_lines(out) or ["done"])[0].removeprefix("✓ ")
