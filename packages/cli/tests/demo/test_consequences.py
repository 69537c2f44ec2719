from datetime import UTC, datetime
from typing import Any

from image_factory_cli.demo.consequences import Consequence, consequences, longest_chain

NOW = datetime(2026, 3, 2, 12, 0, 4, tzinfo=UTC)


def image(name: str, eligible_at: str | None, *, because: str = "python", delay: str | None = "24h") -> dict[str, Any]:
    enrollment = {} if delay is None else {"rebuildDelay": delay}
    return {
        "name": name,
        "configuration": {"enrollment": enrollment},
        "rebuild": {
            "status": "cooling-down" if eligible_at else "up-to-date",
            "eligibleAt": eligible_at,
            "causes": [{"base": because, "eligibleAt": eligible_at}, {"base": "other", "eligibleAt": None}],
        },
    }


def graph(**dependents: list[str]) -> dict[str, Any]:
    return {"nodes": [{"name": name, "dependents": children} for name, children in dependents.items()]}


def test_the_soonest_comes_first_and_what_stands_on_it_last() -> None:
    status = {
        "images": [
            image("late", "2026-03-09T12:00:00Z", delay=None),
            image("soon", "2026-03-03T12:00:00Z"),
            image("child", None, delay="2d"),
            image("grandchild", None),
        ]
    }

    found = consequences(status, graph(soon=["child"], child=["grandchild"], late=[]), {}, NOW)

    assert found == [
        Consequence("soon", "python", "24h", "Tue 03 Mar 12:00 UTC, in 1d"),
        Consequence("late", "python", "7d", "Mon 09 Mar 12:00 UTC, in 7d"),
        Consequence("child", "soon", "2d", "once soon is rebuilt, and after its delay"),
        Consequence("grandchild", "child", "24h", "once child is rebuilt, and after its delay"),
    ]


def test_what_waited_before_the_move_is_no_consequence_of_it() -> None:
    status = {"images": [image("old", "2026-03-03T12:00:00Z")]}

    assert consequences(status, graph(old=[]), {"old": "cooling-down"}, NOW) == []


def test_a_base_among_the_dependents_is_not_rebuilt() -> None:
    status = {"images": [image("soon", "2026-03-03T12:00:00Z")]}

    assert [one.image for one in consequences(status, graph(soon=["unknown"]), {}, NOW)] == ["soon"]


def test_the_longest_chain_goes_from_a_base_to_the_last_image() -> None:
    nodes = graph(alpine=["cart"], cart=[], python=["base"], base=["app"], app=[])

    assert longest_chain(nodes) == ["python", "base", "app"]
    assert longest_chain(graph()) == []
