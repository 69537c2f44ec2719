"""What the demo enrolls: its own services by command, and the images of a clone's own images.yaml."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from image_factory.errors import InvalidEnrollment
from image_factory.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the demo: an image that `services/NAME/Dockerfile` builds."""

    name: str
    delay: str
    owner: str
    version: str = "1.4.0"
    """The tag under which it is published; `recommender` names that of `python-base`."""


SERVICES = (
    Service("python-base", "24h", "platform", "3.13"),
    Service("recommender", "48h", "discovery"),
    Service("storefront", "7d", "shop"),
    Service("cart", "3d", "shop"),
    Service("payments", "12h", "payments"),
    Service("gateway", "7d", "platform"),
)
"""`recommender` is built on `python-base`: a managed image on a managed image."""

MOVING = Reference.parse("docker.io/library/python:3.13.7-slim-bookworm")
"""The base image that moves at the end; this project's own image is built on it too."""

PLATFORMS = ("linux/amd64", "linux/arm64")
REGISTRY = "ghcr.io"
OWNER = "acme"

PROJECT_FILE = "pyproject.toml"


def enrollment(service: Service, url: str) -> tuple[str, ...]:
    """Return the command that enrolls a service whose Dockerfile lies in the repository at `url`."""
    return (
        *("enroll", service.name),
        *("--registry", REGISTRY, "--repository", f"{OWNER}/{service.name}"),
        *("--source-provider", "git", "--source-repo", url, "--dockerfile", f"{service.name}/Dockerfile"),
        *(word for platform in PLATFORMS for word in ("--platform", platform)),
        *("--delay", service.delay, "--owner", service.owner),
    )


def find_clone(start: Path) -> Path | None:
    """Return the clone of Image Factory that `start` lies in, or None."""
    for folder in (start, *start.parents):
        files = (folder / PROJECT_FILE, folder / "Dockerfile", folder / "image-factory" / "images.yaml")
        if all(file.is_file() for file in files):
            return folder if 'name = "image-factory"' in files[0].read_text(encoding="utf-8") else None
    return None


def localized(text: str, *, sources: Mapping[str, tuple[str, str]]) -> tuple[str, list[str]]:
    """Return images.yaml with every source on the demo's git server, comments kept, and the names it enrolls.

    Args:
        sources: image name → clone URL and path of the Dockerfile there. A managed image without one is left out.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    document = yaml.load(text)
    if not isinstance(document, list):
        raise InvalidEnrollment("the clone's images.yaml is no list", hint="image-factory validate says more")
    names: list[str] = []
    for entry in list(document):
        source = entry.get("source") or entry.get("enrollment", {}).get("source")
        if source:
            if entry["name"] not in sources:
                document.remove(entry)
                continue
            source["provider"] = "git"
            source["repo"], source["dockerfile"] = sources[entry["name"]]
            for key in ("host", "branch", "workflow", "pipeline", "job", "ref", "inputs", "context"):
                source.pop(key, None)
        names.append(entry["name"])
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue(), names
