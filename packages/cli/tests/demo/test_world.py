from pathlib import Path

import httpx
import pytest

from image_factory.errors import Conflict, NotFound, Unavailable
from image_factory.oci.manifest import OCI_INDEX
from image_factory.oci.reference import Reference
from image_factory_cli.demo.world import World, lies_at, make_room, pulled_by, push_move, read_record, shipped_services

ALPINE = Reference.parse("alpine:3.19")
COPIED = b"FROM alpine:3.19\nCOPY --from=ghcr.io/acme/tool:1 /tool /tool\nRUN <<EOF\nFROM nothing:1\nEOF\n"


def digest(world: World, reference: Reference) -> str | None:
    url = f"{world.endpoint(reference.repository.registry)}".replace("/docker.io", "/v2/docker.io")
    answer = httpx.head(
        f"{url}/{reference.repository.path}/manifests/{reference.tag}", headers={"Accept": OCI_INDEX}, trust_env=False
    )
    return str(answer.headers["docker-content-digest"]) if answer.is_success else None


def test_what_dockerfiles_pull_is_what_the_registry_gets() -> None:
    assert [str(reference) for reference in pulled_by([COPIED])] == [
        "docker.io/library/alpine:3.19",
        "ghcr.io/acme/tool:1",
    ]


def test_an_image_is_published_below_its_registry_s_name_and_moves_with_a_push(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        count = world.publish([ALPINE, ALPINE, Reference.parse(f"alpine@sha256:{'0' * 64}")])
        before = digest(world, ALPINE)
        pushed = push_move(world.registry.url, ALPINE)

        assert count == 1
        assert before is not None
        assert digest(world, ALPINE) == str(pushed) != before


def test_a_tag_that_is_not_there_cannot_move(tmp_path: Path) -> None:
    with World(tmp_path) as world, pytest.raises(NotFound, match=r"no docker\.io/library/alpine:3\.19"):
        push_move(world.registry.url, ALPINE)


def test_a_registry_that_is_down_is_said(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        url = world.registry.url

    with pytest.raises(Unavailable, match="cannot push"):
        push_move(url, ALPINE)


def test_a_world_starts_again_on_its_ports_with_its_content(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.publish([ALPINE])
        world.create("acme/platform.git", {"README.md": "text\n"}, world.platform)
        world.remember(is_told=True)
        urls, before = (world.registry.url, world.git.url("acme/platform.git")), digest(world, ALPINE)

    with World(tmp_path) as world:
        assert (world.registry.url, world.git.url("acme/platform.git")) == urls
        assert digest(world, ALPINE) == before
        with pytest.raises(Unavailable, match="cannot listen"):
            World(tmp_path)


def test_a_commit_by_hand_is_pushed_and_shown(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.create("acme/platform.git", {"README.md": "old\n"}, world.platform)
        (world.platform / "README.md").write_text("new\n")
        world.commit(world.platform, "Say it anew")

        assert [line.split(" ", 1)[1] for line in world.log(world.platform).splitlines()] == ["Say it anew", "Begin"]
        assert world.last_change(world.platform) == (["README.md"], "-old\n+new")


def test_a_folder_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(Conflict, match="holds no demo"):
        make_room(tmp_path, fresh=True)

    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize("work", ["edited", "committed"])
def test_work_done_after_the_demo_is_kept_unless_one_says_so(tmp_path: Path, work: str) -> None:
    with World(tmp_path) as world:
        world.create("acme/platform.git", {"README.md": "old\n"}, world.platform)
        world.remember(is_told=True)
        (world.platform / "README.md").write_text("mine\n")
        if work == "committed":
            world.commit(world.platform, "Mine")

    with pytest.raises(Conflict, match="work that was done after the demo"):
        make_room(tmp_path, fresh=False)
    assert make_room(tmp_path, fresh=True)
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_broke_off_or_was_left_alone_is_started_over(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.create("acme/platform.git", {"README.md": "old\n"}, world.platform)
        world.remember(is_told=False)
        (world.platform / "README.md").write_text("half\n")

    assert make_room(tmp_path, fresh=False)
    assert not make_room(tmp_path, fresh=False), "an empty folder holds no earlier demo"


def test_a_record_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text("[]")

    with pytest.raises(Conflict, match="no record of a demo"):
        read_record(tmp_path)


def test_the_package_holds_the_services() -> None:
    assert {"cart", "gateway", "payments", "python-base", "recommender", "storefront", "backstage", "uv"} == {
        path.split("/")[0] for path in shipped_services() if path.endswith("/Dockerfile")
    }
    assert lies_at(ALPINE.repository) == "docker.io/library/alpine"
