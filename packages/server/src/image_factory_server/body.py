"""Reading a call: a body of bounded size, and the bearer token it came with."""

from __future__ import annotations

from starlette.requests import Request

from image_factory_server.answers import Problem, Refused

MAX_BODY = 64 * 1024
"""Bytes of a body. An order with the longest reason and a thousand names of images is half of it."""
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="image-factory"'}


async def read_body(request: Request) -> bytes:
    """Return a call's body.

    Raises:
        Refused: it is larger than `MAX_BODY`; what is too much is not read.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise Refused(413, [Problem(f"the body has more than {MAX_BODY:,} bytes")], headers={"Connection": "close"})
    return bytes(body)


def bearer_token(request: Request) -> str:
    """Return the token of a call (RFC 6750, section 2.1: the header alone).

    Raises:
        Refused: there is none.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        hint = "send Authorization: Bearer TOKEN, the OIDC token of a CI job made for the audience image-factory"
        raise Refused(401, [Problem("the call has no bearer token", hint=hint)], headers=_CHALLENGE)
    return token.strip()


def doubted(doubt: str) -> Refused:
    """Return the answer to a token that proves nothing."""
    return Refused(
        401,
        [Problem(doubt, hint="send the OIDC token of a CI job of the repository that holds the folder")],
        headers={"WWW-Authenticate": f'{_CHALLENGE["WWW-Authenticate"]}, error="invalid_token"'},
    )
