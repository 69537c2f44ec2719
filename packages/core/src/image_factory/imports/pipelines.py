"""Which images a repository's own pipelines build: GitHub workflows and GitLab CI, where they can be read plainly.

What an expression or variable stands for is told from the file and the repository's name alone; a name
that needs more than that is not guessed. Nothing of these files is run. Pure.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from image_factory.dockerfile.definition import inner_path, is_remote
from image_factory.errors import InvalidReference, Location, UserError
from image_factory.imports.answers import maps_of, text_of, texts_of
from image_factory.imports.build_commands import BuildCommand, read_commands
from image_factory.oci.reference import Repository
from image_factory.state.yaml_parser import parse_tree
from image_factory.state.yaml_tree import ListNode, MapNode, Node, Scalar
from image_factory.yaml_text.references import name_of

MAX_COMBINATIONS = 64
"""Combinations of a matrix that are looked at."""
MAX_VALUE = 256
"""Characters of a variable's value; a longer one is no name."""
MAX_SCRIPT = 64 * 1024
"""Characters of one script, tag list or file name that are looked through."""
UNKNOWN = "\0"
"""What stands in a text for what cannot be told."""

_EXPRESSION = re.compile(r"\$\{\{\s*([^{}]{1,200}?)\s*\}\}")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})|(\$\{[^}]*\}|\$\(|`)")
_OUTPUT = re.compile(r"\$\{\{\s*steps\.([\w-]+)\.outputs\.(?:tags|json)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Home:
    """The repository that the pipelines run in."""

    host: str | None
    """Of its provider; None where it cannot be told."""
    path: str
    """`owner/repository`; empty where it cannot be told."""


@dataclass(frozen=True, slots=True)
class BuildStep:
    """One build of an image in a pipeline."""

    location: Location
    dockerfile: str
    """Below the repository's top."""
    context: str
    images: tuple[Repository, ...] = ()
    """What is pushed, without tags, in the order of the file."""
    unread: tuple[str, ...] = ()
    """The names that cannot be told."""
    target: str | None = None
    platforms: tuple[str, ...] = ()
    build_args: tuple[tuple[str, str], ...] = ()
    workflow: str | None = None
    """GitHub: the workflow's file name, where it can be started by others."""


def read_workflow(text: str, file: str, path: str, home: Home) -> tuple[BuildStep, ...]:
    """Return the builds of one GitHub workflow.

    Args:
        file: how messages name it.
        path: where it lies below the repository's top.

    Raises:
        UserError: it is not YAML.
    """
    root = parse_tree(text, file, UserError)
    jobs = root.entries.get("jobs") if isinstance(root, MapNode) else None
    if not isinstance(root, MapNode) or not isinstance(jobs, MapNode):
        return ()
    startable = posixpath.basename(path) if _names(root.entries.get("on"), "workflow_dispatch") else None
    found: dict[BuildStep, None] = {}
    for job in jobs.entries.values():
        if not isinstance(job, MapNode):
            continue
        for combination in _combinations(job):
            values = {**_github_values(home), **_environment(root, job), **combination}
            for step in _job_builds(job, values, file):
                found[replace(step, workflow=startable)] = None
    return tuple(found)


def read_gitlab(text: str, file: str, home: Home) -> tuple[BuildStep, ...]:
    """Return the builds of a `.gitlab-ci.yml`; what it includes from elsewhere is not read.

    Raises:
        UserError: it is not YAML.
    """
    root = parse_tree(text, file, UserError)
    if not isinstance(root, MapNode):
        return ()
    found: dict[BuildStep, None] = {}
    for job in root.entries.values():
        if not isinstance(job, MapNode):
            continue
        values = {
            **_gitlab_values(home),
            **_scalars(root.entries.get("variables")),
            **_scalars(job.entries.get("variables")),
        }
        lines = [line for key in ("before_script", "script") for line in _lines(job.entries.get(key))]
        for command in read_commands(_shell("\n".join(line.text for line in lines), values)):
            if (step := _from_command(command, Location(file, lines[-1].line))) is not None:
                found[step] = None
    return tuple(found)


# --- GitHub --------------------------------------------------------------------------------------------------


def _github_values(home: Home) -> dict[str, str]:
    if not home.path:
        return {}
    owner, _, name = home.path.lower().rpartition("/")
    return {
        "github.repository": home.path.lower(),
        "github.repository_owner": owner,
        "github.event.repository.name": name,
        "GITHUB_REPOSITORY": home.path.lower(),
        "GITHUB_REPOSITORY_OWNER": owner,
        "GITHUB_WORKSPACE": ".",
        "github.workspace": ".",
    }


def _environment(root: MapNode, job: MapNode) -> dict[str, str]:
    made: dict[str, str] = {}
    for node in (root, job):
        for name, value in _scalars(node.entries.get("env")).items():
            made[f"env.{name}"] = made[name] = value
    return made


def _combinations(job: MapNode) -> Iterator[dict[str, str]]:
    """Yield the values of a matrix, combination by combination (GitHub: "Running variations of jobs")."""
    strategy = job.entries.get("strategy")
    matrix = strategy.entries.get("matrix") if isinstance(strategy, MapNode) else None
    if not isinstance(matrix, MapNode):
        yield {}
        return
    listed = {key: node.items for key, node in matrix.entries.items() if isinstance(node, ListNode)}
    includes = [
        {name: text for key, node in item.entries.items() for name, text in _leaves(f"matrix.{key}", node).items()}
        for item in maps_of(matrix.entries.get("include"))
    ]
    for key in ("include", "exclude"):
        listed.pop(key, None)
    choices = [[_leaves(f"matrix.{key}", item) for item in items] for key, items in listed.items()]
    made = 0
    for chosen in product(*choices) if choices else ():
        base = {name: text for part in chosen for name, text in part.items()}
        extra = [each for each in includes if all(base.get(name, text) == text for name, text in each.items())]
        yield base | {name: text for each in extra for name, text in each.items()}
        made += 1
        if made >= MAX_COMBINATIONS:
            return
    keys = {name for choice in choices for part in choice for name in part}
    for each in includes[: MAX_COMBINATIONS - made]:
        if not choices or keys & each.keys():
            yield each
            made += 1
    if not made:
        yield {}


def _leaves(name: str, node: Node) -> dict[str, str]:
    if isinstance(node, Scalar):
        return {name: node.text}
    if isinstance(node, MapNode):
        return {f"{name}.{key}": item.text for key, item in node.entries.items() if isinstance(item, Scalar)}
    return {}


def _job_builds(job: MapNode, values: Mapping[str, str], file: str) -> Iterator[BuildStep]:
    named: dict[str, list[str]] = {}
    for step in maps_of(job.entries.get("steps")):
        given = step.entries.get("with")
        given = given if isinstance(given, MapNode) else MapNode(step.line)
        environment = _scalars(step.entries.get("env"))
        own = {**values, **environment, **{f"env.{name}": text for name, text in environment.items()}}
        uses = (text_of(step.entries.get("uses")) or "").partition("@")[0].lower()
        identity = text_of(step.entries.get("id"))
        if uses == "docker/metadata-action" and identity is not None:
            named[identity] = _words(given.entries.get("images"), own)
        elif uses == "docker/build-push-action":
            made = _from_action(given, own, named, Location(file, step.line))
            if made is not None:
                yield made
        elif (script := step.entries.get("run")) is not None:
            folder = text_of(step.entries.get("working-directory")) or "."
            text = script.text if isinstance(script, Scalar) else ""
            for command in read_commands(_shell(_expanded(text, own), own), _expanded(folder, own)):
                if (built := _from_command(command, Location(file, script.line))) is not None:
                    yield built


def _from_action(
    given: MapNode, values: Mapping[str, str], named: Mapping[str, Sequence[str]], where: Location
) -> BuildStep | None:
    def word(key: str) -> str | None:
        node = given.entries.get(key)
        return _expanded(node.text, values).strip() if isinstance(node, Scalar) and node.value is not None else None

    tags: list[str] = []
    node = given.entries.get("tags")
    for item in node.items if isinstance(node, ListNode) else [node] if node is not None else []:
        text = item.text if isinstance(item, Scalar) else ""
        for identity in _OUTPUT.findall(text):
            tags += named.get(identity, [UNKNOWN])
        tags += re.split(r"[\s,]+", _expanded(_OUTPUT.sub("", text), values).strip())
    args = [line.strip() for line in (word("build-args") or "").splitlines()]
    command = BuildCommand(
        tags=tuple(tag for tag in tags if tag),
        dockerfile=word("file"),
        context=word("context") or ".",
        target=word("target"),
        platforms=tuple(each for each in re.split(r"[\s,]+", word("platforms") or "") if each),
        build_args=tuple(args),
    )
    return _from_command(command, where)


def _words(node: Node | None, values: Mapping[str, str]) -> list[str]:
    """Return the images of a metadata-action: one a line, each a name or `name=…,enable=…`."""
    texts = [node.text] if isinstance(node, Scalar) else list(texts_of(node))
    words = [each.strip() for text in texts for each in _expanded(text, values).splitlines()]
    return [word.partition(",")[0].removeprefix("name=") for word in words if word]


def _expanded(text: str, values: Mapping[str, str]) -> str:
    """Return a text with what is known of its expressions, and `UNKNOWN` for the rest."""
    for _ in range(3):  # a variable's value may hold an expression
        text = text[:MAX_SCRIPT]
        text = _EXPRESSION.sub(lambda match: values.get(match[1], UNKNOWN), text)
    return text[:MAX_SCRIPT]


# --- GitLab --------------------------------------------------------------------------------------------------


def _gitlab_values(home: Home) -> dict[str, str]:
    values = {"CI_PROJECT_DIR": "."}
    if home.path:
        path = home.path.lower()
        values |= {"CI_PROJECT_PATH": path, "CI_PROJECT_NAME": path.rpartition("/")[2]}
        values |= {"CI_PROJECT_NAMESPACE": path.rpartition("/")[0], "CI_PROJECT_PATH_SLUG": path.replace("/", "-")}
        if home.host == "gitlab.com":
            values |= {"CI_REGISTRY": "registry.gitlab.com", "CI_REGISTRY_IMAGE": f"registry.gitlab.com/{path}"}
    return values


# --- both -------------------------------------------------------------------------------------------------------


def _from_command(command: BuildCommand, where: Location) -> BuildStep | None:
    """Return a build whose Dockerfile lies in the repository and that pushes what has a name."""
    # `{{defaultContext}}:folder` is buildx's for a folder of the repository that the workflow runs for.
    context = command.context.removeprefix("{{defaultContext}}").lstrip(":") or "."
    if UNKNOWN in context or is_remote(context):
        context = "."
    folder = inner_path(command.folder, context)
    # A file that is named is taken from where the command runs, the one that is not from the context.
    file = command.dockerfile
    path = inner_path(command.folder, file) if file is not None else inner_path(folder or "..", "Dockerfile")
    if folder is None or path is None or UNKNOWN in path or not command.tags:
        return None
    images: dict[Repository, None] = {}
    unread: dict[str, None] = {}
    for tag in command.tags:
        name = name_of(tag).lower()
        try:
            images[Repository.parse(name)] = None
        except InvalidReference:
            unread[tag.replace(UNKNOWN, "…")] = None
    args = [arg.partition("=") for arg in command.build_args]
    return BuildStep(
        where,
        posixpath.normpath(path),
        folder,
        tuple(images),
        () if images else tuple(unread),
        command.target if command.target and UNKNOWN not in command.target else None,
        tuple(each for each in command.platforms if UNKNOWN not in each),
        tuple((name, value) for name, equals, value in args if equals and UNKNOWN not in name + value),
    )


def _shell(text: str, values: Mapping[str, str]) -> str:
    """Return a line of a script with what is known of its variables, and `UNKNOWN` for the rest."""
    for _ in range(3):  # a variable's value may hold a variable
        text = text[:MAX_SCRIPT]
        text = _VARIABLE.sub(lambda match: values.get(match[1] or match[2] or "", UNKNOWN), text)
    return text[:MAX_SCRIPT]


def _lines(node: Node | None) -> Iterator[Scalar]:
    """Yield the texts of a script, given as one or as a list, in lists of lists too."""
    waiting = [node] if node is not None else []
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, Scalar):
            yield item
        elif isinstance(item, ListNode):
            waiting = [*item.items, *waiting]


def _scalars(node: Node | None) -> dict[str, str]:
    """Return the single values of a mapping; GitLab's `{value: …}` too."""
    made = {}
    for name, value in node.entries.items() if isinstance(node, MapNode) else ():
        inner = value.entries.get("value") if isinstance(value, MapNode) else value
        if isinstance(inner, Scalar) and inner.value is not None and len(inner.text) <= MAX_VALUE:
            made[name] = inner.text
    return made


def _names(node: Node | None, word: str) -> bool:
    """Whether a word stands alone, in a list or as a key."""
    return word in node.entries if isinstance(node, MapNode) else word in texts_of(node)
