"""
Debian's `janus` beside the server: its videoroom plugin, with a folder and a network of its own.

Only what a publisher and viewers need is loaded. It is an ICE-lite agent as the server is, so that
the same light peers (`loadtest/rtc.py`) come to both. Its API is JSON over one WebSocket; see
"Janus API" and "VideoRoom plugin" of its documentation.
"""

import asyncio
import itertools
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import aiohttp

from loadtest.rtc import H264, OPUS, Identity, Line, Peer

Message = dict[str, Any]

MISSING = "janus is not installed: apt-get install janus brings it"

#: janus takes no loopback interface, so it gets a network of its own, in which nothing else is.
ADDRESS = "10.77.0.1"
NETWORK = (
    "ip link set lo up && ip link add lan0 type veth peer name lan1"
    f" && ip addr add {ADDRESS}/24 dev lan0 && ip link set lan0 up && ip link set lan1 up"
    ' && exec "$@"'
)
INSIDE = ("unshare", "--map-root-user", "--net", "sh", "-c", NETWORK, "sh")

ROOM = 1
READY_SECONDS = 20.0
ANSWER_SECONDS = 10.0  # for one answer of its API
KEEP_ALIVE_SECONDS = 20.0  # a session that says nothing for 60 s is closed

#: Everything else of Debian's package is named here, in order that it is not loaded.
PLUGINS_OFF = (
    "audiobridge", "duktape", "echotest", "lua", "nosip", "recordplay", "sip", "streaming",
    "textroom", "videocall", "voicemail",
)  # fmt: skip
TRANSPORTS_OFF = ("http", "mqtt", "nanomsg", "pfunix", "rabbitmq")

#: One loop for all peers costs it less than its default, a thread for each (docs/benchmarks.md).
MAIN = """
general: {{
  configs_folder = "{folder}"
  events_folder = "{folder}"
  loggers_folder = "{folder}"
  interface = "{address}"
  debug_level = 2
  debug_colors = false
  event_loops = 1
}}
nat: {{ ice_lite = true, ice_enforce_list = "{address}" }}
plugins: {{ disable = "{plugins}" }}
transports: {{ disable = "{transports}" }}
"""
SOCKETS = """
general: {{ json = "compact", ws = true, ws_port = {port}, ws_ip = "127.0.0.1", wss = false }}
admin: {{ admin_ws = false }}
"""
ROOMS = """
room-{room}: {{
  description = "bench", publishers = 1, bitrate = 0, notify_joining = false
  audiocodec = "opus", videocodec = "h264"
}}
"""


def missing() -> str:
    """Why janus cannot be measured here; "" where it can."""
    if shutil.which("janus") is None:
        return MISSING
    if not (shutil.which("unshare") and shutil.which("ip")):
        return "janus needs a network of its own: no unshare or ip here"
    tried = subprocess.run([*INSIDE, "true"], capture_output=True, text=True, check=False)
    return f"no network of its own for janus: {tried.stderr.strip()}" if tried.returncode else ""


class Janus:
    """A running `janus`, inside a network of `INSIDE`; use with `with`."""

    port = pid = 0

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="janus-")
        self.port = free_port()
        folder = Path(self._folder.name)
        self._configure(folder)
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["janus", "--configs-folder", folder, "--config", folder / "janus.jcfg"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
            )  # fmt: skip
        self.pid = self._process.pid
        try:
            self._wait(folder / "log")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def _configure(self, folder: Path) -> None:
        files = {
            "janus.jcfg": MAIN.format(
                folder=folder,
                address=ADDRESS,
                plugins=",".join(f"libjanus_{name}.so" for name in PLUGINS_OFF),
                transports=",".join(f"libjanus_{name}.so" for name in TRANSPORTS_OFF),
            ),
            "janus.transport.websockets.jcfg": SOCKETS.format(port=self.port),
            "janus.plugin.videoroom.jcfg": ROOMS.format(room=ROOM),
        }
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                    raise AssertionError(f"janus does not start: {said}") from error
            time.sleep(0.05)


def free_port() -> int:
    """A TCP port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class VideoRoom:
    """
    One session with the plugin; use with `async with`. Each peer is a handle of the session.

    Raises:
        AssertionError: janus refused something; its words.
    """

    def __init__(self, port: int, http: aiohttp.ClientSession) -> None:
        self._url = f"ws://127.0.0.1:{port}"
        self._http = http
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._up = asyncio.Event()  # janus has the keys of the publisher: who watches finds it
        self._feed = 0

    async def __aenter__(self) -> Self:
        self._socket = await self._http.ws_connect(self._url, protocols=["janus-protocol"])
        self._reader = asyncio.create_task(self._read())
        self._session = (await self._ask({"janus": "create"}))["data"]["id"]
        self._keeper = asyncio.create_task(self._keep_alive())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._keeper, self._reader):
            task.cancel()
        await self._socket.close()

    async def publish(self, identity: Identity) -> Peer:
        """A connected publisher of H.264 and Opus, told apart by SSRC (1: the picture)."""
        lines = [Line("audio", [OPUS], ssrc=2), Line("video", [H264], ssrc=1)]
        peer = Peer(identity, lines, direction="sendonly")
        asked = {"request": "joinandconfigure", "room": ROOM, "ptype": "publisher"}
        offer = {"type": "offer", "sdp": peer.offer()}
        answer = await self._say(await self._handle(), asked, offer)
        self._feed = answer["plugindata"]["data"]["id"]
        peer.start(answer["jsep"]["sdp"])
        await asyncio.wait_for(
            asyncio.gather(peer.connected.wait(), self._up.wait()), READY_SECONDS
        )
        return peer

    async def watch(self, peer: Peer) -> None:
        """Let a peer without lines take what is published: here janus offers and it answers."""
        handle = await self._handle()
        asked = {"request": "join", "room": ROOM, "ptype": "subscriber"}
        offered = await self._say(handle, asked | {"streams": [{"feed": self._feed}]})
        offer = offered["jsep"]["sdp"]
        peer.lines, peer.setup = lines_of(offer), "active"
        answer = {"type": "answer", "sdp": peer.offer()}
        await self._say(handle, {"request": "start", "room": ROOM}, answer)
        peer.start(offer)

    async def _handle(self) -> int:
        attached = await self._ask({"janus": "attach", "plugin": "janus.plugin.videoroom"})
        handle: int = attached["data"]["id"]
        return handle

    async def _say(self, handle: int, body: Message, jsep: Message | None = None) -> Message:
        """A message to the plugin; its event, which comes after an acknowledgement."""
        message: Message = {"janus": "message", "handle_id": handle, "body": body}
        answer = await self._ask(message | ({"jsep": jsep} if jsep else {}))
        data = answer["plugindata"]["data"]
        assert "error" not in data, data
        return answer

    async def _ask(self, message: Message) -> Message:
        transaction = str(next(self._numbers))
        known = {"session_id": self._session} if hasattr(self, "_session") else {}
        answer = self._waiting[transaction] = asyncio.get_running_loop().create_future()
        await self._socket.send_json(message | known | {"transaction": transaction})
        try:
            found: Message = await asyncio.wait_for(answer, ANSWER_SECONDS)
        finally:
            del self._waiting[transaction]
        assert found["janus"] in ("success", "event"), found
        return found

    async def _read(self) -> None:
        async for frame in self._socket:
            message: Message = frame.json()
            if message["janus"] == "webrtcup":
                self._up.set()
            waiting = self._waiting.get(message.get("transaction", ""))
            if waiting is not None and not waiting.done() and message["janus"] != "ack":
                waiting.set_result(message)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_SECONDS)
            known = {"session_id": self._session, "transaction": "keepalive"}
            await self._socket.send_json({"janus": "keepalive"} | known)


def lines_of(offer: str) -> list[Line]:
    """What an answer says to an offer: of each section the first codec, with its parameters."""
    lines = []
    for section in re.split(r"^(?=m=)", offer, flags=re.MULTILINE)[1:]:
        found = re.match(r"m=(\w+) \d+ \S+ (\d+)", section)
        assert found is not None, f"no codec in {section!r}"
        kind, number = found.groups()
        codec = re.search(rf"^a=rtpmap:{number} (\S+)", section, flags=re.MULTILINE)
        assert codec is not None, f"no rtpmap in {section!r}"
        fmtp = re.search(rf"^a=fmtp:{number} ([^\r\n]+)", section, flags=re.MULTILINE)
        lines.append(Line(kind, [f"{number} {codec[1]} {fmtp[1] if fmtp else ''}".rstrip()]))
    return lines
