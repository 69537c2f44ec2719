"""The network within bounds: size, time, redirects, retries, and secrets that stay at home."""

from __future__ import annotations

import gzip
import threading
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from image_factory.errors import ProtocolError, Unavailable
from image_factory.model.settings import RegistrySettings, Settings
from image_factory.ports import Http, HttpRequest
from image_factory.shell.http import HttpClient, HttpLimits, is_inner, is_loopback
from image_factory.testing.clock import FixedClock

SECRET = "planted-secret-1a2b3c"
Answer = Callable[["Asked"], None]


class Asked(BaseHTTPRequestHandler):
    """One request to the server below, which remembers it and lets the test's function answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Any

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, dict(self.headers.items()), body))
        self.server.answer(self)

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - http.server's words

    def give(self, status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class Server:
    def __init__(self, answer: Answer) -> None:
        server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Asked)
        self._server = server
        self._server.requests, self._server.answer, self._server.daemon_threads = [], answer, True
        self._server.handle_error = lambda *_: None
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def requests(self) -> list[tuple[str, str, dict[str, str], bytes]]:
        return list(self._server.requests)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


Serve = Callable[[Answer], Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(answer: Answer) -> Server:
            server = Server(answer)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def http(clock: FixedClock) -> Iterator[HttpClient]:
    with HttpClient(Settings(), clock, randomness=lambda: 0.0) as client:
        yield client


def get(url: str, **headers: str) -> HttpRequest:
    return HttpRequest("GET", url, headers)


def test_it_is_an_http(http: HttpClient) -> None:
    assert isinstance(http, Http)


def test_an_answer_comes_back_whole_with_headers_in_lower_case(http: HttpClient, serve: Serve) -> None:
    server = serve(lambda asked: asked.give(404, b"gone", {"X-Word": "Yes"}))

    answer = http.send(get(f"{server.url}/a"))

    assert (answer.status, answer.body, answer.headers["x-word"]) == (404, b"gone", "Yes")
    assert answer.url == f"{server.url}/a"


def test_a_header_that_comes_twice_is_one_with_both(http: HttpClient, serve: Serve) -> None:
    def answer(asked: Asked) -> None:
        asked.send_response(401)
        asked.send_header("WWW-Authenticate", 'Basic realm="a"')
        asked.send_header("Www-Authenticate", 'Bearer realm="b"')
        asked.send_header("Content-Length", "0")
        asked.end_headers()

    headers = http.send(get(serve(answer).url)).headers

    assert headers["www-authenticate"] == 'Basic realm="a", Bearer realm="b"'


def test_we_say_who_asks_and_ask_for_no_compression(http: HttpClient, serve: Serve) -> None:
    server = serve(lambda asked: asked.give())

    http.send(get(server.url, Accept="x/y"))

    headers = server.requests[0][2]
    assert headers["User-Agent"].startswith("image-factory/")
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Accept"] == "x/y"


def test_a_cookie_is_not_kept(http: HttpClient, serve: Serve) -> None:
    server = serve(lambda asked: asked.give(headers={"Set-Cookie": "a=b; Path=/"}))

    http.send(get(server.url))
    http.send(get(server.url))

    assert all("Cookie" not in headers for _, _, headers, _ in server.requests)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_connection_serves_many_requests(http: HttpClient, serve: Serve, method: str) -> None:
    ports: list[int] = []

    def answer(asked: Asked) -> None:
        ports.append(asked.client_address[1])
        asked.give(body=b"x")

    server = serve(answer)
    for _ in range(5):
        http.send(HttpRequest(method, server.url))

    assert len(set(ports)) == 1


def test_many_threads_may_ask_at_once(http: HttpClient, serve: Serve) -> None:
    server = serve(lambda asked: asked.give(body=asked.path.encode()))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: http.send(get(f"{server.url}/{n}")).body, range(64)))

    assert answers == [f"/{n}".encode() for n in range(64)]


# --- size ----------------------------------------------------------------------------------------


def test_a_body_of_just_the_bound_is_read(http: HttpClient, serve: Serve) -> None:
    server = serve(lambda asked: asked.give(body=b"x" * 1000))

    assert len(http.send(get(server.url), max_bytes=1000).body) == 1000


def test_a_larger_body_is_refused(http: HttpClient, serve: Serve) -> None:
    server = serve(lambda asked: asked.give(body=b"x" * 1001))

    with pytest.raises(ProtocolError, match="more than 1000 bytes"):
        http.send(get(server.url), max_bytes=1000)


def test_a_body_that_announces_no_size_is_cut(http: HttpClient, serve: Serve) -> None:
    def answer(asked: Asked) -> None:
        asked.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100_000):
            asked.wfile.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")

    with pytest.raises(ProtocolError, match="more than 100000 bytes"):
        http.send(get(serve(answer).url), max_bytes=100_000)


def test_a_head_has_no_body_whatever_it_announces(http: HttpClient, serve: Serve) -> None:
    def answer(asked: Asked) -> None:
        asked.send_response(200)
        asked.send_header("Content-Length", "999999999999")
        asked.end_headers()

    assert http.send(HttpRequest("HEAD", serve(answer).url)).body == b""


def test_compression_that_was_not_asked_for_is_unpacked(http: HttpClient, serve: Serve) -> None:
    server = serve(lambda asked: asked.give(body=gzip.compress(b"hello"), headers={"Content-Encoding": "gzip"}))

    assert http.send(get(server.url)).body == b"hello"


def test_a_bomb_is_not_unpacked(http: HttpClient, serve: Serve) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    server = serve(lambda asked: asked.give(body=bomb, headers={"Content-Encoding": "gzip"}))

    with pytest.raises(ProtocolError, match="more than 100000 bytes"):
        http.send(get(server.url), max_bytes=100_000)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "nonsense"])
def test_another_compression_is_refused(http: HttpClient, serve: Serve, encoding: str) -> None:
    server = serve(lambda asked: asked.give(body=b"x", headers={"Content-Encoding": encoding}))

    with pytest.raises(ProtocolError, match="compresses as"):
        http.send(get(server.url))


def test_broken_compression_is_a_protocol_error(http: HttpClient, serve: Serve) -> None:
    server = serve(lambda asked: asked.give(body=b"x", headers={"Content-Encoding": "gzip"}))

    with pytest.raises(ProtocolError, match="gzip that is none"):
        http.send(get(server.url))


# --- redirects -----------------------------------------------------------------------------------


def test_a_redirect_on_the_same_host_keeps_the_credentials(http: HttpClient, serve: Serve) -> None:
    server = serve(lambda asked: asked.give(307, headers={"Location": "/b"}) if asked.path == "/a" else asked.give())

    answer = http.send(get(f"{server.url}/a", Authorization=f"Bearer {SECRET}"))

    assert answer.url == f"{server.url}/b"
    assert server.requests[1][2]["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "PRIVATE-TOKEN", "X-Api-Key", "Proxy-Authorization"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_takes_no_secret_along(
    http: HttpClient, serve: Serve, status: int, name: str
) -> None:
    other = serve(lambda asked: asked.give(302, headers={"Location": f"{first.url}/back"}))
    first = serve(
        lambda asked: asked.give() if asked.path == "/back" else asked.give(status, headers={"Location": other.url})
    )

    http.send(get(first.url, **{name: SECRET, "Accept": "x/y"}))

    assert SECRET not in str(other.requests)
    assert other.requests[0][2]["Accept"] == "x/y"
    # Nor does it come back to life where a later redirect leads home.
    assert SECRET not in str(first.requests[1])


def test_a_redirect_of_a_head_stays_a_head(http: HttpClient, serve: Serve) -> None:
    server = serve(lambda asked: asked.give(303, headers={"Location": "/b"}) if asked.path == "/a" else asked.give())

    http.send(HttpRequest("HEAD", f"{server.url}/a"))

    assert [method for method, *_ in server.requests] == ["HEAD", "HEAD"]


def test_a_body_does_not_follow_to_another_host(http: HttpClient, serve: Serve) -> None:
    other = serve(lambda asked: asked.give())
    server = serve(lambda asked: asked.give(307, headers={"Location": other.url}))

    with pytest.raises(ProtocolError, match="redirects what was sent"):
        http.send(HttpRequest("POST", server.url, {}, SECRET.encode()))

    assert other.requests == []


def test_a_post_that_is_answered_elsewhere_is_asked_for_there(http: HttpClient, serve: Serve) -> None:
    server = serve(lambda asked: asked.give(303, headers={"Location": "/b"}) if asked.path == "/a" else asked.give())

    http.send(HttpRequest("POST", f"{server.url}/a", {}, b"x"))

    assert [(method, body) for method, _, _, body in server.requests] == [("POST", b"x"), ("GET", b"")]


def test_redirects_end(http: HttpClient, serve: Serve) -> None:
    server = serve(lambda asked: asked.give(302, headers={"Location": f"{asked.path}x"}))

    with pytest.raises(ProtocolError, match="redirects more than 5 times"):
        http.send(get(f"{server.url}/"))

    assert len(server.requests) == 6


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://user:pw@127.0.0.1/x",
        "http://[::1/x",
        "http://plain.example/x",
    ],
)
def test_a_redirect_to_what_may_not_be_asked_is_refused(http: HttpClient, serve: Serve, location: str) -> None:
    server = serve(lambda asked: asked.give(302, headers={"Location": location}))

    with pytest.raises(ProtocolError) as caught:
        http.send(get(server.url))

    assert "pw" not in caught.value.message


def test_from_https_a_redirect_leads_to_https_alone_and_never_inside(http: HttpClient) -> None:
    check = http._check_redirect

    check("https://a.example/x", "https://b.example/y")
    check("http://a.example/x", "https://b.example/y")
    for target in ("http://a.example/x", "http://127.0.0.1/x", "https://127.0.0.1/x", "https://169.254.169.254/latest"):
        with pytest.raises(ProtocolError):
            check("https://a.example/x", target)


# --- whom we may ask ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example", "file:///etc/passwd", "nonsense", "https://", "https://user:pw@a.example", "https://a:b:c/"],
)
def test_what_is_no_address_is_refused(http: HttpClient, url: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        http.send(get(url))

    assert "pw" not in caught.value.message


def test_plain_http_is_for_loopback_and_named_hosts(clock: FixedClock) -> None:
    settings = Settings(
        registries={
            "plain.example": RegistrySettings(plain_http=True),
            "docker.io": RegistrySettings(endpoint="http://mirror.example:5000/hub"),
            "ghcr.io": RegistrySettings(endpoint="https://other.example"),
        }
    )
    with HttpClient(settings, clock) as http:
        for url in ("http://plain.example/x", "http://mirror.example:5000/x", "http://localhost:1/x", "http://[::1]/x"):
            http._check_url(url)
        for url in (
            "http://docker.io/x",
            "http://other.example/x",
            "http://plain.example:81/x",
            "http://127.0.0.1.example/x",
        ):
            with pytest.raises(ProtocolError, match="plain http is not spoken"):
                http._check_url(url)


@pytest.mark.parametrize("name", ["X-A\r\nX-B", "X\0"])
def test_a_header_cannot_make_another(http: HttpClient, serve: Serve, name: str) -> None:
    server = serve(lambda asked: asked.give())

    for headers in ({"X": f"{SECRET}\r\nX-Evil: 1"}, {name: SECRET}, {"X": f"{SECRET}ü"}):
        with pytest.raises(ProtocolError) as caught:
            http.send(HttpRequest("GET", server.url, headers))
        assert SECRET not in "".join(traceback.format_exception(caught.value))

    assert server.requests == []


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(clock: FixedClock, tmp_path: Any) -> None:
    import ssl

    certificate, key = _self_signed(tmp_path)
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Asked)
    server.requests, server.answer = [], lambda asked: asked.give(body=b"safe")
    server.handle_error = lambda *_: None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    host = f"127.0.0.1:{server.server_port}"
    trusting = Settings(registries={host: RegistrySettings(ca_file=str(certificate))})
    try:
        with HttpClient(Settings(), clock) as http, pytest.raises(ProtocolError, match="cannot trust") as caught:
            http.send(get(f"https://{host}/"))
        with HttpClient(trusting, clock) as http:
            answer = http.send(get(f"https://{host}/"))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    assert "caFile" in caught.value.hint
    assert answer.body == b"safe"


def test_a_ca_file_that_is_missing_is_named(clock: FixedClock) -> None:
    settings = Settings(registries={"a.example": RegistrySettings(ca_file="/no/such/file.pem")})

    with HttpClient(settings, clock) as http, pytest.raises(ProtocolError, match=r"/no/such/file\.pem"):
        http.send(get("https://a.example/"))


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
    serve: Serve, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(lambda asked: asked.give(502))
    server = serve(lambda asked: asked.give(body=b"direct"))
    settings = Settings(registries={"plain.example": RegistrySettings(plain_http=True)})
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)

    with HttpClient(settings, clock) as http:
        assert http.send(get(server.url)).body == b"direct"
        assert proxy.requests == []
        assert http.send(get("http://plain.example/x")).status == 502
    assert proxy.requests


@pytest.mark.parametrize(
    ("variables", "is_asked"),
    [
        pytest.param({"http_proxy": "{}"}, True, id="the proxy of the scheme is asked"),
        pytest.param({"https_proxy": "{}"}, False, id="the proxy of the other scheme is not"),
        pytest.param({"all_proxy": "{}"}, True, id="the proxy of all schemes is asked"),
        pytest.param({"http_proxy": "{}", "no_proxy": "other.example"}, True, id="others go without it"),
        pytest.param({"http_proxy": "{}", "no_proxy": "plain.example"}, False, id="the host goes without it"),
        pytest.param({"http_proxy": "{}", "no_proxy": ".example"}, False, id="the host's domain goes without it"),
        pytest.param({"http_proxy": "{}", "no_proxy": "*"}, False, id="all go without it"),
    ],
)
def test_the_environment_says_what_a_proxy_is_asked_for(
    serve: Serve, clock: FixedClock, monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], is_asked: bool
) -> None:
    proxy = serve(lambda asked: asked.give(body=b"by proxy"))
    settings = Settings(registries={"plain.example": RegistrySettings(plain_http=True)})
    _clear_proxies(monkeypatch)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(proxy.url))

    with HttpClient(settings, clock, limits=HttpLimits(attempts=1)) as http:
        try:
            answer = http.send(get("http://plain.example/x")).body
        except Unavailable:
            answer = b"not reached"

    assert (answer == b"by proxy", bool(proxy.requests)) == (is_asked, is_asked)


@pytest.mark.parametrize("proxy", ["ftp://bob:s3cret@proxy.example", "http://bob:s3cret@[::1", "socks5://bob:s3cret@x"])
def test_a_proxy_that_cannot_be_used_is_told_without_its_password(
    clock: FixedClock, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    _clear_proxies(monkeypatch)
    monkeypatch.setenv("https_proxy", proxy)

    with HttpClient(clock=clock) as http, pytest.raises(ProtocolError, match="HTTPS_PROXY") as caught:
        http.send(get("https://registry.example/v2/"))

    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_proxy_is_told_its_password(serve: Serve, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(lambda asked: asked.give(body=b"by proxy"))
    settings = Settings(registries={"plain.example": RegistrySettings(plain_http=True)})
    _clear_proxies(monkeypatch)
    monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "bob:s3cret@"))

    with HttpClient(settings, clock) as http:
        http.send(get("http://plain.example/x"))

    _, _, headers, _ = proxy.requests[0]
    assert headers["Proxy-Authorization"] == f"Basic {b64encode(b'bob:s3cret').decode()}"


def _clear_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


# --- patience ---------------------------------------------------------------------------------------


def failing(times: int, status: int = 503, headers: Mapping[str, str] | None = None) -> Answer:
    left = [times]

    def answer(asked: Asked) -> None:
        left[0] -= 1
        asked.give(status if left[0] >= 0 else 200, headers=headers if left[0] >= 0 else None)

    return answer


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_outage_is_tried_again_with_growing_waits(
    http: HttpClient, serve: Serve, clock: FixedClock, status: int
) -> None:
    server = serve(failing(3, status))

    assert http.send(get(server.url)).status == 200
    assert clock.slept == [timedelta(seconds=0.25), timedelta(seconds=0.5), timedelta(seconds=1)]


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 405, 409, 422, 501])
def test_an_answer_is_not_asked_for_again(http: HttpClient, serve: Serve, status: int) -> None:
    server = serve(lambda asked: asked.give(status))

    assert http.send(get(server.url)).status == status
    assert len(server.requests) == 1


def test_waits_differ_between_clients(serve: Serve) -> None:
    waits = []
    for number in (0.0, 0.5, 0.999):
        clock = FixedClock()
        with HttpClient(Settings(), clock, randomness=lambda number=number: number) as http:  # type: ignore[misc]
            http.send(get(serve(failing(1)).url))
        waits.append(clock.slept[0])

    assert waits == sorted(waits)
    assert len(set(waits)) == 3
    assert waits[-1] <= timedelta(milliseconds=500)


@pytest.mark.parametrize("asked", ["7", "Sun, 01 Mar 2026 12:00:07 GMT"])
def test_what_a_service_asks_is_waited_for(http: HttpClient, serve: Serve, clock: FixedClock, asked: str) -> None:
    server = serve(failing(1, 429, {"Retry-After": asked}))

    assert http.send(get(server.url)).status == 200
    assert clock.slept == [timedelta(seconds=7)]


def test_a_long_wait_is_left_to_the_next_run(http: HttpClient, serve: Serve, clock: FixedClock) -> None:
    server = serve(failing(100, 429, {"Retry-After": "3600"}))

    first, second = http.send(get(server.url)), http.send(get(f"{server.url}/other"))

    assert (first.status, second.status) == (429, 429)
    assert second.headers["retry-after"] == "3600"
    assert clock.slept == []
    assert len(server.requests) == 1


def test_a_refusal_counts_for_one_credential_and_one_host(http: HttpClient, serve: Serve, clock: FixedClock) -> None:
    def answer(asked: Asked) -> None:
        anonymous = "Authorization" not in asked.headers
        asked.give(429 if anonymous else 200, headers={"Retry-After": "3600"} if anonymous else None)

    server, other = serve(answer), serve(lambda asked: asked.give())
    http.send(get(server.url))

    assert http.send(get(server.url)).status == 429
    assert http.send(get(server.url, Authorization="Bearer x")).status == 200
    assert http.send(get(other.url)).status == 200
    clock.advance(timedelta(hours=2))
    http.send(get(server.url))
    assert len(server.requests) == 3


def test_all_waiting_of_a_run_has_an_end(serve: Serve, clock: FixedClock) -> None:
    server = serve(failing(1000, 503, {"Retry-After": "20"}))
    with HttpClient(Settings(), clock, randomness=lambda: 0.0) as http:
        for number in range(10):
            http.send(get(f"{server.url}/{number}"))

    assert sum(clock.slept, timedelta()) == timedelta(minutes=2)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_what_may_have_been_done_is_not_done_twice(http: HttpClient, serve: Serve, status: int) -> None:
    server = serve(lambda asked: asked.give(status))

    assert http.send(HttpRequest("POST", server.url, {}, b"x")).status == status
    assert len(server.requests) == 1


def test_what_was_refused_for_now_may_be_sent_again(http: HttpClient, serve: Serve) -> None:
    server = serve(failing(1, 429))

    assert http.send(HttpRequest("POST", server.url, {}, b"x")).status == 200


def test_a_post_that_broke_off_is_not_sent_again(http: HttpClient, serve: Serve) -> None:
    def answer(asked: Asked) -> None:
        asked.close_connection = True

    server = serve(answer)

    with pytest.raises(Unavailable):
        http.send(HttpRequest("POST", server.url, {}, b"x"))

    assert len(server.requests) == 1


def test_a_service_that_is_not_there_is_tried_and_named(http: HttpClient, serve: Serve, clock: FixedClock) -> None:
    server = Server(lambda asked: asked.give())
    server.stop()

    for method in ("GET", "POST"):
        clock.slept.clear()
        with pytest.raises(Unavailable, match=r"cannot reach 127\.0\.0\.1"):
            http.send(HttpRequest(method, server.url))
        assert len(clock.slept) == 3


def test_a_service_that_says_nothing_is_given_up(serve: Serve, clock: FixedClock) -> None:
    done = threading.Event()

    def silent(_: Asked) -> None:
        done.wait(5)

    server = serve(silent)
    limits = HttpLimits(read=timedelta(milliseconds=50), attempts=2)

    with HttpClient(Settings(), clock, limits=limits) as http, pytest.raises(Unavailable, match="no answer in time"):
        http.send(get(server.url))
    done.set()


def test_a_body_that_drips_is_given_up(serve: Serve, clock: FixedClock) -> None:
    def answer(asked: Asked) -> None:
        asked.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            asked.wfile.write(b"x")
            done.wait(0.01)

    done = threading.Event()
    limits = HttpLimits(whole=timedelta(milliseconds=60), attempts=1)

    with HttpClient(Settings(), clock, limits=limits) as http, pytest.raises(Unavailable, match="whole answer in time"):
        http.send(get(serve(answer).url))


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"\0\xff\r\n\r\n",
    ],
)
def test_what_is_no_http_is_one_of_our_errors(http: HttpClient, serve: Serve, wire: bytes) -> None:
    def answer(asked: Asked) -> None:
        asked.wfile.write(wire)
        asked.close_connection = True

    with pytest.raises((Unavailable, ProtocolError)):
        http.send(get(serve(answer).url))


def test_nothing_tells_a_secret(http: HttpClient, serve: Serve) -> None:
    server = serve(lambda asked: asked.give(302, headers={"Location": "http://plain.example"}))
    request = HttpRequest("POST", f"{server.url}/?x=1", {"Authorization": SECRET}, SECRET.encode())

    with pytest.raises(ProtocolError) as caught:
        http.send(request)

    assert SECRET not in "".join(traceback.format_exception(caught.value)) + repr(request) + repr(http)


# --- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1", "127.9.9.9:80", "[::1]:5", "x.localhost"])
def test_this_machine_is_known_by_its_names(host: str) -> None:
    assert is_loopback(host)
    assert is_inner(host)


@pytest.mark.parametrize("host", ["localhost.example", "127.0.0.1.example", "128.0.0.1", "[::2]", "example", ""])
def test_others_are_not_this_machine(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "inner"), [("169.254.169.254", True), ("0.0.0.0", True), ("[fe80::1]", True), ("10.0.0.1", False)]
)
def test_what_lies_inside_is_known(host: str, inner: bool) -> None:
    assert is_inner(host) == inner


def _self_signed(folder: Any) -> tuple[Any, Any]:
    pytest.importorskip("cryptography", reason="cryptography makes the certificate")
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = folder / "key.pem"
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, secret
