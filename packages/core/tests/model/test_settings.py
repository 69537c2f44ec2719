from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from image_factory.model.settings import Settings


def test_the_defaults_are_those_of_the_formats() -> None:
    settings = Settings()

    assert (settings.images_file, settings.state_dir, settings.dist_dir) == ("images.yaml", "state", "dist")
    assert settings.coordination_window == timedelta(minutes=30)
    assert settings.commit.name == "Image Factory Bot"
    assert (settings.kargo.namespace, settings.kargo.service_account) == ("image-factory-kargo", "image-factory")
    assert settings.kargo.base_interval == timedelta(hours=24)
    assert settings.kargo.managed_interval == timedelta(minutes=5)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"kargo": {"namespace": "A B"}}, id="a namespace with a blank"),
        pytest.param({"kargo": {"stateBranch": "--force"}}, id="a branch that is an option"),
        pytest.param({"commit": {"remote": "--mirror"}}, id="a remote that is an option"),
        pytest.param({"commit": {"name": "a\nb <c>"}}, id="a committer of two lines"),
        pytest.param({"stateDir": ""}, id="an empty path"),
        pytest.param({"registries": {"https://x": {}}}, id="a registry by its URL"),
        pytest.param({"registries": {"x.io": {"requestsPerDay": -1}}}, id="fewer than no requests"),
        pytest.param({"plugins": {"github": "x"}}, id="a plugin's settings that are no mapping"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(values)


def test_a_plugins_settings_pass_through_as_they_are() -> None:
    values = {"plugins": {"github": {"anyKey": [1, {"b": None}]}}}

    assert Settings.model_validate(values).plugins == values["plugins"]
