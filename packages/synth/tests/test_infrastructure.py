from __future__ import annotations

from image_factory.model.settings import KargoSettings
from image_factory_synth.infrastructure import infrastructure
from image_factory_synth.versions import KargoVersion


def test_the_namespace_comes_first_and_is_labelled_for_the_project() -> None:
    namespace, project, config = (
        resource.document(KargoVersion(1, 11)) for resource in infrastructure(KargoSettings())
    )

    assert (namespace["kind"], namespace["metadata"]["name"]) == ("Namespace", "image-factory-kargo")
    assert namespace["metadata"]["labels"]["kargo.akuity.io/project"] == "true"
    assert (project["kind"], project["metadata"]["name"]) == ("Project", "image-factory-kargo")
    assert "spec" not in project
    assert "namespace" not in project["metadata"]
    assert (config["metadata"]["name"], config["metadata"]["namespace"]) == (
        "image-factory-kargo",
        "image-factory-kargo",
    )


def test_stages_are_promoted_by_their_label_where_there_are_any() -> None:
    settings = KargoSettings(state_repository="https://git.example.com/state.git")
    config, without = (infrastructure(given)[-1].document(KargoVersion(1, 11)) for given in (settings, KargoSettings()))

    assert without["spec"] == {}
    assert config["spec"]["promotionPolicies"] == [
        {"stageSelector": {"matchLabels": {"image-factory.io/promotion": "automatic"}}, "autoPromotionEnabled": True}
    ]


def test_the_namespace_is_a_setting() -> None:
    names = {resource.metadata.name for resource in infrastructure(KargoSettings(namespace="elsewhere"))}

    assert names == {"elsewhere"}
