"""Write the workflow that builds an image: for GitHub, or as a job for GitLab.

The texts are package data (`image_factory/workflows`): a template a provider, with `@WORD@` for what
the enrollment says and `#@ word` … `#@ end` around lines for some images only, and the scripts that
both run. What an enrollment says becomes a quoted scalar of the `env` or `variables`, never code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePosixPath

from image_factory.dockerfile.reading import Role
from image_factory.errors import Conflict, NotFound, UnknownPlugin, UnsafeValue
from image_factory.model.enrollment import Enrollment, Kind, Source
from image_factory.model.image_state import ImageState
from image_factory.shell.git import Checkout
from image_factory.usecases.workbench import Workbench

GITHUB = "github"
GITLAB = "gitlab"
FOLDERS = {GITHUB: ".github/workflows", GITLAB: ".gitlab/ci"}
"""Where a provider's workflows lie, relative to the repository."""
WITHOUT_FILES = frozenset({GITLAB})
"""Providers that have one pipeline a project, so that no workflow's file is named to start a build."""

_WORD = re.compile(r"@([A-Z_]+)@")
_NOT_HERE = re.compile(r"\$\{\{|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class BuildWorkflow:
    """A workflow's text, and where it belongs in the image's repository."""

    path: PurePosixPath
    text: str


def write_workflow(
    bench: Workbench, image: str, *, provider: str | None = None, is_local: bool | None = None
) -> BuildWorkflow:
    """Return the workflow that builds `image`; nothing is written.

    Args:
        provider: `github` or `gitlab`; the source's own where it is None.
        is_local: whether the image is built from a folder of the state repository, with a version file,
            patches and a suffix; None tells it from the source's repository.

    Raises:
        NotFound: images.yaml does not enroll `image`.
        Conflict: it is external, so that nothing builds it.
        UnknownPlugin: there is no template for that provider.
        UnsafeValue: its enrollment holds what a workflow would take for an expression.
    """
    enrollment = managed_enrollment(bench, image)
    assert enrollment.source is not None
    local = is_in_state_repository(bench, enrollment.source) if is_local is None else is_local
    state = bench.store.images().records.get(image)
    return render_workflow(
        enrollment, provider=provider or enrollment.source.provider, is_local=local, final_base=final_base(state)
    )


def managed_enrollment(bench: Workbench, image: str) -> Enrollment:
    """Return the enrollment of a managed image.

    Raises:
        NotFound: images.yaml does not enroll `image`.
        Conflict: it is external, so that nothing builds it.
    """
    images = bench.enrolled()
    found = next((one.enrollment for one in images.enrollments if one.enrollment.name == image), None)
    if found is None and images.problems:
        hint = "an entry with an error is left out: image-factory validate shows what is wrong"
        raise NotFound(f"no image {image!r} in {bench.images_file}", hint=hint)
    if found is None:
        raise NotFound(
            f"no image {image!r} in {bench.images_file}", hint="image-factory status lists the images that are enrolled"
        )
    if found.kind is not Kind.MANAGED:
        raise Conflict(f"image {image!r} is external: nothing here builds it", hint="give it a source in images.yaml")
    return found


def is_in_state_repository(bench: Workbench, source: Source) -> bool:
    """Whether an image is built from the repository that holds the image-factory folder."""
    url = bench.settings.kargo.state_repository
    if url is None:
        checkout = Checkout.find(bench.root)
        url = checkout.remotes().get(bench.settings.commit.remote) if checkout is not None else None
    return url is not None and repository_path(url) == repository_path(source.repo)


def repository_path(url: str) -> str:
    """Return the path of a clone URL at its host: `acme/web` of https://github.com/acme/web.git."""
    bare = re.sub(r"\A(?:[a-z+]+://[^/]+/|[^/@]+@[^:/]+:)", "", url)
    return bare.strip("/").removesuffix(".git")


def final_base(state: ImageState | None) -> str:
    """Return the reference that the built target ends on, as far as analysis found it, else nothing."""
    if state is None:
        return ""
    final = [site.reference for site in state.configuration.references if site.role == Role.FINAL]
    return final[0] if final else ""


def render_workflow(
    enrollment: Enrollment, *, provider: str, is_local: bool = False, final_base: str = ""
) -> BuildWorkflow:
    """Return the workflow of a managed image; raises what `write_workflow` raises of these."""
    source = enrollment.source
    assert source is not None
    if provider not in FOLDERS:
        raise UnknownPlugin(
            f"no build workflow for the provider {provider!r}", hint=f"choose one with --provider: {', '.join(FOLDERS)}"
        )
    dockerfile = PurePosixPath(source.dockerfile)
    folder = str(dockerfile.parent)
    texts = {
        "NAME_TEXT": enrollment.name,
        "IMAGE": str(enrollment.image),
        "REGISTRY": enrollment.image.registry,
        "DOCKERFILE": dockerfile.name if is_local else str(dockerfile),
        "CONTEXT": source.context or ("" if is_local else folder),
        "TARGET": source.target or "",
        "PLATFORMS": ",".join(source.platforms),
        "BUILD_ARGS": "\n".join(f"{name}={value}" for name, value in source.build_args.items()),
        "FINAL_BASE": final_base,
        "FOLDER": folder,
        "VERSION_FILE": str(dockerfile.parent / "VERSION"),
        "PATCHES": str(dockerfile.parent / "patches"),
    }
    for text in texts.values():
        if _NOT_HERE.search(text):
            raise UnsafeValue(
                f"not a text for a workflow: {text[:80]!r}", hint="write it without ${{ and control characters"
            )
    is_ghcr = enrollment.image.registry == "ghcr.io" and provider == GITHUB
    parts = {"ghcr"} if is_ghcr else {"elsewhere"}
    parts |= {"local"} if is_local else set()
    # A runner is linux/amd64; every other platform is built in an emulator.
    parts |= {"emulated"} if set(source.platforms) - {"linux/amd64"} else set()
    words = {word: _scalar(text, provider) for word, text in texts.items()} | {"NAME": enrollment.name}
    name = source.workflow if provider == GITHUB and source.workflow else f"{enrollment.name}.yml"
    return BuildWorkflow(PurePosixPath(FOLDERS[provider], name), _rendered(_read(f"{provider}.yml"), words, parts))


def _scalar(text: str, provider: str) -> str:
    """Return a double-quoted scalar, which JSON's texts are (YAML 1.2, section 7.3.1).

    GitLab expands `$` in the values of variables, and reads `$$` as one.
    """
    return json.dumps(text.replace("$", "$$") if provider == GITLAB else text, ensure_ascii=False)


def _read(name: str) -> str:
    return resources.files("image_factory").joinpath("workflows", name).read_text(encoding="utf-8")


def _rendered(template: str, words: Mapping[str, str], parts: Collection[str]) -> str:
    """Return a template with its words filled in, once each, and the parts that are not wanted left out."""
    lines: list[str] = []
    wanted = True
    for line in template.splitlines():
        if line.startswith("#@ "):
            wanted = line == "#@ end" or line.removeprefix("#@ ") in parts
        elif wanted:
            script = re.fullmatch(r"( *)@([A-Z]+)_SCRIPT@", line)
            if script is None:
                in_comment = line.lstrip().startswith("#")
                lines.append(_WORD.sub(lambda match: _word(match[1], words, in_comment=in_comment), line))  # noqa: B023
            else:
                text = _read(f"{script[2].lower()}.sh")
                lines += [f"{script[1]}{each}" if each else "" for each in text.splitlines()]
    return "\n".join(lines) + "\n"


def _word(name: str, words: Mapping[str, str], *, in_comment: bool) -> str:
    return words[name].strip('"') if in_comment else words[name]
