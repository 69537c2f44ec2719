"""What Renovate's own presets say of images (docs.renovatebot.com, "Presets"), as far as it is of use here. Pure.

A preset that says nothing of images is known by its name alone; one that is not known is told of.
"""

from __future__ import annotations

import re

_MODULES_AND_TESTS = [
    "**/node_modules/**",
    "**/bower_components/**",
    "**/vendor/**",
    "**/examples/**",
    "**/__tests__/**",
    "**/test/**",
    "**/tests/**",
    "**/__fixtures__/**",
]
_MERGED: dict[str, object] = {"automerge": True}

PRESETS: dict[str, dict[str, object]] = {
    "config:recommended": {"extends": [":ignoreModulesAndTests"]},
    "config:base": {"extends": ["config:recommended"]},
    "config:best-practices": {"extends": ["config:recommended", "docker:pinDigests"]},
    "config:js-app": {"extends": ["config:recommended"]},
    "config:js-lib": {"extends": ["config:recommended"]},
    "config:semverAllMonthly": {"extends": ["group:all", "schedule:monthly"]},
    "config:semverAllWeekly": {"extends": ["group:all", "schedule:weekly"]},
    "docker:disable": {"docker": {"enabled": False}, "docker-compose": {"enabled": False}},
    "docker:enableMajor": {
        "packageRules": [{"matchDatasources": ["docker"], "matchUpdateTypes": ["major"], "enabled": True}]
    },
    "docker:disableMajor": {
        "packageRules": [{"matchDatasources": ["docker"], "matchUpdateTypes": ["major"], "enabled": False}]
    },
    "docker:pinDigests": {"packageRules": [{"matchDatasources": ["docker"], "pinDigests": True}]},
    "group:all": {"groupName": "all dependencies"},
    ":automergeAll": _MERGED,
    ":automergeDigest": {"digest": _MERGED},
    ":automergeDisabled": {"automerge": False},
    ":automergeMajor": _MERGED,
    ":automergeMinor": {"minor": _MERGED, "patch": _MERGED},
    ":automergePatch": {"patch": _MERGED},
    ":dependencyDashboardApproval": {"dependencyDashboardApproval": True},
    ":disableDigestUpdates": {"digest": {"enabled": False}},
    ":disableMajorUpdates": {"major": {"enabled": False}},
    ":disableRateLimiting": {},
    ":disableRenovate": {"enabled": False},
    ":docker": {"docker": {"enabled": True}},
    ":enableRenovate": {"enabled": True},
    ":ignoreModulesAndTests": {"ignorePaths": _MODULES_AND_TESTS},
    ":includeNodeModules": {"ignorePaths": []},
    ":onlyNpm": {"docker": {"enabled": False}},
    ":pinDigests": {"pinDigests": True},
    ":pinDigestsDisabled": {"pinDigests": False},
    ":prConcurrentLimitNone": {},
    ":prHourlyLimitNone": {},
}
"""What a preset sets, in Renovate's own keys."""

_RATES = re.compile(r":(?P<key>prHourlyLimit|prConcurrentLimit)(?P<number>[0-9]+)\Z")
_TIMEZONE = re.compile(r":timezone\((?P<zone>[^()]{1,64})\)\Z")
_SCHEDULE = re.compile(r"schedule:[A-Za-z]+(?:\([^()]*\))?\Z")

# Presets about lock files, ranges of versions, other languages, titles, labels and reviewers.
_BESIDE = re.compile(
    r"(?:abandonments|helpers|mergeConfidence|monorepo|npm|packages|preview|replacements|security|workarounds|group)"
    r":[A-Za-z0-9.()\-]+\Z"
    r"|:(?:semantic|label|assign|reviewer|rebaseStale|preserveSemver|pin(?:AllExcept|Dependencies|DevDep|OnlyDev|SkipCi"
    r"|Versions)|separate|combinePatchMinor|maintainLockFiles|disableLockFiles|disablePeer|disableDev|configMigration"
    r"|gitSignOff|enableVulnerability|disableVulnerability|ignoreUnstable|respectLatest|skipStatusChecks|prImmediately"
    r"|prNotPending|widenPeer|noUnscheduled|updateNotScheduled|automerge(?:Branch|Pr|Linters|Testers|Types"
    r"|RequireAll|StableNonMajor)|dependencyDashboard|doNotPin|disableDomain|disableHost|disablePrControls|enablePreCommit"
    r"|enableGradle|switchToGradle|followTag|githubComToken|gomod|npm|meteor|pathSemantic|autodetect|renovatePrefix"
    r"|disableGitHub|enableRenovate)[A-Za-z0-9]*(?:\(.*\))?\Z"
)


def preset(name: str) -> dict[str, object] | None:
    """Return what a preset sets, nothing where it says nothing of images; None where it is not known."""
    plain = name.removeprefix("default:") if name.startswith("default:") else name
    plain = f":{plain}" if plain is not name else plain
    if plain in PRESETS:
        return PRESETS[plain]
    if rate := _RATES.match(plain):
        return {rate["key"]: int(rate["number"][:6])}
    if zone := _TIMEZONE.match(plain):
        return {"timezone": zone["zone"]}
    if _SCHEDULE.match(plain):
        return {"schedule": [plain.removeprefix("schedule:")]}
    return {} if _BESIDE.match(plain) else None
