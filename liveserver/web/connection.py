"""One HTTP connection: aiohttp's, with the differences that this server needs."""

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from liveserver.web import problem
from liveserver.web.headers import harden

log = logging.getLogger(__name__)

TURNS_MAX = 20  # of the loop; after that the last request is not ending but reading its body


class Connection(RequestHandler):
    """
    A request that cannot be parsed, or is refused before its handler, gets a problem as well; and
    between two requests of a kept-alive connection the listener may take the socket back.
    """

    #: gets the first bytes of every further request and says whether it takes the socket
    take_back: Callable[[asyncio.BaseTransport, bytes], bool] | None = None

    _held = b""  # bytes that came while an answered request was being put away

    def data_received(self, data: bytes) -> None:
        if self.take_back is None or self._request_count == 0:
            super().data_received(data)
            return
        self._held += data
        self._pass_on()

    def _pass_on(self, turn: int = 0) -> None:
        """
        Hand on what came, to aiohttp or to whoever takes the socket.

        A client may be faster with its next request than aiohttp is with the end of the last one,
        which takes it a few turns of the loop after the answer is written.
        """
        ending = not self._request_in_progress and self._waiter is None and not self._messages
        if ending and turn < TURNS_MAX:
            self._loop.call_soon(self._pass_on, turn + 1)
            return
        data, self._held = self._held, b""
        transport, waiter = self.transport, self._waiter
        if not data or transport is None:
            return
        idle = waiter is not None and not waiter.done()
        if idle and self.take_back is not None and self.take_back(transport, data):
            self.transport = None  # not ours to close any more
            self.connection_lost(None)
            return
        super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun; it cannot become another one")
        if status >= 500:
            log.error("a request failed outside of its handler", exc_info=exc)
            response = problem.answer("internal", "The mistake is on this side and was logged.")
        else:
            detail = "This is not an HTTP request that can be read."
            response = problem.answer("bad-request", detail, {"status": status})
        harden(request, response)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """What aiohttp refuses by itself, such as an unknown `Expect`, becomes a problem too."""
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = problem.of_exception(resp, request)
            harden(request, resp)
            resp.force_close()
        return await super().finish_response(request, resp, start_time)


class Server(web.Server):
    """Makes our connections instead of aiohttp's."""

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)
