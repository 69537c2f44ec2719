"""How the embedded registry answers: HTTP in, HTTP out, over `RegistryServer`'s storage and settings."""

from __future__ import annotations

import base64
import json
import re
import secrets
from bisect import bisect_right
from collections.abc import Mapping
from datetime import timedelta
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

from image_factory.oci.manifest import OCI_INDEX
from image_factory.testing.image_content import digest_of
from image_factory.testing.registry_server import Access, LoggedRequest, Misbehavior, RegistryServer

if TYPE_CHECKING:
    from image_factory.testing.registry_server import Quota

_NAME = r"(?P<name>[a-z0-9][a-z0-9._/-]*?)"
_MANIFEST = re.compile(rf"/v2/{_NAME}/manifests/(?P<reference>[^/]+)\Z")
_BLOB = re.compile(rf"/v2/{_NAME}/blobs/(?P<digest>[a-z0-9]+:[a-f0-9]+)\Z")
_UPLOAD = re.compile(rf"/v2/{_NAME}/blobs/uploads/(?P<upload>[a-f0-9]*)\Z")
_TAGS = re.compile(rf"/v2/{_NAME}/tags/list\Z")
_REFERRERS = re.compile(rf"/v2/{_NAME}/referrers/(?P<digest>[a-z0-9]+:[a-f0-9]+)\Z")
_MAX_UPLOAD = 256 * 1024 * 1024
_MAX_ENDLESS = 512 * 1024 * 1024
"""Bytes after which even an endless body ends: a client without a limit fails its test, not the machine."""


class Handler(BaseHTTPRequestHandler):
    """One connection to the registry."""

    protocol_version = "HTTP/1.1"
    server_version = "image-factory-testing"
    sys_version = ""
    # One write an answer, at once: without these each kept-alive answer waits for a delayed ACK (40 ms).
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 30

    @property
    def registry(self) -> RegistryServer:
        return self.server.registry  # type: ignore[attr-defined,no-any-return]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
        """Write nothing: the log is `RegistryServer.requests`."""

    def do_GET(self) -> None:
        self._handle()

    do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server's words

    # --- the way of a request -------------------------------------------------------------------

    def _handle(self) -> None:
        self._body = self._read_body()
        split = urlsplit(self.path)
        self._query = parse_qs(split.query, keep_blank_values=True)
        path = self._below_prefix(split.path)
        if self._fails() or self._misbehaves(path):
            return
        if split.path == "/token":
            self._token()
        elif path in ("/v2", "/v2/"):
            if self._is_allowed(""):
                self._json(200, {})
        elif path == "/v2/_catalog":
            self._json(200, {"repositories": self.registry.storage.repositories()})
        else:
            self._route(path)

    def _route(self, path: str) -> None:
        writes = self.command in ("POST", "PATCH", "PUT", "DELETE")
        for pattern, answer in (
            (_MANIFEST, self._manifest),
            (_UPLOAD, self._upload),
            (_BLOB, self._blob),
            (_TAGS, self._tags),
            (_REFERRERS, self._referrers),
        ):
            match = pattern.match(path)
            if match is not None:
                if writes or self._is_allowed(match["name"]):
                    answer(**match.groupdict())
                return
        self._error(404, "UNSUPPORTED", "no such path")

    def _below_prefix(self, path: str) -> str:
        prefix = self.registry.prefix
        if not prefix or path in ("/v2", "/v2/", "/token"):
            return path
        return f"/v2/{path.removeprefix(f'/v2/{prefix}/')}" if path.startswith(f"/v2/{prefix}/") else "/outside"

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            parts, total = [], 0
            while size := int(self.rfile.readline().split(b";")[0], 16):
                total += size
                if total > _MAX_UPLOAD:
                    raise ValueError("upload too large")
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)
        return self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _MAX_UPLOAD))

    # --- what goes wrong --------------------------------------------------------------------------

    def _fails(self) -> bool:
        with self.registry.lock:
            if not self.registry.failures:
                return False
            failure = self.registry.failures[0]
            failure.times -= 1
            if failure.times <= 0:
                self.registry.failures.pop(0)
        code = "TOOMANYREQUESTS" if failure.status == 429 else "UNKNOWN"
        self._error(failure.status, code, "as told to", failure.headers)
        return True

    def _misbehaves(self, path: str) -> bool:
        wrong = self.registry.misbehaviors
        if Misbehavior.HTML in wrong:
            self._answer(200, b"<!doctype html><title>Welcome</title>", {"Content-Type": "text/html"})
        elif Misbehavior.GARBAGE in wrong:
            self._answer(200, b'{"tags": [', {"Content-Type": "application/json"})
        elif Misbehavior.ENDLESS in wrong:
            self._endless()
        elif Misbehavior.CUT_OFF in wrong:
            self._log(200)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
            self.close_connection = True
        elif Misbehavior.REDIRECT in wrong and path.startswith("/v2/"):
            self._answer(307, b"", {"Location": f"{self.registry.redirect_to}{self.path}"})
        elif Misbehavior.REDIRECT_LOOP in wrong and path.startswith("/v2/"):
            self._answer(307, b"", {"Location": self.path})
        elif Misbehavior.HEAD_REFUSED in wrong and self.command == "HEAD":
            self._error(405, "UNSUPPORTED", "HEAD is not supported")
        else:
            return False
        return True

    def _endless(self) -> None:
        self._log(200)
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.close_connection = True
        if self.command == "HEAD":
            return
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        for _ in range(_MAX_ENDLESS // 0x10000):
            self.wfile.write(chunk)

    # --- who may read -----------------------------------------------------------------------------

    def _is_allowed(self, repository: str) -> bool:
        access = self.registry.access
        if access is None and Misbehavior.FOREIGN_REALM not in self.registry.misbehaviors:
            return True
        access = access or Access()
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        if access.basic:
            if scheme.lower() == "basic" and self._is_user(access, value):
                return True
        elif scheme.lower() == "bearer" and self._is_token(value, repository):
            return True
        self._challenge(access, repository)
        return False

    def _is_user(self, access: Access, value: str) -> bool:
        expected = base64.b64encode(f"{access.username}:{access.password}".encode()).decode()
        return compare_digest(value.encode(), expected.encode())

    def _is_token(self, token: str, repository: str) -> bool:
        with self.registry.lock:
            expiry, scope = self.registry.tokens.get(token, (None, ""))
        if expiry is None or expiry <= self.registry.clock.now():
            return False
        return not repository or f"repository:{self._outer(repository)}:" in scope

    def _outer(self, repository: str) -> str:
        prefix = self.registry.prefix
        return f"{prefix}/{repository}" if prefix else repository

    def _challenge(self, access: Access, repository: str) -> None:
        if access.basic:
            value = 'Basic realm="embedded registry"'
        else:
            foreign = Misbehavior.FOREIGN_REALM in self.registry.misbehaviors
            realm = f"{self.registry.redirect_to if foreign else self.registry.url}/token"
            value = f'Bearer realm="{realm}",service="embedded"'
            if repository:
                value += f',scope="repository:{self._outer(repository)}:pull"'
        self._error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": value})

    def _token(self) -> None:
        access = self.registry.access or Access(anonymous=True)
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        user, secret = self._user_of_token_request(scheme, value)
        scope = " ".join(self._query.get("scope", []))
        if secret or user:
            known = compare_digest(user.encode(), access.username.encode()) or not user or user == "<token>"
            if not (known and compare_digest(secret.encode(), access.password.encode())):
                self._error(401, "UNAUTHORIZED", "incorrect username or password")
                return
        elif not access.anonymous or any(f":{name}:" in scope for name in access.private):
            self._error(401, "UNAUTHORIZED", "authentication required")
            return
        token = secrets.token_urlsafe(24)
        now = self.registry.clock.now()
        # The token endpoint's own default is 60 seconds (distribution, "Token response fields").
        lifetime = timedelta(seconds=access.expires_in if access.expires_in is not None else 60)
        with self.registry.lock:
            self.registry.tokens[token] = (now + lifetime, scope)
        answer: dict[str, Any] = {access.token_field: token, "issued_at": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        if access.expires_in is not None:
            answer["expires_in"] = access.expires_in
        self._json(200, answer)

    def _user_of_token_request(self, scheme: str, value: str) -> tuple[str, str]:
        if self.command == "POST":
            form = parse_qs(self._body.decode("utf-8", "replace"))
            self._query |= form
            return "<token>", "".join(form.get("refresh_token", form.get("password", [])))
        if scheme.lower() == "basic":
            user, _, secret = base64.b64decode(value, validate=False).decode("utf-8", "replace").partition(":")
            return user, secret
        return ("", value) if scheme else ("", "")

    # --- content ----------------------------------------------------------------------------------

    def _manifest(self, name: str, reference: str) -> None:
        registry = self.registry
        if self.command == "PUT":
            media_type = self.headers.get("Content-Type", "")
            digest = registry.storage.put_manifest(name, reference, media_type, self._body)
            self._answer(201, b"", {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest})
            return
        if self.command == "DELETE":
            found = registry.storage.delete(name, reference)
            self._answer(202 if found else 404, b"")
            return
        limits = self._spend(registry.quota)
        if limits is None:
            return
        held = registry.storage.manifest(name, reference)
        if held is None:
            if Misbehavior.HIDES in registry.misbehaviors:
                self._challenge(registry.access or Access(), name)
            else:
                known = registry.storage.tags(name) is not None
                self._error(404, "MANIFEST_UNKNOWN" if known else "NAME_UNKNOWN", "not known", limits)
            return
        media_type, digest, content = held
        headers = {"Content-Type": media_type, "ETag": f'"{digest}"', **limits}
        if Misbehavior.WRONG_DIGEST in registry.misbehaviors:
            headers["Docker-Content-Digest"] = str(digest_of(b"something else"))
        elif Misbehavior.NO_DIGEST_HEADER not in registry.misbehaviors:
            headers["Docker-Content-Digest"] = digest
        if self.headers.get("If-None-Match") == f'"{digest}"':
            self._answer(304, b"", headers)
        else:
            self._answer(200, content, headers)

    def _spend(self, quota: Quota | None) -> Mapping[str, str] | None:
        """Count a read and return the limit's headers, or answer 429 and return None."""
        if quota is None:
            return {}
        registry, now = self.registry, self.registry.clock.now()
        counts = quota.heads_count or self.command == "GET"
        with registry.lock:
            registry.spent = [at for at in registry.spent if at > now - quota.window]
            refused = len(registry.spent) >= quota.requests and counts
            if counts and not refused:
                registry.spent.append(now)
            left = quota.requests - len(registry.spent)
            oldest = registry.spent[0] if registry.spent else now
        seconds = int(quota.window.total_seconds())
        headers = {}
        if quota.headers:
            headers = {
                "ratelimit-limit": f"{quota.requests};w={seconds}",
                "ratelimit-remaining": f"{left};w={seconds}",
                "docker-ratelimit-source": "127.0.0.1",
            }
        if refused:
            wait = quota.retry_after or str(max(1, int((oldest + quota.window - now).total_seconds())))
            self._error(
                429, "TOOMANYREQUESTS", "you have reached your pull rate limit", {**headers, "Retry-After": wait}
            )
            return None
        return headers

    def _blob(self, name: str, digest: str) -> None:
        content = self.registry.storage.blob(digest)
        if content is None:
            self._error(404, "BLOB_UNKNOWN", "blob unknown to registry")
            return
        self._answer(200, content, {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest})

    def _upload(self, name: str, upload: str) -> None:
        registry = self.registry
        if self.command == "POST":
            mounted = "".join(self._query.get("mount", []))
            digest = "".join(self._query.get("digest", []))
            if mounted and registry.storage.blob(mounted) is not None:
                self._answer(201, b"", {"Location": f"/v2/{name}/blobs/{mounted}", "Docker-Content-Digest": mounted})
                return
            if digest:
                self._finish(name, digest, self._body)
                return
            upload = secrets.token_hex(16)
            registry.storage.put_blob(b"", f"upload:{upload}")
        elif registry.storage.blob(f"upload:{upload}") is None:
            self._error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload")
            return
        held = (registry.storage.blob(f"upload:{upload}") or b"") + self._body
        if self.command == "PUT":
            registry.storage.drop_blob(f"upload:{upload}")
            self._finish(name, "".join(self._query.get("digest", [])), held)
            return
        registry.storage.drop_blob(f"upload:{upload}")
        registry.storage.put_blob(held, f"upload:{upload}")
        headers = {
            "Location": f"{registry.url}/v2/{self._outer(name)}/blobs/uploads/{upload}",
            "Docker-Upload-UUID": upload,
            "Range": f"0-{max(len(held) - 1, 0)}",
        }
        self._answer(202, b"", headers)

    def _finish(self, name: str, digest: str, content: bytes) -> None:
        algorithm = digest.partition(":")[0]
        if algorithm not in ("sha256", "sha512") or str(digest_of(content, algorithm)) != digest:
            self._error(400, "DIGEST_INVALID", "the content has another digest")
            return
        self.registry.storage.put_blob(content, digest)
        self._answer(201, b"", {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})

    def _tags(self, name: str) -> None:
        registry = self.registry
        tags = registry.storage.tags(name)
        if tags is None:
            self._error(404, "NAME_UNKNOWN", "repository name not known to registry")
            return
        if Misbehavior.NULL_TAGS in registry.misbehaviors:
            self._json(200, {"name": name, "tags": None})
            return
        if Misbehavior.STRANGE_TAGS in registry.misbehaviors:
            self._json(200, {"name": name, "tags": [*tags, "../../\x1b[2J"]})
            return
        wanted = "".join(self._query.get("n", []))
        if wanted and Misbehavior.REFUSES_N in registry.misbehaviors:
            self._error(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested")
            return
        last = "".join(self._query.get("last", []))
        size = min(int(wanted), registry.page_size) if wanted.isascii() and wanted.isdigit() else registry.page_size
        start = bisect_right(tags, last)
        page, headers = tags[start : start + size], {}
        if Misbehavior.LINK_LOOP in registry.misbehaviors:
            headers["Link"] = f'<{self.path}>; rel="next"'
        elif len(tags) > start + size and page:
            foreign = registry.redirect_to if Misbehavior.FOREIGN_LINK in registry.misbehaviors else ""
            outer = self._outer(name)
            headers["Link"] = f'<{foreign}/v2/{outer}/tags/list?n={size}&last={quote(page[-1])}>; rel="next"'
        self._json(200, {"name": name, "tags": page}, headers)

    def _referrers(self, name: str, digest: str) -> None:
        if Misbehavior.NO_REFERRERS in self.registry.misbehaviors:
            self._error(404, "UNSUPPORTED", "no such path")
            return
        found = self.registry.storage.referrers(name, digest)
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        self._answer(200, json.dumps(body).encode(), {"Content-Type": OCI_INDEX})

    # --- answers ----------------------------------------------------------------------------------

    def _json(self, status: int, value: object, headers: Mapping[str, str] | None = None) -> None:
        self._answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _error(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        self._json(status, {"errors": [{"code": code, "message": message, "detail": None}]}, headers)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self._log(status)
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)

    def _log(self, status: int) -> None:
        scheme = self.headers.get("Authorization", "").partition(" ")[0]
        entry = LoggedRequest(self.command, self.path, status, scheme, self.headers.get("Accept", ""))
        with self.registry.lock:
            self.registry.requests.append(entry)
