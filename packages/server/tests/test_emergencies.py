"""POST /emergency-rebuilds: at once for whom config.yaml names, refused and written down for whom it does not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from image_factory.hookspecs import hookimpl
from image_factory.model.event import Event, EventKind
from image_factory.plugins import load_plugins
from image_factory_server.answers import Refused
from image_factory_server.body import MAX_BODY
from image_factory_server.counts import Counts
from image_factory_server.emergencies import read_order_body

if TYPE_CHECKING:
    from .conftest import Serving, Site
else:
    Serving = Site = Any

Bearer = Callable[..., Mapping[str, str]]
PATH = "/emergency-rebuilds"
GOOD = {"cve": "CVE-2026-12345", "base": "node:22", "reason": "exploited in the wild"}
OLD, NEW, NEWEST = (f"sha256:{digit * 64}" for digit in "abc")


def problems(answer: httpx.Response) -> dict[str | None, str]:
    return {each["field"]: each["message"] for each in answer.json()["errors"]}


def untouched(site: Site) -> bool:
    return not (site.root / "state/audit").exists() and not (site.root / "state/rebuild-requests").exists()


def test_an_order_is_answered_with_202_and_its_requests_are_in_git(
    site: Site, api: httpx.Client, bearer: Bearer
) -> None:
    answer = api.post(PATH, json=GOOD, headers=bearer())

    told = answer.json()
    assert answer.status_code == 202, told
    assert (told["cve"], told["actor"], told["affected"]) == ("CVE-2026-12345", "alice", ["shop", "web"])
    assert {each["image"] for each in told["requests"]} == {"shop", "web"}
    for each in told["requests"]:
        assert f"requestId: {each['requestId']}" in site.written(f"rebuild-requests/{each['image']}.yaml")
    entry = site.written("audit/000001.yaml")
    assert told["audit"].startswith("000001-")
    assert told["audit"].removeprefix("000001-") in entry
    for word in ("outcome: granted", "actor: alice", "identity: oidc", "exploited in the wild", site.issuer.origin):
        assert word in entry
    assert told["commit"] == site.git("rev-parse", "HEAD").strip()
    assert site.git("log", "-1", "--format=%s").strip() == "Order an emergency rebuild for CVE-2026-12345"
    assert site.git("status", "--porcelain") == ""


def test_the_same_order_again_requests_nothing(site: Site, api: httpx.Client, bearer: Bearer) -> None:
    api.post(PATH, json=GOOD, headers=bearer())
    before = site.git("rev-parse", "HEAD")

    answer = api.post(PATH, json=GOOD, headers=bearer())

    assert answer.status_code == 202
    assert (answer.json()["requests"], answer.json()["audit"]) == ([], None)
    assert {each["outcome"] for each in answer.json()["outcomes"]} == {"skipped"}
    assert site.git("rev-parse", "HEAD") == before


def test_images_can_be_ordered_by_name(api: httpx.Client, bearer: Bearer) -> None:
    order = {"cve": "GHSA-2345-6789-cfgh", "images": ["web"], "reason": "exploited"}

    answer = api.post(PATH, json=order, headers=bearer())

    assert answer.status_code == 202
    assert [each["image"] for each in answer.json()["requests"]] == ["web"]


# --- what is written wrongly ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        pytest.param({}, {"base", "cve", "reason"}, id="nothing"),
        pytest.param({**GOOD, "reason": "  "}, {"reason"}, id="a blank reason"),
        pytest.param({"cve": GOOD["cve"], "base": "node:22"}, {"reason"}, id="no reason"),
        pytest.param({"reason": "exploited", "base": "node:22"}, {"cve"}, id="no vulnerability"),
        pytest.param({**GOOD, "cve": "CVE-1"}, {"cve"}, id="no id"),
        pytest.param({**GOOD, "images": ["web"]}, {"base"}, id="a base and images"),
        pytest.param({**GOOD, "base": "nobody-knows:1"}, {"base"}, id="a base that nobody knows"),
        pytest.param({**GOOD, "digestRange": "zzz"}, {"base"}, id="no range"),
        pytest.param({"cve": GOOD["cve"], "reason": "now", "images": ["nothing"]}, {"images"}, id="an unknown image"),
        pytest.param({**GOOD, "priority": 1}, {"priority"}, id="a field that there is not"),
        pytest.param({**GOOD, "cve": 7}, {"cve"}, id="a number for a text"),
        pytest.param({"cve": 7, "images": "web"}, {"cve", "images", "reason"}, id="everything at once"),
        pytest.param({**GOOD, "rebuildAnyway": "yes"}, {"rebuildAnyway"}, id="a text for a choice"),
        pytest.param({"cve": GOOD["cve"], "reason": "now", "images": ["a", 7]}, {"images.1"}, id="one of the images"),
        pytest.param({**GOOD, "reason": "${{ secrets.TOKEN }}"}, {"reason"}, id="an expression"),
    ],
)
def test_a_wrong_order_is_answered_with_400_by_field_and_writes_nothing(
    site: Site, api: httpx.Client, bearer: Bearer, body: dict[str, Any], wrong: set[str]
) -> None:
    answer = api.post(PATH, json=body, headers=bearer())

    assert answer.status_code == 400, answer.text
    assert set(problems(answer)) == wrong
    assert all(problems(answer).values())
    assert untouched(site)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"\xff\xfe", id="bytes"),
        pytest.param(b"[" * 20_000, id="deep"),
        pytest.param(b'{"cve": "\\ud800"}', id="half a character"),
    ],
)
def test_what_is_no_object_is_answered_with_400(api: httpx.Client, bearer: Bearer, content: bytes) -> None:
    answer = api.post(PATH, content=content, headers=bearer())

    assert answer.status_code == 400
    assert answer.json()["errors"]


@pytest.mark.parametrize("length", [True, False], ids=["that says so", "that comes in parts"])
def test_a_body_that_is_too_large_is_answered_with_413(
    site: Site, api: httpx.Client, bearer: Bearer, length: bool
) -> None:
    body = b'{"reason": "' + b"x" * MAX_BODY + b'"}'

    answer = api.post(PATH, content=body if length else iter([body[:9], body[9:]]), headers=bearer())

    assert answer.status_code == 413
    assert untouched(site)


def test_every_problem_of_a_body_is_told_at_once() -> None:
    with pytest.raises(Refused) as caught:
        read_order_body({"cve": 1, "digestRange": "a..b", "priority": 1})

    assert {problem.field for problem in caught.value.problems} == {"cve", "priority", "reason", "base"}


# --- who asks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"Authorization": "Basic YWxpY2U6YQ=="}, id="of another kind"),
        pytest.param({"Authorization": "Bearer"}, id="blank"),
    ],
)
def test_without_a_token_the_answer_is_401(site: Site, api: httpx.Client, headers: dict[str, str]) -> None:
    answer = api.post(PATH, json=GOOD, headers=headers)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="image-factory"'
    assert untouched(site)


@pytest.mark.parametrize(
    ("claims", "doubt"),
    [
        pytest.param({"aud": "somebody-else"}, "not made for us", id="for somebody else"),
        pytest.param({"exp": 1}, "has expired", id="of long ago"),
        pytest.param({"iss": "https://evil.example.com"}, "believed is", id="of another issuer"),
        pytest.param({"repository": "acme/other"}, "not of this repository", id="of another repository"),
        pytest.param({"actor": None}, "names no actor", id="of nobody"),
    ],
)
def test_a_token_that_proves_nothing_is_answered_with_401_and_not_written_down(
    site: Site, api: httpx.Client, bearer: Bearer, claims: dict[str, object], doubt: str
) -> None:
    answer = api.post(PATH, json=GOOD, headers=bearer(**{"actor": "alice", **claims}))

    assert answer.status_code == 401, answer.text
    assert doubt in problems(answer)[None]
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert untouched(site)


def test_a_token_with_another_s_signature_is_answered_with_401(site: Site, api: httpx.Client) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    forged = site.issuer.token(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))

    answer = api.post(PATH, json=GOOD, headers={"Authorization": f"Bearer {forged}"})

    assert answer.status_code == 401
    assert forged not in answer.text
    assert untouched(site)


def test_many_forged_tokens_have_their_issuer_asked_once(site: Site, api: httpx.Client) -> None:
    site.issuer.exchanges.clear()

    for number in range(5):
        forged = site.issuer.token(kid=f"no-such-key-{number}")
        assert api.post(PATH, json=GOOD, headers={"Authorization": f"Bearer {forged}"}).status_code == 401

    assert len(site.issuer.exchanges) == 2


def test_somebody_whom_config_yaml_does_not_name_is_answered_with_403_and_written_down(
    site: Site, api: httpx.Client, bearer: Bearer
) -> None:
    answer = api.post(PATH, json=GOOD, headers=bearer("mallory"))

    assert answer.status_code == 403
    assert "'mallory' may not order emergency rebuilds of" in problems(answer)[None]
    entry = site.written("audit/000001.yaml")
    assert "outcome: refused" in entry
    assert "actor: mallory" in entry
    assert answer.json()["audit"].removeprefix("000001-") in entry
    assert answer.json()["requests"] == []
    assert not (site.root / "state/rebuild-requests").exists()
    assert site.git("log", "-1", "--format=%s").strip() == "Refuse an emergency rebuild for CVE-2026-12345"


def test_who_may_is_read_from_what_is_committed_at_each_call(site: Site, api: httpx.Client, bearer: Bearer) -> None:
    file = site.root / "config.yaml"
    file.write_text(file.read_text().replace("alice", "mallory"))
    uncommitted = api.post(PATH, json=GOOD, headers=bearer("mallory"))
    site.git("commit", "--quiet", "--message", "Let mallory", "--", str(file))
    committed = api.post(PATH, json=GOOD, headers=bearer("mallory"))

    assert uncommitted.status_code == 403
    assert "config.yaml is not as it was committed" in problems(uncommitted)[None]
    assert committed.status_code == 202


def test_neither_the_server_s_environment_nor_its_key_is_the_caller_s(site: Site, serving: Serving) -> None:
    own = {"GITHUB_ACTOR": "alice", "IMAGE_FACTORY_ID_TOKEN": site.issuer.token(), **site.issuer.job}

    answer = serving(site.desk(environ=own)).post(PATH, json=GOOD)

    assert answer.status_code == 401
    assert untouched(site)


def test_where_tokens_are_not_trusted_none_is_believed(site: Site, api: httpx.Client, bearer: Bearer) -> None:
    text = (site.root / "config.yaml").read_text()
    site.configure(f"{text}  trustedIdentities: [git-signature]\n")

    answer = api.post(PATH, json=GOOD, headers=bearer())

    assert answer.status_code == 401
    assert "trusts no OIDC tokens" in problems(answer)[None]


def test_an_issuer_that_does_not_answer_is_503(site: Site, api: httpx.Client, bearer: Bearer) -> None:
    text = (site.root / "config.yaml").read_text()
    site.configure(text.replace(site.issuer.origin, "http://127.0.0.1:9"))

    answer = api.post(PATH, json=GOOD, headers=bearer(iss="http://127.0.0.1:9"))

    assert answer.status_code == 503
    assert problems(answer)[None]
    assert untouched(site)


# --- what cannot be done ------------------------------------------------------------------------------------


def test_where_no_image_has_a_fix_the_answer_is_409_with_each(site: Site, api: httpx.Client, bearer: Bearer) -> None:
    answer = api.post(PATH, json={**GOOD, "digestRange": f"{OLD}.."}, headers=bearer())

    assert answer.status_code == 409
    assert all("no fixed digest of node-22" in each["message"] for each in answer.json()["errors"])
    assert {each["outcome"] for each in answer.json()["outcomes"]} == {"failed"}
    assert untouched(site)


def test_what_cannot_be_pushed_is_kept_and_told(site: Site, serving: Serving, bearer: Bearer) -> None:
    site.git("remote", "add", "origin", str(site.checkout.parent / "nowhere.git"))

    answer = serving(site.desk(push=True)).post(PATH, json=GOOD, headers=bearer())

    assert answer.status_code >= 500 or answer.status_code == 400, answer.text
    assert answer.json()["commit"] == site.git("rev-parse", "HEAD").strip()
    assert answer.json()["requests"]


def test_calls_at_once_write_one_after_the_other(site: Site, api: httpx.Client, bearer: Bearer) -> None:
    names = ["web", "shop", "api"]
    answers: list[httpx.Response] = []

    def order(name: str) -> None:
        body = {"cve": "CVE-2026-12345", "images": [name], "reason": "exploited", "rebuildAnyway": True}
        answers.append(api.post(PATH, json=body, headers=bearer()))

    threads = [threading.Thread(target=order, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [answer.status_code for answer in answers] == [202] * 3, [answer.text for answer in answers]
    assert len({answer.json()["audit"] for answer in answers}) == 3
    assert len(list((site.root / "state/audit").iterdir())) == 3
    assert site.git("status", "--porcelain") == ""


def test_people_are_told_after_the_answer_and_a_notifier_that_fails_changes_nothing(
    site: Site, serving: Serving, bearer: Bearer
) -> None:
    told: list[Event] = []
    done = threading.Event()

    class Notifier:
        name = "listener"

        def deliver(self, events: Sequence[Event]) -> None:
            told.extend(events)
            done.set()
            raise RuntimeError("boom")

    class Plugin:
        @hookimpl
        def register_notifiers(self, register: Callable[[Any], None]) -> None:
            register(Notifier())

    desk = site.desk()
    settings = desk.workbench().settings
    desk.plugins = load_plugins(settings, site.http, site.clock, builtins={"listener": Plugin()}, found=())

    answer = serving(desk).post(PATH, json=GOOD, headers=bearer())

    assert answer.status_code == 202
    assert done.wait(30)
    assert [event.kind for event in told] == [EventKind.EMERGENCY_REQUESTED]


def test_orders_are_counted(site: Site, api: httpx.Client, bearer: Bearer) -> None:
    api.post(PATH, json=GOOD, headers=bearer("mallory"))
    api.post(PATH, json=GOOD, headers=bearer())
    api.post(PATH, json=GOOD, headers=bearer())  # comes to nothing

    text = api.get("/metrics").text

    assert 'image_factory_emergency_rebuilds_total{outcome="granted"} 1\n' in text
    assert 'image_factory_emergency_rebuilds_total{outcome="refused"} 1\n' in text


def test_an_order_that_cannot_be_counted_is_given_all_the_same(
    site: Site, serving: Serving, bearer: Bearer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "image-factory.prom"
    file.write_text("buy milk\n")

    answer = serving(site.desk(counts=Counts(file))).post(PATH, json=GOOD, headers=bearer())

    assert answer.status_code == 202
    assert "not counted" in caplog.text
    assert file.read_text() == "buy milk\n"


def test_a_folder_that_cannot_be_read_is_answered_as_json(site: Site, api: httpx.Client, bearer: Bearer) -> None:
    (site.root / "images.yaml").write_text("name: [\n")

    answer = api.post(PATH, json=GOOD, headers=bearer())

    assert answer.status_code >= 400
    assert "Traceback" not in answer.text
    assert answer.json()["errors"][0]["message"]
