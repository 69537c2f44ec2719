"""The world that a demo lives in: one folder with a registry, a git server, their content and two checkouts.

```
demo.json      the ports and what was made, so that `demo --serve` starts the same world again
registry/      the embedded registry's content        git/        the git server's bare repositories
platform/      a checkout: the image-factory folder   services/   a checkout: the services' Dockerfiles
```
Everything listens on loopback alone. Holds no step of the demo's story.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import TracebackType

from image_factory.dockerfile.read import read_dockerfile
from image_factory.dockerfile.reading import BuildOptions
from image_factory.errors import Conflict, NotFound, Unavailable
from image_factory.oci.manifest import OCI_INDEX
from image_factory.oci.platform import Platform
from image_factory.oci.reference import Digest, Reference, Repository
from image_factory.shell.clock import SystemClock
from image_factory.shell.git_program import Git
from image_factory.testing.git_server import GitServer
from image_factory.testing.image_content import build_image, digest_of
from image_factory.testing.registry_server import RegistryServer
from image_factory_cli.demo.enrollments import PLATFORMS

RECORD = "demo.json"
PLATFORM = "acme/platform.git"
SERVICES = "acme/services.git"
BRANCH = "main"
_TRANSPORTS = ("http",)
_AUTHOR = ("-c", "user.name=Demo", "-c", "user.email=demo@example.invalid")


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of a demo between two starts."""

    registry_port: int
    git_port: int
    head: str = ""
    """The last commit that the demo itself made in the platform checkout; empty where it did not end."""


class World:
    """Runs the registry and the git server of a demo's folder while it is entered."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.platform = root / "platform"
        self.services = root / "services"
        self.folder = self.platform / "image-factory"
        self.record = read_record(root)
        ports = self.record or Record(0, 0)
        try:
            self.registry = RegistryServer(root / "registry", port=ports.registry_port)
        except OSError as error:
            raise _taken(ports.registry_port, error) from error
        self.git = GitServer(root / "git", port=ports.git_port)

    def __enter__(self) -> World:
        self.registry.start()
        try:
            self.git.__enter__()
        except OSError as error:
            self.registry.stop()
            raise _taken(self.record.git_port if self.record else 0, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.git.__exit__(kind, error, trace)
        self.registry.stop()

    def remember(self, *, is_told: bool) -> None:
        """Write the ports, and where the whole story was told, the commit that it ended with."""
        told = Git(self.platform).run("rev-parse", "HEAD", doing="cannot read the checkout") if is_told else None
        head = told.text() if told else ""
        git_port = int(self.git.url(PLATFORM).split(":")[2].split("/")[0])
        record = Record(int(self.registry.host.split(":")[1]), git_port, head)
        (self.root / RECORD).write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")

    # --- git ----------------------------------------------------------------------------------

    def create(self, repository: str, content: Mapping[str, str | bytes], checkout: Path) -> None:
        """Make a repository on the server, and a checkout of it."""
        self.git.create(repository, content, branch=BRANCH)
        Git(transports=_TRANSPORTS).run(
            "clone", "--quiet", self.git.url(repository), str(checkout), doing=f"cannot clone {repository}"
        )

    def commit(self, checkout: Path, subject: str) -> None:
        """Commit all of a checkout by hand, as a person would, and push it."""
        git = Git(checkout, transports=_TRANSPORTS)
        git.run("add", "--all", doing="cannot add files")
        git.run(*_AUTHOR, "commit", "--quiet", "-m", subject, doing="cannot commit")
        git.run("push", "--quiet", "origin", BRANCH, doing="cannot push")

    def log(self, checkout: Path) -> str:
        """Return a checkout's commits, a line each, newest first."""
        return Git(checkout).run("log", "--format=%h %s", doing="cannot read the log").text()

    def last_change(self, checkout: Path) -> tuple[list[str], str]:
        """Return the files of a checkout's last commit, and the lines that it took away and added."""
        git = Git(checkout)
        files = git.run("show", "--format=", "--name-only", "HEAD", doing="cannot read the commit").text().splitlines()
        text = git.run("show", "--format=", "--unified=0", "HEAD", doing="cannot read the commit").text()
        shown = [line for line in text.splitlines() if line[:1] in "+-" and not line.startswith(("---", "+++"))]
        return files, "\n".join(shown)

    # --- the registry -------------------------------------------------------------------------

    def publish(self, references: Iterable[Reference]) -> int:
        """Put a multi-arch image under every reference with a tag, and return how many there are."""
        tagged = {(lies_at(reference.repository), reference.tag) for reference in references if reference.tag}
        for repository, tag in sorted(tagged):
            self.registry.push_image(
                repository, tag, platforms=PLATFORMS, seed=f"{repository}:{tag}", attestations=True, labels=_LABELS
            )
        return len(tagged)

    def endpoint(self, registry: str) -> str:
        """Return where to ask in a registry's place: each has a path of its own, so that none shadows another."""
        return f"{self.registry.url}/{registry}"


_LABELS = {"org.opencontainers.image.vendor": "the demo"}


def lies_at(repository: Repository) -> str:
    """Return where the embedded registry keeps a repository: below its registry's name."""
    return f"{repository.registry}/{repository.path}"


def push_move(url: str, reference: Reference) -> Digest:
    """Push a new build under a tag, over the registry's own protocol, and return its digest.

    Raises:
        NotFound: the registry has no such tag.
        Unavailable: it does not answer as a registry does.
    """
    import httpx

    repository, at = lies_at(reference.repository), SystemClock().now()
    seed = f"{repository}:{reference.tag} {at.isoformat()}"
    content = build_image(platforms=PLATFORMS, seed=seed, created=at, attestations=True, labels=_LABELS)
    try:
        with httpx.Client(base_url=f"{url}/v2/{repository}/", trust_env=False) as client:
            if client.head(f"manifests/{reference.tag}", headers={"Accept": OCI_INDEX}).status_code != httpx.codes.OK:
                raise NotFound(f"the demo's registry has no {reference}", hint="image-factory status lists the bases")
            for blob in content.blobs:
                client.post("blobs/uploads/", params={"digest": str(digest_of(blob))}, content=blob).raise_for_status()
            for media_type, body in content.manifests:
                name = reference.tag if body is content.manifests[-1][1] else str(digest_of(body))
                headers = {"Content-Type": media_type}
                client.put(f"manifests/{name}", content=body, headers=headers).raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(f"cannot push to {url}: {error}", hint="image-factory demo --serve starts it") from error
    return content.digest


def read_record(root: Path) -> Record | None:
    """Return what a folder remembers of a demo, or None where it is none."""
    try:
        return Record(**json.loads((root / RECORD).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError) as error:
        raise Conflict(f"{root / RECORD} is no record of a demo", hint="name another folder") from error


def make_room(root: Path, *, fresh: bool) -> bool:
    """Make an empty folder for a demo; return whether an earlier demo was removed for it.

    Raises:
        Conflict: the folder holds something else, or work that was done after the demo.
    """
    if not root.exists() or not any(root.iterdir()):
        root.mkdir(parents=True, exist_ok=True)
        return False
    record = read_record(root)
    if record is None:
        raise Conflict(f"{root} is not empty, and holds no demo", hint="name another folder: image-factory demo DIR")
    if not fresh and has_own_work(root, record):
        raise Conflict(
            f"{root} holds work that was done after the demo",
            hint=f"go on with image-factory demo --serve {root}, or start over with --fresh",
        )
    shutil.rmtree(root)
    root.mkdir(parents=True)
    return True


def has_own_work(root: Path, record: Record) -> bool:
    """Whether someone changed or committed something since the demo ended; one that broke off holds none."""
    if not record.head:
        return False
    for checkout, head in ((root / "platform", record.head), (root / "services", "")):
        if not (checkout / ".git").exists():
            continue
        git = Git(checkout, transports=_TRANSPORTS)
        if git.run("status", "--porcelain", doing="cannot read the checkout").text():
            return True
        if head and git.run("rev-parse", "HEAD", doing="cannot read the checkout").text() != head:
            return True
    return False


def shipped_services() -> dict[str, bytes]:
    """Return the services' files by their paths, as the package holds them."""
    root = files("image_factory_cli.demo") / "services"
    return dict(sorted(_walk(root, "")))


def _walk(folder: Traversable, prefix: str) -> Iterable[tuple[str, bytes]]:
    for entry in folder.iterdir():
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _walk(entry, f"{path}/")
        elif not entry.name.startswith("."):
            yield path, entry.read_bytes()


def pulled_by(dockerfiles: Iterable[bytes]) -> list[Reference]:
    """Return every image that builds of these Dockerfiles would pull."""
    options = BuildOptions({}, platforms=tuple(Platform.parse(platform) for platform in PLATFORMS))
    return [found.reference for text in dockerfiles for found in read_dockerfile(text, options).references]


def _taken(port: int, error: OSError) -> Unavailable:
    return Unavailable(
        f"cannot listen on 127.0.0.1:{port}: {error.strerror or error}",
        hint="another demo may be serving this folder; end it first",
    )
