"""Values that a provider's API takes or tells of a git repository, checked where git itself is not at hand.

The same rules for every provider: a commit id is whole, and a symbolic link stays inside its repository.
"""

from __future__ import annotations

from image_factory.errors import UnsafeValue
from image_factory.shell.git_program import is_commit_id


def checked_commit(revision: str) -> str:
    """Return `revision` if it is a whole commit id.

    Raises:
        UnsafeValue: it is anything else.
    """
    if not is_commit_id(revision):
        raise UnsafeValue(f"not a commit id: {revision[:80]!r}", hint="ask revision() for one")
    return revision


def linked_path(path: str, link: str, doing: str) -> str:
    """Return the path that a symbolic link at `path` leads to; empty for the top folder.

    Args:
        link: what the link says.
        doing: how an error begins, such as `cannot read Dockerfile in acme/web`.

    Raises:
        UnsafeValue: it leads out of the repository.
    """
    parts = path.split("/")[:-1]
    for part in link.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part == ".." or link.startswith("/") or "\0" in link:
            raise UnsafeValue(f"{doing}: a symbolic link leads out of the repository", hint="name a file inside it")
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def bears_trailer(message: str, key: str) -> bool:
    """Whether a commit's message has a trailer of that key in its last paragraph."""
    last = message.strip().rpartition("\n\n")[2]
    return any(line.startswith(f"{key}: ") for line in last.splitlines())


def same_text(told: str, wanted: str) -> bool:
    """Whether a provider tells the text that it was given: it may have changed line ends and what surrounds it."""
    return " ".join(told.split()) == " ".join(wanted.split())
