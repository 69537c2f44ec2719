"""Reading a Dockerfile: which images a build would pull, for given build args, target and platforms.

The specification is BuildKit (github.com/moby/buildkit, frontend/dockerfile); docs/explanation/dockerfiles.md
says where this reader goes on and BuildKit stops. Pure, and never raises.
"""

from __future__ import annotations

from image_factory.dockerfile.arguments import BUILD_PLATFORM
from image_factory.dockerfile.instructions import Outline, is_template
from image_factory.dockerfile.reading import (
    BuildOptions,
    Category,
    Diagnostic,
    ImageReference,
    Reading,
    Role,
    Span,
    Stage,
)
from image_factory.dockerfile.stages import Contexts, Pull, Resolution
from image_factory.dockerfile.text import MAX_FILE, SPACES, decode
from image_factory.errors import InvalidReference
from image_factory.oci.platform import DEFAULT_PLATFORM, Platform
from image_factory.oci.reference import Reference

_NO_OPTIONS = BuildOptions({})
_FRONTEND_ARGUMENT = "BUILDKIT_SYNTAX"


def read_dockerfile(text: str | bytes, options: BuildOptions = _NO_OPTIONS) -> Reading:
    """Return the images, diagnostics and stages of a Dockerfile, in the order of the file.

    Bytes are read as UTF-8, and what is none becomes U+FFFD. Spans count the characters of the
    text as given, or of `decode(bytes)`: a byte-order mark and carriage returns count.
    """
    if len(text) > MAX_FILE:
        message = f"the file is larger than {MAX_FILE} bytes"
        return Reading((), (Diagnostic(Category.UNREADABLE, 1, message),), ())
    if isinstance(text, bytes):
        text = decode(text)
    outline = Outline(text)
    platforms = tuple(dict.fromkeys(options.platforms)) or (DEFAULT_PLATFORM,)
    contexts = Contexts(options.contexts)
    resolutions = [Resolution(outline, options, platform, contexts) for platform in platforms]
    references: list[ImageReference] = []
    frontend = _frontend(outline, options)
    if frontend is not None:
        references.append(frontend)
    first = resolutions[0]
    if len(resolutions) == 1:
        first.pulls.sort(key=_line)
        references += [_image(outline, pull, (pull.platform,)) for pull in first.pulls]
        reached = first.reached
    else:
        references += _merged(outline, [pull for resolution in resolutions for pull in resolution.pulls])
        reached = [any(found) for found in zip(*(resolution.reached for resolution in resolutions), strict=True)]
    stages = tuple(
        Stage(index, head.name or None, head.instruction.line, first.parents[index], reached[index])
        for index, head in enumerate(outline.stages)
    )
    diagnostics = outline.findings.listed([resolution.findings for resolution in resolutions])
    return Reading(tuple(references), diagnostics, stages)


def _line(pull: Pull) -> int:
    return pull.instruction.line


def _image(outline: Outline, pull: Pull, platforms: tuple[Platform, ...]) -> ImageReference:
    instruction = pull.instruction
    return ImageReference(
        pull.written,
        pull.reference,
        pull.role,
        instruction.line,
        instruction.end_line,
        outline.stages[pull.stage].name or str(pull.stage),
        pull.reachable,
        platforms,
        pull.span,
    )


def _merged(outline: Outline, pulls: list[Pull]) -> list[ImageReference]:
    """Return one image for each site, reference and role, with all platforms that it is pulled for.

    Where the builds for some platforms reach an image and those for others do not, it is reached,
    and pulled for the former.
    """
    reached = {(_site(pull), pull.reference) for pull in pulls if pull.reachable}
    groups: dict[tuple[object, ...], list[Pull]] = {}
    for pull in pulls:
        if pull.reachable or (_site(pull), pull.reference) not in reached:
            groups.setdefault((_site(pull), pull.reference, pull.role), []).append(pull)
    images = [
        _image(outline, group[0], tuple(dict.fromkeys(pull.platform for pull in group))) for group in groups.values()
    ]
    images.sort(key=lambda image: (image.line, -1 if image.span is None else image.span.start))
    return images


def _site(pull: Pull) -> tuple[int, Span | None, str]:
    return pull.instruction.line, pull.span, pull.written


def _frontend(outline: Outline, options: BuildOptions) -> ImageReference | None:
    """Return the image of the frontend that reads the file, if it names one or the build args do."""
    directive = outline.frontend
    line = 1 if directive is None else directive.line
    given = options.build_args.get(_FRONTEND_ARGUMENT)
    span: Span | None = None
    if given is not None:
        written = given.strip(SPACES).partition(" ")[0]
    elif directive is not None:
        written = directive.value.partition(" ")[0]
        if directive.start >= 0:
            span = Span(directive.start, directive.start + len(written))
    else:
        return None
    try:
        reference = Reference.parse(written)
    except InvalidReference as error:
        category = Category.EXPANSION_NOT_ALLOWED if "$" in written else Category.INVALID_REFERENCE
        if is_template(written if directive is None else directive.value):
            category = Category.TEMPLATE
        outline.findings.add(line, f"the frontend is {error.message}", category)
        return None
    return ImageReference(written, reference, Role.FRONTEND, line, line, None, True, (BUILD_PLATFORM,), span)
