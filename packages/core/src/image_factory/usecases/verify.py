"""Judge whether what an image published may be used: the gate before its consumers, wherever they are updated.

Kargo asks it of new Freight, by a job beside the analysis; `image_factory.usecases.update` asks the same before it
carries a version. Nothing is judged yet: an image that asks for a verification or a policy passes no gate.
"""

from __future__ import annotations

from collections.abc import Iterable

from image_factory.decide.consumers import check_gate
from image_factory.errors import NotFound, VerificationError
from image_factory.model.enrollment import Kind
from image_factory.usecases.outcome import Done, Failed, Outcome
from image_factory.usecases.workbench import Workbench


def verify_images(bench: Workbench, names: Iterable[str] = (), *, digest: str | None = None) -> tuple[Outcome, ...]:
    """Return of each managed image whether it passes its gate; nothing is written.

    Args:
        names: the images; all managed ones where it is empty.
        digest: what was published, where it is known.

    Raises:
        NotFound: there is no images.yaml, or no managed image of one of `names`.
    """
    managed = {
        entry.enrollment.name: entry.enrollment
        for entry in bench.images().enrollments
        if entry.enrollment.kind is Kind.MANAGED
    }
    outcomes: list[Outcome] = []
    for name in dict.fromkeys(names) or managed:
        if name not in managed:
            hint = f"managed images: {', '.join(managed) or 'none'}"
            raise NotFound(f"no managed image is called {name!r}", hint=hint)
        try:
            check_gate(managed[name])
        except VerificationError as refusal:
            outcomes.append(Failed(name, refusal))
        else:
            outcomes.append(
                Done(name, (f"{digest or 'every digest'} passes: it asks for no verification and no policy",))
            )
    return tuple(outcomes)
