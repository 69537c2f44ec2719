"""Hypothesis strategies for state records, with the scalars that YAML readers disagree about.

For property tests: whatever a codec, a merge or a store promises, it promises for these.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from image_factory.model.enrollment import (
    Criticality,
    DelayMode,
    Enrollment,
    Exemption,
    Metadata,
    SelectionStrategy,
    Source,
    Update,
)
from image_factory.model.image_state import (
    BaseConfiguration,
    BaseHistory,
    BaseRuntime,
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
from image_factory.state.order import BASE_SECTIONS, IMAGE_SECTIONS

ODD_SCALARS = (
    *("3.10", "1e3", "1.0e+3", "0x1f", "0o17", "017", "1_000", "+1", "-0", ".5", "1.", "6.0", "22"),
    *("on", "off", "yes", "No", "y", "N", "true", "False", "null", "~", "", " ", "NULL", ".inf", "-.INF", ".nan"),
    *("2024-01-01", "2024-01-01T00:00:00Z", "2024-01-01 10:00", "12:30:45", "1:30", "190:20:30"),
    *("=", "<<", "*a", "&a", "!tag", "!!str x", "%YAML 1.2", "---", "...", "- a", "? a", ": a", "a: b", "a #b", "#a"),
    *(
        "[a]",
        "{a: b}",
        "'a'",
        '"a"',
        "a'b",
        "|",
        ">",
        "@a",
        "`a`",
        "a,b",
        "a\nb",
        "\n",
        "a \n",
        "\ta",
        "a\\n",
        "${X:-y}",
    ),
    *("\u0000", "\u007f", "\u0085", "\u00a0", "\u2028", "\ufeff", "\U0001f600", "é", "a" * 200),
)
"""Texts that some reader takes for something else, or that end a plain scalar."""

odd_texts = st.sampled_from(ODD_SCALARS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
"""Any text that UTF-8 can hold."""

values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**30), max_value=10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | odd_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_texts, inner, max_size=3),
    max_leaves=6,
)
"""What a free map of a record may hold."""

free_maps = st.dictionaries(odd_texts, values, max_size=3)

_KNOWN = {key for section in (*IMAGE_SECTIONS, *BASE_SECTIONS) for key in section.keys} | {"schemaVersion"}
unknown_keys = st.dictionaries(odd_texts.filter(lambda key: key not in _KNOWN), values, max_size=3)
"""Keys of a file that are no field of ours."""

instants = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-11))]),
)
labels = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
tags = st.sampled_from(["3.10", "on", "1e3", "22-bookworm-slim", "latest", "2024-01-01", "0x1f", "null", "6.0", "16"])
digests = st.integers(min_value=0, max_value=2**256 - 1).map(lambda number: f"sha256:{number:064x}")
repositories = st.builds("{}/{}".format, labels, labels)
plain_texts = st.sampled_from(["main", "3.10", "on", "web app", "yes", "1e3", "a: b", "#x", "é"])

sources = st.builds(
    Source,
    provider=st.sampled_from(["github", "gitlab"]),
    repo=repositories,
    branch=st.sampled_from(["main", "release/1.2", "3.10", "on"]),
    dockerfile=st.sampled_from(["Dockerfile", "apps/web/Dockerfile"]),
    target=st.none() | st.sampled_from(["runtime", "1"]),
    build_args=st.dictionaries(st.sampled_from(["V", "NODE_VERSION"]), plain_texts, max_size=2),
    platforms=st.sampled_from([(), ("linux/amd64",), ("linux/amd64", "linux/arm64")]),
    workflow=st.none() | st.just("build.yml"),
)
_details: dict[str, st.SearchStrategy[Any]] = {
    "rebuild_delay": st.integers(min_value=0, max_value=10**7).map(lambda seconds: timedelta(seconds=seconds)),
    "delay_mode": st.sampled_from(DelayMode),
    "auto_rebuild": st.booleans(),
    "criticality": st.sampled_from(Criticality),
    "group": st.none() | labels,
    "verification": st.none() | free_maps,
    "policy": st.none() | free_maps,
    "metadata": st.none() | st.builds(Metadata, title=st.none() | plain_texts, owner=st.none() | plain_texts),
    "exemptions": st.lists(
        st.builds(Exemption, owner=plain_texts, reason=plain_texts, expiry=st.just("2027-01-31")), max_size=1
    ).map(tuple),
}


@st.composite
def enrollments(draw: st.DrawFn, *, managed: bool | None = None) -> Enrollment:
    """Return enrollments of managed images, of external ones, or of both."""
    if managed is None:
        managed = draw(st.booleans())
    fields = {name: draw(strategy) for name, strategy in _details.items()}
    if managed:
        fields["source"] = draw(sources)
        fields["updates"] = draw(
            st.lists(st.builds(Update, repo=repositories, path=st.just("a.yaml"), type=labels), max_size=1).map(tuple)
        )
    else:
        fields["tag"] = draw(st.none() | tags)
        fields["allow_tags"] = draw(st.none() | st.sampled_from(["^16-alpine$", r"^3\.10$", "."]))
        fields["image_selection_strategy"] = draw(st.none() | st.sampled_from(SelectionStrategy))
    return Enrollment(name=draw(labels), registry=draw(st.sampled_from(["docker.io", "ghcr.io", "localhost:5000"])),
                      repository=draw(repositories), **fields)  # fmt: skip


_sites = st.builds(
    BaseSite,
    name=labels,
    reference=tags.map("docker.io/library/node:{}".format),
    written=st.none() | plain_texts,
    role=st.sampled_from(["final", "stage", "copy"]),
    file=st.just("Dockerfile"),
    line=st.integers(min_value=1, max_value=999),
    reachable=st.booleans(),
    platforms=st.sampled_from([(), ("linux/amd64",)]),
)


@st.composite
def image_configurations(
    draw: st.DrawFn, *, managed: bool | None = None, name: str | None = None
) -> ImageConfiguration:
    """Return configurations of enrolled images; only external ones are watched."""
    enrollment = draw(enrollments(managed=managed))
    if name is not None:
        enrollment = enrollment.model_copy(update={"name": name})
    fields: dict[str, Any] = {
        "base_images": draw(st.lists(labels, max_size=3, unique=True).map(sorted).map(tuple)),
        "secondary_images": draw(st.lists(labels, max_size=2, unique=True).map(sorted).map(tuple)),
        "references": draw(st.lists(_sites, max_size=2).map(tuple)),
    }
    if enrollment.source is None:
        fields["repo_url"] = draw(st.none() | repositories)
        fields["allow_tags"] = draw(st.none() | odd_texts)
        fields["image_selection_strategy"] = draw(st.none() | st.sampled_from(SelectionStrategy))
        fields["constraint"] = draw(st.none() | tags)
    return ImageConfiguration(name=enrollment.name, enrollment=enrollment, **fields)


_updates = st.lists(
    st.builds(DigestUpdate, at=instants, oldDigest=st.none() | digests, newDigest=digests, source=odd_texts),
    max_size=3,
).map(tuple)
_optional_maps = st.none() | free_maps
_findings = st.lists(free_maps, max_size=2).map(tuple)

image_runtimes = st.builds(
    ImageRuntime,
    last_discovery=st.none() | instants,
    discovery_status=st.sampled_from(DiscoveryStatus),
    discovery_error=st.none() | odd_texts,
    current_version=st.none() | tags,
    current_digest=st.none() | digests,
    previous_digest=st.none() | digests,
    last_built=st.none() | instants,
    last_updated=st.none() | instants,
    pending_rebuild=_optional_maps,
    metadata=_optional_maps,
    verification=_optional_maps,
    cves=_findings,
)
_builds = st.lists(
    st.builds(
        Build,
        at=instants,
        reason=odd_texts,
        trigger=odd_texts,
        result=odd_texts,
        request_id=st.none() | tags,
        finished_at=st.none() | instants,
        causes=_findings,
    ),
    max_size=2,
).map(tuple)
image_histories = st.builds(
    ImageHistory, enrolled_at=st.none() | instants, update_history=_updates, rebuild_history=_builds
)


@st.composite
def image_states(draw: st.DrawFn, *, managed: bool | None = None) -> ImageState:
    """Return records of enrolled images, with unknown keys."""
    return ImageState(
        configuration=draw(image_configurations(managed=managed)),
        runtime=draw(image_runtimes),
        history=draw(image_histories),
        unknown=draw(unknown_keys),
    )


@st.composite
def base_configurations(draw: st.DrawFn, *, name: str | None = None) -> BaseConfiguration:
    """Return configurations of base images; those that are pinned are not watched."""
    repository, tag, pinned = draw(repositories), draw(tags), draw(st.booleans())
    watching: dict[str, Any] = {}
    if not pinned:
        watching = {
            "repo_url": f"docker.io/{repository}",
            "allow_tags": draw(odd_texts),
            "image_selection_strategy": draw(st.sampled_from(SelectionStrategy)),
        }
    return BaseConfiguration(
        name=name or draw(labels),
        full_image=f"docker.io/{repository}:{tag}",
        aliases=draw(st.lists(odd_texts, max_size=2).map(sorted).map(tuple)),
        registry="docker.io",
        repository=repository,
        tag=None if pinned else tag,
        digest=draw(digests) if pinned else None,
        pinned=pinned,
        **watching,
    )


base_runtimes = st.builds(
    BaseRuntime,
    last_checked=st.none() | instants,
    current_digest=st.none() | digests,
    previous_digest=st.none() | digests,
    last_updated=st.none() | instants,
    rebuild_eligible_at=st.dictionaries(labels, instants, max_size=2),
    metadata=_optional_maps,
    problem=st.none() | odd_texts,
    cves=_findings,
)
base_histories = st.builds(
    BaseHistory,
    first_discovered=st.none() | instants,
    enrolled_at=st.none() | instants,
    update_history=_updates,
    rebuild_history=_builds,
)


@st.composite
def base_states(draw: st.DrawFn) -> BaseState:
    """Return records of base images, with unknown keys."""
    return BaseState(
        configuration=draw(base_configurations()),
        runtime=draw(base_runtimes),
        history=draw(base_histories),
        unknown=draw(unknown_keys),
    )
