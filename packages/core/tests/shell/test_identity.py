"""Who orders: proved by a token of the CI's issuer, or by a signature with a known key; a name proves nothing."""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from image_factory.decide.authorization import Identity, IdentityKind
from image_factory.errors import ProtocolError, Unavailable
from image_factory.shell.git import Checkout
from image_factory.shell.http import HttpClient, HttpLimits
from image_factory.shell.identity import (
    ALLOWED_SIGNERS,
    AUDIENCE,
    GITHUB_ISSUER,
    TOKEN_VARIABLE,
    Trust,
    identify,
    is_committed,
    trusted_repositories,
    verify_token,
)
from image_factory.testing.clock import START, FixedClock
from image_factory.testing.oidc_server import JOB_SECRET, OidcServer

pytest.importorskip("jwt", reason="PyJWT is not installed")

REPOSITORY = "https://git.example.com/acme/platform.git"
ORDER = '{"cve": "CVE-2026-12345"}'


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image-factory folder in a checkout, and a home without git's configuration."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    folder = tmp_path / "checkout/image-factory"
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "config.yaml").write_text("{}\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Begin")
    return folder


# --- OIDC ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def issuer() -> Iterator[OidcServer]:
    with OidcServer() as server:
        yield server


@pytest.fixture
def ask(root: Path, issuer: OidcServer) -> Iterator[Callable[..., Identity]]:
    """Return what asks who it is, in a job with these variables."""
    issuer.hands_out = None
    issuer.discovery = {}
    issuer.exchanges.clear()
    clock = FixedClock(START)
    with HttpClient(None, clock) as http:

        def asked(environ: dict[str, str], **trust: Any) -> Identity:
            given = {"kinds": ("oidc",), "issuers": (issuer.origin,), "repositories": (REPOSITORY,), **trust}
            return identify(root, Trust(**given), ORDER, http=http, clock=clock, environ=environ)

        yield asked


def test_a_job_of_github_s_is_who_started_it(ask: Any, issuer: OidcServer) -> None:
    found = ask(issuer.job)

    assert found == Identity("alice", IdentityKind.OIDC, issuer=issuer.origin)


def test_the_token_is_asked_for_with_our_audience(ask: Any, issuer: OidcServer) -> None:
    ask(issuer.job)

    (asked,) = [one for one in issuer.exchanges if "token" in one.path]
    assert asked.request.query == {"api-version": "2.0", "audience": AUDIENCE}


def test_the_job_s_secret_goes_to_who_hands_out_tokens_and_to_nobody_else(ask: Any, issuer: OidcServer) -> None:
    ask(issuer.job)

    told = {one.path for one in issuer.exchanges if "authorization" in one.headers}
    assert told == {"/token/request"}


def test_a_job_of_gitlab_s_is_its_user(ask: Any, issuer: OidcServer) -> None:
    claims = issuer.claims(actor=None, repository=None, user_login="bob", project_path="acme/platform")

    assert ask({TOKEN_VARIABLE: issuer.token(claims)}).actor == "bob"


def test_the_name_in_the_environment_is_not_looked_at_where_there_is_a_token(ask: Any, issuer: OidcServer) -> None:
    assert ask({**issuer.job, "GITHUB_ACTOR": "mallory"}).actor == "alice"


NOW = int(START.timestamp())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"exp": NOW - 61}, "has expired", id="expired, with a minute's grace over"),
        pytest.param({"nbf": NOW + 61}, "not valid yet", id="not valid yet"),
        pytest.param({"iat": NOW + 61}, "not valid yet", id="made in the future"),
        pytest.param({"exp": None}, "does not hold", id="no end"),
        pytest.param({"iat": None}, "does not hold", id="no beginning"),
        pytest.param({"exp": True}, "exp is no time", id="an end that is a truth value"),
        pytest.param({"exp": 1e300}, "exp is no time", id="an end beyond all time"),
        pytest.param({"aud": "sigstore"}, "not made for us", id="made for somebody else"),
        pytest.param({"aud": None}, "does not hold", id="made for nobody"),
        pytest.param({"iss": "https://evil.example.com"}, "is of 'https://evil.example.com'", id="another issuer"),
        pytest.param({"iss": None}, "is of ''", id="no issuer"),
        pytest.param({"repository": "mallory/x"}, "a job of 'mallory/x'", id="another repository"),
        pytest.param({"actor": None}, "names no actor", id="no actor"),
        pytest.param({"actor": ""}, "names no actor", id="an empty actor"),
        pytest.param({"actor": ["alice"]}, "names no actor", id="an actor that is no text"),
        pytest.param({"repository": None}, "names no actor", id="no repository"),
        pytest.param(
            {"user_login": "root", "project_path": "acme/platform"},
            "names no actor",
            id="GitHub's and GitLab's at once",
        ),
    ],
)
def test_a_token_that_does_not_fit_proves_nothing(
    ask: Any, issuer: OidcServer, changes: dict[str, object], said: str
) -> None:
    found = ask({TOKEN_VARIABLE: issuer.token(issuer.claims(**changes)), "GITHUB_ACTOR": "alice"})

    assert (found.actor, found.kind) == ("alice", IdentityKind.UNVERIFIED)
    assert said in found.doubt


@pytest.mark.parametrize(
    ("changes", "who"),
    [
        pytest.param({"exp": NOW - 59}, "alice", id="expired within the grace"),
        pytest.param({"nbf": NOW + 59, "iat": NOW + 59}, "alice", id="a clock that is behind by less than a minute"),
        pytest.param({"nbf": None}, "alice", id="nbf is not asked for"),
        pytest.param({"aud": ["x", "image-factory"]}, "alice", id="made for several"),
        pytest.param({"repository": "ACME/Platform"}, "alice", id="a repository's name in another case"),
    ],
)
def test_a_token_that_fits_just_so_is_believed(
    ask: Any, issuer: OidcServer, changes: dict[str, object], who: str
) -> None:
    found = ask({TOKEN_VARIABLE: issuer.token(issuer.claims(**changes))})

    assert (found.actor, found.kind, found.doubt) == (who, IdentityKind.OIDC, "")


def forged(issuer: OidcServer, algorithm: str) -> str:
    def part(data: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")

    return f"{part({'alg': algorithm, 'typ': 'JWT', 'kid': issuer.kid})}.{part(issuer.claims())}."


def shared_secret(issuer: OidcServer) -> str:
    """Sign with HS256 and the issuer's public key as the secret, which some libraries took."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = forged(issuer, "HS256").rstrip(".")
    signature = hmac.new(pem, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def another_key(issuer: OidcServer) -> str:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return issuer.token(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda issuer: forged(issuer, "none"), id="no signature"),
        pytest.param(lambda issuer: forged(issuer, "None"), id="no signature, spelled otherwise"),
        pytest.param(shared_secret, id="the public key as a shared secret"),
        pytest.param(another_key, id="another key under the issuer's name for its own"),
        pytest.param(lambda issuer: issuer.token(kid="key-2"), id="a key that the issuer does not have"),
        pytest.param(lambda issuer: issuer.token()[:-6] + "AAAAAA", id="a signature that was changed"),
        pytest.param(lambda issuer: "x.y.z", id="no JWT"),
        pytest.param(lambda issuer: "a" * 20_000, id="too long"),
        pytest.param(lambda issuer: "\x00", id="a NUL byte"),
    ],
)
def test_a_forged_token_proves_nothing(ask: Any, issuer: OidcServer, make: Callable[[OidcServer], str]) -> None:
    found = ask({TOKEN_VARIABLE: make(issuer)})

    assert found.kind is IdentityKind.UNVERIFIED
    assert "token" in found.doubt


def test_nothing_weaker_is_tried_after_a_token_that_proves_nothing(ask: Any, issuer: OidcServer) -> None:
    found = ask({TOKEN_VARIABLE: another_key(issuer), "GITHUB_ACTOR": "alice"}, kinds=("oidc", "unverified"))

    assert found.doubt


def test_an_issuer_whose_keys_lie_elsewhere_is_not_believed(ask: Any, issuer: OidcServer) -> None:
    issuer.discovery = {"jwks_uri": "http://127.0.0.1:9/jwks"}

    assert "at another host" in ask(issuer.job).doubt


def test_an_issuer_that_calls_itself_otherwise_is_not_believed(ask: Any, issuer: OidcServer) -> None:
    issuer.discovery = {"issuer": "https://gitlab.com"}

    assert "another issuer" in ask(issuer.job).doubt


def test_an_issuer_that_answers_nonsense_is_told(ask: Any, issuer: OidcServer) -> None:
    issuer.trouble(200, b"<html>", matches="openid-configuration")

    with pytest.raises(ProtocolError):
        ask(issuer.job)


def test_an_issuer_that_does_not_answer_is_no_refusal(root: Path) -> None:
    trust = Trust(("oidc",), ("http://127.0.0.1:9",), (REPOSITORY,))
    with OidcServer() as gone:
        token = gone.token(gone.claims(iss="http://127.0.0.1:9"))
    with (
        HttpClient(None, FixedClock(START), limits=HttpLimits(attempts=1)) as http,
        pytest.raises(Unavailable),
    ):
        identify(root, trust, ORDER, http=http, clock=FixedClock(START), environ={TOKEN_VARIABLE: token})


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.com/token",
        "http://127.0.0.1:9/token",
        "http://alice@127.0.0.1/token",
        "https://actions.githubusercontent.com.evil.example.com/",
    ],
)
def test_the_job_s_secret_is_sent_to_no_other_host(ask: Any, issuer: OidcServer, url: str) -> None:
    found = ask({**issuer.job, "ACTIONS_ID_TOKEN_REQUEST_URL": url})

    assert "no address of an issuer that is believed" in found.doubt
    assert issuer.exchanges == []


@pytest.mark.parametrize(
    ("url", "believed"),
    [
        ("https://run-actions-1.actions.githubusercontent.com/42?x=1", True),
        ("https://token.actions.githubusercontent.com/x", True),
        ("https://actions.githubusercontent.com/x", False),
        ("https://evilactions.githubusercontent.com/x", False),
        ("http://run-actions-1.actions.githubusercontent.com/x", False),
        ("https://run-actions-1.actions.githubusercontent.com:8443/x", False),
    ],
)
def test_github_com_hands_out_tokens_at_hosts_of_one_domain(url: str, believed: bool) -> None:
    from image_factory.shell.identity import _hands_out

    assert _hands_out(url, GITHUB_ISSUER) is believed
    assert _hands_out("https://x.com/y", "https://gitlab.com") is False


def test_a_job_without_a_token_is_told_how_to_get_one(ask: Any) -> None:
    assert "permissions: {id-token: write}" in ask({"GITHUB_ACTIONS": "true"}).doubt


def test_a_service_that_refuses_is_told(ask: Any, issuer: OidcServer) -> None:
    found = ask({**issuer.job, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "wrong"})

    assert "hands out no OIDC token (status 401)" in found.doubt


def test_no_secret_and_no_token_is_in_any_message_or_log(
    ask: Any, issuer: OidcServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = issuer.token(issuer.claims(aud="sigstore"))
    issuer.hands_out = token

    found = ask(issuer.job)

    said = f"{found}{caplog.text}"
    assert found.doubt
    assert JOB_SECRET not in said
    assert token not in said
    assert token.split(".")[1] not in said


def test_a_token_of_acme_at_another_public_host_is_not_this_acme_s(root: Path, issuer: OidcServer) -> None:
    """Where config.yaml names no issuer, the one of the repository's own host alone is believed."""
    with HttpClient(None, FixedClock(START)) as http:

        def asked(claims: dict[str, object], repository: str) -> Identity:
            trust = Trust(("oidc",), (), (repository,))
            environ = {TOKEN_VARIABLE: issuer.token(issuer.claims(**claims))}
            return identify(root, trust, ORDER, http=http, clock=FixedClock(START), environ=environ)

        at_gitlab: dict[str, object] = {"iss": "https://gitlab.com"}
        assert "believed is https://token.actions" in asked(at_gitlab, "git@github.com:acme/platform.git").doubt
        assert "believed is no issuer" in asked(at_gitlab, "https://git.example.com/acme/platform").doubt


def test_of_two_remotes_each_has_its_own_issuer() -> None:
    """A mirror at gitlab.com does not let whoever holds gitlab.com's acme/platform speak for github.com's."""
    from image_factory.shell.identity import _actor, _Doubt

    trust = Trust(("oidc",), (), ("https://github.com/acme/platform", "https://gitlab.com/acme/mirror"))
    claims = {"user_login": "alice", "project_path": "acme/platform"}

    with pytest.raises(_Doubt, match="not of this repository"):
        _actor(claims, "https://gitlab.com", trust)
    assert _actor({**claims, "project_path": "acme/mirror"}, "https://gitlab.com", trust) == "alice"
    assert _actor({"actor": "bob", "repository": "acme/platform"}, GITHUB_ISSUER, trust) == "bob"


def test_where_the_repository_is_not_known_no_token_is_believed(ask: Any, issuer: OidcServer) -> None:
    assert "stateRepository" in ask(issuer.job, repositories=()).doubt


def test_the_repository_is_what_config_yaml_says_else_the_remotes(root: Path) -> None:
    git(root, "remote", "add", "origin", "https://secret@github.com/acme/platform.git")

    assert trusted_repositories(root, None) == ("https://github.com/acme/platform.git",)
    assert trusted_repositories(root, "https://github.com/acme/state") == ("https://github.com/acme/state",)


# --- bare names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"GITHUB_ACTOR": "alice", "GITLAB_USER_LOGIN": "bob"}, "alice"),
        ({"GITLAB_USER_LOGIN": "bob"}, "bob"),
        ({"GITHUB_ACTOR": "al\x1b[31mice"}, "al�[31mice"),
        ({}, "someone@example.com"),
    ],
)
def test_a_bare_name_counts_where_config_yaml_trusts_it(
    ask: Any, root: Path, environ: dict[str, str], name: str
) -> None:
    git(root, "config", "user.email", "someone@example.com")

    found = ask(environ, kinds=("unverified",))

    assert found == Identity(name, IdentityKind.UNVERIFIED)


def test_a_bare_name_is_doubted_where_proof_is_asked_for(ask: Any) -> None:
    found = ask({"GITHUB_ACTOR": "alice"}, kinds=("oidc", "git-signature"))

    assert found.actor == "alice"
    assert found.doubt == "no OIDC token of a CI job; no file allowed_signers beside images.yaml in a git checkout"


# --- git's signature -----------------------------------------------------------------------------------------

needs_ssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")


def make_key(folder: Path, name: str, passphrase: str = "") -> Path:
    key = folder / name
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", str(key)]
    subprocess.run(words, check=True, capture_output=True)
    return key


def allow(root: Path, *lines: str) -> None:
    (root / ALLOWED_SIGNERS).write_text("".join(f"{line}\n" for line in lines))
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "Name the signers")


def sign_with(root: Path, key: str) -> None:
    git(root, "config", "gpg.format", "ssh")
    git(root, "config", "user.signingKey", key)


@pytest.fixture
def signer(root: Path, tmp_path: Path) -> Path:
    """alice's key, which git signs with here and which is known as hers."""
    key = make_key(tmp_path, "alice")
    allow(root, f'alice@example.com namespaces="{AUDIENCE}" {key.with_suffix(".pub").read_text()}')
    sign_with(root, str(key))
    return key


SIGNED = {"kinds": ("git-signature",)}


@needs_ssh
def test_who_holds_a_known_key_is_its_owner_and_the_signature_is_kept(
    ask: Any, root: Path, signer: Path, tmp_path: Path
) -> None:
    found = ask({"GITHUB_ACTOR": "mallory"}, **SIGNED)

    assert (found.actor, found.kind, found.order) == ("alice@example.com", IdentityKind.GIT_SIGNATURE, ORDER)
    framed = f"-----BEGIN SSH SIGNATURE-----\n{found.signature}\n-----END SSH SIGNATURE-----\n"
    (tmp_path / "kept.sig").write_text(framed)
    words = ["ssh-keygen", "-Y", "verify", "-n", AUDIENCE, "-I", "alice@example.com", "-f", str(root / ALLOWED_SIGNERS)]
    checked = subprocess.run(
        [*words, "-s", str(tmp_path / "kept.sig")], input=ORDER.encode(), capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


@needs_ssh
def test_a_public_key_alone_signs_through_the_agent_or_not_at_all(ask: Any, root: Path, signer: Path) -> None:
    public = signer.with_suffix(".pub").read_text().strip()
    signer.rename(signer.with_name("hidden"))
    sign_with(root, f"key::{public}")

    assert "cannot be signed" in ask({}, **SIGNED).doubt


@needs_ssh
def test_an_unknown_key_is_nobody_s(ask: Any, root: Path, signer: Path, tmp_path: Path) -> None:
    sign_with(root, str(make_key(tmp_path, "mallory")))

    assert "names nobody" in ask({}, **SIGNED).doubt


@needs_ssh
def test_a_key_that_may_not_sign_orders_does_not(ask: Any, root: Path, signer: Path) -> None:
    allow(root, f'alice@example.com namespaces="git" {signer.with_suffix(".pub").read_text()}')

    assert "names nobody" in ask({}, **SIGNED).doubt


@needs_ssh
def test_a_key_whose_time_is_over_does_not_sign(ask: Any, root: Path, signer: Path) -> None:
    allow(root, f'alice@example.com valid-before="20200101" {signer.with_suffix(".pub").read_text()}')

    assert "names nobody" in ask({}, **SIGNED).doubt


@needs_ssh
@pytest.mark.parametrize(
    "principal", ["*", "*@example.com", "alice@example.com,*", "a@x.org,b@x.org", "-oProxyCommand=x"]
)
def test_a_pattern_and_several_names_are_nobody(ask: Any, root: Path, signer: Path, principal: str) -> None:
    allow(root, f"{principal} {signer.with_suffix('.pub').read_text()}")

    assert "names nobody" in ask({}, **SIGNED).doubt


@needs_ssh
def test_a_list_of_signers_that_is_not_committed_counts_for_nothing(ask: Any, root: Path, signer: Path) -> None:
    file = root / ALLOWED_SIGNERS
    file.write_text(file.read_text().replace("alice@", "root@"))

    assert "is not as it was committed" in ask({}, **SIGNED).doubt


@needs_ssh
def test_a_key_with_a_passphrase_asks_nobody_and_says_so(ask: Any, root: Path, signer: Path, tmp_path: Path) -> None:
    sign_with(root, str(make_key(tmp_path, "locked", "a secret phrase")))

    assert "cannot be signed" in ask({}, **SIGNED).doubt


@needs_ssh
def test_where_git_signs_with_no_ssh_key_that_is_said(ask: Any, root: Path, signer: Path) -> None:
    git(root, "config", "gpg.format", "openpgp")

    assert "git config gpg.format ssh" in ask({}, **SIGNED).doubt


@needs_ssh
def test_a_key_that_is_no_file_is_said(ask: Any, root: Path, signer: Path) -> None:
    sign_with(root, "/nowhere/key")

    assert "names no file" in ask({}, **SIGNED).doubt


# --- what is committed --------------------------------------------------------------------------------------


def test_a_file_is_committed_where_the_last_commit_holds_it_as_it_is(root: Path) -> None:
    checkout = Checkout.find(root)
    assert checkout is not None
    config = root / "config.yaml"

    assert is_committed(checkout, config)
    config.write_text("changed: true\n")
    assert not is_committed(checkout, config)
    git(root, "add", ".")
    assert not is_committed(checkout, config), "staged is not committed"
    git(root, "commit", "--quiet", "--message", "Change")
    assert is_committed(checkout, config)


def test_an_ignored_file_is_not_committed_and_a_missing_one_hides_nothing(root: Path) -> None:
    checkout = Checkout.find(root)
    assert checkout is not None
    (root / ".gitignore").write_text("allowed_signers\n")
    assert is_committed(checkout, root / ALLOWED_SIGNERS)
    (root / ALLOWED_SIGNERS).write_text("* ssh-ed25519 AAAA\n")

    assert not is_committed(checkout, root / ALLOWED_SIGNERS)


def test_a_removed_file_is_not_as_it_was_committed(root: Path) -> None:
    checkout = Checkout.find(root)
    assert checkout is not None
    os.unlink(root / "config.yaml")

    assert not is_committed(checkout, root / "config.yaml")


# --- a token that came with a call -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "claims", "actor", "doubt"),
    [
        pytest.param(("oidc",), {}, "alice", "", id="that holds"),
        pytest.param(("oidc",), {"aud": "other"}, "unknown", "not made for us", id="for somebody else"),
        pytest.param(("git-signature",), {}, "unknown", "trusts no OIDC tokens", id="where none is trusted"),
    ],
)
def test_a_token_says_who_calls_or_why_nobody_does(
    issuer: OidcServer, kinds: tuple[str, ...], claims: dict[str, object], actor: str, doubt: str
) -> None:
    issuer.discovery = {}
    clock = FixedClock(START)
    trust = Trust(kinds, (issuer.origin,), (REPOSITORY,))

    with HttpClient(None, clock) as http:
        found = verify_token(issuer.token(issuer.claims(**claims)), trust, http=http, clock=clock)

    assert (found.actor, found.kind is IdentityKind.OIDC) == (actor, not doubt)
    assert doubt in found.doubt
    assert bool(found.doubt) is bool(doubt)
