"""The media process: what it opens, and in which order it closes."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from liveserver import sockets
from liveserver.config import Config
from liveserver.media.announcer import Announcer, Rooms
from liveserver.media.demo_publisher import DemoPublisher
from liveserver.media.mux import Mux
from liveserver.media.outlet import Forwarder
from liveserver.media.signalling import Signalling
from liveserver.media.srtp import Sender, knows_gso
from liveserver.media.stage import Stage

log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]

PORT_SECONDS = 0.5  # between two looks whether a busy port is free
QUIET_TRIES = 10  # then an operator should know
TICK_SECONDS = 1.0
FLUSH_SECONDS = 0.05  # how long a gap may be mere disorder before it is asked for


class Media:
    """
    One media process. `work` are the tasks that run while it serves; `socket_path` is where
    gateways reach it; `demo_room` gets the demo's clip.
    """

    def __init__(
        self,
        config: Config,
        rooms: Rooms,
        now_ms: Callable[[], int],
        socket_path: Path,
        demo_room: str | None = None,
    ) -> None:
        self._config = config
        self._socket_path = socket_path
        self._demo_room = demo_room
        self._mux = Mux()
        self.addresses = announced(config)
        gso = config.media_gso and knows_gso()
        self._announcer = Announcer(rooms)
        self.stage = Stage(
            self._mux,
            Forwarder(Sender(gso=gso)),
            self.addresses,
            load_mark=config.media_load_mark / 100,
            report=self._announcer.tell,
            now_ms=now_ms,
        )
        self._signalling = Signalling(self.stage, config.ice_servers)

    @property
    def work(self) -> dict[str, Work]:
        demo: dict[str, Work] = {}
        if self._demo_room is not None:
            publisher = DemoPublisher(self._socket_path, self._config.data_dir, self._demo_room)
            demo = {"demo clip": publisher.run}
        return demo | {
            "video port": self._keep_open,
            "video events": self._announcer.run,
            "earlier video": self._announcer.settle,
            "video quality": lambda: self._announcer.quality(self.stage),
            "video clock": self._tick,
            "video requests": self._flush,
        }

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Open the ports. While the UDP port is busy, video is off, with a warning."""
        await self._signalling.start(self._socket_path)
        try:
            yield
        finally:
            await self._signalling.stop()
            self.stage.close()
            await asyncio.sleep(0)  # farewells leave in this turn
            self._mux.close()

    async def _keep_open(self) -> None:
        """Open the UDP port as soon as it is free: a dead process keeps it for a moment."""
        hosts = bound(self._config, self.addresses)
        port = self._config.media_udp_port
        for tries in itertools.count():
            try:
                self._mux.open(hosts, port)
                break
            except OSError as error:
                if tries == QUIET_TRIES:
                    log.warning("video is off: UDP port %d: %s", port, error.strerror)
                await asyncio.sleep(PORT_SECONDS)
        log.info("video: UDP port %d on %s", self._mux.port, ", ".join(hosts))
        await asyncio.Event().wait()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.stage.tick()

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self.stage.flush()


def announced(config: Config) -> list[str]:
    """The addresses that peers send to: as set, else this machine's first."""
    if config.media_public_ip:
        return list(config.media_public_ip)
    if sockets.is_loopback(config.host):
        return ["127.0.0.1"]
    if config.host not in ("0.0.0.0", "::"):
        return [config.host]
    return sockets.lan_addresses()[:1] or ["127.0.0.1"]


def bound(config: Config, addresses: list[str]) -> list[str]:
    """
    Where the port is opened: on loopback alone where nothing else is announced, else everywhere,
    since what is announced may be another machine's that passes packets on.
    """
    families = {":" in address for address in addresses}
    if all(sockets.is_loopback(address) for address in addresses):
        return ["::1" if six else "127.0.0.1" for six in sorted(families)]
    return ["::" if six else "0.0.0.0" for six in sorted(families)]
