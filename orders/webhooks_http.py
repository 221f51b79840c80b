"""
Sends signed webhooks over HTTP, to the outside only.

The guard sits where the socket is made: aiohttp hands over the final address there, after literals,
DNS answers and their cache, so nothing that connects can get around it. Redirects, proxies from the
environment, cookies and decompression are off; time and size are bounded.
"""

import asyncio
import contextlib
import socket
import threading
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from orders.addresses import Policy, refusal
from orders.webhooks_shapes import Answer

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 10.0  # name, connection, TLS, request and answer together
BODY_READ_MAX = 16 * 1024  # bytes; what comes after is not read
BODY_STORED_MAX = 4 * 1024  # bytes, for the merchant's eyes
HEADERS_MAX = 8 * 1024  # bytes of one header field of an answer
CONNECTIONS_MAX = 256  # sockets; the service starts fewer requests than this
KEEP_ALIVE_SECONDS = 2.0  # under the 5 s of common servers, so that they never close it first
LOOKUPS_MAX = 64  # threads that wait for names at once; a dead name server holds one for seconds

USER_AGENT = "liveserver-webhooks"


class AddressRefused(OSError):
    """The guard said no."""


class HttpSender:
    """
    The `Sender` of the webhook service. Call `close` at the end.

    Args:
        policy: What the operator exempts from the guard.
        resolver: Another one than the system's, for tests.
    """

    def __init__(self, policy: Policy, *, resolver: AbstractResolver | None = None) -> None:
        self._policy = policy
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def send(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """POST the body and say what came back. Only cancellation is raised."""
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            answer = await self._post(url, headers, body)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # OSError: TimeoutError too
            answer = Answer(error=_in_words(error))
        duration_ms = round((clock() - started) * 1000)
        return Answer(
            status=answer.status,
            error=answer.error,
            response=answer.response,
            retry_after=answer.retry_after,
            duration_ms=duration_ms,
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        if self._session is None:
            self._session = self._open()
        async with self._session.post(
            url, data=body, headers=headers, allow_redirects=False
        ) as response:
            text = await _read(response)
            return Answer(
                status=response.status,
                response=text,
                retry_after=response.headers.get("Retry-After"),
            )

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            socket_factory=self._socket,
            resolver=self._resolver or ThreadResolver(),
            limit=CONNECTIONS_MAX,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,  # a small answer must not become a large one
            headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
            max_line_size=HEADERS_MAX,
            max_field_size=HEADERS_MAX,
        )

    def _socket(self, addr_info: tuple[Any, ...]) -> socket.socket:
        """Make a socket for a resolved address, if it is one that webhooks may reach."""
        family, kind, protocol, _, target = addr_info
        reason = refusal(ip_address(target[0]), target[1], self._policy)
        if reason:
            raise AddressRefused(f"not sent: {reason}")
        return socket.socket(family, kind, protocol)


async def _read(response: aiohttp.ClientResponse) -> str:
    """
    The first part of an answer's body as text that SQL takes.

    The status decides, so a body that breaks off or never ends does no harm; reading it counts
    towards the total time.
    """
    data = b""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        while len(data) < BODY_READ_MAX:
            chunk = await response.content.read(BODY_READ_MAX - len(data))
            if not chunk:
                break
            data += chunk
    if not response.content.at_eof():
        response.close()  # the connection, with whatever else is on its way
    return data[:BODY_STORED_MAX].decode(errors="replace").replace("\0", "�")


def _in_words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate is not valid for this host: {error.certificate_error}"[:500]
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the host name cannot be resolved: {error.os_error}"[:500]
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, ConnectionRefusedError):
            return "the connection was refused"
        return (str(error.os_error) or "cannot connect")[:500]
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(error, TimeoutError):
        return f"no answer within {TOTAL_SECONDS:g} s"
    return (str(error) or type(error).__name__)[:500]


class ThreadResolver(AbstractResolver):
    """
    Asks the system for names in threads of its own.

    The loop's shared threads are few, and a look-up cannot be cancelled: names of a dead name
    server would hold up everyone, and the end of the process.
    """

    def __init__(self) -> None:
        self._running = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """All addresses of a name, as aiohttp wants them."""
        if self._running >= LOOKUPS_MAX:
            raise OSError("too many host names are being looked up")
        found = await self._look_up(host, port, family)
        return [
            ResolveResult(
                hostname=host, host=str(target[0]), port=port, family=kind, proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, target in found
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing to close: threads end by themselves."""

    async def _look_up(self, host: str, port: int, family: socket.AddressFamily) -> list[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Any]] = loop.create_future()

        def tell(found: list[Any] | None, error: OSError | None) -> None:
            self._running -= 1
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(found or [])

        def work() -> None:
            found, problem = None, None
            try:
                found = socket.getaddrinfo(
                    host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
                )
            except (OSError, UnicodeError) as error:
                problem = error if isinstance(error, OSError) else OSError(str(error))
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(tell, found, problem)

        self._running += 1
        threading.Thread(target=work, name="webhook-dns", daemon=True).start()
        return await future
