from __future__ import annotations

from dataclasses import replace

import pytest

from image_factory.model.settings import KargoSettings
from image_factory_synth.analysis import AnalysisTemplate
from image_factory_synth.fields import RefusedByKargo
from image_factory_synth.job_records import CronJob, PolicyRule, Role
from image_factory_synth.jobs import jobs
from image_factory_synth.records import ObjectMeta
from image_factory_synth.versions import KargoVersion

V11 = KargoVersion(1, 11)
SETTINGS = KargoSettings(state_repository="https://git.example.com/a.git", job_image="ghcr.io/acme/tool:1")


def test_a_role_is_written_as_kubernetes_reads_it() -> None:
    rule = PolicyRule(api_groups=("",), resources=("secrets",), resource_names=("a",), verbs=("get",))

    assert Role(metadata=ObjectMeta(name="a", namespace="b"), rules=(rule,)).document(V11) == {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "a", "namespace": "b"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"], "verbs": ["get"]}],
    }


def test_a_metric_whose_job_could_get_no_name_is_refused() -> None:
    template = next(resource for resource in jobs(SETTINGS) if isinstance(resource, AnalysisTemplate))
    metrics = tuple(replace(metric, name="analyze-dockerfile-metric") for metric in template.spec.metrics)

    with pytest.raises(RefusedByKargo, match="longer than 20"):
        replace(template, spec=replace(template.spec, metrics=metrics)).document(V11)


def test_a_cron_job_whose_jobs_could_get_no_name_is_refused() -> None:
    cron = next(resource for resource in jobs(SETTINGS) if isinstance(resource, CronJob))

    with pytest.raises(RefusedByKargo, match="more than 52"):
        replace(cron, metadata=ObjectMeta(name="c" * 53)).document(V11)
