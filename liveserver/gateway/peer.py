"""
What every kind of connection to a viewer has: bytes out within marks, pings and pongs, an end.

Frames out are finished bytes, most of them shared with every other viewer of the same variant.
There is no task and no timer per connection.
"""

import asyncio
import errno
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, cast

from liveserver.gateway import codes, expiry
from liveserver.gateway.session import Session
from rooms.frames import Variant

if TYPE_CHECKING:
    from liveserver.gateway.gateway import Gateway


NATIVE_PING = b"\x89\x00"  # a finished WebSocket ping frame, without content


class Peer(asyncio.Protocol, ABC):
    """One client's socket. Also what the hub sees as `rooms.audience.Viewer`."""

    __slots__ = (
        "_closing",
        "_pinged_at",
        "direct",
        "fd",
        "gateway",
        "held_back",
        "open",
        "session",
        "transport",
        "variant",
    )

    def __init__(self, gateway: "Gateway", variant: Variant) -> None:
        self.gateway = gateway
        self.session = Session(gateway, self)
        self.variant = variant
        self.open = False  # it can be written to: begun, and no end sent or received
        self.fd = -1  # of a socket without TLS, while frames may go to it
        self.direct = False  # nothing waits in the transport: `write` may ask the system itself
        self._closing = False
        self._pinged_at = 0.0  # when a ping was sent that waits for its pong; 0 = none
        self.held_back = False  # nothing is read from it: its session has enough to do

    native_pings = False  # of a WebSocket: pinged by its own frames, not by messages
    stream_id = ""  # of a stream: what names it in the client's further requests

    @property
    def transport_name(self) -> str:
        """For the metrics."""
        return "websocket"

    # --- the socket ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        if transport.get_extra_info("sslcontext") is None:
            self.fd = transport.get_extra_info("socket").fileno()
            self.direct = self.transport.get_write_buffer_size() == 0
        self.transport.set_write_buffer_limits(high=0)  # be told as soon as anything waits
        self.gateway.arrived(self)
        self.gateway.wheel.after(self.gateway.options.connect_seconds, self._connect_due)

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()
        self.gateway.gone(self)

    def pause_writing(self) -> None:
        self.direct = False

    def resume_writing(self) -> None:
        self.direct = self.fd >= 0
        if self.session.halted and self.open:
            asyncio.get_running_loop().call_soon(self.session.resume)

    # --- reading ---------------------------------------------------------------------------

    def hold_back(self) -> None:
        """Read nothing more from the client, whose system then keeps what it wants to say."""
        if self.held_back or not self.open:
            return
        self.held_back = True
        self._pause()

    def read_on_soon(self) -> None:
        """Read on, in another step of the loop: this one may be in the midst of a command."""
        asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self.held_back:
            return
        self.held_back = False
        if self._pinged_at:  # its pong may stand behind what was not read
            self._pinged_at = self.gateway.clock()
        self._resume()

    @abstractmethod
    def _pause(self) -> None:
        """Keep what comes from now on."""

    @abstractmethod
    def _resume(self) -> None:
        """Take what was kept, and what comes."""

    # --- writing ---------------------------------------------------------------------------

    def send(self, messages: list[bytes]) -> None:
        """Send replies and pushes that are for this client alone."""
        if not self.open:
            return
        frame = self.variant.own_frames(messages)
        self.gateway.messages_out += len(messages)
        self.gateway.bytes_out += len(frame)
        self._put(frame)

    def _put(self, frame: bytes) -> None:
        if self.direct:
            self.write(frame)
        else:
            self.queue(frame, frame)

    def write(self, frame: bytes) -> None:
        """
        Hand a frame to the system, past the transport, whose own `write` costs a queue, a callback
        and a vector more. Only while `direct`; what the system does not take waits there.
        """
        try:
            taken = os.write(self.fd, frame)
        except BlockingIOError:
            taken = 0
        except OSError:  # the client is gone
            self.failed()
            return
        if taken < len(frame):
            self._keep(frame[taken:])

    def wrote(self, frame: bytes, result: int) -> None:
        """The rest of `write`, where the system was asked for many viewers at once."""
        if result >= 0:
            self._keep(frame[result:])
        elif result in (-errno.EAGAIN, -errno.EWOULDBLOCK):
            self._keep(frame)
        else:
            self.failed()

    def _keep(self, rest: bytes) -> None:
        """What the system did not take of a frame. The mark holds for what is half sent, too."""
        if len(rest) > self.gateway.options.hard_mark_bytes:
            self.gateway.count_close(codes.SLOW)
            self.failed()  # a close frame would stand in the midst of the other
        else:
            self._wait(rest)

    def _wait(self, data: bytes) -> None:
        """These bytes are sent in their turn; a client that is far behind gets no more answers."""
        self.transport.write(data)
        if self.transport.get_write_buffer_size() > self.gateway.options.soft_mark_bytes:
            self.session.halt()

    def queue(self, frame: bytes, lean: bytes) -> None:
        """
        A frame behind what waits in the transport. Past the soft mark it is `lean`, which lacks the
        droppable lane and may be empty; past the hard mark it ends.
        """
        if not self.open:
            return
        options, waiting = self.gateway.options, self.transport.get_write_buffer_size()
        if waiting > options.soft_mark_bytes:
            frame = lean
        if not frame:
            self.gateway.frames_skipped += 1
        elif waiting + len(frame) > options.hard_mark_bytes:
            self.close(codes.SLOW)
        else:
            self._wait(frame)

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
        self.open = self.direct = False
        self.fd = -1  # the system may give this number to the next one
        if not self._closing:
            self._closing = True
            self.session.end()
            if self.held_back:  # the end is to be heard
                self.read_on_soon()

    # --- time ------------------------------------------------------------------------------

    def start_pings(self, first_seconds: float) -> None:
        """The first ping comes at a random time of the caller's, so that they spread."""
        self.gateway.wheel.after(first_seconds, self._ping)

    def _ping(self) -> None:
        if not self.open:
            return
        expiry.check(self.session)
        if not self.open:
            return
        options = self.gateway.options
        self.gateway.wheel.after(options.ping_seconds, self._ping)
        if self._pinged_at:
            return  # its pong may still stand behind what was not read
        self._pinged_at = self.gateway.clock()
        self._put(NATIVE_PING if self.native_pings else self.variant.ping_frame)
        self.gateway.wheel.after(options.pong_seconds, self._pong_missing)

    def pong(self) -> bool:
        """The client's pong; False if it was not asked for."""
        if not self._pinged_at:
            return False
        self.gateway.meters.ping_pong.observe(self.gateway.clock() - self._pinged_at)
        self._pinged_at = 0.0
        return True

    def _pong_missing(self) -> None:
        if not self._pinged_at:
            return
        left = self._pinged_at + self.gateway.options.pong_seconds - self.gateway.clock()
        if self.session.halted or not (self.held_back or left > 0):
            self.close(codes.NO_PONG)
        else:  # a pong may stand behind what was not read until now
            self.gateway.wheel.after(max(left, 0.0), self._pong_missing)
