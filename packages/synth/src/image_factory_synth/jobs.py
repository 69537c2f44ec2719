"""The jobs of the cluster: analysis and observation as verifications, coordination every ten minutes. Pure.

Each runs one command of this project on a fresh clone of the state repository, and pushes what it
learned. What it is told comes as an argument of its own, written `--option=value`, so that no value can
become an option or a shell's word; credentials come by the environment, from a Secret.
"""

from __future__ import annotations

from dataclasses import replace

from image_factory.errors import InvalidSettings
from image_factory.model.settings import KargoSettings
from image_factory_synth.analysis import (
    AnalysisArgument,
    AnalysisTemplate,
    AnalysisTemplateSpec,
    Metric,
    MetricProvider,
)
from image_factory_synth.credentials import GIT_PASSWORD, git_secret, job_environment
from image_factory_synth.job_records import (
    Capabilities,
    Container,
    ContainerSecurity,
    CronJob,
    CronJobSpec,
    EmptyFolder,
    JobSpec,
    JobTemplate,
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
    SecretName,
    ServiceAccount,
    Subject,
    Variable,
    VariableSource,
    Volume,
)
from image_factory_synth.records import MANAGED_BY, ROLE_LABEL, ObjectMeta, Resource
from image_factory_synth.state_repository import StateRepository, state_repository

METRIC = "analysis"
GATE_METRIC = "verification"
"""Kargo takes one stage's templates together, and no two metrics of one name."""
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
VERIFY_ARGS = {"imageName": "image", "imageDigest": "digest"}
"""The arguments of the gate, which stands beside the analysis, and the options of `image-factory verify`."""
UPDATE_ARGS = {"imageName": "image", "repository": "repo", "type": "type"}
"""The arguments of an update, and the options of `image-factory update` that they become."""
GIT_USERNAME = "IMAGE_FACTORY_GIT_USERNAME"
"""The variable by which a job is told git's user."""
USERNAME = "username"
"""The key of the Secret with git's credentials under which Kargo has the user."""
_USER = 65532
"""The user of our container image."""


def jobs(settings: KargoSettings) -> tuple[Resource, ...]:
    """Return the account that jobs run as, the templates of verifications, and the CronJob.

    Raises:
        InvalidSettings: it is not said which container image they run.
    """
    state = state_repository(settings)
    if state is None:
        return ()
    if state.url.startswith("ssh:"):
        raise InvalidSettings(
            f"kargo.stateRepository is reached over ssh, for which jobs have no key: {state.url}",
            hint="write its https URL: jobs push with the password of kargo.gitCredentials",
        )
    if settings.job_image is None:
        raise InvalidSettings(
            "kargo.stateRepository is given and kargo.jobImage is not",
            hint="set kargo.jobImage to the container image of this project with its digest or version,"
            " such as ghcr.io/craigedmunds/image-factory:0.1.0",
        )
    names = settings.jobs
    analyze = ("analyze", *_options(ANALYZE_ARGS), *_folder(state))
    observe = ("observe", *_options(OBSERVE_ARGS), *_clone(state))
    verify = ("verify", *_options(VERIFY_ARGS), *_clone(state))
    update = ("update", *_options(UPDATE_ARGS), *_clone(state))
    coordinate = ("coordinate", "--settle", *_clone(state))
    return (
        *_account(settings),
        _template(
            settings, names.analyze_template, ANALYZE_ARGS, _job(settings, settings.job_image, "analyze", analyze)
        ),
        _template(
            settings, names.observe_template, OBSERVE_ARGS, _job(settings, settings.job_image, "observe", observe)
        ),
        _template(
            settings,
            names.verify_template,
            VERIFY_ARGS,
            _job(settings, settings.job_image, "verify", verify),
            GATE_METRIC,
        ),
        _template(
            settings,
            names.update_template,
            UPDATE_ARGS,
            _job(settings, settings.job_image, "update", update),
        ),
        CronJob(
            metadata=_named(settings, names.coordinate_name),
            spec=CronJobSpec(
                schedule=names.schedule,
                time_zone="Etc/UTC",
                concurrency_policy="Forbid",
                starting_deadline=300,
                successful_history=1,
                failed_history=3,
                # Its next time is its next attempt.
                job=_job(settings, settings.job_image, "coordinate", coordinate, retries=0),
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


def _template(
    settings: KargoSettings, name: str, arguments: dict[str, str], job: JobTemplate, metric: str = METRIC
) -> AnalysisTemplate:
    measured = Metric(name=metric, count=1, failure_limit=0, provider=MetricProvider(job=job))
    declared = tuple(AnalysisArgument(name=argument) for argument in arguments)
    return AnalysisTemplate(
        metadata=_named(settings, name), spec=AnalysisTemplateSpec(args=declared, metrics=(measured,))
    )


def _environment(settings: KargoSettings) -> tuple[Variable, ...]:
    """Return git's user and password, and the tokens that settings name; without all but the password a job goes on."""
    git = git_secret(settings)
    user = Variable(name=GIT_USERNAME, value_from=VariableSource(secret=replace(git, key=USERNAME, optional=True)))
    listed = [user]
    for variable in job_environment(settings):
        secret = variable.value_from.secret
        if variable.name != GIT_PASSWORD:
            secret = replace(secret, optional=True)
        listed.append(replace(variable, value_from=VariableSource(secret=secret)))
    return tuple(listed)


def _job(
    settings: KargoSettings, image: str, role: str, args: tuple[str, ...], *, retries: int | None = None
) -> JobTemplate:
    told = settings.jobs
    container = Container(
        name="image-factory",
        image=image,
        args=args,
        environment=_environment(settings),
        resources=Resources(
            requests={"cpu": told.requests.cpu, "memory": told.requests.memory},
            limits={"cpu": told.limits.cpu, "memory": told.limits.memory},
        ),
        security=ContainerSecurity(
            allow_privilege_escalation=False, read_only_root_filesystem=True, capabilities=Capabilities(drop=("ALL",))
        ),
        mounts=(Mount(name="tmp", path="/tmp"),),  # noqa: S108 - the container's own
    )
    pod = PodSpec(
        service_account=settings.service_account,
        automount_token=False,
        restart_policy="Never",
        pull_secrets=tuple(SecretName(name=name) for name in told.pull_secrets),
        security=PodSecurity(
            run_as_non_root=True, run_as_user=_USER, run_as_group=_USER, seccomp=SeccompProfile(type="RuntimeDefault")
        ),
        containers=(container,),
        volumes=(Volume(name="tmp", empty=EmptyFolder(size_limit=told.tmp_size)),),
    )
    return JobTemplate(
        spec=JobSpec(
            active_deadline=int(told.deadline.total_seconds()),
            backoff_limit=told.retries if retries is None else retries,
            ttl_after_finished=int(told.kept_for.total_seconds()),
            template=PodTemplate(metadata=PodMeta(labels={**MANAGED_BY, ROLE_LABEL: role}), spec=pod),
        )
    )
