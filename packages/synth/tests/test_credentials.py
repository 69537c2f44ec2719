from __future__ import annotations

import pytest
from pydantic import ValidationError

from image_factory.model.settings import KargoSettings
from image_factory_synth.credentials import git_secret, job_environment, secret_expression, secret_of
from image_factory_synth.fields import document
from image_factory_synth.records import SecretKey
from image_factory_synth.versions import KargoVersion


def test_a_provider_without_a_secret_of_its_own_has_gits() -> None:
    settings = KargoSettings(git_credentials="robot")

    assert secret_of(settings, "github") == git_secret(settings) == SecretKey(name="robot", key="password")


def test_git_s_password_is_not_sent_where_a_trigger_token_is_asked_for() -> None:
    found = secret_of(KargoSettings(), "gitlab", is_trigger_token=True)

    assert found == SecretKey(name="gitlab-trigger", key="token")


def test_each_provider_may_have_its_own() -> None:
    settings = KargoSettings.model_validate({"credentials": {"gitlab": {"secret": "lab", "key": "t"}}})

    assert secret_of(settings, "gitlab") == SecretKey(name="lab", key="t")
    assert secret_of(settings, "gitlab", is_trigger_token=True) == secret_of(settings, "gitlab")
    assert secret_of(settings, "github") == SecretKey(name="github-credentials", key="password")


@pytest.mark.parametrize(
    ("key", "expression"),
    [
        ("password", "secret('s').password"),
        ("auth-header", "secret('s')[\"auth-header\"]"),
        ("1", "secret('s')[\"1\"]"),
    ],
)
def test_an_expression_reads_the_key_whatever_its_letters(key: str, expression: str) -> None:
    assert secret_expression(SecretKey(name="s", key=key)) == expression


def test_jobs_get_gits_password_and_what_settings_name() -> None:
    settings = KargoSettings.model_validate(
        {"jobEnvironment": {"GITLAB_TOKEN": {"secret": "lab", "key": "api"}, "GITHUB_TOKEN": {"secret": "hub"}}}
    )

    written = [document(variable, KargoVersion(1, 11)) for variable in job_environment(settings)]

    assert [(one["name"], one["valueFrom"]["secretKeyRef"]) for one in written] == [
        ("IMAGE_FACTORY_GIT_PASSWORD", {"name": "github-credentials", "key": "password"}),
        ("GITHUB_TOKEN", {"name": "hub", "key": "password"}),
        ("GITLAB_TOKEN", {"name": "lab", "key": "api"}),
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"credentials": {"github": {"secret": "a', 'b"}}},
        {"credentials": {"github": {"secret": "a", "key": "b]; c"}}},
        {"jobEnvironment": {"A=B": {"secret": "a"}}},
    ],
    ids=["a name that ends the expression", "a key that does", "a variable that is none"],
)
def test_what_could_end_an_expression_is_no_setting(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        KargoSettings.model_validate(settings)
