"""Who gives an order: made sure of by the CI's OIDC token, or by an SSH signature as git makes them. I/O.

A name in the environment proves nothing: anybody who can run the program can set it. A token proves
who started the CI job, once its signature is checked with its issuer's keys, and only if it was made
for us (its audience) and for the repository that is ordered in. A signature proves who holds a key that
`allowed_signers` names. No token is sent anywhere but back to the service that hands tokens out,
and none is in any message.

OpenID Connect Core 1.0 and Discovery 1.0, RFC 7519 (JWT); docs.github.com "OpenID Connect reference";
docs.gitlab.com "OpenID Connect (OIDC) Authentication Using ID Tokens"; ssh-keygen(1), "ALLOWED SIGNERS".
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from image_factory.decide.authorization import Identity, IdentityKind
from image_factory.errors import NotFound, ProtocolError
from image_factory.model.event import one_line
from image_factory.ports import Clock, Http, HttpRequest
from image_factory.shell.git import Checkout
from image_factory.shell.process import run_tool

AUDIENCE = "image-factory"
"""What a token must be made for (`aud`), and the namespace of our signatures (`ssh-keygen -n`)."""
TOKEN_VARIABLE = "IMAGE_FACTORY_ID_TOKEN"  # noqa: S105 - a name
"""Where a GitLab job has its token: `id_tokens: {IMAGE_FACTORY_ID_TOKEN: {aud: image-factory}}`."""
ALLOWED_SIGNERS = "allowed_signers"
"""The file in the image-factory folder that says whose SSH key is whose."""
GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
KNOWN_ISSUERS: Mapping[str, str] = {"github.com": GITHUB_ISSUER, "gitlab.com": "https://gitlab.com"}
"""The issuer that is believed for a repository at a public host, where config.yaml names none."""
LEEWAY = timedelta(minutes=1)
"""How far apart our clock and the issuer's may be."""
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures with a public key alone: with a shared secret, an issuer's public key could be taken for one."""
MAX_TOKEN = 16 * 1024
"""Characters of a token. GitHub's have about 1,500, GitLab's 2,500."""
MAX_ANSWER = 256 * 1024
"""Bytes of an issuer's answer."""
_CLAIMS = (("actor", "repository"), ("user_login", "project_path"))
"""Who started a job and in which repository: GitHub's claims, and GitLab's."""
_PRINCIPAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]{0,99}\Z")
_SCP = re.compile(r"[A-Za-z0-9_.-]+@(?P<host>[A-Za-z0-9.-]+):(?P<path>.+)\Z")


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe."""

    kinds: tuple[str, ...]
    """`oidc`, `git-signature`, `unverified`."""
    issuers: tuple[str, ...] = ()
    """Empty: the public one of the repository's host."""
    repositories: tuple[str, ...] = ()
    """The clone URLs of the repository that is ordered in."""


class _Doubt(Exception):
    """Why something that should vouch does not; the text is shown."""


def identify(root: Path, trust: Trust, order: str, *, http: Http, clock: Clock, environ: Mapping[str, str]) -> Identity:
    """Return who gives `order`, and what vouches for it.

    The first that is there counts: a token, a signature, the bare name. One that is there and proves
    nothing is no identity: `doubt` says why, and nothing weaker is tried.

    Args:
        root: the image-factory folder.
        order: the text to sign, where it comes to that.

    Raises:
        Unavailable, RateLimited: the issuer does not answer.
        NotFound: what checks tokens is not installed.
    """
    claimed = claimed_actor(root, environ)
    reasons = []
    if IdentityKind.OIDC in trust.kinds:
        try:
            token = _token(trust, http, environ)
            if token is not None:
                return check_token(token, trust, http=http, clock=clock)
            reasons.append("no OIDC token of a CI job")
        except _Doubt as doubt:
            return Identity(claimed, IdentityKind.UNVERIFIED, doubt=str(doubt))
    if IdentityKind.GIT_SIGNATURE in trust.kinds:
        try:
            return sign_order(root, order)
        except _Missing as missing:
            reasons.append(str(missing))
        except _Doubt as doubt:
            return Identity(claimed, IdentityKind.UNVERIFIED, doubt=str(doubt))
    if IdentityKind.UNVERIFIED in trust.kinds:
        return Identity(claimed, IdentityKind.UNVERIFIED)
    return Identity(
        claimed, IdentityKind.UNVERIFIED, doubt="; ".join(reasons) or "config.yaml trusts no kind of identity"
    )


class _Missing(_Doubt):
    """What would vouch is not set up here."""


def claimed_actor(root: Path, environ: Mapping[str, str]) -> str:
    """Return the name that somebody goes by here, which nothing vouches for; `unknown` where there is none."""
    for variable in ("GITHUB_ACTOR", "GITLAB_USER_LOGIN"):
        if environ.get(variable):
            return one_line(environ[variable])[:100]
    checkout = Checkout.find(root)
    if checkout is not None:
        for key in ("user.email", "user.name"):
            found = checkout.git.attempt("config", "--get", key)
            if found.is_ok and found.text():
                return one_line(found.text())[:100]
    return "unknown"


# --- OIDC ------------------------------------------------------------------------------------------------


def _token(trust: Trust, http: Http, environ: Mapping[str, str]) -> str | None:
    token = environ.get(TOKEN_VARIABLE)
    if token:
        return token.strip()
    url, secret = environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"), environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    if not url or not secret:
        if environ.get("GITHUB_ACTIONS") == "true":
            raise _Doubt("the job has no OIDC token: give it permissions: {id-token: write}")
        return None
    if not any(_hands_out(url, issuer) for issuer in _believed(trust)):
        raise _Doubt("ACTIONS_ID_TOKEN_REQUEST_URL is no address of an issuer that is believed (emergency.oidcIssuers)")
    request = HttpRequest(
        "GET",
        f"{url}{'&' if '?' in url else '?'}audience={AUDIENCE}",
        {"Authorization": f"Bearer {secret}", "Accept": "application/json"},
    )
    answer = http.send(request, max_bytes=MAX_ANSWER)
    value = _object(answer.body).get("value") if answer.status == 200 else None
    if not isinstance(value, str):
        raise _Doubt(
            f"GitHub hands out no OIDC token (status {answer.status}): give the job permissions: id-token: write"
        )
    return value


def _hands_out(url: str, issuer: str) -> bool:
    """Whether a job's token service belongs to `issuer`: one host, or, as github.com has it, hosts of one domain."""
    asked, own = urlsplit(url), urlsplit(issuer)
    if asked.scheme != own.scheme or asked.username is not None:
        return False
    if asked.netloc == own.netloc:
        return True
    # https://run-actions-1.actions.githubusercontent.com hands out tokens of token.actions.githubusercontent.com.
    host, domain = asked.hostname or "", (own.hostname or "").removeprefix("token.")
    return domain != own.hostname and asked.port is None and host.endswith(f".{domain}") and domain.count(".") >= 2


def verify_token(token: str, trust: Trust, *, http: Http, clock: Clock) -> Identity:
    """Return who `token` proves to give an order; of one that proves nothing `doubt` says why.

    Raises:
        Unavailable, RateLimited: the issuer does not answer.
        NotFound: what checks tokens is not installed.
    """
    if IdentityKind.OIDC not in trust.kinds:
        reason = "config.yaml trusts no OIDC tokens (emergency.trustedIdentities)"
        return Identity("unknown", IdentityKind.UNVERIFIED, doubt=reason)
    try:
        return check_token(token, trust, http=http, clock=clock)
    except _Doubt as doubt:
        return Identity("unknown", IdentityKind.UNVERIFIED, doubt=str(doubt))


def check_token(token: str, trust: Trust, *, http: Http, clock: Clock) -> Identity:
    """Return the identity that a JWT proves.

    Raises:
        Unavailable, RateLimited: the issuer does not answer.
    """
    jwt = _library()
    if len(token) > MAX_TOKEN:
        raise _Doubt("the OIDC token is too long to be one")
    try:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise _Doubt("the OIDC token is no JWT") from None
    issuer, believed = str(claims.get("iss", "")), _believed(trust)
    if issuer not in believed:
        raise _Doubt(
            f"the OIDC token is of {one_line(issuer)[:100]!r}; believed is {', '.join(believed) or 'no issuer'} "
            "(emergency.oidcIssuers)"
        )
    key = _key(issuer, header.get("kid"), http)
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=list(ALGORITHMS),
            audience=AUDIENCE,
            issuer=issuer,
            # Of times our own clock decides, below.
            options={
                "require": ["exp", "iat", "iss", "aud"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except jwt.InvalidAudienceError:
        raise _Doubt(f"the OIDC token is not made for us: its audience must be {AUDIENCE}") from None
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise _Doubt(f"the OIDC token does not hold: {type(error).__name__}") from None
    _check_times(claims, clock.now())
    return Identity(_actor(claims, issuer, trust), IdentityKind.OIDC, issuer=issuer)


def _library() -> Any:
    try:
        import jwt
        import jwt.algorithms

        if not jwt.algorithms.has_crypto:
            raise ImportError("cryptography")
    except ImportError as error:
        raise NotFound(
            f"what checks OIDC tokens is not installed: {error.name or error}", hint="pip install 'image-factory[oidc]'"
        ) from error
    return jwt


def _believed(trust: Trust) -> tuple[str, ...]:
    if trust.issuers:
        return tuple(issuer.rstrip("/") for issuer in trust.issuers)
    hosts = {host for host, _ in map(_place, trust.repositories)}
    return tuple(KNOWN_ISSUERS[host] for host in sorted(hosts) if host in KNOWN_ISSUERS)


def _key(issuer: str, kid: object, http: Http) -> Any:
    """Return the issuer's public key of that id, asked of the issuer itself and of no other host."""
    jwt = _library()
    keys_url = _ask(f"{issuer}/.well-known/openid-configuration", http)
    if str(keys_url.get("issuer", "")).rstrip("/") != issuer:
        raise _Doubt(f"{issuer} says that it is another issuer")
    url = str(keys_url.get("jwks_uri", ""))
    if urlsplit(url)[:2] != urlsplit(issuer)[:2]:
        raise _Doubt(f"the keys of {issuer} lie at another host, which is not believed")
    keys = _ask(url, http).get("keys")
    for key in keys if isinstance(keys, list) else ():
        if isinstance(key, dict) and key.get("kid") == kid:
            try:
                return jwt.PyJWK(key)
            except (jwt.PyJWTError, ValueError, TypeError):
                raise _Doubt(f"a key of {issuer} cannot be read") from None
    raise _Doubt(f"the OIDC token is signed with a key that {issuer} does not have")


def _ask(url: str, http: Http) -> dict[str, Any]:
    answer = http.send(HttpRequest("GET", url, {"Accept": "application/json"}), max_bytes=MAX_ANSWER)
    if answer.status != 200:
        raise ProtocolError(f"{url} answers {answer.status}", hint="check emergency.oidcIssuers in config.yaml")
    return _object(answer.body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ProtocolError("an OIDC issuer answers with no JSON object", hint="check emergency.oidcIssuers")
    return found


def _check_times(claims: Mapping[str, Any], now: datetime) -> None:
    times = {}
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is None and name == "nbf":
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**33:
            raise _Doubt(f"the OIDC token's {name} is no time")
        times[name] = datetime.fromtimestamp(value, UTC)
    if now >= times["exp"] + LEEWAY:
        raise _Doubt("the OIDC token has expired")
    if any(now < times[name] - LEEWAY for name in ("nbf", "iat") if name in times):
        raise _Doubt("the OIDC token is not valid yet; is this machine's clock right?")


def _actor(claims: Mapping[str, Any], issuer: str, trust: Trust) -> str:
    """Return who started the job, if the job is one of the repository that is ordered in."""
    github, gitlab = (
        (claims.get("actor"), claims.get("repository")),
        (claims.get("user_login"), claims.get("project_path")),
    )
    named = [pair for pair in (github, gitlab) if all(isinstance(value, str) and value for value in pair)]
    if len(named) != 1:
        raise _Doubt("the OIDC token names no actor: neither GitHub's actor and repository, nor GitLab's user_login")
    actor, repository = str(named[0][0]), str(named[0][1])
    places = [_place(url) for url in trust.repositories]
    if not places:
        raise _Doubt("which repository this is, is not known: write kargo: {stateRepository: URL} in config.yaml")
    # The host counts unless config.yaml names the issuer: acme/platform may be somebody else's at another host.
    hosts = {host for host, known in KNOWN_ISSUERS.items() if known == issuer} | {urlsplit(issuer).hostname or ""}
    if not any(path.lower() == repository.lower() and (trust.issuers or host in hosts) for host, path in places):
        raise _Doubt(f"the OIDC token is of a job of {one_line(repository)[:100]!r}, not of this repository")
    return one_line(actor)[:100]


def _place(url: str) -> tuple[str, str]:
    """Return host and path of a clone URL."""
    found = _SCP.match(url)
    if found:
        host, path = found["host"], found["path"]
    else:
        parts = urlsplit(url)
        host, path = (parts.hostname or ""), parts.path
    return host.lower(), path.strip("/").removesuffix(".git")


# --- git's signature ---------------------------------------------------------------------------------------


def sign_order(root: Path, order: str) -> Identity:
    """Return the identity of the key that git is set up to sign with here, after it signed `order`."""
    signers = root / ALLOWED_SIGNERS
    checkout = Checkout.find(root)
    if not signers.is_file() or checkout is None:
        raise _Missing(f"no file {ALLOWED_SIGNERS} beside images.yaml in a git checkout")
    if not is_committed(checkout, signers):
        raise _Doubt(f"{ALLOWED_SIGNERS} is not as it was committed: whose key is whose is read from git alone")
    key = _setting(checkout, "user.signingKey")
    if _setting(checkout, "gpg.format") != "ssh" or not key:
        raise _Missing("git signs with no SSH key here (git config gpg.format ssh; git config user.signingKey FILE)")
    with tempfile.TemporaryDirectory(prefix="image-factory-sign-") as folder:
        return _signed(Path(folder), _key_file(key, Path(folder)), signers, order)


def _signed(folder: Path, key: Path, signers: Path, order: str) -> Identity:
    text = order.encode("utf-8")
    signed = run_tool(["ssh-keygen", "-Y", "sign", "-n", AUDIENCE, "-f", str(key)], stdin=text, max_output=64 * 1024)
    if not signed.is_ok:
        raise _Doubt(f"the order cannot be signed: {signed.complaint()}")
    signature = folder / "order.sig"
    signature.write_bytes(signed.stdout)
    found = run_tool(["ssh-keygen", "-Y", "find-principals", "-s", str(signature), "-f", str(signers)])
    principals = set(found.text().splitlines()) if found.is_ok else set()
    # A pattern, or several names, would make one key many people's.
    if len(principals) == 1 and _PRINCIPAL.match(principal := principals.pop()):
        words = ["ssh-keygen", "-Y", "verify", "-n", AUDIENCE, "-f", str(signers)]
        if run_tool([*words, "-I", principal, "-s", str(signature)], stdin=text).is_ok:
            body = "".join(line for line in signed.text().splitlines() if not line.startswith("-----"))
            return Identity(principal, IdentityKind.GIT_SIGNATURE, signature=body, order=order)
    raise _Doubt(f"{ALLOWED_SIGNERS} names nobody, or nobody alone, for the key that signed the order")


def _setting(checkout: Checkout, key: str) -> str:
    found = checkout.git.attempt("config", "--get", key)
    return found.text() if found.is_ok else ""


def _key_file(key: str, folder: Path) -> Path:
    literal = key.removeprefix("key::")
    if literal != key or literal.startswith(("ssh-", "ecdsa-", "sk-")):
        # The key itself stands there; the agent has its other half.
        file = folder / "key.pub"
        file.write_text(f"{literal}\n", encoding="utf-8")
        return file
    path = Path(key).expanduser()
    if not path.is_file():
        raise _Doubt("user.signingKey names no file")
    return path


def is_committed(checkout: Checkout, file: Path) -> bool:
    """Whether a file is in the last commit as it lies there now, or is neither here nor there."""
    relative = file.resolve().relative_to(checkout.root.resolve()).as_posix()
    if not checkout.git.attempt("ls-files", "--error-unmatch", "--", relative).is_ok:
        return not file.exists()
    same = checkout.git.attempt("diff", "--quiet", "--no-ext-diff", "--no-textconv", "HEAD", "--", relative)
    return same.is_ok


def trusted_repositories(root: Path, stated: str | None) -> tuple[str, ...]:
    """Return the clone URLs of the repository that a folder lies in: what config.yaml says, else its remotes."""
    if stated:
        return (stated,)
    checkout = Checkout.find(root)
    return () if checkout is None else tuple(checkout.remotes().values())
