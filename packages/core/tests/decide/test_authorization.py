"""Who may order an emergency: whom config.yaml names, the last rule that fits an image deciding; else nobody."""

from __future__ import annotations

import pytest

from image_factory.decide.authorization import Identity, IdentityKind, decide_authorization
from image_factory.model.settings import EmergencySettings

SETTINGS = EmergencySettings.model_validate(
    {
        "actors": ["@security", "root"],
        "teams": {"security": ["alice", "Bob"], "shop": ["carol"], "nested": ["@security"]},
        "rules": [
            {"images": ["shop-*"], "actors": ["@shop"]},
            {"images": ["shop-pay", "*-vault"], "actors": ["dave"]},
            {"images": ["frozen"], "actors": []},
            {"images": ["odd"], "actors": ["@nobody", "@nested"]},
        ],
    }
)


def oidc(actor: str) -> Identity:
    return Identity(actor, IdentityKind.OIDC, issuer="https://gitlab.com")


@pytest.mark.parametrize(
    ("actor", "image", "granted"),
    [
        pytest.param("alice", "web", True, id="a member of a team, for an image that no rule names"),
        pytest.param("bob", "web", True, id="a login is one whatever its case"),
        pytest.param("ROOT", "web", True, id="an actor"),
        pytest.param("carol", "web", False, id="a member of a team for other images"),
        pytest.param("carol", "shop-web", True, id="a rule names the image"),
        pytest.param("alice", "shop-web", False, id="a rule takes the place of the actors"),
        pytest.param("carol", "shop-pay", False, id="a later rule takes the place of an earlier"),
        pytest.param("dave", "shop-pay", True, id="the last rule that fits"),
        pytest.param("dave", "key-vault", True, id="a star before the end"),
        pytest.param("dave", "key-vault-2", False, id="a glob names the whole name"),
        pytest.param("carol", "shop", False, id="a glob's prefix with its hyphen"),
        pytest.param("root", "frozen", False, id="a rule without actors lets nobody"),
        pytest.param("alice", "odd", False, id="teams that are not there, or hold teams, have no members"),
        pytest.param("", "web", False, id="a nameless actor"),
        pytest.param("@security", "web", False, id="a team's word is no actor"),
    ],
)
def test_who_may(actor: str, image: str, granted: bool) -> None:
    assert decide_authorization(oidc(actor), [image], SETTINGS).is_granted is granted


def test_one_image_that_is_refused_refuses_the_order_and_the_hint_names_the_others() -> None:
    found = decide_authorization(oidc("alice"), ["web", "shop-web", "api"], SETTINGS)

    assert not found.is_granted
    assert found.because == "'alice' may not order emergency rebuilds of shop-web"
    assert found.refused == ("shop-web",)
    assert "--images api,web" in found.hint


def test_where_nobody_is_configured_nobody_may_and_the_hint_says_how() -> None:
    found = decide_authorization(oidc("alice"), ["web"], EmergencySettings())

    assert not found.is_granted
    assert "none is configured" in found.because
    assert "emergency: {actors:" in found.hint


@pytest.mark.parametrize(
    ("kind", "trusted", "granted"),
    [
        pytest.param(IdentityKind.OIDC, ("oidc", "git-signature"), True, id="a token, trusted"),
        pytest.param(IdentityKind.OIDC, ("git-signature",), False, id="a token, where only signatures are"),
        pytest.param(IdentityKind.GIT_SIGNATURE, ("git-signature",), True, id="a signature, trusted"),
        pytest.param(IdentityKind.UNVERIFIED, ("oidc", "git-signature"), False, id="a bare name, by default"),
        pytest.param(IdentityKind.UNVERIFIED, ("unverified",), True, id="a bare name, where that is trusted"),
        pytest.param(IdentityKind.OIDC, (), False, id="where nothing is trusted"),
    ],
)
def test_what_vouches_must_be_trusted(kind: IdentityKind, trusted: tuple[str, ...], granted: bool) -> None:
    settings = EmergencySettings.model_validate({"actors": ["alice"], "trustedIdentities": list(trusted)})

    assert decide_authorization(Identity("alice", kind), ["web"], settings).is_granted is granted


def test_who_is_doubted_is_refused_even_where_bare_names_are_trusted() -> None:
    settings = EmergencySettings.model_validate({"actors": ["alice"], "trustedIdentities": ["unverified", "oidc"]})
    doubted = Identity("alice", IdentityKind.UNVERIFIED, doubt="the OIDC token has expired")

    found = decide_authorization(doubted, ["web"], settings)

    assert not found.is_granted
    assert "the OIDC token has expired" in found.because


def test_a_glob_in_a_rule_is_no_regular_expression() -> None:
    settings = EmergencySettings.model_validate({"rules": [{"images": ["w.b", "(a+)+$"], "actors": ["alice"]}]})

    assert not decide_authorization(oidc("alice"), ["web"], settings).is_granted
