"""The sender against real sockets: nothing reaches a closed address, nothing costs too much."""

import asyncio
import socket
from collections.abc import AsyncIterator
from unittest.mock import patch

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from orders import webhooks_http
from orders.addresses import Policy
from orders.webhooks_http import HttpSender, ThreadResolver
from tests.webhooks.parts import Receiver, status

HEADERS = {"content-type": "application/json", "webhook-id": "evt_1"}


class Names(AbstractResolver):
    """Answers each look-up with the next of the planned addresses."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)
        ]

    async def close(self) -> None:
        pass


def exempting(receiver: Receiver) -> Policy:
    return Policy(exempt=frozenset({("127.0.0.1", receiver.port)}))


@pytest.fixture
async def sender(receiver: Receiver) -> AsyncIterator[HttpSender]:
    sender = HttpSender(exempting(receiver))
    yield sender
    await sender.close()


async def test_it_posts_the_bytes_and_reads_the_answer(
    sender: HttpSender, receiver: Receiver
) -> None:
    """With our headers, no cookies, no compression."""
    receiver.answer = status(429, Retry_After="7", Set_Cookie="a=b")
    for _ in range(2):
        answer = await sender.send(receiver.url, HEADERS, b'{"x":1}')
    assert (answer.status, answer.retry_after, answer.response) == (429, "7", "said 429")
    headers, body = receiver.requests[1]
    assert (body, headers["webhook-id"]) == (b'{"x":1}', "evt_1")
    assert headers["content-type"] == "application/json"
    assert "cookie" not in headers
    assert headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "0.0.0.0", "127.0.0.2"],
)
async def test_loopback_is_closed_however_it_is_written(receiver: Receiver, host: str) -> None:
    """Literals do not pass a resolver; the guard sees them all the same."""
    sender = HttpSender(Policy())
    answer = await sender.send(f"http://{host}:{receiver.port}/", HEADERS, b"{}")
    await sender.close()
    assert answer.status is None
    assert answer.error and "not a public address" in answer.error
    assert receiver.requests == []


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f000001", "0177.0.0.1"])
async def test_odd_numbers_are_no_way_in(receiver: Receiver, host: str) -> None:
    """Even where the exact address is exempt, nobody needs these forms."""
    sender = HttpSender(Policy())
    answer = await sender.send(f"http://{host}:{receiver.port}/", HEADERS, b"{}")
    await sender.close()
    assert answer.status is None and answer.error
    assert receiver.requests == []


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1"]
)
async def test_a_name_of_a_private_address_is_closed(receiver: Receiver, address: str) -> None:
    """The merchant's own name server may say anything."""
    sender = HttpSender(Policy(), resolver=Names(address))
    answer = await sender.send(f"http://shop.example:{receiver.port}/", HEADERS, b"{}")
    await sender.close()
    assert answer.error and "not sent:" in answer.error
    assert receiver.requests == []


async def test_a_name_that_turns_private_is_closed(receiver: Receiver) -> None:
    """Rebinding: allowed at first, another address when the connection is made."""
    sender = HttpSender(exempting(receiver), resolver=Names("127.0.0.1", "127.0.0.2"))
    url = f"http://shop.example:{receiver.port}/"
    with patch.object(webhooks_http, "KEEP_ALIVE_SECONDS", 0.0):
        assert (await sender.send(url, HEADERS, b"{}")).status == 200
        assert sender._session is not None
        await sender.close()  # drops connections and the DNS cache
        answer = await sender.send(url, HEADERS, b"{}")
    await sender.close()
    assert answer.error and "127.0.0.2 is not a public address" in answer.error
    assert len(receiver.requests) == 1


async def test_proxies_of_the_environment_are_not_used(
    sender: HttpSender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would connect for us, behind the guard."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await sender.send(receiver.url, HEADERS, b"{}")).status == 200


async def test_redirects_are_not_followed(sender: HttpSender, receiver: Receiver) -> None:
    """One request, whatever the answer says."""
    receiver.answer = status(307, Location="/elsewhere")
    assert (await sender.send(receiver.url, HEADERS, b"{}")).status == 307
    assert len(receiver.requests) == 1


async def test_a_refused_connection_is_told_in_words() -> None:
    """Nobody listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        sender = HttpSender(Policy(exempt=frozenset({("127.0.0.1", port)})))
        answer = await sender.send(f"http://127.0.0.1:{port}/", HEADERS, b"{}")
        await sender.close()
    assert answer.status is None
    assert answer.error == "the connection was refused"


async def test_a_slow_answer_is_cut_off(receiver: Receiver) -> None:
    """The total time bounds everything."""
    release = asyncio.Event()

    async def slow(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    receiver.answer = slow
    with patch.object(webhooks_http, "TOTAL_SECONDS", 0.2):
        sender = HttpSender(exempting(receiver))
        answer = await sender.send(receiver.url, HEADERS, b"{}")
    release.set()
    await sender.close()
    assert answer.status is None and answer.error and "no answer within" in answer.error


async def test_an_endless_body_is_cut_off(sender: HttpSender, receiver: Receiver) -> None:
    """The status is what counts; 16 kB are read, 4 kB kept, and the connection is dropped."""
    written = 0
    stopped = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 4096)
                written += 4096
        finally:
            stopped.set()

    receiver.answer = endless
    answer = await sender.send(receiver.url, HEADERS, b"{}")
    assert (answer.status, len(answer.response)) == (200, webhooks_http.BODY_STORED_MAX)
    async with asyncio.timeout(20):
        await stopped.wait()


async def test_a_body_that_breaks_off_does_not_matter(receiver: Receiver) -> None:
    """What trickles until the time is over has said its status long before."""

    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"so far\0 so good")
        await asyncio.Event().wait()
        return response

    receiver.answer = trickle
    with patch.object(webhooks_http, "TOTAL_SECONDS", 0.3):
        sender = HttpSender(exempting(receiver))
        answer = await sender.send(receiver.url, HEADERS, b"{}")
    await sender.close()
    assert (answer.status, answer.response) == (200, "so far� so good")


async def test_nonsense_for_an_answer_is_told_in_words() -> None:
    """A server that does not speak HTTP, and one that hangs up."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0))
        await writer.drain()
        writer.close()

    answers = [b"SSH-2.0-OpenSSH\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000]
    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sender = HttpSender(Policy(exempt=frozenset({("127.0.0.1", port)})))
    while answers:
        answer = await sender.send(f"http://127.0.0.1:{port}/", HEADERS, b"{}")
        assert answer.status is None and answer.error and len(answer.error) <= 500
    await sender.close()
    server.close()
    await server.wait_closed()


async def test_the_systems_names_are_resolved(receiver: Receiver) -> None:
    """The own resolver finds localhost, and says so when there is no such name."""
    sender = HttpSender(exempting(receiver))
    answer = await sender.send(f"http://localhost:{receiver.port}/", HEADERS, b"{}")
    assert answer.status == 200
    answer = await sender.send("http://no-such-host.invalid/", HEADERS, b"{}")
    assert answer.error and "cannot be resolved" in answer.error
    await sender.close()


async def test_look_ups_are_bounded() -> None:
    """More waiting names than that are refused at once instead of piling up threads."""
    resolver = ThreadResolver()
    with patch.object(webhooks_http, "LOOKUPS_MAX", 0), pytest.raises(OSError, match="too many"):
        await resolver.resolve("localhost", 80)
    assert await resolver.resolve("localhost", 80)
    assert isinstance(resolver, aiohttp.abc.AbstractResolver)
