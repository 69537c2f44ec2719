"""The text of a Dockerfile: how bytes become characters, which bounds hold, and what counts as space.

The bounds are BuildKit's where it has one, and ours where it would run on for minutes. Pure.
"""

from __future__ import annotations

from image_factory.dockerfile.reading import Category

MAX_FILE = 16 * 1024 * 1024
"""Bytes of a Dockerfile (characters of one that is given as text). A larger one is not read."""
MAX_LINE = 65_535
"""Bytes of one line without its newline: what Go's `bufio.Scanner`, with which BuildKit reads, takes."""
MAX_EXPANSION = 65_536
"""Characters that variables may add to one word. References are shorter than 500."""
MAX_EXPANSIONS = 16 * 1024 * 1024
"""Characters that variables may add to all words of a file together."""
MAX_NESTING = 50
"""Levels of `${X:-${X:-…}}`."""

BOM = "\ufeff"

# Go's unicode.IsSpace. Python's str.isspace would add the separators U+001C to U+001F.
SPACES = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


class Refusal(Exception):
    """BuildKit would refuse this line: a diagnostic on its way. Never leaves the package."""

    def __init__(self, message: str, category: Category = Category.SYNTAX) -> None:
        super().__init__(message)
        self.message = message
        self.category = category


def decode(data: bytes) -> str:
    """Return the characters of a Dockerfile's bytes; what is no UTF-8 becomes U+FFFD.

    A byte-order mark stays in the text, and newlines stay as they are: spans count both, so that
    the text can be edited and written back.
    """
    return data.decode("utf-8", "replace")


def shown(text: str) -> str:
    """Return `text` quoted for a message, cut where it is long."""
    return repr(text if len(text) <= 120 else f"{text[:120]}…")
