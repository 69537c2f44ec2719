"""The three ways to use a demo: show it, serve its folder again, move one of its base images."""

from __future__ import annotations

import shutil
import sys
import threading
from pathlib import Path

from image_factory.errors import NotFound, Unavailable
from image_factory.oci.reference import Reference
from image_factory_cli.demo.enrollments import MOVING, find_clone
from image_factory_cli.demo.screen import Screen
from image_factory_cli.demo.story import Story
from image_factory_cli.demo.world import PLATFORM, Record, World, make_room, push_move, read_record

DEFAULT_FOLDER = "image-factory-demo"


def show(root: Path, start: Path, *, fresh: bool) -> None:
    """Tell the whole story in a new folder at `root`; `start` is where a clone is looked for.

    Raises:
        Conflict: the folder holds something else, or work done after an earlier demo.
    """
    make_room(root, fresh=fresh)
    screen = Screen()
    with World(root) as world:
        world.remember(is_told=False)
        Story(world, screen, find_clone(start)).tell()
        world.remember(is_told=True)
    here = shown(root)
    demo = "image-factory demo" if here == DEFAULT_FOLDER else f"image-factory demo {here}"
    lines = [
        (f"git -C {here}/platform log --stat", "what was learned, a commit a run"),
        (f"{demo} --serve", "start its registry and git server again, in a terminal of their own"),
        (f"{demo} --move {MOVING.repository.familiar}:{MOVING.tag}", "let a base move again"),
        (f"cd {here}/platform && image-factory observe --push", "and go on by hand"),
    ]
    if shutil.which("image-factory") is None:
        lines.insert(0, (f"source {shown(Path(sys.executable).parent)}/activate", "have image-factory at hand"))
    screen.closing(f"All of it lies in {here}", lines)


def serve(root: Path) -> None:
    """Start the registry and the git server of an earlier demo on their old ports, until interrupted.

    Raises:
        NotFound: the folder holds no demo.
        Unavailable: another program, or another demo, listens on one of the ports.
    """
    _require(root)
    with World(root) as world:
        sys.stdout.write(f"registry    {world.registry.url}\n")
        sys.stdout.write(f"git server  {world.git.url(PLATFORM)}\n")
        sys.stdout.write(f"go on in {shown(root)}/platform; Ctrl-C ends it\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.stdout.write("\n")


def move(root: Path, text: str) -> None:
    """Push a new build under a tag of the demo's registry, whether it is being served or not.

    Raises:
        NotFound: the folder holds no demo, or its registry no such tag.
        InvalidReference: `text` is no image reference.
    """
    record = _require(root)
    reference = Reference.parse(text)
    try:
        world = World(root)
    except Unavailable:
        # Its ports are taken: it is being served, and takes a push like any registry.
        digest = push_move(f"http://127.0.0.1:{record.registry_port}", reference)
    else:
        with world:
            digest = push_move(world.registry.url, reference)
    sys.stdout.write(f"{reference} points at {digest.short} now; image-factory observe will see it\n")


def shown(path: Path) -> str:
    """Return a path as short as it can be written from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _require(root: Path) -> Record:
    record = read_record(root)
    if record is None:
        raise NotFound(f"{root} holds no demo", hint="image-factory demo makes one")
    return record
