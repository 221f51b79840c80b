"""
A viewer without WebSocket: a response that never ends, and further requests for the commands.

`/connection/http_stream` takes the first commands as the body of a POST, `/connection/sse` in the
query of a GET; from then on the client sends what it has to say to `/emulation`
(`liveserver/emulation.py`) with the session and node of the connect reply. The response has no
length and ends with the socket, which HTTP/1.0 and every proxy understand.
"""

import logging
import secrets
from typing import TYPE_CHECKING

from liveserver.gateway import codes
from liveserver.gateway.handshake import Refusal, query_of, visit
from liveserver.gateway.http_head import HEAD_BYTES, BadRequest, Head, cors, read_head, response
from liveserver.gateway.options import (
    BACKLOG_BYTES,
    CLOSE_SECONDS,
    HTTP_STREAM_PATH,
    MESSAGE_BYTES,
    SSE_PATH,
)
from liveserver.gateway.peer import Peer
from rooms.frames import JSON_EVENTS, JSON_STREAM, PROTOBUF_STREAM

if TYPE_CHECKING:
    from liveserver.gateway.gateway import Gateway

FIRST_BYTES = HEAD_BYTES + 4 + MESSAGE_BYTES  # of a request with its body
OCTETS = "application/octet-stream"  # announces Protobuf
EVENTS_BEGIN = b"\n"  # no event; behind a CR, npm `eventsource` 2 hears no event of the same read
ENTRY_BYTES = 64  # that a request costs besides its commands
SESSION_BYTES = 18  # random: whoever knows a session speaks for its client

HEADERS = {
    "Cache-Control": "private, no-cache, no-store, must-revalidate, max-age=0",
    "X-Accel-Buffering": "no",  # nginx would keep what it gets until its buffer is full
    "X-Content-Type-Options": "nosniff",
    "Connection": "close",
}

log = logging.getLogger(__name__)


class Stream(Peer):
    """One streaming response."""

    __slots__ = ("_first", "_unread", "_unread_bytes", "stream_id")

    def __init__(self, gateway: "Gateway") -> None:
        super().__init__(gateway, JSON_STREAM)
        self.stream_id = ""  # the session, once it has begun
        self._first: bytes | None = b""  # of the request; None when it is complete
        self._unread: list[bytes] = []  # commands, while it is held back
        self._unread_bytes = 0

    # --- the request -----------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self.gateway.bytes_in += len(data)
        if self._first is None:
            return  # a client has nothing more to say on this connection
        self._first += data
        try:
            if len(self._first) > FIRST_BYTES:
                raise BadRequest(413)
            head = read_head(self._first)
            if head is None or (body := head.body(self._first, MESSAGE_BYTES)) is None:
                return
            self._first = None
            self._begin(head, body)
        except BadRequest as problem:
            self._refuse(problem.status, str(problem))
        except Exception:  # whatever a client sends, it ends at most its own connection
            log.exception("a stream failed")
            self.transport.abort()

    def eof_received(self) -> None:
        self._leave()

    def connection_lost(self, error: Exception | None) -> None:
        self.gateway.streams.pop(self.stream_id, None)
        super().connection_lost(error)

    def _begin(self, head: Head, body: bytes) -> None:
        tls = self.transport.get_extra_info("sslcontext") is not None
        peer = self.transport.get_extra_info("peername")
        host = peer[0] if isinstance(peer, tuple) else None
        visitor = visit(head.request, host, tls=tls, options=self.gateway.options)
        if isinstance(visitor, Refusal):
            self._refuse(visitor.status, visitor.text)
            return
        allowed = cors(head.request.headers)
        if head.method == "OPTIONS":
            self._end(response(204, {**allowed, "Connection": "close"}))
            return
        media, first, start = self._take(head, body)
        self.session.cookie = visitor.cookie
        self.session.address = visitor.address
        self.stream_id = secrets.token_urlsafe(SESSION_BYTES)
        self.gateway.streams[self.stream_id] = self
        self.open = True
        self.gateway.meters.accepted.labels(self.transport_name).inc()
        headers = {"Content-Type": media, **HEADERS, **allowed}
        self.transport.write(response(200, headers) + start)
        self.session.receive(first)

    def _take(self, head: Head, body: bytes) -> tuple[str, bytes, bytes]:
        """Content type of the answer, the first commands, and what the answer begins with."""
        if head.path == HTTP_STREAM_PATH and head.method == "POST":
            if head.request.headers.get("Content-Type") == OCTETS:
                self.variant = PROTOBUF_STREAM
                return OCTETS, body, b""
            return "application/json; charset=utf-8", body, b""
        if head.path == SSE_PATH and head.method in ("GET", "POST"):
            self.variant = JSON_EVENTS
            if head.method == "GET":
                body = query_of(head.query).get("cf_connect", [""])[0].encode()
            return "text/event-stream; charset=utf-8", body, EVENTS_BEGIN
        raise BadRequest(405)

    @property
    def transport_name(self) -> str:
        return "sse" if self.variant is JSON_EVENTS else "http_stream"

    # --- commands in requests of their own ---------------------------------------------------

    def say(self, commands: bytes) -> None:
        """What the client says; it waits while the session has enough to do."""
        if not self.open:
            return
        if not self.held_back:
            self.session.receive(commands)
            return
        self._unread.append(commands)
        self._unread_bytes += ENTRY_BYTES + len(commands)
        if self._unread_bytes > BACKLOG_BYTES:
            self.close(codes.TOO_MANY)

    def _pause(self) -> None:
        """There is nothing to stop: the requests come by themselves."""

    def _resume(self) -> None:
        try:
            while self._unread and self.open and not self.held_back:
                commands = self._unread.pop(0)
                self._unread_bytes -= ENTRY_BYTES + len(commands)
                self.session.receive(commands)
        except Exception:
            log.exception("a stream failed")
            self.transport.abort()

    # --- the end ---------------------------------------------------------------------------

    def close(self, close: codes.Close) -> None:
        """Push the reason, and end the response."""
        if not self.open:
            if self._first is not None:
                self.transport.abort()
            return
        self.session.flush()
        message = self.variant.encoding.disconnect(close.code, close.reason)
        self.gateway.count_close(close)
        self._end(self.variant.own_frames([message]))

    def _refuse(self, status: int, text: str) -> None:
        self._first = None
        self.gateway.meters.refused.labels(str(status)).inc()
        headers = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
        self._end(response(status, headers, text.encode()))

    def _end(self, last: bytes) -> None:
        """The last bytes; a client that does not take them is cut off after a while."""
        self._leave()
        self.gateway.streams.pop(self.stream_id, None)
        self.transport.write(last)
        self.transport.close()
        self.gateway.wheel.after(CLOSE_SECONDS, self._cut)

    def _connect_due(self) -> None:
        if self._closing or self.session.connected:
            return
        if self.open:
            self.close(codes.STALE)
        else:
            self.transport.abort()
