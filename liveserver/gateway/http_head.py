"""
The one request of a stream, by hand: its head, its body, and the head of the answer.

Pure. Only what `http_stream` and `sse` need of HTTP/1.1 (RFC 9112): a body with a length, no
further request on the connection. What is not clearly that is refused.
"""

import http
import re
from collections.abc import Mapping
from typing import NamedTuple

from websockets.datastructures import Headers
from websockets.http11 import Request

HEAD_BYTES = 32 * 1024
FIELDS_MAX = 100
_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")


class BadRequest(Exception):
    """Answer with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(http.HTTPStatus(status).phrase + "\n")
        self.status = status


class Head(NamedTuple):
    """A request without its body. `length` is that of the body, `begin` where it begins."""

    method: str
    path: str
    query: str
    request: Request
    begin: int
    length: int

    def body(self, data: bytes, most: int) -> bytes | None:
        """The body, None while it is incomplete. Raises BadRequest above `most` bytes."""
        if self.length > most:
            raise BadRequest(413)
        end = self.begin + self.length
        return data[self.begin : end] if len(data) >= end else None


def read_head(data: bytes) -> Head | None:
    """The head of a request, None while it is incomplete. Raises BadRequest."""
    end = data.find(b"\r\n\r\n")
    if end < 0 or end > HEAD_BYTES:
        if len(data) > HEAD_BYTES:
            raise BadRequest(431)
        return None
    first, *lines = data[:end].split(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None or len(lines) > FIELDS_MAX:
        raise BadRequest(400)
    headers = Headers()
    for text in lines:
        field = _FIELD.fullmatch(text)
        if field is None:
            raise BadRequest(400)
        headers[field[1].decode("ascii")] = field[2].decode("latin-1").rstrip()
    method, target = line[1].decode("ascii"), line[2].decode("ascii")
    path, _, query = target.partition("?")
    return Head(method, path, query, Request(target, headers), end + 4, _length(method, headers))


def _length(method: str, headers: Headers) -> int:
    if headers.get_all("Transfer-Encoding"):
        raise BadRequest(411)
    lengths = headers.get_all("Content-Length")
    if not lengths:
        if method == "POST":
            raise BadRequest(411)
        return 0
    if len(lengths) > 1 or not re.fullmatch(r"[0-9]{1,9}", lengths[0]):
        raise BadRequest(400)
    return int(lengths[0])


def response(status: int, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """An answer, with the body that there is so far."""
    lines = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def cors(headers: Headers) -> dict[str, str]:
    """What lets a page of an origin that was found good read the answer."""
    origins = headers.get_all("Origin")
    return allowed(origins[0]) if origins else {}


def allowed(origin: str) -> dict[str, str]:
    """The headers for a page of this origin."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Headers": "Content-Type",
        "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
        "Access-Control-Max-Age": "300",
        "Vary": "Origin",
    }
