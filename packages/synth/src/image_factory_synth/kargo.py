"""Documents as YAML, through cdk8s: the only place where jsii is met. I/O: it starts Node.

Each batch of documents crosses into Node once, whole, and its text comes back whole: a construct and a
patch for each resource would cross four times a resource (docs/decisions/0004-one-crossing.md).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from image_factory.errors import ImageFactoryError
from image_factory_synth.fields import Document

BATCH = 2_000
"""Documents that cross at once: enough that crossings do not count, few enough to bound memory."""
_BREAK = "---\n"
_ENVIRONMENT = {
    # The Node was chosen by us, and is new; a warning about it would tell the user nothing.
    "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
    "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION": "1",
    "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
}


class RenderingFailed(ImageFactoryError):
    """cdk8s or its Node did not do their work."""


def render(documents: Sequence[Document], node: Path) -> list[str]:
    """Return the YAML text of each document, in their order, each ending with a line end.

    Raises:
        RenderingFailed: Node did not start, or did not answer as many documents as it was given.
    """
    texts: list[str] = []
    try:
        with _environment({**_ENVIRONMENT, "JSII_NODE": str(node)}):
            import cdk8s

            for start in range(0, len(documents), BATCH):
                texts += _split(cdk8s.Yaml.stringify(*documents[start : start + BATCH]))
    except (ValueError, OSError, RuntimeError, AssertionError) as error:
        raise RenderingFailed(
            f"cdk8s could not run on {node}: {error}", hint=f"check that `{node} --version` answers"
        ) from error
    if len(texts) != len(documents):
        raise RenderingFailed(f"cdk8s answered {len(texts)} documents of {len(documents)}")
    return texts


def _split(stream: str) -> Iterator[str]:
    """Yield the documents of a stream. Inside a document no line begins with ---: text is indented there."""
    for part in stream.split(f"\n{_BREAK}"):
        yield part if part.endswith("\n") else f"{part}\n"


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables while Node is started, which takes a copy, and put back what was there."""
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
