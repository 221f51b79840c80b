"""A kept-alive connection changes hands between two requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from liveserver.web.app import build, make_runner
from liveserver.web.connection import Connection
from tests.web.shop import Shop

FIRST = b"POST /v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
FIRST += b'Content-Length: 14\r\n\r\n{"name":"Mia"}'


class Taker(asyncio.Protocol):
    """Takes the socket and says so to its client."""

    def take(self, transport: asyncio.BaseTransport, data: bytes) -> bool:
        if not data.startswith(b"GET /elsewhere"):
            return False
        assert isinstance(transport, asyncio.Transport)
        transport.set_protocol(self)
        transport.write(b"TAKEN " + data)
        transport.close()
        return True


@asynccontextmanager
async def listening(shop: Shop, *, quick: bytes = b"") -> AsyncIterator[int]:
    """The port of a server; `quick` arrives right behind the answer to the first request."""
    runner = make_runner(build(shop.services))
    await runner.setup()
    server = runner.server
    assert server is not None
    loop = asyncio.get_running_loop()

    def protocol() -> asyncio.Protocol:
        made = server()
        assert isinstance(made, Connection)
        made.take_back = Taker().take
        finish = made.finish_response

        async def finish_and_hear(*arguments: Any) -> Any:
            finished = await finish(*arguments)
            loop.call_soon(made.data_received, quick)
            return finished

        if quick:
            made.finish_response = finish_and_hear  # type: ignore[method-assign]
        return made

    opened = await loop.create_server(protocol, "127.0.0.1", 0)
    yield opened.sockets[0].getsockname()[1]
    opened.close()
    await runner.cleanup()


async def test_a_socket_is_taken_back_however_soon_the_next_request_comes(shop: Shop) -> None:
    """The client sends the moment it has the answer, while the server still puts it away."""
    again = b"GET /elsewhere HTTP/1.1\r\n\r\n"
    async with listening(shop, quick=again) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(FIRST)
        async with asyncio.timeout(10):
            everything = await reader.read()
        assert b"201 Created" in everything
        assert everything.endswith(b"TAKEN " + again)
        writer.close()
        await writer.wait_closed()


async def test_pipelined_requests_and_long_bodies_pass_as_ever(shop: Shop) -> None:
    """Two requests in one write, then a body in many pieces, on one connection."""
    async with listening(shop) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        plain = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
        writer.write(plain + plain)
        for _ in range(2):
            assert b"200 OK" in await _answer(reader)
        body = b'{"name":"' + b"x" * 300_000 + b'"}'
        head = FIRST.partition(b"Content-Length")[0]
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 10_000):
            writer.write(body[start : start + 10_000])
            await writer.drain()
            await asyncio.sleep(0)
        assert b"422" in await _answer(reader)
        writer.write(plain)
        assert b"200 OK" in await _answer(reader)
        writer.close()
        await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """The head of the next answer; its body is read and left out."""
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
    return head
