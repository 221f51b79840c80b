"""
One WebSocket connection: the handshake, bytes in, the closing handshake.

websockets' Sans-I/O protocol does the handshake and reads every frame that is not a usual one
(`liveserver.gateway.framing`); frames out are finished bytes.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from websockets.frames import Frame, Opcode, apply_mask  # type: ignore[attr-defined]
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from liveserver.gateway import codes
from liveserver.gateway.deflate import SHARED_DEFLATE
from liveserver.gateway.framing import MASK_BYTES, usual_frame
from liveserver.gateway.handshake import (
    PROTOBUF_SUBPROTOCOL,
    SUBPROTOCOL,
    Refusal,
    visit,
    wants_native_pings,
    wants_protobuf,
)
from liveserver.gateway.options import CLOSE_SECONDS, MESSAGE_BYTES
from liveserver.gateway.peer import Peer
from rooms.frames import (
    BINARY,
    JSON_DEFLATE,
    JSON_TEXT,
    PROTOBUF,
    PROTOBUF_BINARY,
    PROTOBUF_DEFLATE,
    TEXT,
)

if TYPE_CHECKING:
    from liveserver.gateway.gateway import Gateway

log = logging.getLogger(__name__)
ws_log = logging.getLogger("liveserver.gateway.websocket")
ws_log.setLevel(logging.WARNING)  # the library tells of every connection and frame otherwise

#: by Protobuf and deflate
_VARIANTS = {
    (False, False): JSON_TEXT,
    (False, True): JSON_DEFLATE,
    (True, False): PROTOBUF_BINARY,
    (True, True): PROTOBUF_DEFLATE,
}
END_OF_HEAD = b"\r\n\r\n"
PARSED_BYTES = 16 * 1024  # by the parser at a time: between them one may be held back
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class Connection(Peer):
    """One WebSocket."""

    __slots__ = ("_cut_off", "_first", "_parser_only", "_parts", "_ws", "native_pings")

    def __init__(self, gateway: "Gateway") -> None:
        super().__init__(gateway, JSON_TEXT)
        self._parts: list[bytes] = []  # of a fragmented message
        self._cut_off = b""  # read but not taken: the beginning of a frame, or while held back
        self._parser_only = True  # until the handshake; for good if frames came with its request
        self._first = 0  # the first byte of a usual frame
        self.native_pings = False
        self._ws = ServerProtocol(
            max_size=MESSAGE_BYTES,
            logger=ws_log,
            select_subprotocol=_subprotocol,
            extensions=[SHARED_DEFLATE] if gateway.options.compression else None,
        )

    # --- the socket ------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self.gateway.bytes_in += len(data)
        if not self.open and self._ws.state is State.CLOSED:
            return
        if self._cut_off:
            data, self._cut_off = self._cut_off + data, b""
        try:
            if self.held_back:  # the transport had read it already
                self._cut_off = data
            elif self._parser_only:
                self._parse(data)
            else:
                self._take(data)
        except Exception:  # whatever a client sends, it ends at most its own connection
            log.exception("a viewer connection failed")
            self.transport.abort()

    def _take(self, data: bytes) -> None:
        """Read usual frames; with the first of another kind the parser takes over for good."""
        at, size = 0, len(data)
        while at < size:
            found = usual_frame(data, at, self._first) if self.open else None
            if found is None:
                self._parser_only = True
                self._parse(data[at:])
                return
            start, end = found
            if end > size:
                break
            self._message(apply_mask(data[start:end], data[start - MASK_BYTES : start]))
            at = end
            if self.held_back:
                break
        self._cut_off = data[at:]

    def _parse(self, data: bytes) -> None:
        step = PARSED_BYTES if self.open else len(data)
        for at in range(0, len(data), step):
            if self.held_back:
                self._cut_off = data[at:]
                break
            self._parse_part(data[at : at + step])
        self._after_reading()

    def _parse_part(self, data: bytes) -> None:
        self._ws.receive_data(data)
        for event in self._ws.events_received():
            if isinstance(event, Request):
                self._handshake(event)
                self._parser_only = not (self.open and data.endswith(END_OF_HEAD))
            elif isinstance(event, Frame):
                self._frame(event)

    def _pause(self) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def _resume(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()
            if self._cut_off:
                self.data_received(b"")

    def eof_received(self) -> None:
        if self._ws.state is not State.CLOSED:
            self._ws.receive_eof()
            self._leave()

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
            self.session.address = visitor.address
            response = self._ws.accept(request)
        self._ws.send_response(response)
        self.open = response.status_code == 101
        if self.open:
            self.variant = _VARIANTS[wants_protobuf(request), bool(self._ws.extensions)]
            self.native_pings = wants_native_pings(request)
            self._first = BINARY if self.variant.encoding is PROTOBUF else TEXT
            self.gateway.meters.accepted.labels(self.transport_name).inc()
        else:
            self.gateway.meters.refused.labels(str(response.status_code)).inc()
        self._flush_ws()

    def _frame(self, frame: Frame) -> None:
        if not self.open or frame.opcode not in _DATA:
            if frame.opcode is Opcode.PONG and self.native_pings:
                self.pong()  # one that nobody asked for is allowed, and nothing
            return
        binary = self.variant.encoding is PROTOBUF
        if frame.opcode is (Opcode.TEXT if binary else Opcode.BINARY):
            self.close(codes.NOT_BINARY if binary else codes.NOT_TEXT)
            return
        if frame.data:
            self._parts.append(bytes(frame.data))
        if not frame.fin:
            return
        message, self._parts = b"".join(self._parts), []
        self._message(message)

    def _message(self, message: bytes) -> None:
        if self._first == BINARY or message.isascii() or _is_utf8(message):
            self.session.receive(message)
        else:
            self.close(codes.NOT_UTF8)

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

    # --- time ------------------------------------------------------------------------------

    def _connect_due(self) -> None:
        if self._closing or self.session.connected:
            return
        if self._ws.state is State.OPEN:
            self.close(codes.STALE)
        else:
            self.transport.abort()


def _subprotocol(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Never one that the client did not offer; JSON before Protobuf, and without any."""
    for name in (SUBPROTOCOL, PROTOBUF_SUBPROTOCOL):
        if name in offered:
            return Subprotocol(name)
    return None


def _is_utf8(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
