"""
A bare loop of `transport.write` on uvloop: the limit of this language, without a protocol.

`python -m loadtest.peers.uvloop_writes PORT`; speaks like `limit.c` on standard input.
"""

import asyncio
import sys
from typing import cast

import uvloop

from loadtest.peers.frames import frame, rounds

ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
viewers: set[asyncio.Transport] = set()


class Viewer(asyncio.Protocol):
    """A socket that is written to."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.head = b""

    def data_received(self, data: bytes) -> None:
        self.head += data
        if b"\r\n\r\n" in self.head:
            self.transport.write(ANSWER)
            viewers.add(self.transport)
            self.head = b""

    def connection_lost(self, error: Exception | None) -> None:
        viewers.discard(self.transport)


def write_to_all(size: int, n: int) -> None:
    data = frame(size, n)
    for viewer in list(viewers):
        viewer.write(data)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Viewer, "127.0.0.1", port, backlog=4096)
    await rounds(write_to_all)
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
