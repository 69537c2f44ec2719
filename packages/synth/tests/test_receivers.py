from __future__ import annotations

from typing import get_args

import pytest

from image_factory.model.cluster import Sender
from image_factory.model.settings import KargoSettings
from image_factory_synth.data import Inventory, ManagedImage, Role, WatchedImage
from image_factory_synth.fields import RefusedByKargo, document
from image_factory_synth.receivers import EAGER, SECRET_KEYS, receivers
from image_factory_synth.versions import KNOWN, KargoVersion
from image_factory_synth.warehouses import plan_warehouses


def written(webhooks: dict[str, str], version: KargoVersion = KNOWN[-1]) -> list[dict[str, object]]:
    settings = KargoSettings.model_validate({"webhooks": webhooks})
    return [document(receiver, version) for receiver in receivers(settings)]


def test_there_is_none_where_no_secret_is_named() -> None:
    assert receivers(KargoSettings()) == ()


def test_each_sender_has_one_with_the_secret_that_is_named() -> None:
    assert written({"gitlab": "lab-hook", "github": "hub-hook"}) == [
        {"name": "github", "github": {"secretRef": {"name": "hub-hook"}}},
        {"name": "gitlab", "gitlab": {"secretRef": {"name": "lab-hook"}}},
    ]


@pytest.mark.parametrize("version", KNOWN, ids=str)
@pytest.mark.parametrize("sender", get_args(Sender))
def test_every_sender_is_known_to_every_version(sender: str, version: KargoVersion) -> None:
    (receiver,) = written({sender: "hook"}, version)

    assert receiver.keys() == {"name", sender}
    assert sender in SECRET_KEYS


def test_before_it_came_a_generic_one_cannot_be_written() -> None:
    with pytest.raises(RefusedByKargo, match=r"generic is not in Kargo 1\.8"):
        written({"generic": "hook"}, KargoVersion(1, 8))


def test_what_any_caller_may_have_looked_at_is_never_a_base_image() -> None:
    (receiver,) = written({"generic": "hook"})
    managed = ManagedImage(name="web", repo_url="ghcr.io/acme/web")
    base = WatchedImage(name="node", role=Role.BASE, repo_url="docker.io/library/node", allow_tags="^22$")
    planned = plan_warehouses(Inventory((managed,), (base,)), KargoSettings(), KNOWN[-1])

    (action,) = receiver["generic"]["actions"]  # type: ignore[index]
    selectors = [target["labelSelector"]["matchLabels"] for target in action["targetSelectionCriteria"]]
    looked_at = [
        name
        for name, warehouse in planned.warehouses
        if any(selector.items() <= warehouse["metadata"]["labels"].items() for selector in selectors)
    ]

    assert action["action"] == "Refresh"
    assert looked_at == ["web"]
    assert len(selectors) == len(EAGER) == 2
