"""`image-factory demo`: the main job on a registry and a git server of its own."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="Example: image-factory demo, then in another terminal image-factory demo --serve")
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False), metavar="[DIR]")
@click.option("--fresh", is_flag=True, help="Start over, even where the folder holds work done after an earlier demo.")
@click.option("--serve", is_flag=True, help="Start the registry and the git server of a demo again, until interrupted.")
@click.option(
    "--move", metavar="REFERENCE", help="Push a new build under a tag of the demo's registry, such as node:22-alpine."
)
def command(folder: Path | None, fresh: bool, serve: bool, move: str | None) -> int:
    """Show the main job: enroll, analyze, observe, synthesize, and what follows when a base image moves.

    Everything is real and runs here: an OCI registry and a git server on loopback, and the commands as
    you would type them. DIR (./image-factory-demo by default) stays, to look into and to go on with by hand.
    """
    from image_factory_cli.demo import session

    root = (folder or Path(session.DEFAULT_FOLDER)).absolute()
    if move is not None:
        session.move(root, move)
    elif serve:
        session.serve(root)
    else:
        session.show(root, Path.cwd(), fresh=fresh)
    return 0
