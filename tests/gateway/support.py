"""A listening viewer socket on real parts, and a plain client that speaks the protocol by hand."""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from liveserver.gateway.gateway import Gateway
from liveserver.gateway.meters import Meters
from liveserver.gateway.options import GatewayOptions
from liveserver.gateway.remote import Remote
from liveserver.identity import Identity
from liveserver.listener import Listener
from liveserver.metrics import Metrics
from liveserver.problems import Refused
from liveserver.tokens import Tokens
from rooms.bus import Message
from rooms.bus_redis import RedisBus
from rooms.channels import Namespaces, topic_of
from rooms.hub_service import HubService
from rooms.service import RoomService

SECRET = "a secret that is long enough for HS256"
PATIENCE = 10.0  # seconds until a test that waits in vain fails

NAMESPACES = {
    "": {
        "history_size": 100, "history_ttl_seconds": 300, "recovery": True,
        "presence": True, "join_leave": True, "publish": "subscriber",
    },
    "plain": {"publish": "anyone"},
    "news": {"history_size": 3, "history_ttl_seconds": 300, "recovery": True, "publish": "anyone"},
    "kept": {"history_size": 50, "history_ttl_seconds": 300, "recovery": True, "publish": "anyone"},
    "delta": {
        "history_size": 50, "history_ttl_seconds": 300, "recovery": True, "publish": "anyone",
        "delta": ["fossil"],
    },
    "log": {"history_size": 50, "history_ttl_seconds": 300, "publish": "anyone"},
}  # fmt: skip


def now() -> int:
    return time.time_ns() // 1_000_000


class Place:
    """One worker: bus, hub, gateway and listener on an ephemeral port."""

    def __init__(
        self,
        bus: RedisBus,
        gateway: Gateway,
        rooms: RoomService,
        methods: "Methods",
        port: int,
        tls: bool,
        metrics: Metrics,
    ) -> None:
        self.bus = bus
        self.gateway = gateway
        self.rooms = rooms
        self.methods = methods
        self.port = port
        self.metrics = metrics
        self.scheme = "wss" if tls else "ws"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/connection/websocket"

    @property
    def origin(self) -> str:
        return f"{'https' if self.scheme == 'wss' else 'http'}://127.0.0.1:{self.port}"

    def token(self, user: str, ttl: int | None = None, **claims: Any) -> str:
        return self.gateway.tokens.issue(Identity(user=user, **claims), ttl)

    def figure(self, name: str, **labels: str) -> float:
        """What a scrape would tell, without the prefix; 0 for what was never counted."""
        return self.metrics.registry.get_sample_value(f"liveserver_{name}", labels) or 0.0

    async def publish(self, channel: str, data: Any, **fields: Any) -> None:
        """What the server itself publishes in an operator's channel."""
        rules = self.gateway.options.namespaces.rules_of(channel)
        assert rules is not None
        message = Message(
            channel=channel,
            data=json.dumps(data).encode(),
            history_size=rules.history_size,
            history_ttl_seconds=rules.history_ttl_seconds,
            **fields,
        )
        await self.bus.publish(topic_of(channel), [message])


class EmptyShop:
    """A shop without goods."""

    async def products(self, ids: list[str]) -> list[dict[str, object]]:
        return []

    async def sales(self, room: str) -> dict[str, tuple[bytes, int]]:
        return {}


class Methods:
    """RPC methods that need no shop."""

    methods = frozenset({"echo", "whoami", "refuse", "break", "wait", "later", "at once"})

    def __init__(self) -> None:
        self.held: list[tuple[bytes, Callable[[bytes | Exception], None]]] = []
        self.addresses: list[str] = []  # for which limits were asked
        self.called = asyncio.Event()
        self.go_on = asyncio.Event()

    def limit(self, identity: Identity | None, method: str, address: str) -> None:
        self.addresses.append(address)

    def begin(
        self,
        identity: Identity | None,
        method: str,
        data: bytes,
        done: Callable[[bytes | Exception], None],
    ) -> bool:
        """`later` and `at once` are answered by a call, all others are awaited."""
        if method == "at once":
            done(data)
        elif method == "later":
            self.held.append((data, done))
        return method in ("at once", "later")

    async def call(self, identity: Identity | None, method: str, data: bytes) -> bytes:
        if method == "echo":
            return data or b"null"
        if method == "whoami":
            return json.dumps({"user": identity.user if identity else None}, indent=1).encode()
        if method == "refuse":
            raise Refused("sold-out", "Nothing is left")
        if method == "wait":
            self.called.set()
            await self.go_on.wait()
            return b'"waited"'
        raise RuntimeError("a fault in a method")


async def hello(request: web.BaseRequest) -> web.Response:
    """Stands for all of HTTP: tells how long the body was."""
    return web.Response(text=f"{request.path} {len(await request.read())}")


@asynccontextmanager
async def serving(
    redis_url: str,
    node: str,
    make_rooms: Callable[[RedisBus], RoomService],
    rpc: "Methods",
    *,
    tls: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[Place]:
    bus = RedisBus(redis_url, node)
    await bus.start()
    chosen = GatewayOptions(**{"namespaces": Namespaces(NAMESPACES), **options})
    rooms = make_rooms(bus)
    metrics = Metrics(node, node)
    meters = Meters(metrics.registry)
    tokens = Tokens(SECRET, now=now)
    hub = HubService(bus, time.thread_time)
    gateway = Gateway(hub, rooms, rpc, tokens, chosen, now=now, node=node, meters=meters)
    meters.watch(gateway, Remote(gateway, node, name=node, clock=time.monotonic))
    server = web.Server(hello)
    listener = Listener(gateway, server)
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    running = asyncio.gather(gateway.run(), rooms.run())
    await listener.start(sock, tls)
    try:
        yield Place(bus, gateway, rooms, rpc, port, tls is not None, metrics)
    finally:
        await listener.stop()
        await gateway.drain(0.0)
        await rooms.close()
        await server.shutdown(1.0)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await bus.close()


class Client:
    """A client by hand: numbered commands, replies by id, pushes in a list."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.replies: dict[int, dict[str, Any]] = {}
        self.pushes: list[dict[str, Any]] = []
        self.log: list[dict[str, Any]] = []  # all messages in the order they came
        self.frames: list[int] = []  # how many messages each frame held
        self.pings = 0
        self.answer_pings = True
        self._id = 0
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @property
    def closed(self) -> tuple[int, str] | None:
        """Close code and reason once the server has closed."""
        return (
            None if self.ws.close_code is None else (self.ws.close_code, self.ws.close_reason or "")
        )

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for frame in self.ws:
                assert isinstance(frame, str)
                lines = frame.split("\n")
                self.frames.append(len(lines))
                for line in lines:
                    await self._message(json.loads(line))
                self._news.set()
        self._news.set()

    async def _message(self, message: dict[str, Any]) -> None:
        if message == {}:
            self.pings += 1
            if self.answer_pings:
                await self.ws.send("{}")
            return
        self.log.append(message)
        if "id" in message:
            self.replies[message["id"]] = message
        else:
            self.pushes.append(message["push"])

    async def until(self, true: Callable[[], Any], what: str = "") -> Any:
        """Wait until a condition over what has come holds."""
        async with asyncio.timeout(PATIENCE):
            while not (value := true()):
                assert self.closed is None or "closed" in what, f"closed: {self.closed}"
                self._news.clear()
                await self._news.wait()
        return value

    async def until_closed(self) -> tuple[int, str]:
        async with asyncio.timeout(PATIENCE):
            await self.ws.wait_closed()
        assert self.closed is not None
        return self.closed

    def line(self, method: str, request: Any) -> tuple[int, str]:
        self._id += 1
        return self._id, json.dumps({"id": self._id, method: request})

    async def ask(self, method: str, /, **request: Any) -> dict[str, Any]:
        """Send a command and return its whole reply."""
        id, line = self.line(method, request)
        await self.ws.send(line)
        reply: dict[str, Any] = await self.until(lambda: self.replies.get(id), method)
        return reply

    async def ok(self, method: str, /, **request: Any) -> dict[str, Any]:
        """Send a command and return the content of its successful reply."""
        reply = await self.ask(method, **request)
        assert "error" not in reply, reply
        content: dict[str, Any] = reply[method]
        return content

    async def error(self, method: str, /, **request: Any) -> int:
        reply = await self.ask(method, **request)
        assert set(reply) == {"id", "error"}, reply
        assert reply["error"]["message"]
        code: int = reply["error"]["code"]
        return code

    def pubs(self, channel: str) -> list[Any]:
        return [p["pub"]["data"] for p in self.pushes if p.get("channel") == channel and "pub" in p]

    async def close(self) -> None:
        await self.ws.close()
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader


@asynccontextmanager
async def dialled(place: Place, *, query: str = "", **options: Any) -> AsyncIterator[Client]:
    """A connection after the handshake and before the connect command."""
    ws = await connect(place.url + query, compression=None, proxy=None, **options)
    client = Client(ws)
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def connected(place: Place, token: str = "", **options: Any) -> AsyncIterator[Client]:
    async with dialled(place, **options) as client:
        await client.ok("connect", **({"token": token} if token else {}))
        yield client


async def eventually(true: Callable[[], Awaitable[Any]]) -> Any:
    """Ask again until it holds."""
    async with asyncio.timeout(PATIENCE):
        while not (value := await true()):  # noqa: ASYNC110 - it is asked over a socket
            await asyncio.sleep(0.01)
    return value


class HeadReader(asyncio.StreamReader):
    """A stream that remembers the head of the answer it began with."""

    headers: dict[str, str]


async def raw_upgrade(
    place: Place, *headers: str, trust: ssl.SSLContext | None = None, query: str = ""
) -> tuple[HeadReader, asyncio.StreamWriter, int]:
    """Ask for an upgrade by hand; the stream, and the status of the answer."""
    loop = asyncio.get_running_loop()
    reader = HeadReader()
    transport, protocol = await loop.create_connection(
        lambda: asyncio.StreamReaderProtocol(reader), "127.0.0.1", place.port, ssl=trust
    )
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    lines = [
        f"GET /connection/websocket{query} HTTP/1.1",
        f"Host: 127.0.0.1:{place.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    async with asyncio.timeout(PATIENCE):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    reader.headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
    }
    return reader, writer, int(head[0].split()[1])
