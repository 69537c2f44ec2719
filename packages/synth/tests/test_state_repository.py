from __future__ import annotations

from image_factory.model.settings import KargoSettings
from image_factory_synth.state_repository import StateRepository, state_repository


def test_the_settings_say_where_the_folder_lies() -> None:
    settings = KargoSettings(
        state_repository="https://git.example.com/a/state.git", state_branch="live", state_path="factory"
    )

    assert state_repository(settings) == StateRepository("https://git.example.com/a/state.git", "live", "factory")


def test_where_no_setting_says_so_there_is_none() -> None:
    assert state_repository(KargoSettings()) is None
