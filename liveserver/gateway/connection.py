"""
One WebSocket connection: bytes in and out, the closing handshake, pings, the write marks.

websockets' Sans-I/O protocol does the handshake and reads frames; frames out are finished bytes,
most of them shared with every other viewer. There is no task and no timer per connection.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from liveserver.gateway import codes
from liveserver.gateway.deflate import SHARED_DEFLATE
from liveserver.gateway.handshake import SUBPROTOCOL, Refusal, visit
from liveserver.gateway.options import CLOSE_SECONDS, MESSAGE_BYTES
from liveserver.gateway.session import Session
from rooms.frames import JSON_DEFLATE, JSON_TEXT, Variant

if TYPE_CHECKING:
    from liveserver.gateway.gateway import Gateway

log = logging.getLogger(__name__)
ws_log = logging.getLogger("liveserver.gateway.websocket")
ws_log.setLevel(logging.WARNING)  # the library tells of every connection and frame otherwise

_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class Connection(asyncio.Protocol):
    """One socket. Also what the hub sees as `rooms.hub.Viewer`."""

    __slots__ = (
        "_closing",
        "_parts",
        "_pinged_at",
        "_ws",
        "gateway",
        "open",
        "session",
        "slow",
        "transport",
        "variant",
        "write",
    )

    def __init__(self, gateway: "Gateway") -> None:
        self.gateway = gateway
        self.session = Session(gateway, self)
        self.variant: Variant = JSON_TEXT
        self.open = False  # the handshake is done and no close frame was sent or received
        self.slow = False  # more than the soft mark waits in the socket
        self._closing = False
        self._pinged_at = 0.0  # loop time of a ping that waits for its pong; 0 = none
        self._parts: list[bytes] = []  # of a fragmented message
        self._ws = ServerProtocol(
            max_size=MESSAGE_BYTES,
            logger=ws_log,
            select_subprotocol=_subprotocol,
            extensions=[SHARED_DEFLATE] if gateway.options.compression else None,
        )

    # --- the socket ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self.write = self.transport.write
        self.transport.set_write_buffer_limits(high=self.gateway.options.soft_mark_bytes)
        self.gateway.arrived(self)
        self.gateway.wheel.after(self.gateway.options.connect_seconds, self._connect_due)

    def data_received(self, data: bytes) -> None:
        self.gateway.bytes_in += len(data)
        if self._ws.state is State.CLOSED:
            return
        try:
            self._ws.receive_data(data)
            for event in self._ws.events_received():
                if isinstance(event, Request):
                    self._handshake(event)
                elif isinstance(event, Frame):
                    self._frame(event)
            self._after_reading()
        except Exception:  # whatever a client sends, it ends at most its own connection
            log.exception("a viewer connection failed")
            self.transport.abort()

    def eof_received(self) -> None:
        if self._ws.state is not State.CLOSED:
            self._ws.receive_eof()
            self._leave()

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()
        self.gateway.gone(self)

    def pause_writing(self) -> None:
        self.slow = True

    def resume_writing(self) -> None:
        self.slow = False

    # --- reading ---------------------------------------------------------------------------

    def _handshake(self, request: Request) -> None:
        if self._ws.eof_sent:
            self.transport.abort()  # the head was followed by rubbish
            return
        tls = self.transport.get_extra_info("sslcontext") is not None
        peer = self.transport.get_extra_info("peername")
        host = peer[0] if isinstance(peer, tuple) else None
        visitor = visit(request, host, tls=tls, options=self.gateway.options)
        if isinstance(visitor, Refusal):
            response = self._ws.reject(visitor.status, visitor.text)
        else:
            self.session.cookie = visitor.cookie
            response = self._ws.accept(request)
        self._ws.send_response(response)
        self.open = response.status_code == 101
        if self._ws.extensions:
            self.variant = JSON_DEFLATE
        if self.open:
            self.gateway.meters.accepted.labels("websocket").inc()
        else:
            self.gateway.meters.refused.labels(str(response.status_code)).inc()
        self._flush_ws()

    def _frame(self, frame: Frame) -> None:
        if not self.open or frame.opcode not in _DATA:
            return
        if frame.opcode is Opcode.BINARY:
            self.close(codes.NOT_TEXT)
            return
        if frame.data:
            self._parts.append(bytes(frame.data))
        if not frame.fin:
            return
        message, self._parts = b"".join(self._parts), []
        try:
            message.decode()
        except UnicodeDecodeError:
            self.close(codes.NOT_UTF8)
            return
        self.session.receive(message)

    def _after_reading(self) -> None:
        self._flush_ws()
        if self._ws.eof_sent or self._ws.state in (State.CLOSING, State.CLOSED):
            self._leave()

    def _flush_ws(self) -> None:
        """Send what the protocol itself has to say: handshake, pongs, close frames, the end."""
        for data in self._ws.data_to_send():
            if data:
                self.transport.write(data)
            elif self._ws.close_rcvd is not None or self._ws.state is State.CLOSED:
                self.transport.close()
            else:
                self._half_close()

    def _half_close(self) -> None:
        """
        End our side, and go on reading until the client has ended its own.

        Closing a socket with unread bytes in it resets the connection, and the client would never
        see the close frame that tells it why.
        """
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.gateway.wheel.after(CLOSE_SECONDS, self._cut)

    # --- writing ---------------------------------------------------------------------------

    def send(self, lines: list[bytes]) -> None:
        """Send replies and pushes that are for this client alone."""
        if not self.open:
            return
        frame = self.variant.own_frames(lines)
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

    def lost(self, channel: str) -> None:
        self.session.lost(channel)

    def failed(self) -> None:
        self._leave()
        self.transport.abort()

    # --- the end ---------------------------------------------------------------------------

    def close(self, close: codes.Close) -> None:
        """Send a close frame with its reason and wait for the client's, not for long."""
        if self._ws.state is not State.OPEN:
            if self._ws.state is State.CONNECTING:
                self.transport.abort()
            return
        self.session.flush()
        self._ws.send_close(close.code, close.reason)
        self.open = False
        self._flush_ws()
        self._leave()
        self.gateway.wheel.after(CLOSE_SECONDS, self._cut)
        self.gateway.count_close(close)

    def _cut(self) -> None:
        self.transport.abort()  # does nothing to a socket that is closed

    def _leave(self) -> None:
        self.open = False
        if not self._closing:
            self._closing = True
            self.session.end()

    # --- time ------------------------------------------------------------------------------

    def _connect_due(self) -> None:
        if self._closing or self.session.connected:
            return
        if self._ws.state is State.OPEN:
            self.close(codes.STALE)
        else:
            self.transport.abort()

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


def _subprotocol(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Never one that the client did not offer; JSON without any."""
    wanted = Subprotocol(SUBPROTOCOL)
    return wanted if wanted in offered else None
