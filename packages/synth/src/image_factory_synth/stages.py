"""What stands beside a Warehouse: the stage that analyzes or observes its Freight, and the one that starts a build.

Kargo detects and executes, and our code decides: the coordination writes a request into git, a
Warehouse watches that one file, and a stage calls the provider for it. The call is the one that the
provider's plugin describes, which the embedded engine performs. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Protocol

from image_factory.decide.build_inputs import (
    BASE_IMAGE,
    BASE_IMAGES,
    IMAGE,
    REQUEST_ID,
    TRIGGERED_BY,
    VERSION_BUMP,
    name_inputs,
)
from image_factory.errors import InvalidSettings, UnknownPlugin
from image_factory.model.enrollment import Source as EnrolledSource
from image_factory.model.settings import CommitSettings, KargoSettings
from image_factory.ports import BuildRequest, BuildTrigger, FileUpdater, Source, SourceRepository, TriggerCall
from image_factory.state.layout import REQUESTS, state_path
from image_factory.usecases.workflow import WITHOUT_FILES
from image_factory_synth.credentials import secret_expression, secret_of
from image_factory_synth.data import ManagedImage, WatchedImage
from image_factory_synth.fields import Document, Expression, RefusedByKargo, expression_of, literal
from image_factory_synth.names import ANALYZE, prefixed, warehouse_name
from image_factory_synth.records import (
    AUTOMATIC,
    MANAGED_BY,
    MANUAL,
    PROMOTION_LABEL,
    REQUESTS_ROLE,
    ROLE_LABEL,
    FreightCreationPolicy,
    GitSubscription,
    ObjectMeta,
    Resource,
    Subscription,
    Warehouse,
    WarehouseSpec,
)
from image_factory_synth.schedule import Check, stagger
from image_factory_synth.stage_records import (
    Origin,
    PromotionTemplate,
    RequestedFreight,
    Sources,
    Stage,
    StageSpec,
    TemplateName,
    Verification,
    VerificationArgument,
)
from image_factory_synth.state_repository import StateRepository, state_repository
from image_factory_synth.steps import Retry, Step, StepsSpec
from image_factory_synth.tasks import READ_REQUEST, REQUEST, task_step
from image_factory_synth.updates import Carrier, Promotion
from image_factory_synth.versions import KargoVersion

TRIGGER_ROLE = "rebuild-trigger"
OBSERVE_ROLE = "observe"
UPDATE_ROLE = "update"
_DISPATCHED = ("requested",)
_APPROVED_BY_HAND = (*_DISPATCHED, "needs-approval")
"""A person who promotes the stage of an image that is not rebuilt by itself approves of what waits for that."""
_TASK = "rebuild"
"""The alias of the step that reads the request."""
_INPUTS = {
    REQUEST_ID: "requestId",
    BASE_IMAGES: "digests",
    VERSION_BUMP: "versionBump",
    TRIGGERED_BY: "triggeredBy",
    BASE_IMAGE: "baseImage",
}
"""Our inputs, and what of the request they are."""
_ANSWER = Expression(
    f'"request " + ${{{{ toJSON(outputs.{_TASK}.{REQUEST}.requestId) }}}} + ": "'
    ' + replace(toJSON(response.body ?? ""), "\\n", "")[:300]'
)
"""What is shown of a refusal: a status alone says nothing of which input or token it was for."""
_SHOWS_ANSWERS = KargoVersion(1, 11)
"""The first Kargo that shows of an answer what it is told to."""
_SECOND = timedelta(seconds=1)
"""Kargo takes no interval below it."""


class Providers(Protocol):
    """What providers' plugins say (`image_factory.plugins.PluginTable`)."""

    def source_named(self, provider: str) -> Source:
        """Return the source of that name."""
        ...

    def trigger_named(self, provider: str) -> BuildTrigger:
        """Return what starts builds there."""
        ...

    def updater_named(self, name: str) -> FileUpdater:
        """Return the updater that `updates[].type` names."""
        ...


@dataclass(frozen=True, slots=True)
class Stages:
    """Makes what stands beside each image's Warehouse; nothing where no setting says where state lies."""

    settings: KargoSettings
    version: KargoVersion
    providers: Providers | None
    state_dir: str = "state"
    author: CommitSettings | None = None
    """Who commits to consumers' repositories."""

    def beside(
        self, image: ManagedImage | WatchedImage, repo_url: str, note: Callable[[str], None] = lambda _: None
    ) -> tuple[Document, ...]:
        """Return the resources that belong to an image's Warehouse, which watches `repo_url`.

        Args:
            note: is told what is left out.

        Raises:
            RefusedByKargo, UnsafeValue: Kargo would refuse one, or a text could become an expression.
            InvalidSettings: the state directory lies outside of the repository.
        """
        state = state_repository(self.settings)
        if state is None:
            return ()
        if isinstance(image, WatchedImage):
            return (self._observe(image, repo_url).document(self.version),)
        source = image.source
        if source is None or not source.repo:
            return ()
        resources: list[Resource] = [self._analyze(image, source, state, repo_url)]
        if self.providers is not None:
            try:
                trigger = self.providers.trigger_named(source.provider)
            except UnknownPlugin as error:
                note(f"its builds are not started: {error.message}")
            else:
                resources += [self._requests(image, state), self._trigger(image, source, state, trigger)]
            carrier = Carrier(self.providers, self.version, self.author)
            resources += [self._update(image, promotion) for promotion in carrier.promotions(image, repo_url, note)]
        return tuple(resource.document(self.version) for resource in resources)

    def _named(self, name: str, role: str, promotion: str | None = None) -> ObjectMeta:
        labels = {**MANAGED_BY, ROLE_LABEL: role}
        return ObjectMeta(
            name=name,
            namespace=self.settings.namespace,
            labels=labels if promotion is None else {**labels, PROMOTION_LABEL: promotion},
        )

    def _analyze(self, image: ManagedImage, source: EnrolledSource, state: StateRepository, repo_url: str) -> Stage:
        found = f"imageFrom({literal(repo_url)})"
        args: dict[str, str | Expression] = {
            "imageName": image.name,
            # A tag such as 22 would become a number, which no argument may be.
            "imageTag": Expression(f"${{{{ quote({found}.Tag) }}}}"),
            "imageDigest": Expression(f"${{{{ {found}.Digest }}}}"),
            "dockerfile": source.dockerfile,
            "sourceRepo": source.repo,
            "sourceProvider": source.provider,
            "gitRepo": state.url,
            "gitBranch": state.branch,
        }
        jobs = self.settings.jobs
        # What is to be proven of an image is proven here, so that no stage after this one gets Freight without.
        templates = (jobs.analyze_template, jobs.verify_template) if image.is_gated else (jobs.analyze_template,)
        return Stage(
            metadata=self._named(prefixed(ANALYZE, image.name), ANALYZE, AUTOMATIC),
            spec=_verified(warehouse_name(image.name), image.name, templates, args),
        )

    def _update(self, image: ManagedImage, promotion: Promotion) -> Stage:
        """Return a stage that carries a version on once its analysis went well."""
        origin = Origin(kind="Warehouse", name=warehouse_name(image.name))
        sources = Sources(stages=(prefixed(ANALYZE, image.name),))
        job = None
        if promotion.job is not None:
            job = _verification((self.settings.jobs.update_template,), promotion.job)
        return Stage(
            metadata=self._named(promotion.name, UPDATE_ROLE, AUTOMATIC),
            spec=StageSpec(
                requested_freight=(RequestedFreight(origin=origin, sources=sources),),
                promotion_template=PromotionTemplate(spec=StepsSpec(steps=promotion.steps)),
                verification=job,
            ),
        )

    def _observe(self, image: WatchedImage, repo_url: str) -> Stage:
        digest = Expression(f"${{{{ imageFrom({literal(repo_url)}).Digest }}}}")
        return Stage(
            metadata=self._named(prefixed(OBSERVE_ROLE, image.name), OBSERVE_ROLE, AUTOMATIC),
            spec=_verified(
                warehouse_name(image.name),
                image.name,
                (self.settings.jobs.observe_template,),
                {"name": image.name, "digest": digest},
            ),
        )

    def _requests(self, image: ManagedImage, state: StateRepository) -> Warehouse:
        git = GitSubscription(
            repo_url=state.url,
            branch=state.branch,
            include_paths=(self._request_file(image, state),),
            discovery_limit=1,
        )
        return Warehouse(
            metadata=self._named(prefixed(REQUESTS_ROLE, image.name), REQUESTS_ROLE),
            spec=WarehouseSpec(
                interval=_spread(image.name, self.settings.request_interval),
                freight_creation_policy=FreightCreationPolicy.AUTOMATIC,
                subscriptions=(Subscription(git=git),),
            ),
        )

    def _request_file(self, image: ManagedImage, state: StateRepository) -> str:
        return f"{_requests_folder(state.path, self.state_dir)}/{state_path(REQUESTS, image.name).name}"

    def _trigger(
        self, image: ManagedImage, source: EnrolledSource, state: StateRepository, trigger: BuildTrigger
    ) -> Stage:
        found = f"outputs.{_TASK}.{REQUEST}"
        acted_on = " || ".join(
            f'{found}.status == "{status}"' for status in (_DISPATCHED if image.auto_rebuild else _APPROVED_BY_HAND)
        )
        call = Step(
            uses="http",
            alias="dispatch",
            # What waits, or is dispatched or settled by now, starts nothing; its Freight is taken all the same.
            condition=Expression(f"${{{{ success() && ({acted_on}) && {found}.waits == 0 }}}}"),
            retry=Retry(error_threshold=3, timeout=timedelta(minutes=5)),
            config=self._http(image, source, trigger),
        )
        read = task_step(_TASK, READ_REQUEST, file=self._request_file(image, state))
        return Stage(
            metadata=self._named(
                prefixed(TRIGGER_ROLE, image.name), TRIGGER_ROLE, AUTOMATIC if image.auto_rebuild else MANUAL
            ),
            spec=StageSpec(
                requested_freight=(_direct(prefixed(REQUESTS_ROLE, image.name)),),
                promotion_template=PromotionTemplate(spec=StepsSpec(steps=(read, call))),
            ),
        )

    def _http(self, image: ManagedImage, source: EnrolledSource, trigger: BuildTrigger) -> dict[str, object]:
        """Return the configuration of the step that makes the call which the plugin describes."""
        places = {f"<{name}>": f"outputs.{_TASK}.{REQUEST}.{read}" for name, read in _INPUTS.items()}
        told = {name: f"<{name}>" for name in _INPUTS} | {IMAGE: image.name}
        # What a workflow does not declare is refused with all the rest: it gets what the one that we write declares,
        # and the image's name where that is asked for.
        declared = None
        if source.provider not in WITHOUT_FILES:
            declared = {source.inputs.get(name, name) for name in told if name != IMAGE or name in source.inputs}
        workflow = source.workflow or ("" if source.provider in WITHOUT_FILES else f"{image.name}.yml")
        call = trigger.call(
            BuildRequest(
                SourceRepository(source.provider, source.host, source.repo),
                source.ref or source.branch,
                workflow,
                f"<{REQUEST_ID}>",
                name_inputs(told, source.inputs, declared).inputs,
            )
        )
        succeeded = " || ".join(f"response.status == {status}" for status in call.accepted)
        named = secret_of(self.settings, source.provider, is_trigger_token=call.secret_field is not None)
        secret = secret_expression(named)
        config: dict[str, object] = {
            "method": call.method,
            "url": call.url,
            "headers": _headers(call, secret),
            "body": _body(call, places, secret),
            "successExpression": succeeded,
            "failureExpression": "response.status >= 400 && response.status < 500 && response.status != 429",
            "timeout": "30s",
        }
        return config if self.version < _SHOWS_ANSWERS else {**config, "errorExpression": _ANSWER}


def _headers(call: TriggerCall, secret: str) -> tuple[dict[str, object], ...]:
    headers: list[dict[str, object]] = [{"name": name, "value": value} for name, value in call.headers.items()]
    if call.secret is not None:
        if "$" in call.secret.prefix:
            raise RefusedByKargo(f"not a prefix: {call.secret.prefix!r}", field="headers")
        headers.append({"name": call.secret.name, "value": Expression(f"{call.secret.prefix}${{{{ {secret} }}}}")})
    return tuple(headers)


def _body(call: TriggerCall, places: Mapping[str, str], secret: str) -> Expression:
    """Return the body as one quoted expression: the step takes a text and would get an object else."""
    body = dict(call.json)
    if call.secret_field is not None:
        body[call.secret_field] = "<secret>"
        places = {**places, "<secret>": secret}
    return Expression(f"${{% quote({expression_of(body, places)}) %}}")


@lru_cache(maxsize=8)
def _requests_folder(folder: str, state_dir: str) -> PurePosixPath:
    """Return where requests lie, from the repository's root."""
    inside = PurePosixPath(state_dir)
    if inside.is_absolute() or ".." in inside.parts:
        raise InvalidSettings(
            f"stateDir {state_dir!r} lies outside of kargo.stateRepository", hint="give a path inside the folder"
        )
    return PurePosixPath(folder) / inside / state_path(REQUESTS, "any").parent


def _spread(name: str, interval: timedelta) -> timedelta:
    """Return how often a request is looked for, so that hundreds of Warehouses do not clone in one second."""
    return stagger([Check(name=name, registry="", interval=max(interval, _SECOND), requests=0)])[name]


def _direct(warehouse: str) -> RequestedFreight:
    return RequestedFreight(origin=Origin(kind="Warehouse", name=warehouse), sources=Sources(direct=True))


def _verified(
    warehouse: str, image: str, templates: tuple[str, ...], args: Mapping[str, str | Expression]
) -> StageSpec:
    """Return a stage that does nothing with its Freight but verify it; without a step it would not even that."""
    return StageSpec(
        requested_freight=(_direct(warehouse),),
        promotion_template=PromotionTemplate(
            spec=StepsSpec(steps=(Step(uses="compose-output", config={"image": image}),))
        ),
        verification=_verification(templates, args),
    )


def _verification(templates: tuple[str, ...], args: Mapping[str, str | Expression]) -> Verification:
    return Verification(
        templates=tuple(TemplateName(name=name) for name in templates),
        args=tuple(VerificationArgument(name=name, value=value) for name, value in args.items()),
    )
