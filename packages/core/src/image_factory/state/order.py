"""The order of a state file's keys, in groups, with the comment above each group. Data, and pure.

To which class a field belongs (configuration, runtime, history) is the type it lies in, not this
table; `tests/state/test_order.py` holds that each field of the records stands here exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Section:
    """Keys that stand together, and the lines above the first of them that is there."""

    comment: tuple[str, ...]
    keys: tuple[str, ...]


IMAGE_SECTIONS = (
    Section(
        (
            "State of an enrolled image, written by image-factory; change images.yaml rather than this file.",
            "Keys and comments that you add are kept.",
        ),
        ("name", "enrolledAt"),
    ),
    Section(
        ("Discovery: what the last analysis that learned something came to. Written by analyze.",),
        ("lastDiscovery", "discoveryStatus", "discoveryError"),
    ),
    Section(
        ("Enrollment: a copy of the entry in images.yaml. Written by analyze.",),
        ("enrollment",),
    ),
    Section(
        ("Watching: where and how new versions of an external image are found. Written by analyze.",),
        ("repoURL", "allowTags", "imageSelectionStrategy", "constraint"),
    ),
    Section(
        ("Base images: what the Dockerfile names, and where. Written by analyze.",),
        ("baseImages", "secondaryImages", "references"),
    ),
    Section(
        ("Current version: what was last built or seen. Written by analyze and observe.",),
        (
            "currentVersion",
            "currentDigest",
            "previousDigest",
            "lastBuilt",
            "lastUpdated",
            "problem",
            "metadata",
            "updateHistory",
        ),
    ),
    Section(
        ("Rebuilds: the one that is due, and those that were done. Written by run.",),
        ("pendingRebuild", "rebuildHistory"),
    ),
    Section(
        ("Consumers: what the files of `updates` were last made to name. Written by update.",),
        ("consumers",),
    ),
    Section(
        ("Evidence: signatures and vulnerabilities. Written by scan and verify.",),
        ("verification", "cves"),
    ),
)

BASE_SECTIONS = (
    Section(
        (
            "State of a base image, written by image-factory; it comes from the FROM lines of Dockerfiles.",
            "Keys and comments that you add are kept.",
        ),
        ("name", "fullImage", "aliases"),
    ),
    Section(
        ("Reference: the parts of the image's name. Written by analyze.",),
        ("registry", "repository", "tag", "digest", "pinned", "managedBy"),
    ),
    Section(
        ("Watching: where and how new versions are found. Written by analyze.",),
        ("repoURL", "allowTags", "imageSelectionStrategy"),
    ),
    Section(
        ("Observation: when it was first named, and when a check last learned something. Written by observe.",),
        ("firstDiscovered", "lastChecked", "problem"),
    ),
    Section(
        ("Current digest: what the tag points at. Written by observe.",),
        ("currentDigest", "previousDigest", "lastUpdated"),
    ),
    Section(
        ("Rebuilds: from when dependents may be rebuilt on it. Written by run.",),
        ("rebuildEligibleAt",),
    ),
    Section(
        ("Metadata: what the registry tells of the current digest. Written by observe.",),
        ("metadata",),
    ),
    Section(
        ("History: each move of the tag that was seen. Written by observe.",),
        ("updateHistory",),
    ),
    Section(
        ("Managed history: from when the image was built here. Written by analyze.",),
        ("enrolledAt", "rebuildHistory"),
    ),
    Section(
        ("Evidence: vulnerabilities. Written by scan.",),
        ("cves",),
    ),
)

UNKNOWN_SECTION = Section(("Further keys, which image-factory does not know and keeps.",), ())

REQUEST_SECTIONS = (
    Section(
        (
            "A rebuild of this image, decided on by image-factory. Written by coordinate, dispatch, settle and run.",
            "status says how far it has come; the next request takes the place of one that is settled.",
        ),
        (
            *(
                "name",
                "requestId",
                "status",
                "requestedAt",
                "reason",
                "triggeredBy",
                "causes",
                "digests",
                "inputs",
                "wave",
            ),
            *("priority", "versionBump", "notBefore", "emergency", "waitsFor", "approvedBy", "approvedAt", "dispatch"),
            *("finishedAt", "digest", "version", "problem"),
        ),
    ),
)

HOLD_SECTIONS = (
    Section(
        ("Something that a person has stopped. Written by hold; image-factory hold --release ends it.",),
        ("name", "image", "digest", "reason", "by", "at", "until"),
    ),
)
