from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from ruamel.yaml import YAML

from image_factory.errors import InvalidState, UnsupportedVersion
from image_factory.model.enrollment import Enrollment, Kind, SelectionStrategy
from image_factory.model.image_state import (
    BaseConfiguration,
    BaseSite,
    BaseState,
    Build,
    DigestUpdate,
    DiscoveryStatus,
    ImageConfiguration,
    ImageHistory,
    ImageRuntime,
    ImageState,
)
from image_factory.state.codec import (
    base_values,
    dump,
    dump_base,
    dump_image,
    image_values,
    read_base,
    read_image,
    update_text,
)
from image_factory.state.edit import edit_text
from image_factory.state.order import BASE_SECTIONS, IMAGE_SECTIONS
from image_factory.state.yaml_writer import write_mapping
from image_factory.testing.records import ODD_SCALARS, base_states, image_states

GOLDEN = Path(__file__).parent / "golden"
AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = datetime(2026, 3, 8, 9, 30, 15, tzinfo=UTC)


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def managed() -> ImageState:
    enrollment = Enrollment.model_validate(
        {
            "name": "web",
            "registry": "ghcr.io",
            "repository": "acme/web",
            "source": {"repo": "acme/web", "dockerfile": "apps/web/Dockerfile", "buildArgs": {"V": "3.10", "D": "on"}},
            "rebuildDelay": "0",
            "updates": [{"repo": "acme/deploy", "path": "web", "type": "kustomize-set-image"}],
            "metadata": {"owner": "team-web"},
        }
    )
    sites = (
        BaseSite(
            name="node-22", reference="docker.io/library/node:22", role="stage", file="apps/web/Dockerfile", line=1
        ),
        BaseSite(
            name="python-3.10",
            reference="docker.io/library/python:3.10",
            written="python:${V}",
            role="final",
            file="apps/web/Dockerfile",
            line=4,
            platforms=("linux/amd64",),
        ),
    )
    return ImageState(
        configuration=ImageConfiguration(
            name="web", enrollment=enrollment, base_images=("node-22", "python-3.10"), references=sites
        ),
        runtime=ImageRuntime(
            last_discovery=AT,
            discovery_status=DiscoveryStatus.SUCCESS,
            current_version="1.10",
            current_digest=digest("a"),
            last_built=AT,
        ),
        history=ImageHistory(
            enrolled_at=AT,
            rebuild_history=(
                Build(at=LATER, reason="node-22 moved", trigger="base-update", result="succeeded", request_id="r-1"),
            ),
        ),
        unknown={"note": "2024-01-01", "weight": 3},
    )


def external() -> ImageState:
    enrollment = Enrollment.model_validate({"name": "postgres", "repository": "library/postgres", "tag": "16-alpine"})
    return ImageState(
        configuration=ImageConfiguration(
            name="postgres",
            enrollment=enrollment,
            repo_url="docker.io/library/postgres",
            allow_tags="^16-alpine$",
            image_selection_strategy=SelectionStrategy.DIGEST,
        ),
        runtime=ImageRuntime(discovery_status=DiscoveryStatus.EXTERNAL),
        history=ImageHistory(
            enrolled_at=AT, update_history=(DigestUpdate(at=AT, old_digest=None, new_digest=digest("b")),)
        ),
    )


def base() -> BaseState:
    state = BaseState(
        configuration=BaseConfiguration(
            name="python-3.10",
            full_image="docker.io/library/python:3.10",
            aliases=("python:3.10",),
            registry="docker.io",
            repository="library/python",
            tag="3.10",
            repo_url="docker.io/library/python",
            allow_tags=r"^3\.10$",
            image_selection_strategy=SelectionStrategy.DIGEST,
        )
    )
    runtime = state.runtime.model_validate(
        {
            "lastChecked": AT,
            "currentDigest": digest("c"),
            "previousDigest": digest("b"),
            "lastUpdated": LATER,
            "rebuildEligibleAt": {"default": LATER, "web": AT},
            "metadata": {
                "architecture": "amd64",
                "os": "linux",
                "size": 48_123_456,
                "created": AT,
                "labels": {"org.opencontainers.image.version": "3.10", "maintainer": "yes"},
                "platforms": {"linux/amd64": digest("d")},
            },
            "cves": [{"id": "CVE-2026-0001", "score": 9.8, "fixed": False}],
        }
    )
    history = state.history.model_validate(
        {
            "firstDiscovered": AT,
            "updateHistory": [
                DigestUpdate(at=AT, old_digest=None, new_digest=digest("b")),
                DigestUpdate(at=LATER, old_digest=digest("b"), new_digest=digest("c"), source="kargo"),
            ],
        }
    )
    return state.model_copy(update={"runtime": runtime, "history": history})


@pytest.mark.parametrize("record", [managed(), external(), base()], ids=["managed", "external", "base"])
def test_a_fresh_file_is_the_golden_one(record: ImageState | BaseState, request: pytest.FixtureRequest) -> None:
    golden = GOLDEN / f"{request.node.callspec.id}.yaml"

    assert dump(record) == golden.read_text(encoding="utf-8")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(image_states())
def test_an_image_that_was_written_and_read_equals_itself(state: ImageState) -> None:
    assert read_image(dump_image(state), "web.yaml") == state


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(base_states())
def test_a_base_that_was_written_and_read_equals_itself(state: BaseState) -> None:
    assert read_base(dump_base(state), "node.yaml") == state


@pytest.mark.parametrize("text", ODD_SCALARS)
def test_readers_of_yaml_1_1_and_1_2_both_see_the_text_that_was_written(text: str) -> None:
    state = managed().model_copy(update={"unknown": {"odd": text, "list": [text], "map": {"key": text}}})
    written = dump_image(state)

    for loaded in (yaml.safe_load(written), YAML(typ="safe", pure=True).load(written)):
        assert loaded["odd"] == text
        assert loaded["list"] == [text]
        assert loaded["map"] == {"key": text}


def test_a_key_that_looks_like_a_number_is_a_text_to_every_reader() -> None:
    written = dump_image(managed().model_copy(update={"unknown": {"map": {"3.10": 1, "on": 2}}}))

    assert list(yaml.safe_load(written)["map"]) == ["3.10", "on"]


@pytest.mark.parametrize(
    ("line", "tag"),
    [("tag: 3.10", "3.10"), ("tag: 22", "22"), ("tag: 3.1", "3.1"), ("tag: on", "on"), ("tag: 1e3", "1e3")],
)
def test_a_tag_that_a_person_wrote_without_quotes_is_what_they_wrote(line: str, tag: str) -> None:
    text = dump_base(base()).replace('tag: "3.10"', line)

    assert read_base(text, "python.yaml").configuration.tag == tag


def test_times_in_any_zone_are_written_in_utc() -> None:
    text = dump_base(base()).replace('"2026-03-01T12:00:00Z"', '"2026-03-01T13:00:00+01:00"', 1)

    assert read_base(text, "python.yaml") == base()
    assert update_text(text, base()) == text


# --- both shapes, and what is left out -----------------------------------------------------------------


def test_a_flat_file_is_read_as_the_enrollment_that_it_holds() -> None:
    state = read_image(
        "name: web\nregistry: ghcr.io\nrepository: acme/web\nsource:\n  repo: acme/web\nmetadata:\n  size: 3\nfoo: 1\n",
        "f",
    )

    assert state.kind is Kind.MANAGED
    assert state.configuration.enrollment.registry == "ghcr.io"
    assert state.runtime.metadata == {"size": 3}
    assert state.unknown == {"foo": 1}


def test_a_managed_image_without_bases_says_so() -> None:
    state = managed()
    configuration = state.configuration.model_copy(update={"base_images": (), "references": ()})

    assert "\nbaseImages: []\n" in dump_image(state.model_copy(update={"configuration": configuration}))


def test_a_key_left_empty_means_what_a_key_left_out_means() -> None:
    assert read_base(dump_base(base()) + "problem:\n", "f").runtime.problem is None


# --- errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("discoveryStatus: success", "discoveryStatus: fine", 8, ["discoveryStatus", "'fine' is none of pending"]),
        ('lastBuilt: "2026-03-01T12:00:00Z"', "lastBuilt: 2026", 54, ["lastBuilt", "2026", "2024-01-31T12:00:00Z"]),
        ("  line: 4", "  line: four", 47, ["references[1].line", "'four'", "a whole number"]),
        ("repository: acme/web", "repository: Acme/Web", 14, ["enrollment.repository", "'Acme/Web'", "lower-case"]),
        ("baseImages:\n- node-22\n- python-3.10", "baseImages: none", 33, ["baseImages", "'none'"]),
        ("name: web", "name: web\nname: web", 4, ["'name'", "twice"]),
        ("name: web", "name: [web", 4, ["not YAML"]),
        ("name: web", "name: !!python/object:os.system web", 3, ["!!python/object:os.system", "not read"]),
        ("  name: web", "  name: other", 12, ["enrollment.name", "'other'", "'web'"]),
    ],
)
def test_an_error_names_the_file_the_line_the_field_and_what_would_be_right(
    old: str, new: str, line: int, words: list[str]
) -> None:
    text = dump_image(managed())
    assert old in text

    with pytest.raises(InvalidState) as caught:
        read_image(text.replace(old, new, 1), "state/images/web.yaml")

    assert caught.value.location is not None
    assert (caught.value.location.file, caught.value.location.line) == ("state/images/web.yaml", line)
    for word in words:
        assert word.replace("!!", "tag:yaml.org,2002:") in caught.value.message
    assert "analyze" in caught.value.hint


def test_a_field_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidState, match="fullImage: missing; write it"):
        read_base("name: node\nregistry: docker.io\nrepository: library/node\n", "node.yaml")


WRONG_VALUES: tuple[Any, ...] = (
    *(7, -3, 1.5, True, None, "", "nonsense text", "x" * 5000, "2024-13-45", "sha256:zz!", "a\x1b[31mb", "${{ x }}"),
    *([], ["a"], [None], [[]], [{"a": 1}], {}, {"a": None}, {"a": ["b"]}),
)
WORDS_OF_LIBRARIES = ("nput should", "ield required", "alue error", "unable to", "instance of", "cannot be used here")


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of all values within `value`."""
    steps: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        steps = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    for step, inner in steps:
        yield (*path, step)
        yield from places(inner, (*path, step))


def put(value: Any, path: tuple[str | int, ...], new: object) -> Any:
    """Return `value` with `new` at `path`."""
    if not path:
        return new
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    changed = {step: put(inner, path[1:], new) if step == path[0] else inner for step, inner in steps}
    return changed if isinstance(value, dict) else list(changed.values())


FULL_IMAGE = {
    **yaml.safe_load(dump_image(managed())),
    "previousDigest": digest("c"),
    "constraint": "1",
    "repoURL": "ghcr.io/acme/web",
    "imageSelectionStrategy": "Digest",
    "cves": [{"id": "CVE-1"}],
    "pendingRebuild": {"a": "b"},
    "rebuildHistory": [
        {"at": "2026-03-01T12:00:00Z", "reason": "r", "trigger": "t", "result": "ok", "causes": [{"a": "b"}]}
    ],
    "updateHistory": [
        {"at": "2026-03-01T12:00:00Z", "oldDigest": None, "newDigest": digest("a"), "source": "registry"}
    ],
}
FULL_BASE = {
    "name": "node-22",
    "fullImage": "docker.io/library/node:22",
    "aliases": ["node:22"],
    "registry": "docker.io",
    "repository": "library/node",
    "tag": "22",
    "digest": digest("a"),
    "pinned": False,
    "repoURL": "docker.io/library/node",
    "allowTags": "^22$",
    "imageSelectionStrategy": "Digest",
    "lastChecked": "2026-03-01T12:00:00Z",
    "currentDigest": digest("b"),
    "rebuildEligibleAt": {"default": "2026-03-01T12:00:00Z"},
    "problem": "none",
    "cves": [{"id": "CVE-1"}],
    "firstDiscovered": "2026-03-01T12:00:00Z",
    "updateHistory": [
        {"at": "2026-03-01T12:00:00Z", "oldDigest": None, "newDigest": digest("a"), "source": "registry"}
    ],
}
FIELDS = [
    pytest.param(read, full, path, id=".".join(map(str, path)))
    for read, full in ((read_image, FULL_IMAGE), (read_base, FULL_BASE))
    for path in places(full)
]


@pytest.mark.parametrize(("read", "full", "path"), FIELDS)
def test_every_wrong_value_of_every_field_is_told_in_our_words(
    read: Callable[[str, str], object], full: Any, path: tuple[str | int, ...]
) -> None:
    for wrong in WRONG_VALUES:
        try:
            read(write_mapping(put(full, path, wrong)), "web.yaml")
        except InvalidState as error:
            told = error
        else:
            continue

        assert told.location is not None
        assert told.location.line is not None
        # The file, the field, what was found, and what would be right.
        assert re.match(r"[A-Za-z]+[A-Za-z.\[\]0-9]*: .+; .+|enrollment\.name is ", told.message), told.message
        assert not any(words in told.message for words in WORDS_OF_LIBRARIES), told.message
        assert len(told.message) < 700
        assert told.message.isprintable()
        assert told.hint


@pytest.mark.parametrize("read_full", [(read_image, FULL_IMAGE), (read_base, FULL_BASE)], ids=["image", "base"])
def test_a_text_that_is_no_digest_is_refused(read_full: tuple[Callable[[str, str], object], Any]) -> None:
    read, full = read_full

    with pytest.raises(InvalidState, match="currentDigest: not a digest: 'sha256'; write one such as sha256: and 64"):
        read(write_mapping({**full, "currentDigest": "sha256"}), "web.yaml")
    # A job may hand over a shortened one.
    read(write_mapping({**full, "currentDigest": "sha256:abc123"}), "web.yaml")


def test_a_wrong_field_of_a_flat_file_is_named_as_it_stands_there() -> None:
    text = "# ours\nname: web\nregistry: ghcr.io\nrepository: Acme/Web\n"

    with pytest.raises(InvalidState) as caught:
        read_image(text, "web.yaml")

    assert str(caught.value).startswith("web.yaml:4: repository: not a repository: 'Acme/Web'; ")


def test_a_version_that_is_none_is_told_with_its_line() -> None:
    with pytest.raises(InvalidState, match=r"web\.yaml:2: schemaVersion is 'x'"):
        read_image("name: web\nschemaVersion: x\n", "web.yaml")


def test_a_file_of_a_newer_version_is_refused_when_read_and_when_written() -> None:
    text = f"schemaVersion: 2\n{dump_image(managed())}"

    with pytest.raises(UnsupportedVersion):
        read_image(text, "web.yaml")
    with pytest.raises(UnsupportedVersion):
        update_text(text, managed())


# --- changes -------------------------------------------------------------------------------------------


def with_digest(state: ImageState, value: str) -> ImageState:
    return state.model_copy(update={"runtime": state.runtime.model_copy(update={"current_digest": value})})


def test_an_unchanged_record_keeps_its_text_however_it_is_written() -> None:
    text = (
        "# mine\n---\nrepository: acme/web   # hm\nname:   web\n"
        "source: {repo: 'acme/web', branch: \"main\"}\n\n\nfoo: 0x1f\n"
    )

    assert update_text(text, read_image(text, "web.yaml")) == text


def test_a_change_touches_its_field_alone() -> None:
    before = dump_image(managed()).replace(
        f"currentDigest: {digest('a')}", f"# watched by ops\ncurrentDigest: '{digest('a')}'  # old"
    )
    before = before.replace("note:", "# why: see the wiki\nnote:").replace("weight: 3", "weight: 0x3")

    after = update_text(before, with_digest(read_image(before, "f"), digest("e")))

    assert after == before.replace(f"'{digest('a')}'  # old", f"'{digest('e')}'  # old")


def test_comments_inside_a_changed_field_stay() -> None:
    before = dump_image(managed()).replace("branch: main", "branch: main  # never develop")
    before = before.replace("rebuildHistory:\n- at:", "rebuildHistory:\n# the first\n- at:")
    state = read_image(before, "f")
    assert state.configuration.enrollment.source is not None
    source = state.configuration.enrollment.source.model_copy(update={"dockerfile": "Containerfile"})
    enrollment = state.configuration.enrollment.model_copy(update={"source": source})
    history = state.history.model_copy(
        update={
            "rebuild_history": (
                *state.history.rebuild_history,
                Build(at=LATER, reason="3.10", trigger="person", result="failed"),
            )
        }
    )
    changed = state.model_copy(
        update={
            "configuration": state.configuration.model_copy(update={"enrollment": enrollment}),
            "history": history,
        }
    )

    after = update_text(before, changed)

    assert read_image(after, "f") == changed
    assert "branch: main  # never develop\n" in after
    assert "rebuildHistory:\n# the first\n- at:" in after
    assert 'reason: "3.10"' in after
    assert "dockerfile: Containerfile\n" in after


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(image_states(), image_states())
def test_an_edited_file_says_what_a_fresh_one_says(old: ImageState, new: ImageState) -> None:
    text = dump_image(old).replace("\n- ", "\n# mine\n- ") + "# the end\n"

    assert read_image(update_text(text, new), "f") == new


@pytest.mark.parametrize(
    ("old", "new"),
    [(managed(), external()), (external(), managed())],
    ids=["fields and groups go", "fields and groups come"],
)
def test_an_edit_leaves_the_file_as_a_fresh_one_would_be(old: ImageState, new: ImageState) -> None:
    new = new.model_copy(update={"unknown": old.unknown})

    edited = edit_text(dump_image(old), image_values(old), image_values(new), IMAGE_SECTIONS, lambda a, b: a == b)

    assert edited is not None
    assert edited.rstrip("\n").split("\n") == dump_image(new).rstrip("\n").split("\n")


def test_an_edit_of_a_base_leaves_the_file_as_a_fresh_one_would_be() -> None:
    bare = BaseState(configuration=base().configuration)
    for old, new in ((bare, base()), (base(), bare)):
        edited = edit_text(dump_base(old), base_values(old), base_values(new), BASE_SECTIONS, lambda a, b: a == b)

        assert edited == dump_base(new)


def test_line_ends_of_windows_and_a_byte_order_mark_stay() -> None:
    text = "\ufeff" + dump_image(managed()).replace("\n", "\r\n").replace("weight: 3", "weight: 3 # mine")

    after = update_text(text, with_digest(managed(), digest("e")))

    assert after == text.replace(digest("a"), digest("e"))


def test_an_alias_into_a_changed_field_does_not_change_what_is_said() -> None:
    text = (
        dump_image(managed()).replace(f"currentDigest: {digest('a')}", f"currentDigest: &d {digest('a')}")
        + "copy: *d\n"
    )
    state = read_image(text, "f")
    assert state.unknown["copy"] == digest("a")

    after = update_text(text, with_digest(state, digest("e")))

    assert read_image(after, "f") == with_digest(state, digest("e"))


def test_a_file_in_flow_style_is_written_anew() -> None:
    text = '{name: web, repository: acme/web, source: {repo: acme/web}, "foo": 1}\n'
    changed = with_digest(read_image(text, "f"), digest("e"))

    assert update_text(text, changed) == dump_image(changed)


def test_a_field_that_a_person_wrote_at_its_default_stays() -> None:
    text = dump_base(base()).replace("# Watching", "pinned: false\n\n# Watching")

    after = update_text(
        text, base().model_copy(update={"history": base().history.model_copy(update={"first_discovered": LATER})})
    )

    assert "\npinned: false\n" in after


def test_one_and_true_are_different_values() -> None:
    one: dict[str, Any] = {"metadata": {"a": 1}}
    true: dict[str, Any] = {"metadata": {"a": True}}
    state = managed()
    text = dump_image(state.model_copy(update={"runtime": state.runtime.model_copy(update=one)}))

    after = update_text(text, state.model_copy(update={"runtime": state.runtime.model_copy(update=true)}))

    assert "  a: true\n" in after
