from __future__ import annotations

import pytest

from image_factory_synth.fields import RefusedByKargo, document
from image_factory_synth.project_records import ProjectConfig, ProjectConfigSpec
from image_factory_synth.receiver_records import Receiver, SecretRef, Sent
from image_factory_synth.records import ObjectMeta
from image_factory_synth.versions import KargoVersion

SENT = Sent(secret=SecretRef(name="hook"))
META = ObjectMeta(name="a", namespace="a")


def test_a_receiver_has_the_part_of_its_sender() -> None:
    assert document(Receiver(name="hub", dockerhub=SENT), KargoVersion(1, 9)) == {
        "name": "hub",
        "dockerhub": {"secretRef": {"name": "hook"}},
    }


@pytest.mark.parametrize(
    "receiver",
    [Receiver(name="none"), Receiver(name="two", github=SENT, gitlab=SENT)],
    ids=["of no sender", "of two senders"],
)
def test_a_project_takes_no_receiver_but_of_one_sender(receiver: Receiver) -> None:
    config = ProjectConfig(metadata=META, spec=ProjectConfigSpec(webhook_receivers=(receiver,)))

    with pytest.raises(RefusedByKargo, match="one sender"):
        config.document(KargoVersion(1, 11))


@pytest.mark.parametrize(("sender", "first"), [("quay", 6), ("gitea", 7), ("harbor", 8), ("generic", 9)])
def test_a_sender_is_known_since_its_release(sender: str, first: int) -> None:
    receiver = Receiver(name="a", **{sender: SENT})

    assert sender in document(receiver, KargoVersion(1, first))
    with pytest.raises(RefusedByKargo, match=sender):
        document(receiver, KargoVersion(1, first - 1))
