"""
A synthetic crowd for the demo: viewers who chat, throw danmaku, like, and buy if asked to.

`python -m liveserver.crowd http://127.0.0.1:8000 demo 50 [--buys]` is a process of its own and a
stranger at the door: it signs in as guests over HTTP and speaks the Centrifuge protocol like any
other client, so what it shows is what the server does for people.
"""

import argparse
import asyncio
import contextlib
import random
import secrets
from typing import Any

import aiohttp
import msgspec

LINES = (
    "第一次来,主播好!",
    "这个颜色好看",
    "多久发货呀?",
    "3 号链接还有吗",
    "价格不错",
    "Is the mug dishwasher safe?",
    "Greetings from Berlin",
    "Love this one!",
    "What size is it?",
    "已下单,坐等收货",
    "主播讲解一下材质",
    "支持支持",
    "Can you show it closer?",
    "上次买的很好用",
    "哈哈哈哈",
    "冲冲冲",
    "Nice deal",
    "能便宜点吗",
)
FLYING = ("666", "好看!", "冲!", "❤", "wow", "赞", "来了来了", "手慢无", "yes!!", "太美了")
COLOURS = ("#ffffff", "#ffd166", "#06d6a0", "#ef476f", "#8ecae6")

ACTION_SECONDS = (4.0, 14.0)  # a person does something every few seconds
RECONNECT_SECONDS = (1.0, 5.0)
CONNECT_SPREAD_SECONDS = 5.0  # not all in the same instant


class Viewer:
    """One guest: a socket, a name, and a few habits."""

    def __init__(self, session: aiohttp.ClientSession, base: str, room: str, buys: bool) -> None:
        self.session = session
        self.base = base
        self.room = room
        self.buys = buys
        self.command_id = 0
        self.random = random.Random()  # habits, not secrets
        self.reserved: set[str] = set()

    async def live(self) -> None:
        """Watch for as long as the process runs; a lost connection is opened again."""
        await asyncio.sleep(self.random.uniform(0, CONNECT_SPREAD_SECONDS))
        while True:
            # the server restarts or refuses: come back like a person would
            with contextlib.suppress(aiohttp.ClientError, OSError, KeyError):
                await self.watch()
            await asyncio.sleep(self.random.uniform(*RECONNECT_SECONDS))

    async def watch(self) -> None:
        token = await self.sign_in()
        url = self.base.replace("http", "ws", 1) + "/connection/websocket"
        async with self.session.ws_connect(url, ssl=False, heartbeat=None) as socket:
            await self.send(socket, {"connect": {"token": token, "name": "crowd"}})
            for channel in ("room", "chat", "danmaku"):
                await self.send(socket, {"subscribe": {"channel": f"{channel}:{self.room}"}})
            habits = asyncio.create_task(self.act(socket))
            try:
                await self.listen(socket)
            finally:
                habits.cancel()

    async def sign_in(self) -> str:
        name = f"{self.random.choice('春夏秋冬晴雨云山海川')}{self.random.randint(100, 999)}"
        async with self.session.post(
            f"{self.base}/v1/session", json={"name": name}, ssl=False
        ) as answer:
            answer.raise_for_status()
            token: str = (await answer.json())["token"]
            return token

    async def send(self, socket: aiohttp.ClientWebSocketResponse, command: dict[str, Any]) -> None:
        self.command_id += 1
        await socket.send_str(msgspec.json.encode({"id": self.command_id, **command}).decode())

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                return
            for line in frame.data.split("\n"):
                if line == "{}":
                    await socket.send_str("{}")
                elif self.buys and '"flash_sale.updated"' in line:
                    await self.consider(socket, line)

    async def consider(self, socket: aiohttp.ClientWebSocketResponse, line: str) -> None:
        """Buy one unit of a running sale, once."""
        push = msgspec.json.decode(line).get("push", {})
        sale = push.get("pub", {}).get("data", {}).get("flash_sale", {})
        if sale.get("state") != "running" or sale["id"] in self.reserved:
            return
        self.reserved.add(sale["id"])
        body = {"flash_sale": sale["id"], "quantity": 1, "key": secrets.token_hex(8)}
        await self.send(socket, {"rpc": {"method": "reserve", "data": body}})

    async def act(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while not socket.closed:
            await asyncio.sleep(self.random.uniform(*ACTION_SECONDS))
            await self.send(socket, self.something())

    def something(self) -> dict[str, Any]:
        pick = self.random.random()
        if pick < 0.4:
            return self.publish("chat", {"text": self.random.choice(LINES)})
        if pick < 0.8:
            colour = self.random.choice(COLOURS)
            return self.publish("danmaku", {"text": self.random.choice(FLYING), "color": colour})
        likes = self.random.randint(1, 5)
        return {"rpc": {"method": "like", "data": {"room": self.room, "count": likes}}}

    def publish(self, namespace: str, data: dict[str, Any]) -> dict[str, Any]:
        return {"publish": {"channel": f"{namespace}:{self.room}", "data": data}}


async def gather(base: str, room: str, count: int, buys: bool) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, connect=10)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(count):
            group.create_task(Viewer(session, base, room, buys).live())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m liveserver.crowd", description=__doc__)
    parser.add_argument("base", help="address of the server, http://127.0.0.1:8000")
    parser.add_argument("room")
    parser.add_argument("count", type=int)
    parser.add_argument("--buys", action="store_true", help="buy a unit of each flash sale")
    options = parser.parse_args()
    asyncio.run(gather(options.base, options.room, options.count, options.buys))


if __name__ == "__main__":
    main()
