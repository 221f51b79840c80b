"""More commands than are answered at once, and answers that their client does not take."""

import asyncio
import json
import re
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from liveserver.gateway import codes
from liveserver.gateway import stream as stream_module
from liveserver.gateway.options import QUEUE_COMMANDS
from tests.gateway.conftest import Serve
from tests.gateway.support import PATIENCE, Place, connected, eventually, raw_upgrade
from tests.gateway.test_sockets import CLOSE, PING, PONG, TEXT, masked, upgraded
from tests.gateway.test_streams import BOTH, stream

SOFT, HARD = 8 * 1024, 32 * 1024
KERNEL = 4 * 1024  # the system's own buffer of a socket, made small


@pytest.mark.parametrize("together", [300, 1])
async def test_every_command_of_a_burst_is_answered_in_order(
    open_place: Place, together: int
) -> None:
    """However many at once, in one frame or in many: one answer each, none refused."""
    async with connected(open_place) as client:
        sent = [
            client.line("publish", {"channel": "plain:x", "data": 1})
            if number % 2
            else client.line("rpc", {"method": "echo", "data": number})
            for number in range(900)
        ]
        for at in range(0, len(sent), together):
            await client.ws.send("\n".join(line for _, line in sent[at : at + together]))
        ids = [id for id, _ in sent]
        await client.until(lambda: ids[-1] in client.replies)
        assert [line["id"] for line in client.log if line.get("id") in set(ids)] == ids
        assert not [one for one in client.replies.values() if "error" in one]
        assert await client.ok("rpc", method="echo", data=5) == {"data": 5}


@pytest.mark.parametrize("encrypted", [False, True])
async def test_who_reads_its_answers_late_gets_them_all(
    serve: Serve, encrypted: bool, certificate: tuple[Path, Path]
) -> None:
    """Meanwhile no further command is begun, nor many read: little is held for it."""
    trust = ssl.create_default_context(cafile=str(certificate[0])) if encrypted else None
    options: Any = {"soft_mark_bytes": SOFT, "hard_mark_bytes": HARD}
    size, count = 4_000, 800
    async with serve(insecure=True, tls=_server_side(certificate, encrypted), **options) as place:
        reader, writer, _ = await raw_upgrade(place, trust=trust)
        writer.write(_command(1, "connect", {}))
        await reader.readuntil(b"}}")
        [viewer] = place.gateway.connections
        sock = viewer.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for id in range(2, count + 2):
            writer.write(_command(id, "rpc", {"method": "echo", "data": "x" * size}))

        async def stopped() -> bool:
            return viewer.session.halted and viewer.held_back

        await eventually(stopped)
        assert viewer.transport.get_write_buffer_size() < SOFT + 3 * size
        assert len(viewer.session._pending) <= QUEUE_COMMANDS
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        got = bytearray()
        async with asyncio.timeout(PATIENCE):
            while got.count(b'"rpc"') < count:
                got += await reader.read(1 << 16)
        assert [int(id) for id in re.findall(rb'"id":(\d+)', got)] == list(range(2, count + 2))
        assert not viewer.session.halted and not place.gateway.closes
        writer.close()


async def test_who_asks_for_large_histories_and_reads_none_holds_little(
    serve: Serve, unique: str
) -> None:
    """However often: less than the hard mark waits for it, and it is not begun what would."""
    hard = 128 * 1024
    options: Any = {"soft_mark_bytes": SOFT, "hard_mark_bytes": hard}
    name = f"log:{unique}"
    async with serve(insecure=True, **options) as place:
        for number in range(40):
            await place.publish(name, [number, "x" * 8_000])
        reader, writer, _ = await raw_upgrade(place)
        writer.write(_command(1, "connect", {}))
        await reader.readuntil(b"}}")
        [viewer] = place.gateway.connections
        sock = viewer.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for id in range(2, 200):
            writer.write(_command(id, "history", {"channel": name, "limit": -1}))

        async def stopped() -> bool:
            return viewer.session.halted

        await eventually(stopped)
        async with connected(place) as other:
            read = await other.ok("history", channel=name, limit=-1)
            numbers: list[int] = []
            while read["publications"]:
                numbers += [one["data"][0] for one in read["publications"]]
                since = {"offset": read["publications"][-1]["offset"], "epoch": read["epoch"]}
                read = await other.ok("history", channel=name, limit=-1, since=since)
            assert numbers == list(range(40))
        assert viewer.session.halted and not place.gateway.closes
        assert viewer.transport.get_write_buffer_size() < hard
        writer.close()


async def test_no_frame_is_longer_than_a_viewer_may_hold(serve: Serve, unique: str) -> None:
    """An answer that would be is refused; a viewer that takes too little of a frame is cut off."""
    options: Any = {"soft_mark_bytes": SOFT, "hard_mark_bytes": HARD}
    name = f"log:{unique}"
    async with serve(insecure=True, **options) as place, connected(place) as client:
        assert await client.error("rpc", method="echo", data="x" * HARD) == 106
        await client.ok("rpc", method="echo", data="x" * SOFT)
        reader, writer, _ = await raw_upgrade(place)
        writer.write(_command(1, "connect", {}) + _command(2, "subscribe", {"channel": name}))
        await reader.readuntil(b'"subscribe"')
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        [viewer] = [one for one in place.gateway.connections if one.session.subscriptions]
        sock = viewer.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL)
        assert viewer.direct
        await place.publish(name, "x" * 2_000_000)

        async def gone() -> bool:
            return viewer not in place.gateway.connections

        await eventually(gone)
        assert place.gateway.closes == {3008: 1}
        writer.close()


async def test_a_pong_behind_many_commands_is_waited_for(serve: Serve) -> None:
    """A client that has said much is not taken for one that is gone."""
    times: Any = {"ping_seconds": 0.2, "pong_seconds": 0.1, "step_seconds": 0.02}
    async with serve(insecure=True, **times) as place, connected(place) as client:
        methods = place.methods
        lines = [client.line("rpc", {"method": "wait"})[1] for _ in range(2 * QUEUE_COMMANDS)]
        for line in lines:
            await client.ws.send(line)
        await methods.called.wait()
        await client.until(lambda: client.pings)
        await asyncio.sleep(0.3)  # three times what a pong may take
        assert client.closed is None
        methods.go_on.set()
        await client.until(lambda: len(client.replies) > len(lines))
        await client.until(lambda: client.pings > 2)


@pytest.mark.parametrize("whole", [True, False])
async def test_who_is_held_back_can_still_be_closed(serve: Serve, whole: bool) -> None:
    """The close frame goes out, and the client's own is heard behind all that was not read."""
    async with serve(insecure=True) as place, upgraded(place) as raw:
        raw.writer.write(_command(1, "connect", {}))
        await raw.frame()
        if not whole:  # with this the library's parser takes over
            raw.writer.write(masked(PING, b"!"))
            assert await raw.frame() == (PONG, b"!")
        for id in range(2, 4 * QUEUE_COMMANDS):
            raw.writer.write(_command(id, "rpc", {"method": "wait"}))
        [viewer] = place.gateway.connections

        async def held() -> bool:
            return viewer.held_back

        await eventually(held)
        viewer.close(codes.SHUTDOWN)
        assert await raw.closed_with() == 3001
        raw.writer.write(masked(CLOSE, (3001).to_bytes(2, "big")))
        await raw.gone()
        place.methods.go_on.set()


@BOTH
async def test_commands_in_requests_of_their_own_wait_too(
    open_place: Place, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order, up to a bound; who says even more has to begin again (3013)."""
    methods = open_place.methods
    async with stream(open_place, kind, {}) as client:
        await client.connected()
        many = range(2, 3 * QUEUE_COMMANDS)
        for id in many:
            await client.send({"id": id, "rpc": {"method": "wait" if id == 2 else "echo"}})
        [viewer] = open_place.gateway.streams.values()
        assert len(viewer.session._pending) <= QUEUE_COMMANDS
        methods.go_on.set()
        await client.reply(many[-1])
        assert [one["id"] for one in client.messages if "id" in one] == [1, *many]
        methods.go_on.clear()
        monkeypatch.setattr(stream_module, "BACKLOG_BYTES", 10_000)
        for id in range(1_000, 1_000 + 2 * QUEUE_COMMANDS):
            await client.send({"id": id, "rpc": {"method": "wait"}})
        await client.until(lambda: client.ended)
        assert client.pushes("disconnect")[0]["code"] == 3013


def _server_side(certificate: tuple[Path, Path], encrypted: bool) -> ssl.SSLContext | None:
    if not encrypted:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


def _command(id: int, method: str, request: dict[str, Any]) -> bytes:
    return masked(TEXT, json.dumps({"id": id, method: request}).encode())
