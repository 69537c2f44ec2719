"""Argo's AnalysisTemplate as frozen records: the Job that a Stage's verification runs, and what it is given.

From the CRD of Argo Rollouts 1.9, of which every supported version of Kargo takes the same. Only fields that are
used. Pure.
"""

# ruff: noqa: RUF009 - `written` declares a field, as `dataclasses.field` does

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from image_factory_synth.fields import written
from image_factory_synth.job_records import JobTemplate
from image_factory_synth.records import Resource

MAX_METRIC = 20
"""Characters of a metric's name: its Job is `<uid of 36>.<metric>.<n>`, and n may have five digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisArgument:
    """An argument that who uses the template must give."""

    name: str = written("name", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricProvider:
    job: JobTemplate = written("job", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    name: str = written("name", required=True, pattern="[a-z0-9]([-a-z0-9]*[a-z0-9])?", max_length=MAX_METRIC)
    count: int = written("count", required=True, minimum=1)
    failure_limit: int = written("failureLimit", required=True, minimum=0)
    provider: MetricProvider = written("provider", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisTemplateSpec:
    args: tuple[AnalysisArgument, ...] = written("args", required=True)
    metrics: tuple[Metric, ...] = written("metrics", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisTemplate(Resource):
    """Argo Rollouts' template of an analysis, which Kargo runs as a Stage's verification."""

    api_version: ClassVar[str] = "argoproj.io/v1alpha1"
    kind: ClassVar[str] = "AnalysisTemplate"
    spec: AnalysisTemplateSpec = written("spec", required=True)
