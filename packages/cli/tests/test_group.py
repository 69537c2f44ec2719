"""The group: every command it lists is there, with help and an example; errors become lines and codes."""

from __future__ import annotations

from typing import Any

import click
import pytest

from image_factory.errors import NotFound, RemoteNotFound, RemoteRefused, Unavailable
from image_factory_cli.group import COMMANDS, cli, run, show_error


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_is_there_with_help_and_an_example(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)

    assert command is not None
    assert command.help
    assert command.epilog is not None
    assert command.epilog.startswith("Example: ")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_does_in_a_sentence(name: str) -> None:
    assert COMMANDS[name][0].isupper()
    assert COMMANDS[name].endswith(".")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("no file", hint="make one"), 2),
        (RemoteNotFound("no run", hint="a"), 2),
        (RemoteRefused("no", hint="a"), 2),
        (Unavailable("no answer"), 5),
    ],
)
def test_an_error_is_a_line_a_hint_and_its_code(
    error: Any, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr(cli, "main", fail)

    assert run([]) == code
    err = capsys.readouterr().err.splitlines()
    assert err[0] == f"error: {error}"
    assert err[1:] == ([f"hint: {error.hint}"] if error.hint else [])


def test_an_error_of_another_kind_is_a_defect_and_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(cli, "main", fail)

    with pytest.raises(KeyError):
        run([])


def test_an_interrupt_ends_with_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise click.Abort

    monkeypatch.setattr(cli, "main", fail)

    assert run([]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_an_error_with_a_location_begins_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    from image_factory.errors import Location

    show_error(NotFound("gone", location=Location("images.yaml", 3)))

    assert capsys.readouterr().err == "error: images.yaml:3: gone\n"
