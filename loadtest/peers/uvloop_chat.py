"""
The shortest way of a line of chat in this language: from a socket to Valkey, and an answer.

A frame is read, unmasked and decoded; lines gather for 20 ms or while a call is under way; one
script keeps and publishes them; each is answered. There are no rights, rules, ids, numbers,
metrics, archive and viewers.

`python -m loadtest.peers.uvloop_chat PORT SOCKET`; SOCKET is that of a Valkey or Redis server.
"""

import asyncio
import sys
from typing import cast

import msgspec
import uvloop
from redis.asyncio import Redis
from websockets.frames import apply_mask  # type: ignore[attr-defined]

from loadtest.peers.uvloop_writes import ANSWER

TICK_SECONDS = 0.02  # that lines gather, as the server's chat does
BATCH_MAX = 200  # lines of a call, as there
SCRIPT = """
for _, line in ipairs(cmsgpack.unpack(ARGV[1])) do
  redis.call('XADD', KEYS[1], 'MAXLEN', 200, '*', 'd', line)
end
redis.call('PUBLISH', KEYS[1], ARGV[1])
"""


class Line(msgspec.Struct):
    """What a talker says."""

    text: str


class Publish(msgspec.Struct):
    channel: str
    data: Line


class Command(msgspec.Struct):
    id: int
    publish: Publish | None = None


read = msgspec.json.Decoder(Command).decode


class Talker(asyncio.Protocol):
    """A socket whose every frame comes alone and whole, and is at most 65,535 bytes long."""

    def __init__(self, room: "Room") -> None:
        self.room = room
        self.upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self.upgraded:
            self.upgraded = True
            self.transport.write(ANSWER)
            return
        start = 8 if data[1] == 0xFE else 6
        command = read(apply_mask(data[start:], data[start - 4 : start]))
        if command.publish is not None:
            self.room.say(self, command.id, command.publish.data.text)

    def answer(self, id: int) -> None:
        reply = b'{"id":%d,"publish":{}}' % id
        self.transport.write(bytes((0x81, len(reply))) + reply)


class Room:
    """Lines on their way to the server, and who waits for an answer."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.waiting: list[tuple[Talker, int, str]] = []
        self.sending: asyncio.Task[None] | None = None

    def say(self, talker: Talker, id: int, text: str) -> None:
        self.waiting.append((talker, id, text))
        if self.sending is None:
            self.sending = asyncio.create_task(self.send())

    async def send(self) -> None:
        await asyncio.sleep(TICK_SECONDS)
        while self.waiting:
            batch, self.waiting = self.waiting[:BATCH_MAX], self.waiting[BATCH_MAX:]
            packed = msgspec.msgpack.encode([text for _, _, text in batch])
            await self.redis.eval(SCRIPT, 1, "bare:chat", packed)
            for talker, id, _ in batch:
                talker.answer(id)
        self.sending = None


async def main(port: int, socket: str) -> None:
    room = Room(Redis(unix_socket_path=socket))
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Talker(room), "127.0.0.1", port, backlog=4096)
    print("listening", flush=True)
    await loop.create_future()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), sys.argv[2]))
