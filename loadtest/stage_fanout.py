"""A server for the fan-out rows: the real `liveserver run`, with the settings that a row names."""

import asyncio
import json
import secrets
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import jwt

from loadtest import native
from loadtest.native import Program
from loadtest.server import Server
from loadtest.socket_client import SocketClient, connect

HOST = "127.0.0.1"
ROOM = "demo"  # of the demo shop: live, with a shelf
CHANNELS = f"room:{ROOM},chat:{ROOM},danmaku:{ROOM}"
NAMESPACE = "b"  # an operator's namespace with history and recovery, no tick
PAD = 42
LOG_TAIL = 4_000  # characters of the log of a server whose row failed
ANSWER_SECONDS = 60.0  # for all that is under way

TOML = """
[client]
connects_per_second = 0
insecure = true  # tokens are verified all the same; channels need none of their own then

[namespaces.b]
history_size = 100
history_ttl_seconds = 60
recovery = true
publish = "anyone"
"""
CAPS_OFF = {
    "LIVESERVER_CHAT_PER_SECOND": "0",
    "LIVESERVER_DANMAKU_PER_SECOND": "0",
    "LIVESERVER_FLOOD_RULES": "0",
}


@dataclass
class Stage:
    """One running server and who talks to it."""

    server: Server
    secret: str
    folder: Path
    tls: bool

    @property
    def gateway(self) -> int:
        """Process id of the gateway; with one worker it holds the writer too."""
        return int(self.server.workers()[0].pid)

    def token(self, user: str) -> str:
        claims = {"sub": user, "role": "viewer", "info": {"name": user}}
        claims["exp"] = int(time.time()) + 24 * 3600  # type: ignore[assignment]
        return jwt.encode(claims, self.secret, "HS256")

    def tokens(self, count: int) -> Path:
        """A file with one token a line, each of another user."""
        path = self.folder / f"tokens-{count}"
        if not path.exists():
            path.write_text("\n".join(self.token(f"v{n}") for n in range(count)) + "\n")
        return path

    async def sinks(self, count: int, channels: str, *options: str) -> Program:
        more = (*options, "--tls") if self.tls else options
        return await native.sinks(
            HOST, self.server.port, count,
            "--tokens", str(self.tokens(count)), "--channels", channels, "--pad", str(PAD), *more,
        )  # fmt: skip

    async def sdk_clients(self, count: int, channels: str) -> Program:
        scheme = "wss" if self.tls else "ws"
        tokens = [self.token(f"sdk{n}") for n in range(count)]
        program = await Program.start(
            native.NODE, native.HERE / "sdk_clients.mjs",
            f"{scheme}://{HOST}:{self.server.port}/connection/websocket", channels, *tokens,
        )  # fmt: skip
        assert (await program.answer())["ready"]
        return program

    async def publishers(self, count: int, base: str = "") -> "Publishers":
        """`base` is that of another server, if they talk to one."""
        crew = Publishers()
        for n in range(count):
            token = self.token(f"p{n}-{secrets.token_hex(3)}")
            crew.clients.append(await connect(base or self.server.base, token, crew.on_line))
        return crew


class Publishers:
    """Sockets that publish, and count what they are answered."""

    def __init__(self) -> None:
        self.clients: list[SocketClient] = []
        self.answered = 0
        self.refused = 0
        self.sent = 0
        self.window: asyncio.Semaphore | None = None  # bounds what is open; None: not bounded
        self.reason = ""
        self.pad = PAD
        self._news = asyncio.Event()

    def on_line(self, client: SocketClient, line: bytes) -> None:
        if not line.startswith(b'{"id":') or b'"connect"' in line:
            return
        self.answered += 1
        self._news.set()
        if b'"error"' in line:
            self.refused += 1
            self.reason = line.decode()
        if self.window is not None:
            self.window.release()

    def publish(self, channel: str, *, chat: bool = False) -> None:
        """One message from the next publisher in turn, with the time of now and a pad."""
        self.sent += 1
        client = self.clients[self.sent % len(self.clients)]
        text = f"~{time.time_ns() // 1000:016d}~{'x' * self.pad}~"
        data = {"text": text} if chat else text
        line = {"id": self.sent + 1, "publish": {"channel": channel, "data": data}}
        client.send_raw(json.dumps(line, separators=(",", ":")).encode())

    async def steadily(
        self, channel: str, per_second: float, seconds: float, *, chat: bool
    ) -> None:
        """Publish at a rate, evenly, whatever the answers say."""
        loop = asyncio.get_running_loop()
        begin, count = loop.time(), int(per_second * seconds)
        for n in range(count):
            wait = begin + n / per_second - loop.time()
            if wait > 0.0005:
                await asyncio.sleep(wait)
            self.publish(channel, chat=chat)

    async def as_fast_as_it_goes(
        self, channel: str, seconds: float, at_once: int, *, chat: bool
    ) -> None:
        """Publish with `at_once` open at a time."""
        loop = asyncio.get_running_loop()
        self.window = asyncio.Semaphore(at_once)
        end = loop.time() + seconds
        while loop.time() < end:
            await self.window.acquire()
            self.publish(channel, chat=chat)
        await self.settle()
        self.window = None

    async def settle(self) -> None:
        """Wait until everything is answered. Raises RuntimeError if it never is."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while self.answered < self.sent:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            ends = Counter(client.ended for client in self.clients if client.closed)
            missing = self.sent - self.answered
            raise RuntimeError(f"{missing} publications have no answer; closed: {ends}") from None

    def close(self) -> None:
        for client in self.clients:
            client.transport.close()


@asynccontextmanager
async def staged(*, caps: bool = False, tls: bool = False) -> AsyncIterator[Stage]:
    """A server with the caps on or off, with TLS in the process or not."""
    folder = Path(tempfile.mkdtemp(prefix="fanout-"))
    (folder / "liveserver.toml").write_text(TOML)
    secret = secrets.token_hex(32)
    environ = {"LIVESERVER_TOKEN_SECRET": secret, **({} if caps else CAPS_OFF)}
    if tls:
        environ |= certificate(folder)
    server = Server(folder / "data", environ)
    try:
        await asyncio.to_thread(server.start)
        await asyncio.sleep(2)  # the demo is seeded, the start's work is done
        yield Stage(server, secret, folder, tls)
    except Exception:
        print(server.logged()[-LOG_TAIL:], flush=True)
        raise
    finally:
        await asyncio.to_thread(server.stop)
        shutil.rmtree(folder, ignore_errors=True)


def certificate(folder: Path) -> dict[str, str]:
    """A self-signed certificate in `folder`, and the settings that name it."""
    key, chain = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", chain, "-days", "1", "-subj", "/CN=localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return {"LIVESERVER_TLS_CERT": str(chain), "LIVESERVER_TLS_KEY": str(key)}
