"""
A viewer socket as lean as a load generator needs it: one protocol object, no task, no library.

Speaks the Centrifuge protocol in JSON over WebSocket (RFC 6455). Frames to the server are masked,
as the standard demands, with the key zero: that is allowed and costs nothing.
"""

import asyncio
import base64
import json
import os
import ssl
import struct
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]
PATH = "/connection/websocket"


def text_frame(payload: bytes) -> bytes:
    """One masked text frame, masking key 0 (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x81, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x81, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x81, 0x80 | 127, size)
    return head + b"\0\0\0\0" + payload


class SocketClient(asyncio.Protocol):
    """
    One viewer. `on_line` gets every line of every frame, `on_close` is called once at the end.

    Pings of the protocol (`{}`) are answered here.
    """

    def __init__(self, host: str, on_line: Callable[["SocketClient", bytes], None]) -> None:
        self._host = host
        self._on_line = on_line
        self._buffer = b""
        self._upgraded = False
        self.closed = False
        self.ended = ""  # code and reason of the server's close frame
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET {PATH} HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("closed before the upgrade"))

    def send(self, command: Json) -> None:
        self.send_raw(json.dumps(command).encode())

    def send_raw(self, line: bytes) -> None:
        self.transport.write(text_frame(line))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded and not self._read_head():
            return
        self._read_frames()

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        if not self._buffer.startswith(b"HTTP/1.1 101"):
            self.ready.set_exception(ConnectionError(self._buffer[:200].decode(errors="replace")))
            self.transport.close()
            return False
        self._buffer = self._buffer[end + 4 :]
        self._upgraded = True
        self.ready.set_result(None)
        return True

    def _read_frames(self) -> None:
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            opcode, size, begin = buffer[at] & 0x0F, buffer[at + 1] & 0x7F, at + 2
            if size == 126:
                if len(buffer) < at + 4:
                    break
                size, begin = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                if len(buffer) < at + 10:
                    break
                size, begin = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
            if len(buffer) < begin + size:
                break
            at = begin + size
            if opcode == 1:
                self._read_lines(buffer[begin:at])
            elif opcode == 8:
                code, reason = buffer[begin : begin + 2], buffer[begin + 2 : at]
                self.ended = f"{int.from_bytes(code, 'big')} {reason.decode()}"
                self.transport.close()
        self._buffer = buffer[at:]

    def _read_lines(self, payload: bytes) -> None:
        for line in payload.split(b"\n"):
            if line == b"{}":
                self.send_raw(b"{}")
            elif line:
                self._on_line(self, line)


async def connect(
    base: str, token: str, on_line: Callable[[SocketClient, bytes], None]
) -> SocketClient:
    """Open a socket to the server at `base` and send the connect command (its id is 1)."""
    address = urlsplit(base)
    assert address.hostname is not None and address.port is not None
    loop = asyncio.get_running_loop()
    tls = None
    if address.scheme == "https":
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE  # a load test trusts anybody
    _transport, client = await loop.create_connection(
        lambda: SocketClient(address.netloc, on_line), address.hostname, address.port, ssl=tls
    )
    await client.ready
    client.send({"id": 1, "connect": {"token": token, "name": "loadtest"}})
    return client
