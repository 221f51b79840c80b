"""What is broken, wrong or too much is answered as a problem, and never with a traceback."""

import asyncio
import gzip
import io
import socket
from typing import Any

import pytest
import yarl

from liveserver.web.read import idempotency_key
from tests.web.shop import Shop

JSON = {"Content-Type": "application/json"}


async def problem(shop: Shop, method: str, path: str, **options: Any) -> tuple[int, str, Any]:
    """Status, the last word of the type, and headers of an answer that must be a problem."""
    async with shop.call(method, path, options.pop("token", None), **options) as answer:
        assert answer.content_type == "application/problem+json", await answer.text()
        body = await answer.json(content_type=None)
        assert body["status"] == answer.status
        assert body["title"] and body["detail"] and "Traceback" not in body["detail"]
        return answer.status, body["type"].rpartition("/")[2], answer.headers


BROKEN: list[tuple[bytes, int]] = [
    (b"{", 400),
    (b"", 201),
    (b"nope", 400),
    (b'{"name": "\xff\xfe"}', 400),
    (b'{"name": "\\ud800"}', 400),
    (b"\xef\xbb\xbf{}", 400),
    (b'{"name": 1}', 422),
    (b"[]", 422),
    (b'{"nmae": "x"}', 422),
    (b'{"name": "a\\u0000b"}', 422),
    (b'{"user": "x"}', 422),
    (b"[" * 100_000, 422),
    (b'{"name":' * 100_000, 400),
]


async def test_broken_json_is_a_problem(shop: Shop) -> None:
    """No JSON: 400. JSON with wrong values: 422. Never a 500."""
    for body, status in BROKEN:
        async with shop.call("POST", "/v1/session", data=body, headers=JSON) as answer:
            text = await answer.text()
            assert answer.status in ({status} if status < 400 else {400, 422}), (body[:50], text)
            if status >= 400:
                assert answer.content_type == "application/problem+json"
                assert "/problems/validation" in text


async def test_deeply_nested_metadata_is_refused(shop: Shop, room: str) -> None:
    """The one place that takes any JSON is bounded in depth and size."""
    sale = await shop.sale(room)
    path = f"/v1/flash-sales/{sale['id']}/reservations"
    headers = {**JSON, "Idempotency-Key": "k"}
    deep = b'{"metadata": {"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}}"
    got = await problem(shop, "POST", path, token=shop.token(), data=deep, headers=headers)
    assert got[:2] == (400, "validation")
    big = {"metadata": {"a": "x" * 3000}}
    got = await problem(
        shop, "POST", path, token=shop.token(), json=big, headers={"Idempotency-Key": "k"}
    )
    assert got[:2] == (422, "validation")
    huge = b'{"metadata": {"a": 123456789012345678901234567890}}'
    async with shop.call("POST", path, shop.token(), data=huge, headers=headers) as answer:
        assert answer.status in (201, 422), await answer.text()


async def test_a_body_above_a_mebibyte_is_too_large(shop: Shop) -> None:
    """Told by its length, or found while it arrives in chunks."""
    huge = b'{"name": "' + b"x" * (1024 * 1024) + b'"}'
    got = await problem(shop, "POST", "/v1/session", data=io.BytesIO(huge), headers=JSON)
    assert got[:2] == (413, "too-large")

    async def chunks() -> Any:
        for start in range(0, len(huge), 65_536):
            yield huge[start : start + 65_536]

    try:
        got = await problem(shop, "POST", "/v1/session", data=chunks(), headers=JSON)
        assert got[:2] == (413, "too-large")
    except OSError:
        pass  # the answer came, and the connection was closed, before all was sent


async def test_a_compressed_body_is_not_taken(shop: Shop) -> None:
    """Kilobytes that unpack to gigabytes are the sender's to unpack."""
    headers = {**JSON, "Content-Encoding": "gzip"}
    for data in (gzip.compress(b"{}"), b"garbage"):
        got = await problem(shop, "POST", "/v1/session", data=data, headers=headers)
        assert got[:2] == (415, "unsupported-media-type")


async def test_other_media_types_are_not_taken(shop: Shop) -> None:
    """A form of another site could send text/plain without asking; JSON it cannot."""
    for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers = {"Content-Type": media}
        got = await problem(shop, "POST", "/v1/session", data=b"{}", headers=headers)
        assert got[:2] == (415, "unsupported-media-type")


NOWHERE = [
    "/nothing", "/v1/rooms/none", "/v1/products/none", "/v1/flash-sales/none", "/v2",
    "/v1/rooms/%00", "/v1/rooms/%ff%fe", "/v1/rooms/..%2f..%2fetc", "/v1/rooms/" + "x" * 500,
    "/v1/nothing", "/v1/rooms/x/shows", "/v1/shows/x",
    "/static/../pyproject.toml", "/static/%2e%2e/pyproject.toml", "/static/..%2fpyproject.toml",
    "/static/.hidden", "/static//etc/passwd", "/static/css", "/static/%00",
    "/static/" + "x" * 300 + ".css", "/static/",
    "/images/..%2f..%2fsecret", "/images/none.png",
]  # fmt: skip


async def test_what_is_not_there_is_a_404_problem(shop: Shop) -> None:
    """Unknown paths, strange ids, later work, and every way out of the static folder."""
    for path in NOWHERE:
        async with shop.http.get(yarl.URL(shop.url + path, encoded=True)) as answer:
            assert answer.status == 404, (path, await answer.text())
            assert answer.content_type == "application/problem+json"


async def test_a_refusal_of_the_framework_is_a_problem_too(shop: Shop) -> None:
    """An `Expect` that nobody knows is refused before any handler."""
    got = await problem(shop, "POST", "/v1/session", data=b"{}", headers={**JSON, "Expect": "foo"})
    assert got[:2] == (417, "bad-request")
    assert got[2]["Server"] == "liveserver"
    assert "default-src 'self'" in got[2]["Content-Security-Policy"]


async def test_a_wrong_method_names_the_right_ones(shop: Shop) -> None:
    """405 with Allow."""
    status, name, headers = await problem(shop, "PUT", "/v1/session")
    assert (status, name) == (405, "method-not-allowed")
    assert set(headers["Allow"].split(",")) >= {"GET", "POST", "DELETE"}


async def test_a_wrong_query_is_told(shop: Shop) -> None:
    """Values of the query are checked like those of bodies."""
    for query in ("limit=0", "limit=x", "limit=100000000000000000000", "cursor=%00"):
        got = await problem(shop, "GET", f"/v1/rooms?{query}")
        assert got[:2] == (422, "validation"), query


async def test_an_idempotency_key_is_required_for_reservations(shop: Shop, room: str) -> None:
    """Without one a repeated click could buy twice."""
    sale = await shop.sale(room)
    path = f"/v1/flash-sales/{sale['id']}/reservations"
    for headers in ({}, {"Idempotency-Key": '""'}, {"Idempotency-Key": "x" * 256}):
        got = await problem(shop, "POST", path, token=shop.token(), json={}, headers=headers)
        assert got[:2] == (400, "validation")


async def test_the_same_key_for_something_else_is_a_conflict(shop: Shop, room: str) -> None:
    """422 idempotency-conflict, as the draft standard says."""
    sale = await shop.sale(room, per_buyer_limit=3)
    path = f"/v1/flash-sales/{sale['id']}/reservations"
    headers = {"Idempotency-Key": "k"}
    body = {"quantity": 1}
    await shop.json("POST", path, shop.token(), json=body, headers=headers, status=201)
    got = await problem(
        shop, "POST", path, token=shop.token(), json={"quantity": 2}, headers=headers
    )
    assert got[:2] == (422, "idempotency-conflict")


class _Keyed:
    def __init__(self, value: str) -> None:
        self.headers = {"Idempotency-Key": value}


@pytest.mark.parametrize(
    ("raw", "key"), [("abc", "abc"), ('"abc"', "abc"), ('"a\\"b\\\\c"', 'a"b\\c'), (" a b ", "a b")]
)
def test_quoted_and_plain_keys_are_the_same(raw: str, key: str) -> None:
    """The header is a structured-field string; most clients send it bare."""
    assert idempotency_key(_Keyed(raw)) == key  # type: ignore[arg-type]


JUNK = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\r\n\r\n",
    b"GET / HTTP/x.y\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nA: " + b"x" * 20_000 + b"\r\n\r\n",
)


async def test_bytes_that_are_no_http_get_an_answer_and_an_end(shop: Shop) -> None:
    """The connection is closed with a problem; the server goes on."""
    host, port = "127.0.0.1", int(shop.url.rpartition(":")[2])
    for junk in JUNK:
        reader, writer = await asyncio.open_connection(host, port, family=socket.AF_INET)
        try:
            writer.write(junk)
            async with asyncio.timeout(10):
                answer = await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
        assert b" 400 " in answer and b"application/problem+json" in answer, (junk, answer)
        assert b"Traceback" not in answer
    assert (await shop.json("GET", "/livez")) == {"status": "ok"}
