"""Settings of what runs in the cluster: names, times and resources of jobs, and where they find the folder. Pure."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from image_factory.model.duration import format_duration
from image_factory.model.enrollment import Duration, Label, Record
from image_factory.model.field_types import SourceRepository, wrong

MAX_CRON_JOB = 52
"""Characters of a CronJob's name: Kubernetes adds 11 for each Job (batch/v1, CronJob)."""

_URL = re.compile(r"(?P<scheme>https?|ssh)://(?:[\w-]+@)?[\w-]+(?:\.[\w-]+)*(?::\d{1,5})?/.+\Z", re.ASCII)
_SCP = re.compile(r"[\w.-]+@(?P<host>[\w.-]+):(?P<path>[^/].*)\Z", re.ASCII)
_QUANTITY = re.compile(r"(?P<number>\d{1,15}(?:\.\d{1,3})?)(?P<unit>m|k|M|G|T|Ki|Mi|Gi|Ti)?\Z", re.ASCII)
_UNITS: dict[str, int] = {
    "": 1000,
    "m": 1,
    **{unit: 1000 * 1000**power for power, unit in enumerate("kMGT", 1)},
    **{f"{unit}i": 1000 * 1024**power for power, unit in enumerate("KMGT", 1)},
}
"""What each comes to, in thousandths."""
_CRON = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_RANGE = re.compile(r"(?:\*|(?P<first>\d{1,2})(?:-(?P<last>\d{1,2}))?)(?:/(?P<step>\d{1,2}))?\Z", re.ASCII)


def _clone_url(value: str) -> str:
    """Accept what both Kargo and our jobs clone from: https or ssh, and http on loopback for tests."""
    hint = "write its clone URL in full, such as https://github.com/acme/platform.git"
    scp = _SCP.match(value)
    if scp is not None:
        hint = f"write it as ssh://git@{scp['host']}/{scp['path']}, or by https"
    elif re.fullmatch(r"[\w.-]+(/[\w.-]+)+", value, re.ASCII):
        hint = f"write its clone URL in full, such as https://github.com/{value.removesuffix('.git')}.git"
    found = _URL.match(value)
    if found is None:
        raise wrong(f"not a clone URL: {value[:80]!r}", hint)
    if found["scheme"] == "http" and not _is_loopback(urlsplit(value).hostname or ""):
        raise wrong(f"not an address to send a password to: {value[:80]!r}", "write it with https://")
    return value


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address  # hardly any run needs it

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _schedule(value: str) -> str:
    """Accept the five fields of cron, in numbers."""
    hint = "write minute, hour, day, month and weekday, such as */10 * * * *"
    fields = value.split(" ")
    if len(fields) != len(_CRON):
        raise wrong(f"not a schedule: {value[:80]!r}", hint)
    for text, (name, least, most) in zip(fields, _CRON, strict=True):
        for part in text.split(","):
            found = _RANGE.match(part)
            numbers = [int(each) for each in (found["first"], found["last"]) if each] if found else []
            is_in_order = numbers == sorted(numbers) and all(least <= number <= most for number in numbers)
            if found is None or not is_in_order or (found["step"] is not None and int(found["step"]) < 1):
                raise wrong(f"not a schedule: {part!r} is no {name} from {least} to {most}", hint)
    return value


def _cron_job(value: str) -> str:
    if len(value) > MAX_CRON_JOB:
        raise wrong(f"longer than {MAX_CRON_JOB} characters: {value!r}", "write less: Kubernetes adds 11 for each Job")
    return value


def _quantity(value: object) -> str:
    text = str(value)
    found = None if isinstance(value, (bool, float)) else _QUANTITY.match(text)
    if found is None or amount_of(text) <= 0:
        raise wrong(f"not an amount: {text[:80]!r}", "write one such as 500m of CPU, or 512Mi of memory")
    return text


def amount_of(quantity: str) -> int:
    """Return what a quantity of Kubernetes comes to, in millionths of a core or byte."""
    found = _QUANTITY.match(quantity)
    assert found is not None, quantity
    whole, _, part = found["number"].partition(".")
    return int(whole + part.ljust(3, "0")) * _UNITS[found["unit"] or ""]


def _whole_seconds(least: timedelta, most: timedelta) -> AfterValidator:
    def check(value: timedelta) -> timedelta:
        if not least <= value <= most:
            raise wrong(f"not between {format_duration(least)} and {format_duration(most)}", "write a time such as 15m")
        return value

    return AfterValidator(check)


CloneUrl = Annotated[SourceRepository, AfterValidator(_clone_url)]
"""Where a repository is cloned from, in full, by Kargo and by jobs."""
Schedule = Annotated[
    str,
    AfterValidator(_schedule),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9*/,-]+( [0-9*/,-]+){4}$"}),
]
"""When a CronJob runs, in the five fields of cron, UTC."""
CronJobName = Annotated[Label, AfterValidator(_cron_job)]
Quantity = Annotated[
    str,
    AfterValidator(_quantity),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,15}(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"}),
]
"""An amount of CPU, memory or disk, as Kubernetes writes it."""


class RequestedResources(Record):
    """What a job is sure to get."""

    cpu: Quantity = Field(default="100m", examples=["100m"])
    """Cores."""
    memory: Quantity = Field(default="128Mi", examples=["128Mi"])
    """Bytes."""


class ResourceLimits(Record):
    """What a job is held to."""

    cpu: Quantity = Field(default="1", examples=['"1"'])
    """Cores; a job that wants more is slowed."""
    memory: Quantity = Field(default="512Mi", examples=["512Mi"])
    """Bytes; a job that wants more is ended."""


class JobSettings(Record):
    """How the jobs of the cluster are called, when they run, and what they may take."""

    analyze_template: Label = Field(default="analyze-dockerfile", examples=["analyze-dockerfile"])
    """The AnalysisTemplate that analyzes what was published."""
    observe_template: Label = Field(default="observe-base", examples=["observe-base"])
    """The AnalysisTemplate that records the digest of a base image."""
    verify_template: Label = Field(default="verify-image", examples=["verify-image"])
    """The AnalysisTemplate that judges what was published of an image that asks for a verification or a policy."""
    update_template: Label = Field(default="update-consumers", examples=["update-consumers"])
    """The AnalysisTemplate that carries a version to files that no step of Kargo's can change."""
    coordinate_name: CronJobName = Field(default="coordinate", examples=["coordinate"])
    """The CronJob that settles builds and decides on new ones."""
    schedule: Schedule = Field(default="*/10 * * * *", examples=['"*/10 * * * *"'])
    """When it runs, in the five fields of cron, in UTC."""
    deadline: Annotated[Duration, _whole_seconds(timedelta(seconds=30), timedelta(days=1))] = Field(
        default=timedelta(minutes=15), examples=["15m"]
    )
    """How long a job may run before it is ended; most take one or two minutes."""
    retries: int = Field(default=2, ge=0, le=10, examples=["2"])
    """How often a verification's job that failed is tried again; `coordinate` runs again at its next time."""
    kept_for: Annotated[Duration, _whole_seconds(timedelta(0), timedelta(days=30))] = Field(
        default=timedelta(hours=1), examples=["1h"]
    )
    """How long a job that ended can be looked at before it is removed."""
    requests: RequestedResources = RequestedResources.model_construct()
    """What a job is sure to get."""
    limits: ResourceLimits = ResourceLimits.model_construct()
    """What a job is held to."""
    tmp_size: Quantity = Field(default="1Gi", examples=["1Gi"])
    """The size of its /tmp, where the clone lies."""
    pull_secrets: tuple[Label, ...] = Field(default=(), examples=["[ghcr-pull]"])
    """The Secrets (kubernetes.io/dockerconfigjson) by which nodes pull `jobImage`, where it is private."""

    @model_validator(mode="after")
    def _check(self) -> JobSettings:
        for name in ("cpu", "memory"):
            asked, most = getattr(self.requests, name), getattr(self.limits, name)
            if amount_of(asked) > amount_of(most):
                raise wrong(f"requests.{name} {asked} is more than limits.{name} {most}", "request at most the limit")
        templates = (self.analyze_template, self.observe_template, self.verify_template, self.update_template)
        for name in templates:
            if templates.count(name) > 1:
                raise wrong(f"two templates are called {name!r}", "give each a name of its own")
        return self
