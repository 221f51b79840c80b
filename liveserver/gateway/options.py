"""Values of the settings that the viewer socket needs, and its bounds."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from rooms.channels import Namespaces

PATH = "/connection/websocket"
HTTP_STREAM_PATH = "/connection/http_stream"
SSE_PATH = "/connection/sse"
EMULATION_PATH = "/emulation"

MESSAGE_BYTES = 64 * 1024  # of one message in; more closes with 1009, as in Centrifugo
QUEUE_COMMANDS = 256  # waiting in one connection; with more, no further frame of it is read
FLUSH_REPLIES = 64  # to one frame at most: whether the client takes them is seen after each
BACKLOG_BYTES = 1024 * 1024  # unread from a client of a stream, about 16,000 short commands
CHANNELS = 128  # subscriptions of one connection, as in Centrifugo
HISTORY_BYTES = 512 * 1024  # of one answer with publications; what is behind has to be asked for
COMMAND_SECONDS = 20.0  # for one command; longer than every timeout below it
CONNECTS_BURST_SECONDS = 5.0  # of connects that may come at once: the start of a show
BUSY_SECONDS = 2  # until somebody who was sent away should come again
CLOSE_SECONDS = 5.0  # for the client's part of the closing handshake, then the socket is cut
EXPIRED_GRACE_SECONDS = 25.0  # a token that has expired may still be renewed that long
PRESENCE_TTL_SECONDS = 60  # an entry of a worker that died goes away after that
PRESENCE_REFRESH_SECONDS = 25.0


@dataclass(frozen=True, kw_only=True)
class GatewayOptions:
    """`[client]` and `[namespaces]` of the settings file, and what the tests make shorter."""

    version: str = "0.1.0"
    namespaces: Namespaces = field(default_factory=Namespaces)
    insecure: bool = False
    personal_channel: bool = True
    compression: bool = True  # permessage-deflate for clients that offer it
    soft_mark_bytes: int = 64 * 1024  # waiting in a socket: it loses the droppable lane
    hard_mark_bytes: int = 1024 * 1024  # waiting in a socket: close 3008, and let it recover
    connects_per_second: int = 1_000  # of a worker, 503 above; 0 = any number
    allowed_origins: tuple[str, ...] = ()
    public_url: str = ""
    limit_loopback: bool = False  # limits per address also count loopback
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    ping_seconds: float = 25.0
    pong_seconds: float = 8.0
    connect_seconds: float = 10.0  # for the handshake and the connect command
    head_seconds: float = 10.0  # for a request's head
    expired_grace_seconds: float = EXPIRED_GRACE_SECONDS
    step_seconds: float = 1.0  # resolution of all of these

    @property
    def answer_bytes(self) -> int:
        """What one answer may hold, so that nobody ends by what was asked for."""
        return max(self.hard_mark_bytes - self.soft_mark_bytes, self.hard_mark_bytes // 2)
