"""`emergency`: at once for whom config.yaml names, refused and written down for everybody else."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from image_factory.testing.oidc_server import JOB_SECRET, OidcServer

ORDER = ("emergency", "--cve", "CVE-2026-12345", "--base", "node:22", "--reason", "exploited in the wild")
OLD, NEW, NEWEST = (f"sha256:{digit * 64}" for digit in "abc")


@pytest.fixture
def shop(folder: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two images, one built on node and one on nothing of it, whose node has just moved."""
    monkeypatch.setenv("GITHUB_ACTOR", "alice")
    for variable in ("GITHUB_ACTIONS", "IMAGE_FACTORY_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL"):
        monkeypatch.delenv(variable, raising=False)
    folder.service("web", "FROM node:22\n")
    folder.service("api", "FROM redis:7\n")
    folder.managed("web", "api")
    settings = folder.root / "config.yaml"
    settings.write_text(
        settings.read_text() + "emergency:\n  actors: ['@security']\n  teams: {security: [alice]}\n"
        "  trustedIdentities: [unverified]\n  alertAfter: 1\n"
    )
    folder.git("add", ".")
    folder.git("commit", "--quiet", "--message", "Enroll")
    assert folder.run("analyze", "--no-notify").code == 0
    move(folder, OLD)
    move(folder, NEW)
    return folder


def move(folder: Any, digest: str) -> None:
    ran = folder.run("observe", "--base", "node-22", "--digest", digest, "--no-notify")
    assert ran.code == 0, ran.err


def state(folder: Any, path: str) -> str:
    return str((folder.root / "state" / path).read_text())


def test_an_order_writes_a_request_and_an_audit_entry_in_one_commit(shop: Any) -> None:
    ran = shop.run(*ORDER)

    assert ran.code == 0, ran.err
    request = state(shop, "rebuild-requests/web.yaml")
    assert "status: requested" in request
    assert "reason: emergency" in request
    assert "cve: CVE-2026-12345" in request
    assert not (shop.root / "state/rebuild-requests/api.yaml").exists()
    assert "actor: alice" in state(shop, "audit/000001.yaml")
    assert shop.git("show", "--name-only", "--format=%s").split() == [
        *("Order", "an", "emergency", "rebuild", "for", "CVE-2026-12345"),
        "image-factory/state/audit/000001.yaml",
        "image-factory/state/rebuild-requests/web.yaml",
    ]


@pytest.mark.parametrize("is_automatic", [True, False])
def test_with_kargo_it_is_said_who_starts_what_was_ordered(shop: Any, is_automatic: bool) -> None:
    settings, images = shop.root / "config.yaml", shop.root / "images.yaml"
    settings.write_text(f"engine: kargo\n{settings.read_text()}")
    images.write_text(
        images.read_text().replace("- name: web", f"- name: web\n  autoRebuild: {str(is_automatic).lower()}")
    )
    shop.git("add", ".")
    shop.git("commit", "--quiet", "--message", "Let Kargo start builds")

    said = shop.run(*ORDER).out

    assert "Kargo starts them, once they are pushed" in said
    assert ("to be promoted there by a person, since autoRebuild is false: web" in said) is not is_automatic
    assert "image-factory run" not in said


def test_the_notice_of_git_says_who_ordered_it_and_why(shop: Any) -> None:
    shop.run(*ORDER)

    message = shop.git("show", "--no-patch", "--format=%b")
    assert "Reason: exploited in the wild" in message
    assert "Ordered by: alice (unverified)" in message


def test_the_same_order_again_changes_nothing(shop: Any) -> None:
    shop.run(*ORDER)
    before = shop.git("rev-parse", "HEAD")

    ran = shop.run(*ORDER)

    assert ran.code == 0
    assert "requested already" in ran.out
    assert shop.git("rev-parse", "HEAD") == before
    assert shop.git("status", "--porcelain") == ""


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(shop: Any) -> None:
    ran = shop.run(*ORDER, "--dry-run")

    assert ran.code == 0
    assert "web: rebuild requested" in ran.out
    assert "+status: requested" in ran.out
    assert "state/audit/000001.yaml" in ran.out
    assert shop.git("status", "--porcelain") == ""


def test_somebody_else_is_refused_with_4_and_written_down(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "mallory")

    ran = shop.run(*ORDER)

    assert ran.code == 4
    assert "'mallory' may not order emergency rebuilds of web" in ran.err
    assert not (shop.root / "state/rebuild-requests/web.yaml").exists()
    entry = state(shop, "audit/000001.yaml")
    assert "outcome: refused" in entry
    assert "actor: mallory" in entry
    assert "CVE-2026-12345" in entry
    assert shop.git("log", "-1", "--format=%s").strip() == "Refuse an emergency rebuild for CVE-2026-12345"


def test_a_refused_dry_run_ends_with_4_and_writes_nothing(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "mallory")

    assert shop.run(*ORDER, "--dry-run").code == 4
    assert shop.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("IMAGE_FACTORY_EMERGENCY_ACTORS", "mallory"),
        ("IMAGE_FACTORY_EMERGENCY_TRUSTED_IDENTITIES", "unverified"),
    ],
)
def test_who_may_is_read_from_the_file_whatever_the_environment_says(
    shop: Any, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    settings = shop.root / "config.yaml"
    if "TRUSTED" in variable:
        settings.write_text(settings.read_text().replace("[unverified]", "[oidc]"))
        shop.git("commit", "--quiet", "--all", "--message", "Trust tokens")
    monkeypatch.setenv("GITHUB_ACTOR", "mallory" if "ACTORS" in variable else "alice")
    monkeypatch.setenv(variable, value)

    assert shop.run(*ORDER).code == 4


def test_who_may_is_read_from_what_is_committed(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = shop.root / "config.yaml"
    settings.write_text(settings.read_text().replace("alice", "mallory"))
    monkeypatch.setenv("GITHUB_ACTOR", "mallory")

    ran = shop.run(*ORDER)

    assert ran.code == 4
    assert "config.yaml is not as it was committed" in ran.err


def test_where_nothing_vouches_the_order_is_refused_and_says_what_would(shop: Any) -> None:
    settings = shop.root / "config.yaml"
    settings.write_text(settings.read_text().replace("  trustedIdentities: [unverified]\n", ""))
    shop.git("commit", "--quiet", "--all", "--message", "Trust what is proved")

    ran = shop.run(*ORDER)

    assert ran.code == 4
    assert "nothing vouches for 'alice': no OIDC token of a CI job; no file allowed_signers" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--cve", "CVE-1"], id="no id"),
        pytest.param(["--reason", "  "], id="a blank reason"),
        pytest.param(["--images", "web"], id="a base and images"),
        pytest.param(["--base", "unknown:1"], id="a base that nobody knows"),
        pytest.param(["--digest-range", "zzz"], id="no range"),
    ],
)
def test_a_wrong_word_ends_with_2_and_is_not_written_down(shop: Any, words: list[str]) -> None:
    ran = shop.run(*ORDER, *words)

    assert ran.code == 2
    assert "hint:" in ran.err
    assert not (shop.root / "state/audit").exists()


def test_an_image_that_cannot_be_read_may_be_concerned_and_ends_with_3(shop: Any) -> None:
    shop.write("state/images/api.yaml", "name: [\n")

    ran = shop.run(*ORDER)

    assert ran.code == 3
    assert "web: rebuild requested" in ran.out
    assert "api.yaml:2" in ran.err


@pytest.mark.parametrize("missing", ["--cve", "--reason"])
def test_a_vulnerability_and_a_reason_are_mandatory(shop: Any, missing: str) -> None:
    words = list(ORDER)
    at = words.index(missing)
    del words[at : at + 2]

    ran = shop.run(*words)

    assert ran.code == 2
    assert missing in ran.err


def test_as_json_it_holds_all_that_people_are_told(shop: Any) -> None:
    told = shop.run(*ORDER, "--json").json

    assert (told["cve"], told["actor"], told["identity"], told["granted"]) == (
        "CVE-2026-12345", "alice", "unverified", True,
    )  # fmt: skip
    assert told["affected"] == ["web"]
    assert told["requests"][0]["emergency"]["audit"] == told["audit"]
    assert told["requests"][0]["causes"][0]["to"] == NEW
    assert told["recent"] == 1
    assert told["commit"] == shop.git("rev-parse", "HEAD").strip()


def test_one_order_more_than_config_yaml_takes_for_usual_is_an_alarm(shop: Any) -> None:
    quiet = shop.run(*ORDER)
    move(shop, NEWEST)

    ran = shop.run(*ORDER)

    assert "alarm" not in quiet.err
    assert "alarm: 2 emergency rebuilds were ordered within 30d, more than 1" in ran.err


def test_orders_are_counted_for_prometheus(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = shop.checkout.parent / "image-factory.prom"
    shop.run(*ORDER, "--metrics-file", str(file))
    shop.run(*ORDER, "--metrics-file", str(file))
    monkeypatch.setenv("GITHUB_ACTOR", "mallory")
    shop.run(*ORDER, "--metrics-file", str(file))

    lines = [line for line in file.read_text().splitlines() if line.startswith("image_factory_emergency")]
    assert lines == [
        'image_factory_emergency_rebuilds_total{outcome="granted"} 1',
        'image_factory_emergency_rebuilds_total{outcome="refused"} 1',
    ]


def test_an_image_without_a_fix_ends_with_4_and_says_what_helps(shop: Any) -> None:
    ran = shop.run(*ORDER, "--digest-range", f"{OLD}..")

    assert ran.code == 4
    assert "no fixed digest of node-22 was seen yet" in ran.out
    assert "--rebuild-anyway" in ran.out
    assert not (shop.root / "state/audit").exists()


def test_where_no_image_is_concerned_that_is_said(shop: Any) -> None:
    ran = shop.run(*ORDER, "--digest-range", f"{NEW}..{NEW}")

    assert ran.code == 0
    assert "no managed image holds an affected digest of node:22" in ran.out


def test_nothing_of_an_order_reaches_a_shell_an_option_or_a_path(shop: Any, tmp_path: Any) -> None:
    """The words of an order are in files and messages as they are, and do nothing there."""
    evil = f"$(touch {tmp_path}/pwned) `touch {tmp_path}/pwned` ; --upload-pack=x ../../etc"

    ran = shop.run(*ORDER[:-1], evil)

    assert ran.code == 0, ran.err
    assert not (tmp_path / "pwned").exists()
    assert evil in state(shop, "audit/000001.yaml")
    assert sorted(path.name for path in (shop.root / "state/audit").iterdir()) == ["000001.yaml"]


# --- who it is, on the command line -------------------------------------------------------------------


@pytest.fixture
def proved(shop: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The shop, where only what is proved counts, in a home without git's configuration."""
    home = shop.checkout.parent / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    settings = shop.root / "config.yaml"
    text = settings.read_text().replace("[unverified]", "[oidc, git-signature]")
    settings.write_text(text.replace("[alice]", "[alice, bob@example.com]"))
    shop.git("commit", "--quiet", "--all", "--message", "Trust what is proved")
    return shop


def test_a_job_s_token_proves_who_orders(proved: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jwt", reason="PyJWT is not installed")
    with OidcServer(now=datetime.now(UTC)) as issuer:
        settings = proved.root / "config.yaml"
        text = settings.read_text().replace("emergency:\n", f"emergency:\n  oidcIssuers: ['{issuer.origin}']\n")
        settings.write_text(f"{text}kargo: {{stateRepository: 'https://git.example.com/acme/platform.git'}}\n")
        proved.git("commit", "--quiet", "--all", "--message", "Believe an issuer")
        for name, value in {**issuer.job, "GITHUB_ACTOR": "mallory"}.items():
            monkeypatch.setenv(name, value)

        granted = proved.run(*ORDER, "--log-level", "debug")
        issuer.hands_out = issuer.token(issuer.claims(actor="mallory"))
        refused = proved.run(*ORDER, "--rebuild-anyway")

    assert granted.code == 0, granted.err
    assert "identity: oidc" in state(proved, "audit/000001.yaml")
    assert f"issuer: {issuer.origin}" in state(proved, "audit/000001.yaml")
    assert refused.code == 4
    assert "'mallory' may not" in refused.err
    said = granted.out + granted.err + refused.out + refused.err + proved.git("log", "-p")
    assert JOB_SECRET not in said
    assert issuer.hands_out not in said


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_git_s_ssh_key_proves_who_orders_and_the_signature_is_written_down(proved: Any) -> None:
    key = proved.checkout.parent / "bob"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, capture_output=True)
    line = f'bob@example.com namespaces="image-factory" {key.with_suffix(".pub").read_text()}'
    (proved.root / "allowed_signers").write_text(line)
    proved.git("config", "gpg.format", "ssh")
    proved.git("config", "user.signingKey", str(key))
    not_committed = proved.run(*ORDER)
    proved.git("add", ".")
    proved.git("commit", "--quiet", "--message", "Name bob's key")

    ran = proved.run(*ORDER)

    assert not_committed.code == 4
    assert "allowed_signers is not as it was committed" in not_committed.err
    assert ran.code == 0, ran.err
    entry = yaml.safe_load(state(proved, "audit/000002.yaml"))
    assert (entry["actor"], entry["identity"]) == ("bob@example.com", "git-signature")
    assert entry["signature"].startswith("U1NIU0lH"), "SSHSIG in base64"
    assert '"cve": "CVE-2026-12345"' in entry["order"]
