"""How long `image-factory synth` takes beside a cdk8s program with an ApiObject and a JSON patch for each resource.

The yardstick does what a user's own program would: it reads images.yaml and the state files with
libyaml, takes no care of anything in them, and gives cdk8s its resources, which it finds ready-made (so
that it works out nothing), each as one construct with one patch, through the Python package.
Ours is measured from nothing kept, with one image changed, and with nothing changed and no Node.

Twice: with Warehouses alone, one for each image; and with all that Kargo needs to work by itself
(`kargo.stateRepository`), which is some seven resources an image, beside the yardstick for the same ones.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from benchmarks.harness import Figure, Job, Room, Skipped, growth, program

SIZES = (1_000, 10_000)
_ONE_BASE_IN = 5
"""Images, per base image that they share."""
_AT = datetime(2026, 1, 1, tzinfo=UTC)

PEER = """
import json, sys
from pathlib import Path
import cdk8s, yaml
folder = Path(sys.argv[1])
for file in (folder / "images.yaml", *folder.glob("state/*/*.yaml")):
    yaml.load(file.read_bytes(), yaml.CSafeLoader)
app = cdk8s.App(outdir=sys.argv[3])
chart = cdk8s.Chart(app, "chart")
for number, resource in enumerate(json.load(open(sys.argv[2]))):
    made = cdk8s.ApiObject(chart, str(number), api_version=resource["apiVersion"], kind=resource["kind"],
                           metadata=resource["metadata"])
    if "spec" in resource:
        made.add_json_patch(cdk8s.JsonPatch.add("/spec", resource["spec"]))
app.synth()
"""


def run(room: Room) -> Iterator[Figure]:
    """Yield the figures of Warehouses alone, then those of the whole factory as resources."""
    try:
        from image_factory_synth.node import find_node
    except ModuleNotFoundError as missing:
        raise Skipped(f"image-factory-synth is not installed ({missing})") from missing
    node = str(find_node())
    yield from _warehouses(room, node)
    yield from _factory(room, node)


def _warehouses(room: Room, node: str) -> Iterator[Figure]:
    """Yield, for each size: all rendered, one image changed, nothing changed; then how they grow."""
    first: dict[str, Figure] = {}
    for size in room.sizes:
        jobs = _Jobs(room, size, node, with_stages=False)
        figures = {
            "synth": room.compare("synth, nothing kept", size, ours=jobs.cold, yardstick=jobs.peer, limit=0.5),
            "one": room.compare("synth, one image changed", size, ours=jobs.one, yardstick=jobs.peer, limit=0.5),
            "unchanged": room.compare(
                "synth, nothing changed, no Node", size, ours=jobs.unchanged, yardstick=jobs.peer, limit=0.1
            ),
        }
        for name, figure in figures.items():
            yield figure
            if name in first:
                yield growth(f"{figure.name}, growth", first[name], figure)
            first.setdefault(name, figure)


def _factory(room: Room, node: str) -> Iterator[Figure]:
    """Yield the least size beside the yardstick and beside our own run from nothing, then how the others grow."""
    size, *larger = room.sizes
    jobs = _Jobs(room, size, node, with_stages=True)
    cold = jobs.cold
    yield room.compare("factory, nothing kept", size, ours=cold, yardstick=jobs.peer, limit=0.5)
    # The job that a run in which something changed is beside forgets all: what was kept is made again first.
    again = partial(jobs.settle, then=jobs.change_one)
    one = Job(jobs.command, prepare=again)
    yield room.compare("factory, one image changed, of nothing kept", size, ours=one, yardstick=cold, limit=0.2)
    none = Job(jobs.command, env=_NO_NODE, prepare=jobs.settle)
    yield room.compare("factory, nothing changed, no Node", size, ours=none, yardstick=cold, limit=0.1)
    for large in larger:
        more = _Jobs(room, large, node, with_stages=True).cold
        limit = large / size * 1.1
        yield room.compare(
            "factory, nothing kept, growth", large, ours=more, yardstick=cold, limit=limit, memory_limit=limit
        )


_NO_NODE = {"JSII_NODE": "/nonexistent/node", "PATH": "/nonexistent"}


class _Jobs:
    """A folder of `size` images, and what is measured on it."""

    def __init__(self, room: Room, size: int, node: str, *, with_stages: bool) -> None:
        self.folder = room.folder / f"{size}-{'factory' if with_stages else 'warehouses'}"
        _fill(self.folder, size, with_stages=with_stages)
        resources = self.folder.with_suffix(".json")
        self.command = program("synth", "--image-factory-dir", str(self.folder))
        _ready_made(self.command, self.folder, resources)
        self.peer = Job(
            [sys.executable, "-c", PEER, str(self.folder), str(resources), str(room.folder / "peer")],
            env={"JSII_NODE": node, "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1"},
        )
        self.cold = Job(self.command, prepare=self.forget)
        self.one = Job(self.command, prepare=self.change_one)
        self.unchanged = Job(self.command, env=_NO_NODE)

    def forget(self) -> None:
        """Remove what earlier runs wrote and kept."""
        for kept in ("dist", ".image-factory-cache"):
            shutil.rmtree(self.folder / kept, ignore_errors=True)

    def settle(self, then: Callable[[], None] = lambda: None) -> None:
        """Run once, so that all is kept."""
        subprocess.run(self.command, check=True, stdout=subprocess.DEVNULL)
        then()

    def change_one(self) -> None:
        """Publish another version of one image, as far as its Warehouse shows it: the first one, or none."""
        file = self.folder / "state" / "images" / "image-1.yaml"
        text = file.read_text()
        known, unknown = 'currentVersion: "1.1.0"', "currentVersion: latest"
        swapped = text.replace(known, unknown)
        file.write_text(swapped if swapped != text else text.replace(unknown, known))


def _ready_made(synth: list[str], folder: Path, resources: Path) -> None:
    """Write what `synth` makes of the folder as JSON, for the yardstick, and let the folder's files settle."""
    import yaml

    subprocess.run(synth, check=True, stdout=subprocess.DEVNULL)
    text = (folder / "dist" / "image-factory.k8s.yaml").read_bytes()
    resources.write_text(json.dumps(list(yaml.load_all(text, yaml.CSafeLoader))))


def _fill(folder: Path, size: int, *, with_stages: bool) -> None:
    """Make an image-factory folder of `size` enrolled images with state, and a base for every fifth.

    With `with_stages` they are built and carried to two files each by Kargo.
    """
    from image_factory.decide.discovery import base_configuration
    from image_factory.model.enrollment import Enrollment
    from image_factory.model.image_state import (
        BaseHistory,
        BaseState,
        ImageConfiguration,
        ImageHistory,
        ImageRuntime,
        ImageState,
    )
    from image_factory.oci.reference import Reference
    from image_factory.state.codec import dump

    lines = []
    for part in ("images", "base-images"):
        (folder / "state" / part).mkdir(parents=True)
    bases = [f"base-{number}" for number in range(size // _ONE_BASE_IN)]
    for number, base in enumerate(bases):
        state = BaseState(
            configuration=base_configuration(base, Reference.parse(f"docker.io/library/{base}:3.{number % 20}-slim")),
            history=BaseHistory(first_discovered=_AT + timedelta(seconds=number)),
        )
        (folder / "state" / "base-images" / f"{base}.yaml").write_text(dump(state))
    for number in range(size):
        name = f"image-{number}"
        entry: dict[str, object] = {"name": name, "registry": "ghcr.io", "repository": f"acme/{name}"}
        if number % 5:
            entry["source"] = {"repo": f"acme/{name}", "dockerfile": f"apps/{name}/Dockerfile"}
            if with_stages:
                entry["updates"] = [
                    {"type": "kustomize-set-image", "repo": "acme/deploy", "path": f"apps/{name}/kustomization.yaml"},
                    {"type": "yaml-update", "repo": "acme/charts", "path": f"{name}/values.yaml", "key": "image.tag"},
                ]
        else:
            entry["tag"] = "16-alpine"
        # JSON is YAML; one entry a line keeps the file as long as people's are in characters, not in lines.
        lines.append("- " + "\n  ".join(f"{key}: {json.dumps(value)}" for key, value in entry.items()))
        state_of = ImageState(
            configuration=ImageConfiguration(
                name=name, enrollment=Enrollment.model_validate(entry), base_images=(bases[number % len(bases)],)
            ),
            runtime=ImageRuntime(current_version=f"1.{number % 30}.0", last_built=_AT),
            history=ImageHistory(enrolled_at=_AT + timedelta(seconds=number)),
        )
        (folder / "state" / "images" / f"{name}.yaml").write_text(dump(state_of))
    (folder / "images.yaml").write_text("\n".join(lines) + "\n")
    if with_stages:
        (folder / "config.yaml").write_text(
            "engine: kargo\nkargo:\n  stateRepository: https://github.com/acme/platform.git\n"
            "  jobImage: ghcr.io/craigedmunds/image-factory:0.1.0\n"
        )
    # Older than any run, as files of a checkout are; what was changed a moment ago is read again to be sure.
    for file in folder.rglob("*.yaml"):
        os.utime(file, (0, _AT.timestamp()))
