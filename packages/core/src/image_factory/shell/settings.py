"""Find the image-factory folder and join its settings: flags, then the environment, then config.yaml.

The environment's names are mechanical: `IMAGE_FACTORY_` and the path of a setting in capitals, such
as IMAGE_FACTORY_KARGO_NAMESPACE. Paths of flags and of the environment start from the working
directory, those of config.yaml from the folder.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.alias_generators import to_camel, to_snake

from image_factory.errors import ImageFactoryError, InvalidSettings, Location, NotFound, UserError
from image_factory.model.settings import Settings
from image_factory.shell.folder import find_folder, is_folder
from image_factory.shell.regular_file import read_regular
from image_factory.state.field_problems import Subject, check_record, fields_of, find_unknown_keys
from image_factory.state.layout import IMAGES_FILE, SETTINGS_FILE
from image_factory.state.settings_yaml import SettingsFile, read_settings
from image_factory.state.yaml_tree import resolve, to_tree

log = logging.getLogger("image_factory.settings")

IMAGES_VARIABLE = "IMAGES_YAML"
"""Another name for IMAGE_FACTORY_IMAGES_FILE."""
PREFIX = "IMAGE_FACTORY_"
_PATHS = frozenset({"imagesFile", "stateDir", "distDir"})


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable, and the setting that it sets."""

    name: str
    path: tuple[str, ...]
    """Keys of config.yaml, such as ("kargo", "namespace")."""
    kind: Literal["text", "word", "list"]
    """`text` stays as it is; `word` is read as YAML reads it (true, 5); `list` is parted at commas."""

    def value_of(self, text: str) -> object:
        """Return what the variable's text stands for."""
        if self.kind == "list":
            return [word.strip() for word in text.split(",") if word.strip()]
        return resolve(text) if self.kind == "word" else text


def variables() -> tuple[Variable, ...]:
    """Return every environment variable that sets a setting, in the order of config.yaml."""
    listed = tuple(_variables(Settings, ()))
    return (Variable(IMAGES_VARIABLE, ("imagesFile",), "text"), *listed)


def find_root(flag: Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """Return the image-factory folder: the flag's, IMAGE_FACTORY_DIR's, the working directory, or its image-factory/.

    Raises:
        NotFound: the folder holds no images.yaml, and no setting names one elsewhere.
    """
    root = find_folder(flag, environ, cwd)
    if not is_folder(root) and not _images_elsewhere(environ):
        raise images_missing(root / IMAGES_FILE, root)
    return root


def images_missing(path: Path, root: Path) -> NotFound:
    """Return the error for an images.yaml that is not there, with the command that makes one."""
    if path.is_dir():
        return NotFound(f"{path} is a folder, not a file", hint="move it away, and write a file of that name")
    return NotFound(f"there is no {path}", hint=f"image-factory init {root} makes one")


def _images_elsewhere(environ: Mapping[str, str]) -> bool:
    return bool(environ.get(IMAGES_VARIABLE) or environ.get(f"{PREFIX}IMAGES_FILE"))


def load_settings(
    root: Path, environ: Mapping[str, str], overrides: Mapping[str, object], *, cwd: Path | None = None
) -> Settings:
    """Return the settings of a folder.

    Args:
        root: the folder; without a config.yaml every setting has its default.
        overrides: flags by the setting's path (`kargo.namespace`, `stateDir` or `state_dir`); None is no flag.
        cwd: where paths of flags and of the environment start; the working directory where it is None.

    Raises:
        InvalidSettings: a value cannot be used; the first is shown, and how many more there are.
    """
    settings, problems, warnings = check_settings(root, environ, overrides, cwd=cwd)
    for warning in warnings:
        log.warning("%s (%s)", warning, warning.hint, extra={"op": "settings"})
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more: image-factory validate lists them)" if len(problems) > 1 else ""
        raise InvalidSettings(f"{first.message}{more}", hint=first.hint, location=first.location)
    return settings


def check_settings(
    root: Path, environ: Mapping[str, str], overrides: Mapping[str, object], *, cwd: Path | None = None
) -> tuple[Settings, tuple[ImageFactoryError, ...], tuple[ImageFactoryError, ...]]:
    """Return the settings with all problems and warnings; what is wrong has its default instead."""
    start = Path.cwd() if cwd is None else cwd
    written = _read_file(root / SETTINGS_FILE)
    problems = list(written.problems)
    values = dict(written.values)
    # None of them is set most times, and to list them all takes a while.
    is_any = any(name.startswith(PREFIX) or name == IMAGES_VARIABLE for name in environ)
    for variable in variables() if is_any else ():
        text = environ.get(variable.name)
        if text:
            problems += _set(values, variable.path, variable.value_of(text), f"${variable.name}", start)
    for name, value in overrides.items():
        if value is not None:
            path = tuple(to_camel(step) for step in name.split("."))
            problems += _set(values, path, value, f"flag for {name}", start)
    settings = _with_ca_files(Settings.model_validate(values), start / root)
    return settings, tuple(problems), written.warnings


def _with_ca_files(settings: Settings, root: Path) -> Settings:
    """Return the settings with each CA file's path made whole: whoever reads it knows no folder."""
    registries = {
        host: registry.model_copy(update={"ca_file": str(root / Path(registry.ca_file).expanduser())})
        if registry.ca_file
        else registry
        for host, registry in settings.registries.items()
    }
    return settings.model_copy(update={"registries": registries}) if registries else settings


def _set(values: dict[str, Any], path: tuple[str, ...], value: object, origin: str, start: Path) -> list[UserError]:
    """Put one value at its path, or return what is wrong with it."""
    if len(path) == 1 and path[0] in _PATHS:
        value = str(start / Path(str(value)).expanduser())
    nested: dict[str, Any] = {path[-1]: value}
    for key in reversed(path[:-1]):
        nested = {key: nested}
    tree = to_tree(nested)
    subject = Subject("", origin, InvalidSettings)
    settings, problems = check_record(Settings, tree, subject)
    problems += find_unknown_keys(Settings, tree, subject)
    if settings is None or problems:
        return problems
    inner = values
    for key in path[:-1]:
        # A copy on the way down: the file's own values are shared.
        inner[key] = dict(inner.get(key) or {})
        inner = inner[key]
    inner[path[-1]] = value
    return []


def _read_file(path: Path) -> SettingsFile:
    try:
        text = read_regular(path).decode("utf-8")
    except FileNotFoundError:
        return SettingsFile()
    except UnicodeDecodeError:
        problem = InvalidSettings("not UTF-8", hint="save the file as UTF-8", location=Location(str(path)))
        return SettingsFile(problems=(problem,))
    except OSError as error:
        hint = "put a readable file in its place"
        problem = InvalidSettings(f"cannot be read: {error.strerror}", hint=hint, location=Location(str(path)))
        return SettingsFile(problems=(problem,))
    return read_settings(text, str(path))


def _variables(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[Variable]:
    for key, info in zip(fields_of(model), model.model_fields.values(), strict=True):
        field = fields_of(model)[key]
        inner = (*path, key)
        if field.many == "map" or get_origin(info.annotation) is dict:
            continue  # a key of the map would have to be a part of the variable's name
        if inner == ("emergency",):
            continue  # who may order what is read from what is committed: anybody can set a variable
        if field.inner is not None and field.many == "no":
            yield from _variables(field.inner, inner)
            continue
        is_word = bool({bool, int} & {info.annotation, *get_args(info.annotation)})
        kind: Literal["text", "word", "list"] = "list" if get_origin(info.annotation) is tuple else "text"
        name = PREFIX + "_".join(to_snake(step).upper() for step in inner)
        yield Variable(name, inner, "word" if is_word else kind)
