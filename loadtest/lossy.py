"""A way that loses datagrams: a UDP proxy for one client, with a seed, so that a run can be had
again. What is lost is decided a datagram, both ways, handshakes and reports too."""

import asyncio
import random
from typing import Any


class LossyWay(asyncio.DatagramProtocol):
    """
    Listens on a loopback port for one client and passes on to `to` all but `part` of what comes.
    """

    def __init__(self, to: tuple[str, int], part: float, seed: int) -> None:
        self._to = to
        self._part = part
        self._dice = random.Random(seed)
        self._client: Any = None
        self._near: asyncio.DatagramTransport | None = None
        self._far: asyncio.DatagramTransport | None = None
        self.passed = self.lost = 0

    async def open(self) -> int:
        """The port for the client."""
        loop = asyncio.get_running_loop()
        near, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        far, _ = await loop.create_datagram_endpoint(lambda: _Back(self), remote_addr=self._to)
        self._near, self._far = near, far
        port: int = near.get_extra_info("sockname")[1]
        return port

    def close(self) -> None:
        for way in (self._near, self._far):
            if way is not None:
                way.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._client = addr
        if self._far is not None and self._passes():
            self._far.sendto(data)

    def came_back(self, data: bytes) -> None:
        if self._near is not None and self._client is not None and self._passes():
            self._near.sendto(data, self._client)

    def _passes(self) -> bool:
        lost = self._dice.random() < self._part
        self.lost += lost
        self.passed += not lost
        return not lost


class _Back(asyncio.DatagramProtocol):
    def __init__(self, way: LossyWay) -> None:
        self._way = way

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._way.came_back(data)
