"""The jobs of the cluster: analysis and observation as verifications, coordination every ten minutes. Pure.

Each runs one command of this project on a fresh clone of the state repository, and pushes what it
learned. What it is told comes as an argument of its own, written `--option=value`, so that no value can
become an option or a shell's word; credentials come by the environment, from a Secret.
"""

from __future__ import annotations

from dataclasses import dataclass

from image_factory.errors import InvalidSettings
from image_factory.model.settings import KargoSettings
from image_factory_synth.job_records import (
    AnalysisArgument,
    AnalysisTemplate,
    AnalysisTemplateSpec,
    Capabilities,
    Container,
    ContainerSecurity,
    CronJob,
    CronJobSpec,
    EmptyFolder,
    JobSpec,
    JobTemplate,
    Metric,
    MetricProvider,
    Mount,
    PodMeta,
    PodSecurity,
    PodSpec,
    PodTemplate,
    Resources,
    Role,
    RoleBinding,
    RoleRef,
    SeccompProfile,
    SecretKey,
    ServiceAccount,
    Subject,
    Variable,
    VariableSource,
    Volume,
)
from image_factory_synth.records import MANAGED_BY, ROLE_LABEL, ObjectMeta, Resource

ANALYZE = "analyze-dockerfile"
OBSERVE = "observe-base"
COORDINATE = "coordinate"
METRIC = "analysis"
ANALYZE_ARGS = {
    "imageName": "image",
    "imageTag": "tag",
    "imageDigest": "digest",
    "dockerfile": "dockerfile",
    "sourceRepo": "source-repo",
    "sourceProvider": "source-provider",
    "gitRepo": "git-repo",
    "gitBranch": "git-branch",
}
"""The arguments of the analysis, and the options of `image-factory analyze` that they become."""
OBSERVE_ARGS = {"name": "base", "digest": "digest"}
"""The arguments of an observation, and the options of `image-factory observe` that they become."""
CREDENTIALS_KEY = "password"
"""The key of the Secret with git's credentials."""

_EVERY_TEN_MINUTES = "*/10 * * * *"
_DEADLINE = 900
"""Seconds: a clone, an analysis and a push that is tried again take one or two minutes."""
_RETRIES = 2
_KEPT = 3600
"""Seconds for which a finished Job can be looked at."""
_USER = 65532
"""The user of our container image."""


@dataclass(frozen=True, slots=True)
class StateRepository:
    """Where jobs find the folder."""

    url: str
    branch: str
    path: str
    """The folder's, from the repository's root."""


def state_repository(settings: KargoSettings) -> StateRepository | None:
    """Return where jobs find the folder; None where no setting says so, and then there is nothing for them to do."""
    if settings.state_repository is None:
        return None
    return StateRepository(settings.state_repository, settings.state_branch, settings.state_path)


def jobs(settings: KargoSettings) -> tuple[Resource, ...]:
    """Return the account that jobs run as, the templates of both verifications, and the CronJob.

    Raises:
        InvalidSettings: it is not said which container image they run.
    """
    state = state_repository(settings)
    if state is None:
        return ()
    if settings.job_image is None:
        raise InvalidSettings(
            "kargo.stateRepository is given and kargo.jobImage is not",
            hint="set kargo.jobImage to the container image of this project with its digest or version,"
            " such as ghcr.io/craigedmunds/image-factory:0.1.0",
        )
    analyze = ("analyze", *_options(ANALYZE_ARGS), *_folder(state))
    observe = ("observe", *_options(OBSERVE_ARGS), *_clone(state))
    return (
        *_account(settings),
        _template(settings, ANALYZE, ANALYZE_ARGS, _job(settings, settings.job_image, ANALYZE, analyze)),
        _template(settings, OBSERVE, OBSERVE_ARGS, _job(settings, settings.job_image, OBSERVE, observe)),
        CronJob(
            metadata=_named(settings, COORDINATE),
            spec=CronJobSpec(
                schedule=_EVERY_TEN_MINUTES,
                concurrency_policy="Forbid",
                starting_deadline=300,
                successful_history=1,
                failed_history=3,
                job=_job(settings, settings.job_image, COORDINATE, ("coordinate", *_clone(state))),
            ),
        ),
    )


def _options(arguments: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"--{option}={{{{args.{name}}}}}" for name, option in arguments.items())


def _clone(state: StateRepository) -> tuple[str, ...]:
    return (f"--git-repo={state.url}", f"--git-branch={state.branch}", *_folder(state))


def _folder(state: StateRepository) -> tuple[str, ...]:
    return (f"--image-factory-dir={state.path}", "--log-format=json")


def _named(settings: KargoSettings, name: str) -> ObjectMeta:
    return ObjectMeta(name=name, namespace=settings.namespace, labels=MANAGED_BY)


def _account(settings: KargoSettings) -> tuple[Resource, ...]:
    """Return who jobs run as: they ask nothing of the cluster, so there is no right to give and no token to mount."""
    name = settings.service_account
    meta = _named(settings, name)
    return (
        ServiceAccount(metadata=meta, automount_token=False),
        Role(metadata=meta, rules=()),
        RoleBinding(
            metadata=meta,
            role_ref=RoleRef(api_group="rbac.authorization.k8s.io", kind="Role", name=name),
            subjects=(Subject(kind="ServiceAccount", name=name, namespace=settings.namespace),),
        ),
    )


def _template(settings: KargoSettings, name: str, arguments: dict[str, str], job: JobTemplate) -> AnalysisTemplate:
    metric = Metric(name=METRIC, count=1, failure_limit=0, provider=MetricProvider(job=job))
    declared = tuple(AnalysisArgument(name=argument) for argument in arguments)
    return AnalysisTemplate(
        metadata=_named(settings, name), spec=AnalysisTemplateSpec(args=declared, metrics=(metric,))
    )


def _job(settings: KargoSettings, image: str, role: str, args: tuple[str, ...]) -> JobTemplate:
    secret = SecretKey(name=settings.git_credentials, key=CREDENTIALS_KEY)
    container = Container(
        name="image-factory",
        image=image,
        args=args,
        environment=(Variable(name="IMAGE_FACTORY_GIT_PASSWORD", value_from=VariableSource(secret=secret)),),
        resources=Resources(requests={"cpu": "100m", "memory": "128Mi"}, limits={"cpu": "1", "memory": "512Mi"}),
        security=ContainerSecurity(
            allow_privilege_escalation=False, read_only_root_filesystem=True, capabilities=Capabilities(drop=("ALL",))
        ),
        mounts=(Mount(name="tmp", path="/tmp"),),  # noqa: S108 - the container's own
    )
    pod = PodSpec(
        service_account=settings.service_account,
        automount_token=False,
        restart_policy="Never",
        security=PodSecurity(
            run_as_non_root=True, run_as_user=_USER, run_as_group=_USER, seccomp=SeccompProfile(type="RuntimeDefault")
        ),
        containers=(container,),
        volumes=(Volume(name="tmp", empty=EmptyFolder(size_limit="1Gi")),),
    )
    return JobTemplate(
        spec=JobSpec(
            active_deadline=_DEADLINE,
            backoff_limit=_RETRIES,
            ttl_after_finished=_KEPT,
            template=PodTemplate(metadata=PodMeta(labels={**MANAGED_BY, ROLE_LABEL: role}), spec=pod),
        )
    )
