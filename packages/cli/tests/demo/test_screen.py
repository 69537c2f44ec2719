import io

from rich.console import Console

from image_factory_cli.demo.screen import Screen, command_line


def screen(width: int = 60, *, terminal: bool = False) -> tuple[Screen, io.StringIO]:
    out = io.StringIO()
    return Screen(Console(file=out, width=width, force_terminal=terminal, highlight=False)), out


def test_a_step_says_its_command_and_what_it_taught() -> None:
    shown, out = screen()

    with shown.step(("image-factory", "analyze", "--all"), "reading") as step:
        step.learned, step.seconds = "six images", 1.26

    assert out.getvalue().splitlines() == [" 1  $ image-factory analyze --all", " ✓  six images  1.3 s"]


def test_a_step_without_a_command_says_what_is_done() -> None:
    shown, out = screen()

    with shown.step(None, "start a registry") as step:
        step.learned = "it runs"

    assert out.getvalue().splitlines() == [" 1  Start a registry", " ✓  it runs"]


def test_square_brackets_are_text_and_no_markup() -> None:
    shown, out = screen()

    with shown.step(None, "read [red]it[/red]") as step:
        step.learned = "[bold]x"
    shown.output("[link=http://example.com]y")

    assert "[red]it[/red]" in out.getvalue()
    assert "[bold]x" in out.getvalue()
    assert "[link=http://example.com]y" in out.getvalue()


def test_a_long_line_of_output_hangs_below_itself_or_is_cut() -> None:
    shown, out = screen(30)

    shown.output("a sentence that is longer than the screen")
    shown.output("a sentence that is longer than the screen", is_cut=True)

    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines[0].startswith("    a sentence")
    assert lines[1].startswith("      ")
    assert lines[-1].endswith("…")
    assert max(map(len, lines)) <= 30


def test_a_pipe_gets_no_colours_and_a_terminal_does() -> None:
    plain, to_pipe = screen()
    colored, to_terminal = screen(terminal=True)

    for shown in (plain, colored):
        shown.title("Image Factory", "subtitle")
        shown.chapter("Chapter")
        shown.table(("A", "B"), [("one", "two")])
        shown.closing("Go on", [("image-factory demo", "again")])

    assert "\x1b" not in to_pipe.getvalue()
    assert "\x1b[1m" in to_terminal.getvalue()
    assert "# again" in to_pipe.getvalue()


def test_a_command_is_written_as_one_types_it() -> None:
    assert command_line(("image-factory", "enroll", "a b", "…")) == "image-factory enroll 'a b' …"
