"""`image-factory init`: make an image-factory folder."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="Example: image-factory init && image-factory enroll postgres --tag 16-alpine")
@click.argument("directory", required=False, type=click.Path(path_type=Path, file_okay=False), metavar="[DIR]")
@click.option("--dry-run", is_flag=True, help="Say what would be made, and make nothing.")
def command(directory: Path | None, dry_run: bool) -> int:
    """Make an image-factory folder at DIR, ./image-factory where it is not given.

    It holds an images.yaml and a config.yaml that explain themselves, and an empty state. Nothing
    that is there already is overwritten.
    """
    from image_factory.usecases.init import init

    root = directory or Path("image-factory")
    made = init(root, dry_run=dry_run)
    for path in made.files:
        click.echo(f"{'would make' if dry_run else 'made'} {root / path}")
    if not dry_run:
        there = "" if root == Path("image-factory") else f" --image-factory-dir {root}"
        click.echo(f"next: image-factory enroll NAME …{there}")
    return 0
