"""
One port for everything: the head of a request decides who gets the connection.

A request for a path of viewers goes to the gateway, every other to aiohttp; the socket is
handed over with `transport.set_protocol`, together with what was read of it. HTTP clients and
proxies may ask for the viewer socket on a connection that served other requests before. Works the
same over TLS. A head that does not end in time, or in a reasonable size, ends the connection here.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import cast

from liveserver.gateway.admission import TOO_MANY
from liveserver.gateway.gateway import Gateway
from liveserver.web.connection import Connection as HttpConnection

HEAD_BYTES = 32 * 1024  # of a request's head; aiohttp refuses long lines far below with a 400
BACKLOG = 4_096  # connections that the kernel keeps for us: a crowd that comes back
TLS_HANDSHAKE_SECONDS = 10.0

TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Connection: close\r\nContent-Length: 0\r\n\r\n"
)
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class Peek(asyncio.Protocol):
    """Reads the head of the first request, and hands the socket over."""

    __slots__ = ("_gateway", "_head", "_over", "_transport", "_waiting", "_web")

    def __init__(self, gateway: Gateway, web: ProtocolFactory) -> None:
        self._gateway = gateway
        self._web = web
        self._head = b""
        self._over = False
        self._waiting = False  # before the turnstile, with reading paused

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._gateway.wheel.after(self._gateway.options.head_seconds, self._too_slow)

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._head += data
        if self._waiting:
            return  # it came with what was read already
        end = self._head.find(b"\r\n\r\n")
        if end >= 0 and end <= HEAD_BYTES:
            self._hand_over()
        elif len(self._head) > HEAD_BYTES:
            self._refuse(TOO_LARGE)

    def connection_lost(self, error: Exception | None) -> None:
        self._over = True

    def _hand_over(self) -> None:
        gateway = self._gateway
        viewers = gateway.protocol_factory(_path(self._head))
        if viewers is None:
            self._receive(self._web)
        elif gateway.turnstile.full or not gateway.admission.admit(_seconds()):
            self._send_away()
        elif not gateway.turnstile.pass_through(self._enter):
            self._waiting = True
            self._transport.pause_reading()

    def _enter(self) -> None:
        viewers = self._gateway.protocol_factory(_path(self._head))
        if self._over or viewers is None:
            return
        if self._waiting:
            self._transport.resume_reading()
        self._receive(viewers)

    def _receive(self, factory: ProtocolFactory) -> None:
        self._over = True
        receiver = cast(asyncio.Protocol, factory())
        if isinstance(receiver, HttpConnection):
            receiver.take_back = self._take_back
        self._transport.set_protocol(receiver)
        receiver.connection_made(self._transport)
        head, self._head = self._head, b""
        receiver.data_received(head)

    def _take_back(self, transport: asyncio.BaseTransport, data: bytes) -> bool:
        """A further request on a kept-alive connection: is it for the viewer socket after all?"""
        if self._gateway.protocol_factory(_path(data)) is None:
            return False
        again = Peek(self._gateway, self._web)
        cast(asyncio.Transport, transport).set_protocol(again)
        again.connection_made(transport)
        again.data_received(data)
        return True

    def _too_slow(self) -> None:
        if self._over:
            return
        if self._waiting:
            self._send_away()
        else:
            self._refuse(TOO_SLOW if self._head else b"")

    def _send_away(self) -> None:
        self._gateway.admission.refused += 1
        self._refuse(TOO_MANY)

    def _refuse(self, answer: bytes) -> None:
        self._over = True
        if answer:
            self._transport.write(answer)
        self._transport.close()


def _seconds() -> float:
    return asyncio.get_running_loop().time()


def _path(head: bytes) -> bytes:
    """The path in the request line, where there is one."""
    _, _, target = head.partition(b"\r\n")[0].partition(b" ")
    return target.partition(b" ")[0].partition(b"?")[0]


class Listener:
    """The listening sockets of one worker."""

    def __init__(self, gateway: Gateway, web: ProtocolFactory) -> None:
        """`web` makes the protocol of an HTTP connection: aiohttp's `web.Server` is one."""
        self._gateway = gateway
        self._web = web
        self._servers: list[asyncio.Server] = []

    async def start(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Serve on a bound TCP or unix socket, which belongs to the listener from now on."""
        loop = asyncio.get_running_loop()
        # only these two differ between TCP and unix sockets
        create = loop.create_unix_server if _is_unix(sock) else loop.create_server
        server = await create(
            lambda: Peek(self._gateway, self._web),
            sock=sock,
            ssl=tls,
            ssl_handshake_timeout=TLS_HANDSHAKE_SECONDS if tls else None,
            backlog=BACKLOG,
        )
        self._servers.append(server)

    async def stop(self) -> None:
        """Accept nobody any more. Open connections stay; the gateway and aiohttp end theirs."""
        for server in self._servers:
            server.close()
        self._servers.clear()


def _is_unix(sock: socket.socket) -> bool:
    return sock.family == socket.AF_UNIX
