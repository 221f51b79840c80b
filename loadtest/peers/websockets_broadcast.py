"""
`websockets` as its documentation recommends it for many: `broadcast`, on uvloop, no compression.

`python -m loadtest.peers.websockets_broadcast PORT`; speaks like `limit.c`.
"""

import asyncio
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from loadtest.peers.frames import payload, rounds

viewers: set[ServerConnection] = set()


async def stay(connection: ServerConnection) -> None:
    viewers.add(connection)
    try:
        await connection.wait_closed()
    finally:
        viewers.discard(connection)


def write_to_all(size: int, n: int) -> None:
    broadcast(viewers, payload(size, n).decode())


async def main(port: int) -> None:
    async with serve(stay, "127.0.0.1", port, compression=None, backlog=4096, ping_interval=None):
        await rounds(write_to_all)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
