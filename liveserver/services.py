"""What the doors (HTTP, viewer socket) get: the parts behind them, and a few plain values."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from liveserver.addresses import Network
from liveserver.web.limits import Limits
from liveserver.web.meters import HttpMeters
from orders.requests import Door

if TYPE_CHECKING:
    from liveserver.api_keys_sql import SqlApiKeys
    from liveserver.archive.store_sql import SqlArchive
    from liveserver.delivery import Deliveries
    from liveserver.emulation import Emulation
    from liveserver.media_door import MediaDoor
    from liveserver.metrics import Metrics
    from liveserver.people import People
    from liveserver.server_api import ServerApi
    from liveserver.stream_keys_sql import SqlStreamKeys
    from liveserver.tokens import Tokens
    from orders.feed import Feed
    from orders.reads_sql import Reads
    from orders.webhooks_service import Webhooks
    from rooms.moderation_service import Moderation
    from rooms.service import RoomService

IMPORTS_AT_ONCE = 50  # so that a catalogue leaves the writer's queue to buyers


@dataclass(frozen=True, kw_only=True)
class WebOptions:
    """Values of the settings that HTTP needs."""

    static_dir: Path
    data_dir: Path  # pictures are kept in data_dir/images
    version: str = "0.1.0"
    public_url: str = ""  # "" = the address the request came to; wins over the shop's own setting
    api_key: str = field(default="", repr=False)  # of /api/*; "" = nobody may
    export_secret: bytes = field(default=b"", repr=False)  # names people in exported files
    demo: bool = False
    image_origins: tuple[str, ...] = ()  # may be named in img-src besides our own
    allowed_origins: tuple[str, ...] = ()  # whose pages may use the viewer socket, WHIP and WHEP
    embed_origins: tuple[str, ...] = ()  # whose pages may show /embed/{room} in a frame
    trusted_proxies: tuple[Network, ...] = ()  # networks whose forwarding headers are believed
    limit_loopback: bool = False  # limits per address also count loopback
    metrics_allowed: tuple[Network, ...] = ()  # networks that may read /metrics without a key


@dataclass(kw_only=True)
class Services:
    """
    Everything a request may need. `ready` holds one check per thing the server cannot do without;
    a check returns when all is well and raises otherwise.
    """

    options: WebOptions
    rooms: "RoomService"
    moderation: "Moderation"
    door: Door
    reads: "Reads"
    people: "People"
    tokens: "Tokens"
    webhooks: "Webhooks"
    feed: "Feed"
    deliveries: "Deliveries"
    archive: "SqlArchive"
    api_keys: "SqlApiKeys"
    now: Callable[[], int]  # wall clock, milliseconds
    new_id: Callable[[str], str]
    ready: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    #: the server API; None in a process without viewers
    api: "ServerApi | None" = None
    #: the media process; None where there is no video
    video: "MediaDoor | None" = None
    stream_keys: "SqlStreamKeys | None" = None
    #: commands of clients with streams; None in a process without viewers
    emulation: "Emulation | None" = None
    #: the figures of /metrics; None in a process that keeps none
    metrics: "Metrics | None" = None
    http_meters: HttpMeters = field(default_factory=HttpMeters)
    #: per address, for HTTP and for what the viewer socket buys
    limits: Limits = field(init=False)
    #: products of files on their way to the writer, which answers those that wait together
    importing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IMPORTS_AT_ONCE))
    #: buyers whose reservation is being worked on in this process: one at a time each
    reserving: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.limits = Limits(self.now)
