"""Logs: a JSON object a line for programs, a line for people without what is shown anyway."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from image_factory_cli.logs import configure_logs


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("image_factory")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def test_json_has_image_op_and_input_on_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json", None)
    logging.getLogger("image_factory.analyze").info("analyzed", extra={"image": "web", "op": "analyze", "bases": ["a"]})
    logging.getLogger("image_factory").warning("odd")

    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())

    assert (first["event"], first["image"], first["op"], first["bases"]) == ("analyzed", "web", "analyze", ["a"])
    assert (second["image"], second["op"], second["input"], second["level"]) == (None, None, None, "warning")


def test_an_exception_is_one_line_of_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json", "error")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("image_factory").exception("failed")

    (line,) = capsys.readouterr().err.splitlines()
    assert "two\nlines" in json.loads(line)["exception"]


def test_text_shows_the_image_the_fields_and_the_hint(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("text", None)
    logging.getLogger("image_factory").warning(
        "moved", extra={"image": "web", "op": "observe", "input": "alpine:3", "to": "b", "hint": "look"}
    )

    assert capsys.readouterr().err == "warning: web: moved (to=b)\n  hint: look\n"


def test_text_leaves_out_what_the_command_shows_among_its_outcomes(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("text", None)
    logging.getLogger("image_factory").error("no file", extra={"image": "web", "op": "analyze", "reported": True})

    assert capsys.readouterr().err == ""


def test_libraries_are_heard_only_where_they_fail(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("text", "debug")
    logging.getLogger("urllib3").warning("retrying")
    logging.getLogger("image_factory").debug("ours")

    assert capsys.readouterr().err == "debug: ours\n"
