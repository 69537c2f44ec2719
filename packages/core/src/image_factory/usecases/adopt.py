"""Take over the builds that Kargo started: each is known by the id of the request that it was started for.

With `engine: kargo` this program writes requests and the cluster starts them, or a person there does, so
that nothing tells us of it but the run itself. Gather: the run of a request's id. Decide:
`decide.settlement.judge_start`.
"""

from __future__ import annotations

from datetime import datetime

from image_factory.decide.settlement import Verdict, judge_start
from image_factory.model.enrollment import Enrollment
from image_factory.model.request import Dispatch, RebuildRequest, RequestStatus
from image_factory.ports import BuildRun
from image_factory.usecases.dispatch import LEASE
from image_factory.usecases.trigger import build_request
from image_factory.usecases.workbench import Workbench

KARGO = "kargo"
"""Who started a build, in the record of its dispatch."""


def find_start(
    bench: Workbench, request: RebuildRequest, enrollment: Enrollment, now: datetime
) -> tuple[RebuildRequest, BuildRun] | Verdict:
    """Return `request` as it was started, with its run; where there is none, how it stands.

    Args:
        request: one that we did not see started.

    Raises:
        UnknownPlugin: no plugin starts builds at its provider.
        RemoteError: the provider's answer, where it is none.
    """
    dispatch = request.dispatch
    if (
        request.status is RequestStatus.DISPATCHING
        and dispatch is not None
        and dispatch.at <= now < dispatch.at + LEASE
    ):
        return Verdict(request.status, f"{dispatch.by or 'another run'} is starting it")
    run = None
    if not request.waits_for:
        trigger, asked = build_request(bench, enrollment, request.request_id)
        run = trigger.find_run(asked)
    if run is None:
        timeout = bench.settings.kargo.start_timeout
        return judge_start(request, now=now, timeout=timeout, is_manual=not enrollment.auto_rebuild)
    # A provider's clock may be behind ours: no build starts before it was asked for, nor ends before it was started.
    at = min(max(run.created_at.replace(microsecond=0), request.requested_at), now)
    made = (dispatch or Dispatch(at=at, by=KARGO)).model_copy(
        update={"run_id": run.id, "url": run.url, "error": None, "not_before": None}
    )
    update: dict[str, object] = {
        "status": RequestStatus.DISPATCHED,
        "dispatch": made,
        "finished_at": None,
        "problem": None,
    }
    if request.status is RequestStatus.NEEDS_APPROVAL:
        # Who promotes a stage that does not promote by itself has approved it; Kargo knows who that was.
        update |= {"approved_by": KARGO, "approved_at": at}
    return request.model_copy(update=update), run
