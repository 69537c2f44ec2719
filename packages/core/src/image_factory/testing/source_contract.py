"""What every `Source` must do, as a pytest suite that a provider's own test class inherits.

>>> class TestGitea(SourceContract):                                            # doctest: +SKIP
...     @pytest.fixture
...     def world(self, tmp_path: Path) -> Iterator[SourceWorld]: ...

The fixture plants the repository that the suite reads (`plant_repository`, in a git repository that
the provider, or its fake, serves) and says what the provider was given. Specification:
`image_factory.ports.Source`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import pytest

from image_factory.errors import (
    AuthenticationRequired,
    ImageFactoryError,
    NotFound,
    RemoteNotFound,
    RemoteRefused,
    UnsafeValue,
)
from image_factory.ports import ChangeProposal, FileEdit, Source, SourceRepository
from image_factory.testing.git_server import GitServer

LARGE = bytes(range(256)) * 6000
"""A file of 1.5 MB: more than some APIs put into one answer."""
FILES: dict[str, bytes] = {
    "Dockerfile": b"FROM alpine:3.19\r\nRUN true\n",
    "apps/web/Dockerfile": b"FROM node:22\n",
    "apps/web/run.sh": b"#!/bin/sh\n",
    "apps/web notes/read me #1 100%?.txt": b"odd name\n",
    "apps-old/Dockerfile": b"FROM node:10\n",
    "docs/übersicht.md": "Übersicht\n".encode(),
    "empty": b"",
    "binary": bytes(range(256)),
    "large.bin": LARGE,
}
LINKS = {
    "Containerfile": "apps/web/Dockerfile",
    "apps/again": "../Containerfile",
    "apps/folder": "web",
    "outside": "../../etc/passwd",
    "absolute": "/etc/passwd",
    "loop": "loop",
    "dangling": "no/such/file",
}
MANY = 130
"""Branches beside the few that are named: more than a page of most APIs."""


@dataclass(frozen=True, slots=True)
class Planted:
    """The commits of the planted repository: `first`, tagged v1 and v1-annotated, and `head`, on main."""

    first: str
    head: str
    release: str
    """The tip of branch release/1.2."""


@dataclass(frozen=True, slots=True)
class SourceWorld:
    """A provider at work on the planted repository."""

    source: Source
    repository: SourceRepository
    planted: Planted
    missing: SourceRepository
    """A repository that does not exist there."""
    secret: str = field(default="", repr=False)
    """A token that the provider was given and must show to nobody; empty where it takes none."""
    has_change_requests: bool = True
    read_branch: Callable[[str, str], bytes | None] | None = None
    """Branch and path → content, read behind the provider's back; needed for change requests."""


def plant_repository(server: GitServer, name: str) -> Planted:
    """Create the repository that the suite reads in `server`, which need not be running."""
    server.create(name, {"Dockerfile": "FROM alpine:3.18\n", "old.txt": "gone later\n"})
    first = server.commit(name, {}, "Nothing")
    server.tag(name, "v1", first)
    server.tag(name, "v1-annotated", first, "The first\n")
    # A branch and a tag of one name: the branch is meant.
    server.tag(name, "both", first)
    head = server.commit(
        name,
        {**FILES, "old.txt": None},
        "Second",
        links=LINKS,
        submodules={"vendored": "1" * 40},
        programs=["apps/web/run.sh"],
    )
    server.branch(name, {"release/1.2": first, "both": head})
    release = server.commit(name, {"only-here": "1\n"}, "Release", branch="release/1.2")
    server.branch(name, {f"many/{number:03}": head for number in range(MANY)})
    return Planted(first, head, release)


UNSAFE_REFS = [
    pytest.param("--upload-pack=x", id="an option"),
    pytest.param("-x", id="a short option"),
    pytest.param("main..release", id="a range"),
    pytest.param("main^", id="a parent"),
    pytest.param("main:Dockerfile", id="a path"),
    pytest.param("@{upstream}", id="a reflog"),
    pytest.param("a b", id="a space"),
    pytest.param("main\nmain", id="two lines"),
    pytest.param("../../../user", id="a path out of the API"),
    pytest.param("${{ secrets.X }}", id="an expression"),
    pytest.param("x" * 300, id="too long"),
    pytest.param("", id="nothing"),
]
UNSAFE_PATHS = [
    pytest.param("../Dockerfile", id="above"),
    pytest.param("apps/../../Dockerfile", id="above, later"),
    pytest.param("/etc/passwd", id="absolute"),
    pytest.param("a\nb", id="two lines"),
    pytest.param("a\0b", id="a NUL byte"),
    pytest.param("", id="nothing"),
]


class SourceContract:
    """Inherit it, name the class `Test…`, and give it a fixture `world`."""

    @pytest.fixture
    def world(self) -> SourceWorld:
        raise NotImplementedError("give the fixture `world` in your test class")

    # --- who it is ---------------------------------------------------------------------------------------

    def test_it_has_every_member_of_the_port_and_a_plain_name(self, world: SourceWorld) -> None:
        assert isinstance(world.source, Source)
        assert world.source.name.isidentifier()
        assert world.source.name == world.source.name.lower()

    def test_it_claims_its_own_clone_url_and_no_strangers(self, world: SourceWorld) -> None:
        strangers = ["https://stranger.example.org/acme/web", "ext::sh -c id", "javascript:alert(1)", "", "-x"]

        assert world.source.claims(world.source.clone_url(world.repository))
        assert [url for url in strangers if world.source.claims(url)] == []

    def test_the_clone_url_and_the_web_url_hold_no_credentials(self, world: SourceWorld) -> None:
        urls = [world.source.clone_url(world.repository), world.source.web_url(world.repository) or ""]
        urls.append(world.source.web_url(world.repository, world.planted.head, "apps/web/Dockerfile") or "")

        for url in urls:
            assert urlsplit(url).password is None
            assert not world.secret or world.secret not in url

    def test_neither_the_provider_nor_its_credentials_show_a_secret(self, world: SourceWorld) -> None:
        credentials = world.source.credentials(world.repository)

        shown = f"{world.source!r} {credentials!r} {world.source.__dict__ if not world.secret else ''}"
        assert not world.secret or world.secret not in shown

    # --- revisions ---------------------------------------------------------------------------------------

    def test_a_branch_a_tag_and_a_commit_lead_to_a_whole_commit_id(self, world: SourceWorld) -> None:
        found = {ref: world.source.revision(world.repository, ref) for ref in ("main", "release/1.2", "v1")}

        assert found == {"main": world.planted.head, "release/1.2": world.planted.release, "v1": world.planted.first}
        assert world.source.revision(world.repository, world.planted.first) == world.planted.first

    def test_an_annotated_tag_leads_to_its_commit(self, world: SourceWorld) -> None:
        assert world.source.revision(world.repository, "v1-annotated") == world.planted.first

    def test_of_a_branch_and_a_tag_of_one_name_the_branch_is_meant(self, world: SourceWorld) -> None:
        assert world.source.revision(world.repository, "both") == world.planted.head

    @pytest.mark.parametrize("ref", ["no-such-branch", "mai", "0123456789" * 4])
    def test_an_unknown_ref_is_not_found(self, world: SourceWorld, ref: str) -> None:
        with pytest.raises(RemoteNotFound) as caught:
            world.source.revision(world.repository, ref)

        assert caught.value.hint

    def test_a_missing_repository_is_missing_or_asks_for_credentials(self, world: SourceWorld) -> None:
        for ask in (world.source.references, lambda repository: world.source.revision(repository, "main")):
            with pytest.raises((RemoteNotFound, AuthenticationRequired, NotFound)) as caught:
                ask(world.missing)
            assert caught.value.hint
            assert not world.secret or world.secret not in f"{caught.value} {caught.value.__cause__}"

    @pytest.mark.parametrize("ref", UNSAFE_REFS)
    def test_a_ref_that_could_be_more_than_a_name_is_refused(self, world: SourceWorld, ref: str) -> None:
        with pytest.raises(UnsafeValue):
            world.source.revision(world.repository, ref)

    def test_references_are_all_told_over_all_pages_with_their_commits(self, world: SourceWorld) -> None:
        references = world.source.references(world.repository)

        expected = {f"refs/heads/many/{number:03}": world.planted.head for number in range(MANY)}
        expected |= {"refs/heads/main": world.planted.head, "refs/heads/both": world.planted.head}
        expected |= {"refs/heads/release/1.2": world.planted.release, "refs/tags/both": world.planted.first}
        expected |= {"refs/tags/v1": world.planted.first, "refs/tags/v1-annotated": world.planted.first}
        assert dict(references) == expected

    # --- files -------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("path", sorted(FILES))
    def test_a_file_is_read_byte_for_byte(self, world: SourceWorld, path: str) -> None:
        assert world.source.read(world.repository, world.planted.head, path) == FILES[path]

    def test_a_file_is_read_as_it_was_at_an_earlier_commit(self, world: SourceWorld) -> None:
        assert world.source.read(world.repository, world.planted.first, "Dockerfile") == b"FROM alpine:3.18\n"
        assert world.source.read(world.repository, world.planted.release, "./only-here") == b"1\n"

    @pytest.mark.parametrize("path", ["Containerfile", "apps/again", "apps/folder/Dockerfile"])
    def test_a_link_inside_the_repository_is_followed(self, world: SourceWorld, path: str) -> None:
        assert world.source.read(world.repository, world.planted.head, path) == FILES["apps/web/Dockerfile"]

    @pytest.mark.parametrize("path", ["outside", "absolute"])
    def test_a_link_out_of_the_repository_is_refused(self, world: SourceWorld, path: str) -> None:
        with pytest.raises(UnsafeValue):
            world.source.read(world.repository, world.planted.head, path)

    @pytest.mark.parametrize("path", ["no-such-file", "apps", "apps/web/Dockerfile/x", "old.txt", "vendored", "loop"])
    def test_what_is_no_file_is_not_found(self, world: SourceWorld, path: str) -> None:
        with pytest.raises(RemoteNotFound) as caught:
            world.source.read(world.repository, world.planted.head, path)

        assert path in str(caught.value)
        assert caught.value.hint

    def test_a_link_to_nothing_is_not_found(self, world: SourceWorld) -> None:
        with pytest.raises(RemoteNotFound):
            world.source.read(world.repository, world.planted.head, "dangling")

    @pytest.mark.parametrize("path", UNSAFE_PATHS)
    def test_a_path_that_leaves_the_repository_is_refused(self, world: SourceWorld, path: str) -> None:
        with pytest.raises(UnsafeValue):
            world.source.read(world.repository, world.planted.head, path)

    @pytest.mark.parametrize("revision", ["--upload-pack=x", "main", "..", "", "a\nb"])
    def test_a_revision_that_is_no_commit_id_is_refused(self, world: SourceWorld, revision: str) -> None:
        with pytest.raises(UnsafeValue):
            world.source.read(world.repository, revision, "Dockerfile")
        with pytest.raises(UnsafeValue):
            world.source.files(world.repository, revision)

    def test_an_unknown_commit_is_not_found(self, world: SourceWorld) -> None:
        with pytest.raises(RemoteNotFound):
            world.source.read(world.repository, "0123456789" * 4, "Dockerfile")
        with pytest.raises(RemoteNotFound):
            world.source.files(world.repository, "0123456789" * 4)

    def test_files_are_listed_whole_and_sorted_without_submodules(self, world: SourceWorld) -> None:
        assert list(world.source.files(world.repository, world.planted.head)) == sorted([*FILES, *LINKS])

    def test_files_below_a_folder_are_not_those_of_a_folder_that_begins_alike(self, world: SourceWorld) -> None:
        below = world.source.files(world.repository, world.planted.head, "apps/web")

        assert list(below) == ["apps/web/Dockerfile", "apps/web/run.sh"]
        assert list(world.source.files(world.repository, world.planted.head, "no/such/folder")) == []
        with pytest.raises(UnsafeValue):
            world.source.files(world.repository, world.planted.head, "../..")

    # --- secrets and change requests ---------------------------------------------------------------------

    def test_nothing_is_logged_that_holds_a_secret(self, world: SourceWorld, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        world.source.revision(world.repository, "main")
        world.source.read(world.repository, world.planted.head, "Dockerfile")

        assert not world.secret or world.secret not in caplog.text

    def test_a_change_request_is_one_commit_that_keeps_all_else(self, world: SourceWorld) -> None:
        if not world.has_change_requests:
            with pytest.raises(RemoteRefused) as caught:
                world.source.open_change_request(world.repository, proposal())
            assert caught.value.hint
            return
        assert world.read_branch is not None

        opened = world.source.open_change_request(world.repository, proposal())

        assert opened.branch == "image-factory/web-1"
        assert opened.is_open
        assert opened.url.startswith("http")
        assert opened.number > 0
        assert world.read_branch("image-factory/web-1", "apps/web/Dockerfile") == b"FROM node:24\n"
        assert world.read_branch("image-factory/web-1", "new/file.txt") == b"new\n"
        assert world.read_branch("image-factory/web-1", "Dockerfile") == FILES["Dockerfile"]
        assert world.read_branch("main", "apps/web/Dockerfile") == FILES["apps/web/Dockerfile"]

    def test_an_open_change_request_of_the_same_branch_is_used_again(self, world: SourceWorld) -> None:
        if not world.has_change_requests:
            assert_refused(world)
            return
        assert world.read_branch is not None
        first = world.source.open_change_request(world.repository, proposal())

        again = world.source.open_change_request(world.repository, proposal())
        newer = world.source.open_change_request(world.repository, proposal(b"FROM node:26\n"))

        assert first == again == newer
        assert world.read_branch("image-factory/web-1", "apps/web/Dockerfile") == b"FROM node:26\n"

    def test_a_change_request_is_found_by_its_branch_with_the_text_that_was_given_last(
        self, world: SourceWorld
    ) -> None:
        source, repository, branch = world.source, world.repository, proposal().branch
        assert source.change_request(repository, branch, "main") is None
        if not world.has_change_requests:
            return
        opened = source.open_change_request(repository, proposal())
        source.open_change_request(repository, replace(proposal(), title="Again", body="Two images.\n\n- web\n"))

        found = source.change_request(repository, branch, "main")

        assert found == opened
        assert found is not None
        assert (found.is_open, found.is_merged) == (True, False)
        assert found.body.split() == ["Two", "images.", "-", "web"]
        assert source.change_request(repository, branch, "release/1.2") is None
        assert source.change_request(repository, "image-factory/web", "main") is None

    @pytest.mark.parametrize(
        ("branch", "base", "path"),
        [
            pytest.param("--force", "main", "a", id="a branch like an option"),
            pytest.param("x", "main..x", "a", id="a base like a range"),
            pytest.param("x", "main", "../a", id="a path that climbs out"),
            pytest.param("x", "main", ".git/config", id="git's own files"),
        ],
    )
    def test_a_change_request_cannot_escape(self, world: SourceWorld, branch: str, base: str, path: str) -> None:
        bad = ChangeProposal(branch, base, "Title", "", "Message", (FileEdit(path, b"x"),))

        with pytest.raises(UnsafeValue if world.has_change_requests else ImageFactoryError):
            world.source.open_change_request(world.repository, bad)

    def test_a_change_request_to_a_missing_branch_is_not_found_and_leaves_no_branch(self, world: SourceWorld) -> None:
        if not world.has_change_requests:
            assert_refused(world)
            return
        bad = ChangeProposal("image-factory/x", "no-such-base", "Title", "", "Message", (FileEdit("a", b"x"),))

        with pytest.raises(RemoteNotFound):
            world.source.open_change_request(world.repository, bad)

        assert "refs/heads/image-factory/x" not in world.source.references(world.repository)


def assert_refused(world: SourceWorld) -> None:
    """Hold that a provider without change requests says so, with what to do instead."""
    with pytest.raises(ImageFactoryError) as caught:
        world.source.open_change_request(world.repository, proposal())
    assert caught.value.hint


def proposal(content: bytes = b"FROM node:24\n") -> ChangeProposal:
    """Return the change that the suite proposes."""
    return ChangeProposal(
        branch="image-factory/web-1",
        base="main",
        title="Update web to node 24",
        body="One image.\n",
        message="Update web to node 24",
        edits=(FileEdit("apps/web/Dockerfile", content), FileEdit("new/file.txt", b"new\n")),
    )
