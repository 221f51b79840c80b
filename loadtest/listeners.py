"""
A merchant's servers, well and ill: each path of one port is an endpoint that behaves as it is told.

Everything that arrives is written into the journal, as a client writes down what it was told. What
arrives where nothing may (at the target of a redirect, at an address that webhooks are kept from)
is written down as `intruded`.
"""

import asyncio
import base64
import hashlib
import hmac
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from loadtest.journal import Journal

HOST = "127.0.0.1"  # the operator lets webhooks reach this address, and no other of the machine
PRIVATE = "127.0.0.2"
NAME = "turns.example"  # leads to HOST, until it leads to PRIVATE
ENDLESS_CHUNK = b"x" * 65_536
#: endpoint -> what it does while it is ill; `down` and `turns` are about the way there
ILL = {
    "well": "204", "down": "204", "broken": "500", "moved": "307", "gone": "410", "slow": "never",
    "endless": "endless", "turns": "204",
}  # fmt: skip

#: Makes a name of ours lead to the address in a file, in every process started with it.
NAME_SERVER = """
import socket
from pathlib import Path

FILE = Path({file!r})
true_getaddrinfo = socket.getaddrinfo


def getaddrinfo(host, *args, **options):
    if host == {name!r}:
        host = FILE.read_text().strip()
    return true_getaddrinfo(host, *args, **options)


socket.getaddrinfo = getaddrinfo
"""


@dataclass
class Listeners:
    """All endpoints of one merchant; `start`, `be_ill`, `be_well`, `close`."""

    name_file: Path
    journal: Journal | None = None
    port: int = 0
    down_port: int = 0
    secrets: dict[str, str] = field(default_factory=dict)
    heard: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # and accepted
    asked: Counter[str] = field(default_factory=Counter)  # while ill
    intruded: int = 0
    cut: int = 0  # endless answers that somebody did not read on

    async def start(self) -> None:
        """Listen; everything is well."""
        self._is_ill = False
        self._recovered = asyncio.Event()
        app = web.Application()
        app.router.add_post("/{name}", self._receive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        self.port = await self._listen(HOST, 0)
        self.down_port = await self._open_the_one_that_goes_down()
        await self._listen(PRIVATE, self.port)
        self.name_file.write_text(HOST)

    async def _open_the_one_that_goes_down(self) -> int:
        """Its own server: stopping it closes the connections that stand, too."""
        app = web.Application()
        app.router.add_post("/{name}", self._receive)
        self._down = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._down.setup()
        site = web.TCPSite(self._down, HOST, self.down_port, reuse_address=True)
        await site.start()
        return int(self._down.addresses[0][1])

    async def _listen(self, host: str, port: int) -> int:
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[-1][1])

    async def close(self) -> None:
        """Stop listening."""
        self._recovered.set()
        await self._runner.cleanup()
        await self._down.cleanup()

    def url(self, name: str) -> str:
        """The address to register."""
        host = NAME if name == "turns" else HOST
        return f"http://{host}:{self.down_port if name == 'down' else self.port}/{name}"

    async def be_ill(self) -> None:
        """Every endpoint but the first one does what it should not."""
        self._is_ill = True
        self.name_file.write_text(PRIVATE)
        await self._down.cleanup()

    async def be_well(self) -> None:
        """All of them answer again."""
        self._is_ill = False
        self.name_file.write_text(HOST)
        await self._open_the_one_that_goes_down()
        self._recovered.set()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        name, body = request.match_info["name"], await request.read()
        assert self.journal is not None and request.transport is not None
        if name not in ILL or request.transport.get_extra_info("sockname")[0] != HOST:
            self.intruded += 1
            self.journal.note("intruded", place=f"{request.host} {request.path}")
            return web.Response(status=204)
        how = ILL[name] if self._is_ill else "204"
        self.asked[name] += self._is_ill
        event = request.headers.get("webhook-id", "")
        self.journal.note(
            "heard", name=name, event=event, accepted=how in ("204", "endless"),
            digest=hashlib.sha256(body).hexdigest(), signed=self._is_signed(name, request, body),
        )  # fmt: skip
        if how in ("204", "endless"):
            self.heard[name].add(event)
        return await self._answer(request, how)

    async def _answer(self, request: web.Request, how: str) -> web.StreamResponse:
        if how == "endless":
            return await self._never_end(request)
        if how == "never":
            await self._recovered.wait()
            return web.Response(status=500)
        headers = {"Location": f"http://{HOST}:{self.port}/target"} if how == "307" else {}
        answer = web.Response(status=int(how), headers=headers)
        if request.match_info["name"] == "turns":
            answer.force_close()  # its name must be looked up again
        return answer

    async def _never_end(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while not self._recovered.is_set():
                await answer.write(ENDLESS_CHUNK)
        except ConnectionError:
            self.cut += 1
        return answer

    def _is_signed(self, name: str, request: web.Request, body: bytes) -> bool:
        """By Standard Webhooks, over what arrived."""
        headers = request.headers
        key = base64.b64decode(self.secrets[name].removeprefix("whsec_"))
        text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        wanted = "v1," + base64.b64encode(hmac.digest(key, text, "sha256")).decode()
        return wanted in headers["webhook-signature"].split()


def name_server(folder: Path, code: Path) -> Path:
    """Put `NAME_SERVER` into a folder for PYTHONPATH; the file that holds the address."""
    file = folder / "address"
    file.write_text(HOST)
    code.mkdir(exist_ok=True)
    (code / "sitecustomize.py").write_text(NAME_SERVER.format(file=str(file), name=NAME))
    return file
