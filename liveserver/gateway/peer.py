"""
What every kind of connection to a viewer has: bytes out within marks, pings and pongs, an end.

Frames out are finished bytes, most of them shared with every other viewer of the same variant.
There is no task and no timer per connection.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, cast

from liveserver.gateway import codes
from liveserver.gateway.session import Session
from rooms.frames import Variant

if TYPE_CHECKING:
    from liveserver.gateway.gateway import Gateway


class Peer(asyncio.Protocol, ABC):
    """One client's socket. Also what the hub sees as `rooms.audience.Viewer`."""

    __slots__ = (
        "_closing",
        "_pinged_at",
        "gateway",
        "open",
        "session",
        "slow",
        "transport",
        "variant",
        "write",
    )

    def __init__(self, gateway: "Gateway", variant: Variant) -> None:
        self.gateway = gateway
        self.session = Session(gateway, self)
        self.variant = variant
        self.open = False  # it can be written to: begun, and no end sent or received
        self.slow = False  # more than the soft mark waits in the socket
        self._closing = False
        self._pinged_at = 0.0  # when a ping was sent that waits for its pong; 0 = none

    stream_id = ""  # of a stream: what names it in the client's further requests

    @property
    def transport_name(self) -> str:
        """For the metrics."""
        return "websocket"

    # --- the socket ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self.write = self.transport.write
        self.transport.set_write_buffer_limits(high=self.gateway.options.soft_mark_bytes)
        self.gateway.arrived(self)
        self.gateway.wheel.after(self.gateway.options.connect_seconds, self._connect_due)

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()
        self.gateway.gone(self)

    def pause_writing(self) -> None:
        self.slow = True

    def resume_writing(self) -> None:
        self.slow = False

    # --- writing ---------------------------------------------------------------------------

    def send(self, messages: list[bytes]) -> None:
        """Send replies and pushes that are for this client alone."""
        if not self.open:
            return
        frame = self.variant.own_frames(messages)
        self.gateway.bytes_out += len(frame)
        if self.slow:
            self.write_slow(frame)
        else:
            self.transport.write(frame)

    def write_slow(self, frame: bytes) -> None:
        """A frame without the droppable lane, past the soft mark; past the hard mark it ends."""
        waiting = self.transport.get_write_buffer_size() + len(frame)
        if waiting > self.gateway.options.hard_mark_bytes:
            self.close(codes.SLOW)
        elif frame:
            self.transport.write(frame)
        else:
            self.gateway.frames_skipped += 1

    def lost(self, channel: str) -> None:
        self.session.lost(channel)

    # --- the end ---------------------------------------------------------------------------

    @abstractmethod
    def close(self, close: codes.Close) -> None:
        """Tell the client why, and let it go. Does nothing where it is gone already."""

    @abstractmethod
    def _connect_due(self) -> None:
        """The time for the connect command is over."""

    def failed(self) -> None:
        self._leave()
        self.transport.abort()

    def _cut(self) -> None:
        self.transport.abort()  # does nothing to a socket that is closed

    def _leave(self) -> None:
        self.open = False
        if not self._closing:
            self._closing = True
            self.session.end()

    # --- time ------------------------------------------------------------------------------

    def start_pings(self, first_seconds: float) -> None:
        """The first ping comes at a random time of the caller's, so that they spread."""
        self.gateway.wheel.after(first_seconds, self._ping)

    def _ping(self) -> None:
        if not self.open:
            return
        self.session.check_expiry()
        if not self.open:
            return
        options = self.gateway.options
        self._pinged_at = self.gateway.clock()
        self.transport.write(self.variant.ping_frame)
        self.gateway.wheel.after(options.pong_seconds, self._pong_missing)
        self.gateway.wheel.after(options.ping_seconds, self._ping)

    def pong(self) -> bool:
        """The client's pong; False if it was not asked for."""
        if not self._pinged_at:
            return False
        self.gateway.meters.ping_pong.observe(self.gateway.clock() - self._pinged_at)
        self._pinged_at = 0.0
        return True

    def _pong_missing(self) -> None:
        if self._pinged_at:
            self.close(codes.NO_PONG)
