from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_factory.decide.discovery import base_configuration
from image_factory.errors import Conflict, InvalidSettings, NotFound, UnknownPlugin, UserError
from image_factory.model.cluster import CatalogSettings
from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import BaseRuntime, BaseState, ImageConfiguration, ImageRuntime, ImageState
from image_factory.model.settings import KargoSettings, RegistrySettings, Settings
from image_factory.oci.reference import Reference, Repository
from image_factory.ports import TriggerCall
from image_factory.state.codec import dump
from image_factory_synth.charts import Chart
from image_factory_synth.schedule import Budget
from image_factory_synth.synthesize import Synthesis, synthesize

IMAGES = """
- name: web
  registry: ghcr.io
  repository: acme/web
  source: {repo: acme/web}
- name: postgres
  repository: library/postgres
  allowTags: ^16-alpine$
- name: redis
  repository: library/redis
  tag: 7-alpine
"""


class Plain:
    """A renderer without Node; it notes which charts it was given."""

    name = "plain"

    def __init__(self) -> None:
        self.rendered: list[str] = []
        self._texts: list[str] = []

    def add(self, charts: Sequence[Chart]) -> None:
        self.rendered += [chart.name for chart in charts]
        self._texts += [
            "---\n".join(yaml.safe_dump(document, sort_keys=False) for document in chart.documents) for chart in charts
        ]

    def finish(self) -> list[str]:
        return self._texts


def listed(folder: Path, kind: str) -> list[str]:
    """The names of the output's resources of one kind."""
    documents = yaml.safe_load_all((folder / "dist" / "image-factory.k8s.yaml").read_text())
    return [document["metadata"]["name"] for document in documents if document["kind"] == kind]


class Refuse(Plain):
    """A renderer that is not to be asked."""

    def add(self, charts: Sequence[Chart]) -> None:
        raise AssertionError(f"asked to render {[chart.name for chart in charts]}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images.yaml").write_text(IMAGES)
    for part in ("images", "base-images"):
        (tmp_path / "state" / part).mkdir(parents=True)
    base = BaseState(configuration=base_configuration("node-22", Reference.parse("node:22")))
    (tmp_path / "state" / "base-images" / "node-22.yaml").write_text(dump(base))
    return tmp_path


def see(folder: Path, version: str) -> None:
    """Record that this version of web was published."""
    entry = Enrollment.model_validate(yaml.safe_load(IMAGES)[0])
    state = ImageState(
        configuration=ImageConfiguration(name="web", enrollment=entry), runtime=ImageRuntime(current_version=version)
    )
    (folder / "state" / "images" / "web.yaml").write_text(dump(state))


def run(folder: Path, settings: Settings | None = None, **options: Any) -> Synthesis:
    return synthesize(folder, settings or Settings(), Plain(), **options)


def warehouses(folder: Path) -> dict[str, dict[str, object]]:
    documents = yaml.safe_load_all((folder / "dist" / "image-factory.k8s.yaml").read_text())
    return {
        document["metadata"]["name"]: document["spec"]["subscriptions"][0]["image"]
        for document in documents
        if document["kind"] == "Warehouse"
    }


def test_every_image_gets_its_warehouse_with_and_without_state(folder: Path) -> None:
    result = run(folder)

    assert {name: image["repoURL"] for name, image in warehouses(folder).items()} == {
        "web": "ghcr.io/acme/web",
        "postgres": "docker.io/library/postgres",
        "redis": "docker.io/library/redis",
        "node-22": "docker.io/library/node",
    }
    assert result.resources == 7
    assert result.added[-1] == "Warehouse/web"
    assert (result.changed, result.removed, result.failures, result.broken, result.skipped) == ((), (), (), {}, ())


def test_the_catalog_is_written_where_a_setting_asks_for_it(folder: Path) -> None:
    run(folder)
    without = listed(folder, "ConfigMap")
    run(folder, Settings(catalog=CatalogSettings(enabled=True)))

    assert without == []
    assert listed(folder, "ConfigMap") == [f"image-factory-{name}" for name in ("web", "postgres", "redis", "node-22")]


def test_what_is_observed_of_a_base_renders_its_entity_anew_and_nothing_else(folder: Path) -> None:
    settings = Settings(catalog=CatalogSettings(enabled=True))
    run(folder, settings)
    base = BaseState(
        configuration=base_configuration("node-22", Reference.parse("node:22")),
        runtime=BaseRuntime(current_digest=f"sha256:{'1' * 64}"),
    )
    (folder / "state" / "base-images" / "node-22.yaml").write_text(dump(base))
    renderer = Plain()

    result = synthesize(folder, settings, renderer)

    assert renderer.rendered == ["catalog-node-22"]
    assert result.changed == ("ConfigMap/image-factory-node-22",)


def test_a_state_folder_that_a_variable_names_lies_in_the_repository_all_the_same(folder: Path) -> None:
    (folder / "state").rename(folder / "known")
    kargo = KargoSettings(state_repository="https://git.example.com/state.git", job_image="ghcr.io/acme/tool:1")

    class Nobody:
        def source_named(self, provider: str) -> Any:
            raise UnknownPlugin(provider)

        def trigger_named(self, provider: str) -> Any:
            return self

        updater_named = source_named

        def call(self, request: Any) -> TriggerCall:
            return TriggerCall("POST", "https://git.example.com", {}, {}, None, None, (204,))

    settings = Settings(state_dir=str(folder / "known"), kargo=kargo)
    run(folder, settings, providers=Nobody())

    watched = [
        item["git"]["includePaths"]
        for document in yaml.safe_load_all((folder / "dist" / "image-factory.k8s.yaml").read_text())
        if document["metadata"]["name"] == "rebuild-requests-web"
        for item in document["spec"]["subscriptions"]
    ]
    assert watched == [["image-factory/known/rebuild-requests/web.yaml"]]


def test_a_state_folder_elsewhere_is_read_and_that_of_the_repository_watched(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("other") / "state"
    (folder / "state").rename(elsewhere)
    kargo = KargoSettings(state_repository="https://git.example.com/state.git", job_image="ghcr.io/acme/tool:1")

    found = run(folder, Settings(state_dir=str(elsewhere), kargo=kargo, engine="kargo"))

    assert found.refused == ()
    assert "Warehouse/node-22" in found.added
    assert [note.message for note in found.notes if note.item == "stateDir"] == [
        f"state is read from {elsewhere}, and the cluster's is taken to lie in state/"
    ]


def test_a_request_that_cannot_be_read_is_told_where_it_is_shown(folder: Path) -> None:
    requests = folder / "state" / "rebuild-requests"
    requests.mkdir()
    (requests / "web.yaml").write_text("- no request\n")

    assert run(folder).broken == {}
    assert list(run(folder, Settings(catalog=CatalogSettings(enabled=True))).broken) == ["web"]


def test_a_published_version_changes_how_the_image_is_watched(folder: Path) -> None:
    run(folder)
    see(folder, "1.2.3")

    result = run(folder)

    assert (result.added, result.changed, result.removed) == ((), ("Warehouse/web",), ())
    assert warehouses(folder)["web"]["imageSelectionStrategy"] == "SemVer"
    assert (
        "-        imageSelectionStrategy: Digest" in result.texts.diff()
        or "-      imageSelectionStrategy: Digest" in result.texts.diff()
    )


def test_only_the_changed_image_is_rendered_and_the_bytes_are_those_of_a_full_run(folder: Path) -> None:
    run(folder)
    see(folder, "1.2.3")
    renderer = Plain()

    result = synthesize(folder, Settings(), renderer)
    partial = result.output.read_bytes()
    for kept in (folder / ".image-factory-cache").rglob("*"):
        if kept.is_file():
            kept.unlink()

    assert renderer.rendered == ["web"]
    run(folder)
    assert result.output.read_bytes() == partial


def test_rendering_begins_before_state_is_read_and_each_chart_is_rendered_once(folder: Path) -> None:
    class Publish(Plain):
        """A renderer that has a version recorded as soon as it is given a chart."""

        def add(self, charts: Sequence[Chart]) -> None:
            if not self.rendered:
                see(folder, "1.2.3")
            super().add(charts)

    renderer = Publish()
    result = synthesize(folder, Settings(), renderer)

    assert warehouses(folder)["web"]["imageSelectionStrategy"] == "SemVer"
    # What needs a plugin comes last: plugins are loaded while the others are rendered.
    assert renderer.rendered == ["infrastructure", "postgres", "redis", "node-22", "web"]
    assert result.rendered == 5


def test_a_second_run_renders_nothing_and_leaves_the_file_untouched(folder: Path) -> None:
    output = run(folder).output
    before = output.stat()

    result = synthesize(folder, Settings(), Refuse())

    assert (result.rendered, result.added, result.changed, result.removed, result.texts.diff()) == (0, (), (), (), "")
    assert (output.stat().st_ino, output.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_lost_output_is_written_again_without_rendering(folder: Path) -> None:
    output = run(folder).output
    text = output.read_bytes()
    output.unlink()

    synthesize(folder, Settings(), Refuse())

    assert output.read_bytes() == text


def test_a_dry_run_writes_nothing_at_all(folder: Path) -> None:
    result = run(folder, dry_run=True)

    assert len(result.added) == 7
    assert result.texts.diff().startswith("--- /dev/null")
    assert not result.output.exists()
    assert not (folder / ".image-factory-cache" / "synth").exists()


def test_an_image_removed_from_images_yaml_is_gone_although_its_state_lingers(folder: Path) -> None:
    see(folder, "1.2.3")
    run(folder)
    (folder / "images.yaml").write_text(IMAGES.replace(IMAGES[: IMAGES.index("- name: postgres")], ""))

    result = run(folder)

    assert result.removed == ("Warehouse/web",)
    assert "web" not in warehouses(folder)


def test_a_broken_state_file_costs_no_other_image(folder: Path) -> None:
    (folder / "state" / "base-images" / "bad.yaml").write_text("a: [")

    result = run(folder)

    assert len(warehouses(folder)) == 4
    (problem,) = result.broken.values()
    assert problem.location is not None
    assert problem.location.file.endswith("bad.yaml")


def test_an_example_among_the_state_files_is_passed_over(folder: Path) -> None:
    (folder / "state" / "base-images" / "some.example.yaml").write_text("a: [")

    assert run(folder).broken == {}


def test_a_wrong_entry_costs_no_other_image_and_is_named(folder: Path) -> None:
    (folder / "images.yaml").write_text(IMAGES + "- name: Bad Name\n  repository: x/y\n  tag: a\n")

    result = run(folder)

    assert len(warehouses(folder)) == 4
    assert any("Bad Name" in str(error) for error in result.failures)


def test_a_repository_that_kargo_refuses_fails_alone(folder: Path) -> None:
    (folder / "images.yaml").write_text(
        IMAGES + "- name: odd\n  registry: ghcr.io\n  repository: acme/a--b\n  tag: x\n"
    )

    result = run(folder)

    assert "odd" not in warehouses(folder)
    assert ["odd: repository: " in str(failed.error) for failed in result.refused] == [True]


@pytest.mark.parametrize("text", ["a: [", "name: x\n", "- {name: a"])
def test_a_file_without_any_readable_entry_keeps_the_last_output(folder: Path, text: str) -> None:
    output = run(folder).output
    before = output.read_bytes()
    (folder / "images.yaml").write_text(text)

    with pytest.raises(UserError):
        run(folder)

    assert output.read_bytes() == before


def test_a_conflict_keeps_the_last_output(folder: Path) -> None:
    output = run(folder).output
    before = output.read_bytes()
    base = BaseState(configuration=base_configuration("web", Reference.parse("web:1")))
    (folder / "state" / "base-images" / "web.yaml").write_text(dump(base))

    with pytest.raises(Conflict, match="'web'") as caught:
        run(folder)

    assert str(caught.value.location) == f"{folder}/images.yaml:2"
    assert output.read_bytes() == before


def test_no_images_yaml_is_an_error_that_names_it_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"images\.yaml"):
        run(tmp_path)

    assert os.listdir(tmp_path) == []


def test_an_unknown_kargo_version_is_one_error(folder: Path) -> None:
    with pytest.raises(InvalidSettings):
        synthesize(folder, Settings(), Refuse(), kargo_version="1.12")
    with pytest.raises(InvalidSettings):
        synthesize(folder, Settings(kargo=KargoSettings(version="1.8")), Refuse())


def test_the_namespace_and_the_folders_are_settings(folder: Path) -> None:
    settings = Settings(dist_dir="manifests", kargo=KargoSettings(namespace="elsewhere"))

    result = run(folder, settings)

    assert result.output == folder / "manifests" / "image-factory.k8s.yaml"
    assert "namespace: elsewhere" in result.output.read_text()


def test_a_registry_beyond_its_budget_is_told(folder: Path) -> None:
    result = run(folder, Settings(registries={"docker.io": RegistrySettings(requests_per_day=2)}))

    (hub,) = (of for of in result.traffic if of.registry == "docker.io")
    assert (hub.warehouses, hub.budget) == (3, Budget(2, "config.yaml"))
    assert hub.excess == 1


def test_each_registry_is_asked_about_once_and_a_setting_wins(folder: Path) -> None:
    asked: list[str] = []

    def budget_of(repository: Repository) -> Budget | None:
        asked.append(repository.registry)
        return Budget(7, "plugin x") if repository.registry == "docker.io" else None

    free = synthesize(folder, Settings(), Plain(), budget_of=budget_of)
    (folder / "dist" / "image-factory.k8s.yaml").unlink()
    of_settings = Settings(registries={"docker.io": RegistrySettings(requests_per_day=2)})
    bound = synthesize(folder, of_settings, Plain(), budget_of=budget_of)

    assert sorted(asked) == ["docker.io", "ghcr.io", "ghcr.io"]
    assert {of.registry: of.budget for of in free.traffic} == {"docker.io": Budget(7, "plugin x"), "ghcr.io": None}
    assert bound.traffic[0].budget == Budget(2, "config.yaml")


def test_a_budget_of_nothing_is_a_budget(folder: Path) -> None:
    result = run(folder, Settings(registries={"docker.io": RegistrySettings(requests_per_day=0)}))

    assert result.traffic[0].excess == result.traffic[0].requests_per_day > 0


def test_without_anyone_to_say_so_no_budget_is_known(folder: Path) -> None:
    assert [of.budget for of in run(folder).traffic] == [None, None]


def test_an_output_of_somebody_elses_making_is_replaced(folder: Path) -> None:
    (folder / "dist").mkdir()
    (folder / "dist" / "image-factory.k8s.yaml").write_text("not: ours\n---\nkind: Warehouse\nmetadata:\n  name: old\n")

    result = run(folder)

    assert result.removed == ("Warehouse/old", "document 1")


def test_a_cluster_that_starts_what_the_embedded_engine_would_is_noted(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_text(IMAGES)
    kargo = KargoSettings(state_repository="https://git.example.com/state.git", job_image="ghcr.io/acme/tool:1")

    embedded = synthesize(tmp_path, Settings(kargo=kargo), Plain())
    ours = synthesize(tmp_path, Settings(kargo=kargo, engine="kargo"), Plain())

    assert [note.item for note in embedded.notes] == ["engine"]
    assert "set engine: kargo" in embedded.notes[0].message
    assert ours.notes == ()
