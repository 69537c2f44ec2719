"""Write the skeleton of a plugin: `hatch run new-plugin KIND NAME`.

The methods are read out of the port itself (`image_factory/ports.py`), so that a skeleton lacks none
and none is outdated. What comes out passes mypy --strict and ruff, and its tests are the contract
suite: they are collected, and fail until the methods do what they promise.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import image_factory.ports
from image_factory.errors import Conflict, ImageFactoryError, UserError

ROOT = Path(__file__).resolve().parents[1]
NAME = re.compile(r"[a-z][a-z0-9]{0,30}\Z")


@dataclass(frozen=True, slots=True)
class Kind:
    """One port: the hook that registers it, what the hook hands over, and how its contract is met."""

    port: str
    hook: str
    given: tuple[str, ...]
    contract: str
    test_imports: tuple[str, ...]
    test_body: str


WORLD = """    @pytest.fixture
    def world(self) -> {world}:
        raise NotImplementedError("set {name} up against a server on loopback, see {world} in the suite")
"""
KINDS: Mapping[str, Kind] = {
    "registry": Kind(
        "Registry",
        "register_registries",
        ("settings", "http", "clock", "credentials"),
        "registry_contract",
        ("image_factory.ports.Registry", "{contract}.Bench", "{contract}.RegistryContract"),
        """    host = "{name}.example.com"

    def make(self, bench: Bench) -> Registry:
        return {type}(bench.settings, bench.http, bench.clock, bench.credentials)
""",
    ),
    "source": Kind(
        "Source",
        "register_sources",
        ("settings", "http", "clock"),
        "source_contract",
        ("{contract}.SourceContract", "{contract}.SourceWorld"),
        WORLD.replace("{world}", "SourceWorld"),
    ),
    "build-trigger": Kind(
        "BuildTrigger",
        "register_build_triggers",
        ("settings", "http", "clock"),
        "trigger_contract",
        ("{contract}.BuildTriggerContract", "{contract}.TriggerWorld"),
        WORLD.replace("{world}", "TriggerWorld"),
    ),
    "file-updater": Kind(
        "FileUpdater",
        "register_file_updaters",
        (),
        "updater_contract",
        ("{contract}.FileUpdaterContract", "{contract}.Sample"),
        """    updater = {type}()
    samples = (Sample("{name}.yaml", "image: ghcr.io/acme/web:1.0.0\\n", keys=("image",)),)
""",
    ),
    "notifier": Kind(
        "Notifier",
        "register_notifiers",
        ("settings", "http", "clock"),
        "notifier_contract",
        ("{contract}.NotifierContract", "{contract}.NotifierWorld"),
        WORLD.replace("{world}", "NotifierWorld"),
    ),
}
GIVEN = {
    "settings": "Settings",
    "http": "Http",
    "clock": "Clock",
    "credentials": "Callable[[Repository], Credentials | None]",
}
"""What a hook hands over, and its type."""


def skeleton(kind: str, name: str, *, is_inside: bool = False) -> Mapping[str, str]:
    """Return the files of a plugin, path → text.

    Args:
        is_inside: whether it is for this repository, whose own settings hold there, else for one of its own.

    Raises:
        UserError: there is no such kind, or the name is no plain word.
    """
    if kind not in KINDS:
        raise UserError(f"no kind of plugin is called {kind!r}", hint=f"write one of {', '.join(KINDS)}")
    if not NAME.match(name):
        raise UserError(f"not a plugin's name: {name!r}", hint="write one word of lower-case letters and digits")
    package = f"image_factory_{name}"
    return {
        "pyproject.toml": PYPROJECT.format(name=name, package=package) + ("" if is_inside else ALONE),
        "README.md": README.format(name=name, kind=kind, package=package),
        f"src/{package}/__init__.py": _module(KINDS[kind], kind, name),
        f"src/{package}/py.typed": "",
        f"tests/test_{name}.py": _test(KINDS[kind], kind, name, is_inside=is_inside),
    }


def write_skeleton(folder: Path, files: Mapping[str, str]) -> None:
    """Write a plugin's files.

    Raises:
        Conflict: there is something at `folder`.
    """
    if folder.exists():
        raise Conflict(f"{folder} exists", hint="choose another name, or remove it")
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _module(kind: Kind, word: str, name: str) -> str:
    source = inspect.getsource(image_factory.ports)
    lines = source.splitlines()
    port = next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == kind.port)
    methods = [node for node in port.body if isinstance(node, ast.FunctionDef)]
    type_name = name.capitalize()
    body = [f'    name = "{name}"', ""]
    if kind.given:
        arguments = ", ".join(f"{each}: {GIVEN[each]}" for each in kind.given)
        body += [
            *_signature(f"    def __init__(self, {arguments}) -> None:"),
            *(f"        self._{each} = {each}" for each in kind.given),
            "",
        ]
    for method in methods:
        if method.name == "name":
            continue
        docstring = (ast.get_docstring(method) or "").partition("\n")[0]
        # As it stands there, on as many lines, and without an ellipsis behind it.
        body += [line.removesuffix(" ...") for line in lines[method.lineno - 1 : method.body[0].lineno - 1]] or [
            lines[method.lineno - 1].removesuffix(" ...")
        ]
        body += [f'        """{docstring}"""'] if docstring else []
        body += [f'        raise NotImplementedError("{method.name}")', ""]
    used = "\n".join(body)
    register = ", ".join(
        [f"register: Callable[[{kind.port}], None]", *(f"{each}: {GIVEN[each]}" for each in kind.given)]
    )
    call = f"    register({type_name}({', '.join(kind.given)}))"
    hook = ["@hookimpl", *_signature(f"def {kind.hook}({register}) -> None:")]
    hook += [f'    """Introduce `{name}`."""', call]
    text = f"{used}\n" + "\n".join(hook)
    names = {*re.findall(r"\b[A-Za-z]\w+\b", re.sub(r'""".*?"""|"[^"]*"', "", text)), kind.port, "Callable", "hookimpl"}
    return "\n".join(
        [
            f'"""{name} for Image Factory: a {word}."""',
            "",
            "from __future__ import annotations",
            "",
            *_imports(_origins(names)),
            "",
            "image_factory_api = 1",
            "",
            "",
            *hook,
            "",
            "",
            f"class {type_name}:",
            f'    """{name} as a `{kind.port}`."""',
            "",
            used.rstrip(),
            "",
        ]
    )


def _signature(line: str) -> list[str]:
    """Return a signature on one line, or on one line an argument where that is longer than 120 characters."""
    if len(line) <= 120:
        return [line]
    head, _, rest = line.partition("(")
    inner, _, tail = rest.rpartition(")")
    indent = " " * (len(line) - len(line.lstrip()))
    parts = re.split(r", (?![^\[]*\])", inner)
    if len(f"{indent}    {inner}") <= 120:
        return [f"{head}(", f"{indent}    {inner}", f"{indent}){tail}"]
    return [f"{head}(", *(f"{indent}    {part}," for part in parts), f"{indent}){tail}"]


def _origins(names: Iterable[str]) -> Iterable[str]:
    """Return where the names that a skeleton uses come from: `module.Name`."""
    known = {"hookimpl": "image_factory.hookspecs", "Settings": "image_factory.model.settings"}
    known |= dict.fromkeys(("Callable", "Iterator", "Mapping", "Sequence"), "collections.abc")
    for name in names:
        found = getattr(image_factory.ports, name, None)
        module = known.get(name) or (found.__module__ if inspect.isclass(found) else None)
        if module is not None:
            yield f"{module}.{name}"


def _imports(paths: Iterable[str], own: str = "") -> list[str]:
    """Return import lines as ruff sorts them: the standard library, what is installed, then the module `own`."""
    modules: dict[str, set[str]] = {}
    for path in paths:
        module, _, name = path.rpartition(".")
        modules.setdefault(module, set()).add(name)
    groups: tuple[list[str], ...] = ([], [], [])
    for module in sorted(modules):
        line = f"from {module} import {', '.join(sorted(modules[module], key=_case))}"
        if len(line) > 120:
            line = "\n".join(
                [f"from {module} import (", *(f"    {each}," for each in sorted(modules[module], key=_case)), ")"]
            )
        groups[0 if module == "collections.abc" else 2 if module == own else 1].append(line)
    lines: list[str] = []
    for group in groups:
        lines += [*group, ""] if group else []
    return lines[:-1]


def _case(name: str) -> tuple[bool, str]:
    return (not name.isupper(), name)


def _test(kind: Kind, word: str, name: str, *, is_inside: bool) -> str:
    package, type_name = f"image_factory_{name}", name.capitalize()
    contract = f"image_factory.testing.{kind.contract}"
    wanted = [path.format(contract=contract) for path in kind.test_imports]
    suite = next(path.rpartition(".")[2] for path in wanted if path.endswith("Contract"))
    body = kind.test_body.format(name=name, type=type_name)
    uses_type = type_name in body
    # In this repository all of it is one's own, and sorted together.
    imports = _imports([*wanted, f"{package}.{type_name}"] if uses_type else wanted, "" if is_inside else package)
    needs_pytest = "pytest" in body
    return "\n".join(
        [
            f'"""{name}, held to the contract of its kind ({word})."""',
            "",
            "from __future__ import annotations",
            "",
            *(["import pytest", *([""] if is_inside else [])] if needs_pytest else []),
            *imports,
            "",
            "",
            f"class Test{type_name}({suite}):",
            body,
        ]
    )


PYPROJECT = """[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "image-factory-{name}"
description = "{name} for Image Factory"
version = "0.1.0"
requires-python = ">=3.11"
readme = "README.md"
dependencies = ["image-factory-core"]

[project.optional-dependencies]
test = ["image-factory-core[testing]"]

[project.entry-points.image_factory]
{name} = "{package}"

[tool.hatch.build.targets.wheel]
packages = ["src/{package}"]

[tool.pytest.ini_options]
addopts = ["--import-mode=importlib"]
"""
ALONE = """
[tool.mypy]
strict = true

[tool.ruff]
line-length = 120

[tool.ruff.lint]
extend-select = ["I"]
"""
README = """# {name}: a {kind} for Image Factory

What it is for, what it needs, its limits.

```console
$ pip install image-factory-{name}
$ image-factory plugins
```
"""


def main(arguments: list[str], out: Callable[[str], object] = sys.stdout.write) -> int:
    """Write a plugin as the arguments say, and return the exit code."""
    parser = argparse.ArgumentParser(prog="hatch run new-plugin", description=__doc__)
    parser.add_argument("kind", help=", ".join(KINDS))
    parser.add_argument("name", help="one word, such as quay")
    parser.add_argument("--into", type=Path, default=ROOT / "plugins", help="the folder that it is made in")
    given = parser.parse_args(arguments)
    folder = given.into / given.name
    is_inside = given.into.resolve() == ROOT / "plugins"
    try:
        write_skeleton(folder, skeleton(given.kind, given.name, is_inside=is_inside))
    except ImageFactoryError as error:
        out(f"error: {error}\nhint: {error.hint}\n")
        return error.exit_code
    out(f"written: {folder}\n")
    out(f"next: pip install -e {folder}; pytest {folder}; then make the contract pass, method by method\n")
    if is_inside:
        out("and in pyproject.toml: its extra, mypy_path and import-linter's lists, as ghcr stands in them\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
