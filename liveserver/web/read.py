"""Reading a request: body, query, path and Idempotency-Key into checked values."""

import asyncio
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from aiohttp import web

from liveserver.problems import Refused
from liveserver.web.route import Route

BODY_BYTES_MAX = 1024 * 1024  # contract: HTTP bodies
BODY_SECONDS = 15.0  # a body that takes longer is given up
KEY_HEADER = "Idempotency-Key"
KEY_CHARS_MAX = 255
PATH_VALUE = re.compile(r"[A-Za-z0-9_.\-]{1,128}")
PERSON = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,255}")  # `sub` of other systems' tokens
UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")  # no database row holds these

#: `"…"` of the header's structured-field string; a backslash escapes only itself and the quote
QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')


def path_values(request: web.Request) -> dict[str, str]:
    """The path's values. One that no id of ours can be leads nowhere: `not-found`."""
    values = dict(request.match_info)
    for name, value in values.items():
        by_own_rules = name == "file"  # a file's name has slashes; its handler looks at it
        fits = PERSON.fullmatch if name == "user" else PATH_VALUE.fullmatch
        if not by_own_rules and not fits(value):
            raise Refused("not-found", "There is nothing here.")
    return values


def query_values(request: web.Request, shape: type[msgspec.Struct]) -> Any:
    """The query as its Struct. Names that it lacks are ignored. Raises Refused `validation`."""
    known = {field.encode_name for field in msgspec.structs.fields(shape)}
    given = {name: value for name, value in request.query.items() if name in known}
    try:
        return msgspec.convert(given, shape, strict=False)
    except msgspec.ValidationError as error:
        raise Refused("validation", f"In the query: {error}.") from None


async def body_bytes(request: web.Request) -> bytes:
    """The raw body, bounded in size and time. Raises Refused."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refused("unsupported-media-type", "Send the body without Content-Encoding.")
    if (request.content_length or 0) > BODY_BYTES_MAX:
        raise web.HTTPRequestEntityTooLarge(BODY_BYTES_MAX, request.content_length or 0)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise Refused(
            "validation", f"The body did not arrive within {BODY_SECONDS:.0f} s.", status=400
        ) from None
    except web.RequestPayloadError:
        raise Refused("validation", "The body is broken.", status=400) from None


async def json_body(request: web.Request, route: Route) -> Any:
    """The JSON body as the route's Struct. Raises Refused."""
    assert route.request is not None
    raw = await body_bytes(request)
    if not raw and route.body_optional:
        return route.request()
    if not route.any_media and (
        request.content_type != "application/json" or "Content-Type" not in request.headers
    ):
        raise Refused("unsupported-media-type", "Send the body as application/json.")
    return decode(raw, route.request)


def decode(raw: bytes, shape: type[msgspec.Struct]) -> Any:
    """
    Bytes to a Struct.

    Raises:
        Refused: `validation`, with status 400 where the bytes are no JSON at all.
    """
    try:
        value = _decoder(shape).decode(raw)
    except msgspec.ValidationError as error:
        raise Refused("validation", f"{error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("validation", f"This is not JSON: {error}.", status=400) from None
    except RecursionError:
        raise Refused("validation", "This JSON is nested too deep.", status=400) from None
    if _may_be_unfit(raw) and any(UNFIT.search(text) for text in texts(value)):
        raise Refused("validation", "Text may not hold control characters.")
    return value


@cache
def _decoder(shape: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    """One for each shape: making it takes longer than using it. There are as many as routes."""
    return msgspec.json.Decoder(shape)


def _may_be_unfit(raw: bytes) -> bool:
    """JSON texts hold control characters and halves of surrogates only by escapes, but for DEL."""
    return b"\\" in raw or b"\x7f" in raw


def texts(value: Any) -> Iterator[str]:
    """All texts inside a decoded value, keys included, without recursion."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, msgspec.Struct):
            waiting.extend(getattr(item, name) for name in item.__struct_fields__)
        elif isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)


def idempotency_key(request: web.Request) -> str:
    """The `Idempotency-Key`, with or without quotes. Raises Refused `validation`, status 400."""
    raw = request.headers.get(KEY_HEADER, "").strip()
    quoted = QUOTED.fullmatch(raw)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else raw
    if not key:
        raise Refused("validation", "The header Idempotency-Key is required.", status=400)
    if (
        len(key) > KEY_CHARS_MAX
        or not key.isascii()
        or not key.isprintable()
        or (not quoted and '"' in key)
    ):
        raise Refused(
            "validation",
            f"Idempotency-Key has 1 to {KEY_CHARS_MAX} visible ASCII characters.",
            status=400,
        )
    return key
