"""Compose files: services to builds (compose-spec `build.md`, `merge.md`, `interpolation.md`).

Interpolation, anchors, `extends`, `include`, the override file merged over by custom, and `x-bake`'s
platforms and contexts are followed; what does not decide which images a build pulls is not read.
`.env` beside the file gives variables that the environment does not, as it does to compose. Pure.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from image_factory.dockerfile.compose_values import (
    ComposeError,
    Interpolation,
    Override,
    Section,
    compose_document,
    merged,
    parse_environment,
    scalar_text,
)
from image_factory.dockerfile.definition import Build, Definition, Load, inner_path, is_remote
from image_factory.dockerfile.reading import BuildOptions, Category, Diagnostic
from image_factory.errors import InvalidReference
from image_factory.oci.platform import Platform

MAX_FILES = 50
"""Files that one compose file names, directly or not."""

_OVERRIDES = {
    "compose.yaml": ("compose.override.yaml", "compose.override.yml"),
    "compose.yml": ("compose.override.yml", "compose.override.yaml"),
    "docker-compose.yaml": ("docker-compose.override.yaml", "docker-compose.override.yml"),
    "docker-compose.yml": ("docker-compose.override.yml", "docker-compose.override.yaml"),
}


def read_compose(
    path: str,
    text: str,
    *,
    services: Iterable[str] = (),
    environment: Mapping[str, str],
    load: Load = lambda path: None,
) -> Definition:
    """Return what a compose file builds.

    Args:
        path: the file's path from the tree's root.
        text: what it holds.
        services: the services to build; none means all that are built.
        environment: what variables are taken from, before `.env`.
        load: gives the files that it names, `.env` and the override file.
    """
    return _ComposeReader(environment, load).read(path, text, tuple(services))


class _ComposeReader:
    """The files of one project, each read once."""

    def __init__(self, environment: Mapping[str, str], load: Load) -> None:
        self._environment = environment
        self._load = load
        self._problems: dict[Diagnostic, None] = {}
        self._files: dict[str, dict[str, Any]] = {}
        self._given: dict[str, str] = {}
        """Texts of files that `load` need not be asked for."""
        self._variables: dict[str, str] = {}

    def read(self, path: str, text: str, wanted: tuple[str, ...]) -> Definition:
        folder, name = posixpath.split(path)
        dot_env = self._load(posixpath.join(folder, ".env"))
        self._variables = {**parse_environment(dot_env or "", self._environment), **self._environment}
        self._given[path] = text
        project = self._project(path)
        for override in _OVERRIDES.get(name.lower(), ()):
            place = posixpath.join(folder, override)
            over = self._load(place)
            if over is not None:
                self._given[place] = over
                project = merged(project, self._project(place))
                break
        services = project.get("services")
        services = services if isinstance(services, dict) else {}
        builds = self._builds(services, wanted)
        return Definition(tuple(builds), tuple(self._problems))

    def _report(self, category: Category, line: int, message: str) -> None:
        self._problems[Diagnostic(category, line, message)] = None

    # --- files and what they name -----------------------------------------------------------------

    def _project(self, path: str) -> dict[str, Any]:
        """Return a file's services, extended, with what it includes merged under them."""
        document = self._document(path)
        project: dict[str, Any] = {}
        for entry in _listed(document.get("include")):
            for place in _included(entry):
                inner = inner_path(posixpath.dirname(path), place)
                if inner is None or is_remote(place):
                    self._report(Category.UNREADABLE, 1, f"an included file is not in the tree: {place[:200]!r}")
                elif inner not in self._files:
                    project = merged(project, self._project(inner))
        services = document.get("services")
        resolved = {
            str(name): self._service(path, str(name), ()) for name in (services if isinstance(services, dict) else {})
        }
        return merged(project, {"services": resolved})

    def _document(self, path: str) -> dict[str, Any]:
        if path in self._files:
            return self._files[path]
        self._files[path] = {}
        if len(self._files) > MAX_FILES:
            self._report(Category.UNREADABLE, 1, f"more than {MAX_FILES} files belong to the project")
            return {}
        text = self._given.get(path)
        text = self._load(path) if text is None else text
        if text is None:
            self._report(Category.UNREADABLE, 1, f"a file that is named is not there: {path[:200]!r}")
            return {}
        interpolation = Interpolation(self._variables)
        try:
            document = compose_document(text, interpolation)
        except ComposeError as error:
            self._report(Category.SYNTAX, error.line, f"{posixpath.basename(path)}: {error.message}")
            return {}
        self._problems |= dict.fromkeys(interpolation.diagnostics)
        self._files[path] = document
        return document

    def _service(self, path: str, name: str, above: tuple[tuple[str, str], ...]) -> dict[str, Any]:
        """Return a service merged over the one it extends, its build's paths from the tree's root."""
        services = self._document(path).get("services")
        raw = services.get(name) if isinstance(services, dict) else None
        if not isinstance(raw, dict):
            return {}
        service = {**raw, "__line__": raw.line if isinstance(raw, Section) else 1}
        build = self._build_section(raw.get("build"), posixpath.dirname(path))
        if build is not None:
            service["build"] = build
        extends = raw.get("extends")
        if extends is None:
            return service
        line = _line(service)
        other = extends if isinstance(extends, str) else _text(extends, "service")
        file = None if isinstance(extends, str) else _text(extends, "file")
        place = path if file is None else inner_path(posixpath.dirname(path), file)
        if other is None or place is None:
            self._report(Category.UNREADABLE, line, f"extends names nothing in the tree: {file or '(no service)'!r}")
            return service
        if (place, other) in above or len(above) > MAX_FILES:
            self._report(Category.SYNTAX, line, f"services extend each other in a circle: {other[:60]!r}")
            return service
        known = self._document(place).get("services")
        if not isinstance(known, dict) or other not in known:
            self._report(Category.SYNTAX, line, f"the service that {name[:60]!r} extends is not there: {other[:60]!r}")
            return service
        return merged(self._service(place, other, (*above, (path, name))), service)

    def _build_section(self, build: object, folder: str) -> dict[str, Any] | Override | None:
        """Return the long form of a build, with the folder that its paths are taken from."""
        if isinstance(build, Override):
            return build
        if isinstance(build, str):
            build = {"context": build}
        if not isinstance(build, dict):
            return None
        section = dict(build)
        context = _text(section, "context")
        if context is not None and not is_remote(context):
            # Paths of a file in another folder are taken from there, so they are joined before merging.
            section["context"] = self._joined(folder, context)
        section.setdefault("__folder__", folder)
        for key in ("args", "additional_contexts"):
            section[key] = self._mapping(section.get(key))
        extension = section.get("x-bake")
        if isinstance(extension, dict):
            section["platforms"] = [*_listed(section.get("platforms")), *_words(extension.get("platforms"))]
            section["additional_contexts"] |= self._mapping(extension.get("contexts"))
        return section

    @staticmethod
    def _joined(folder: str, context: str) -> str:
        """Return a context from the tree's root; one that leads out of it as it is written."""
        return inner_path(folder, context) or f"/{context.lstrip('/')}"

    def _mapping(self, value: object) -> dict[str, str | None]:
        """Return `K=V` items or a mapping as one; None where a name has no value."""
        if isinstance(value, dict):
            return {str(key): None if item is None else scalar_text(item) for key, item in value.items()}
        made: dict[str, str | None] = {}
        for item in _listed(value):
            name, equals, text = scalar_text(item).partition("=")
            made[name] = text if equals else None
        return made

    # --- builds -----------------------------------------------------------------------------------

    def _builds(self, services: Mapping[str, Any], wanted: tuple[str, ...]) -> list[Build]:
        waiting = list(wanted or (name for name, service in services.items() if "build" in service))[::-1]
        builds: dict[str, Build] = {}
        while waiting:
            name = waiting.pop()
            if name in builds:
                continue
            service = services.get(name)
            if not isinstance(service, dict) or not isinstance(service.get("build"), dict):
                what = "no service" if service is None else "no build for the service"
                self._report(Category.SYNTAX, 1, f"the file has {what} {name[:60]!r}")
                continue
            builds[name] = self._build(name, service)
            linked = (builds[name].options.contexts or {}).values()
            waiting += [found.removeprefix("service:") for found in linked if found.startswith("service:")][::-1]
        return list(builds.values())

    def _build(self, name: str, service: Mapping[str, Any]) -> Build:
        section: Mapping[str, Any] = service["build"]
        line = _line(service)
        problems: list[Diagnostic] = []
        context = _text(section, "context") or section["__folder__"] or "."
        args = {
            key: self._variables[key] if value is None else value
            for key, value in section["args"].items()
            # A name alone takes the environment's value; where there is none, it is not given.
            if value is not None or key in self._variables
        }
        written = [scalar_text(item) for item in _listed(section.get("platforms"))]
        written = written or [scalar_text(service["platform"])] if service.get("platform") else written
        platforms: list[Platform] = []
        for item in written:
            try:
                platforms.append(Platform.parse(item))
            except InvalidReference as error:
                problems.append(Diagnostic(Category.INVALID_REFERENCE, line, f"platforms: {error.message}"))
        contexts = {key: value for key, value in section["additional_contexts"].items() if value}
        options = BuildOptions(args, _text(section, "target"), tuple(dict.fromkeys(platforms)), contexts or None)
        inline = _text(section, "dockerfile_inline")
        dockerfile: str | None = None
        if not inline:
            inline = None
            if is_remote(context):
                message = f"a remote context is not fetched: {context[:200]!r}"
                problems.append(Diagnostic(Category.UNREADABLE, line, message))
            else:
                named = _text(section, "dockerfile") or "Dockerfile"
                dockerfile = inner_path(context, named)
                if dockerfile is None:
                    message = f"the Dockerfile is not in the tree: {posixpath.join(context, named)[:200]!r}"
                    problems.append(Diagnostic(Category.UNREADABLE, line, message))
        return Build(name, context, dockerfile, inline, options, line, tuple(problems))


def _line(section: Mapping[str, Any]) -> int:
    line = section.get("__line__")
    return line if isinstance(line, int) else 1


def _text(section: object, key: str) -> str | None:
    value = section.get(key) if isinstance(section, dict) else None
    return None if value is None or isinstance(value, (dict, list)) else scalar_text(value)


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _words(value: object) -> list[str]:
    return value.split() if isinstance(value, str) else [scalar_text(item) for item in _listed(value)]


def _included(entry: object) -> list[str]:
    if isinstance(entry, dict):
        return [scalar_text(item) for item in _listed(entry.get("path"))]
    return [scalar_text(entry)] if entry is not None else []
