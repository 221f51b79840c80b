"""One port: HTTP and the viewer socket, with and without TLS, on uvloop."""

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
from websockets.asyncio.client import connect

from liveserver import listener
from tests.gateway.conftest import Serve
from tests.gateway.support import PATIENCE, Place, connected


async def test_http_and_the_viewer_socket_share_a_port(place: Place) -> None:
    """Keep-alive, a large body, and other paths that begin alike go to HTTP."""
    base = f"http://127.0.0.1:{place.port}"
    async with aiohttp.ClientSession() as http:
        for _ in range(3):
            async with http.post(f"{base}/v1/x?y=1", data=b"z" * 300_000) as answer:
                assert await answer.text() == "/v1/x 300000"
        for path in ("/", "/connection/websocketx", "/connection/websocket/", "/connection"):
            async with http.get(base + path) as answer:
                assert await answer.text() == f"{path} 0"
    async with connected(place, place.token("u")) as client:
        await client.ok("rpc", method="echo")


async def test_both_work_over_tls(serve: Serve, certificate: tuple[Path, Path]) -> None:
    """The same port, the same handing over, inside TLS; large answers too."""
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(*certificate)
    trust = ssl.create_default_context(cafile=str(certificate[0]))
    async with serve(tls=server_side) as place:
        base = f"https://127.0.0.1:{place.port}"
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{base}/a", data=b"z" * 300_000, ssl=trust) as answer,
        ):
            assert await answer.text() == "/a 300000"
        async with connected(place, place.token("u"), ssl=trust, origin=place.origin) as client:
            await client.ok("rpc", method="echo", data="x" * 60_000)
        with pytest.raises(Exception, match=r"did not receive|closed"):
            await connect(place.url.replace("wss", "ws"), proxy=None)
        async with connected(place, place.token("u"), ssl=trust) as client:
            await client.ws.send(b"binary")
            assert (await client.until_closed())[0] == 1003


async def test_a_head_that_comes_slowly_or_never_ends_is_ended(serve: Serve) -> None:
    """408 in time for half a head, silence for silence, 431 for a head without end."""
    async with serve(head_seconds=0.2, step_seconds=0.05) as place:
        for sent, expected in (
            (b"GET / HTTP/1.1\r\nHost: x\r\n", b"HTTP/1.1 408 "),
            (b"", b""),
            (b"GET / HTTP/1.1\r\nX: " + b"x" * listener.HEAD_BYTES, b"HTTP/1.1 431 "),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            writer.write(sent)
            async with asyncio.timeout(PATIENCE):
                answer = await reader.read()
            assert answer.startswith(expected)
            assert bool(answer) == bool(expected)
            writer.close()


async def test_a_head_may_come_in_pieces(place: Place) -> None:
    """Byte by byte, and with the body behind it in the same piece."""
    request = b"POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
    for size in (1, len(request)):
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        for start in range(0, len(request), size):
            writer.write(request[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            assert (await reader.read()).endswith(b"/p 3")
        writer.close()


async def test_rubbish_is_answered_by_http(place: Place) -> None:
    """What is no request gets a 400 and the end, and no traceback."""
    for rubbish in (b"\r\n\r\n", b"hello\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(rubbish)
        writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
        assert answer == b"" or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
        assert b"Traceback" not in answer
        writer.close()
