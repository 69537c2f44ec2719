from pathlib import Path

import pytest

from image_factory_cli.group import run


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    code = run(["demo", str(tmp_path), "--fresh"])

    assert code == 2
    assert "holds no demo" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--serve"], ["--move", "alpine:3.19"]], ids=["serve", "move"])
def test_there_must_be_a_demo_to_go_on_with(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    code = run(["demo", *words])

    assert code == 2
    assert "image-factory-demo holds no demo" in capsys.readouterr().err
