"""Settings of jobs: what Kubernetes or Kargo would refuse is refused in config.yaml, with what would be right."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from image_factory.model.cluster_jobs import JobSettings, amount_of
from image_factory.model.settings import KargoSettings


def problem(values: dict[str, Any]) -> tuple[str, str]:
    """Return what is said of settings, and the hint."""
    with pytest.raises(ValidationError) as caught:
        KargoSettings.model_validate(values)
    (found,) = caught.value.errors()
    return found["ctx"]["problem"], found["ctx"]["hint"]


@pytest.mark.parametrize(
    ("url", "said", "hint"),
    [
        ("acme/platform", "not a clone URL: 'acme/platform'", "https://github.com/acme/platform.git"),
        ("git@git.example.com:acme/p.git", "not a clone URL", "ssh://git@git.example.com/acme/p.git"),
        ("/srv/git/platform.git", "not a clone URL", "https://github.com/acme/platform.git"),
        ("file:///srv/git/platform.git", "not a clone URL", "https://github.com/acme/platform.git"),
        ("https://github.com", "not a clone URL", "https://github.com/acme/platform.git"),
        ("http://git.example.com/acme/p.git", "not an address to send a password to", "https://"),
        ("--upload-pack=x", "not a source repository", "owner/repository"),
        ("https://bot:ghp_planted@github.com/a/b.git", "holds a user name or a token", "between // and @"),
    ],
)
def test_a_state_repository_that_is_no_clone_url_is_told_what_would_be_right(url: str, said: str, hint: str) -> None:
    told = problem({"stateRepository": url})

    assert said in told[0]
    assert hint in told[1]
    assert "ghp_planted" not in "".join(told)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/platform.git",
        "https://git.example.com:8443/acme/sub/platform",
        "http://127.0.0.1:4000/state.git",
        "http://localhost:4000/state.git",
        "ssh://git@git.example.com/acme/platform.git",
    ],
)
def test_what_kargo_and_git_clone_from_is_taken(url: str) -> None:
    assert KargoSettings.model_validate({"stateRepository": url}).state_repository == url


@pytest.mark.parametrize(
    "image", ["ghcr.io/acme/tool", "ghcr.io/acme/tool:latest", "ghcr.io/acme/tool:", "tool:None:1"]
)
def test_a_job_image_that_is_not_pinned_is_refused(image: str) -> None:
    assert "such as ghcr.io/acme/tool:1.2.3@sha256:" in problem({"jobImage": image})[1]


@pytest.mark.parametrize(
    "schedule", ["*/10 * * * *", "0 6 * * 1-5", "5,35 8-18/2 1 1,7 0", "59 23 31 12 7", "0-59/15 * * * *"]
)
def test_a_schedule_of_five_fields_is_taken(schedule: str) -> None:
    assert JobSettings.model_validate({"schedule": schedule}).schedule == schedule


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("* * * *", "not a schedule"),
        ("@hourly", "not a schedule"),
        ("60 * * * *", "'60' is no minute from 0 to 59"),
        ("* 24 * * *", "'24' is no hour from 0 to 23"),
        ("* * 0 * *", "'0' is no day from 1 to 31"),
        ("* * * 13 *", "'13' is no month from 1 to 12"),
        ("* * * * 8", "'8' is no weekday from 0 to 7"),
        ("30-10 * * * *", "'30-10' is no minute"),
        ("*/0 * * * *", "'*/0' is no minute"),
        ("* * * * *\n", "'*\\n' is no weekday"),
        ("* * * JAN *", "'JAN' is no month"),
        ("$(id) * * * *", "'$(id)' is no minute"),
    ],
)
def test_a_schedule_that_kubernetes_could_not_read_is_refused(schedule: str, said: str) -> None:
    assert said in problem({"jobs": {"schedule": schedule}})[0]


@pytest.mark.parametrize(
    ("text", "amount"),
    [("100m", "1/10"), ("1", "1"), ("1.5", "3/2"), ("512Mi", str(512 * 2**20)), ("1G", "1000000000")],
)
def test_a_quantity_is_read_as_kubernetes_reads_it(text: str, amount: str) -> None:
    assert amount_of(text) == Fraction(amount) * 1_000_000


@pytest.mark.parametrize("text", ["", "0", "-1", "1GB", "a lot", "1 Gi", "1e3", "0m", True, 1.5])
def test_what_is_no_quantity_is_refused(text: object) -> None:
    with pytest.raises(ValidationError):
        JobSettings.model_validate({"limits": {"memory": text}})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"requests": {"cpu": "2"}}, "requests.cpu 2 is more than limits.cpu 1"),
        ({"limits": {"memory": "64Mi"}}, "requests.memory 128Mi is more than limits.memory 64Mi"),
        ({"observeTemplate": "analyze-dockerfile"}, "two templates are called 'analyze-dockerfile'"),
        ({"coordinateName": "c" * 53}, "longer than 52 characters"),
        ({"deadline": "5s"}, "not between 30s and 1d"),
        ({"keptFor": "31d"}, "not between 0 and 30d"),
    ],
)
def test_what_a_cluster_would_refuse_is_refused(values: dict[str, Any], said: str) -> None:
    assert said in problem({"jobs": values})[0]


@pytest.mark.parametrize("retries", [-1, 11, "two"])
def test_retries_are_a_small_number(retries: object) -> None:
    with pytest.raises(ValidationError):
        JobSettings.model_validate({"retries": retries})
