"""What one worker bounds: who may connect at once, and how much a slow viewer may hold."""

import asyncio
import json
import re
import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveserver.gateway import admission
from liveserver.gateway.admission import TURN_SECONDS, Admission, Turnstile
from liveserver.gateway.options import BUSY_SECONDS, CONNECTS_BURST_SECONDS
from rooms.bus import Message
from rooms.bus_redis import RedisBus
from tests.gateway.conftest import Serve
from tests.gateway.support import Place, connected, eventually, raw_upgrade
from tests.gateway.test_sockets import TEXT, masked

steps = st.lists(st.floats(0, 3), max_size=300)  # seconds between two who come


@given(waits=steps, rate=st.integers(1, 50))
def test_no_more_connect_than_the_rate_and_one_burst(waits: list[float], rate: int) -> None:
    """In any stretch of time; and whoever comes below the rate is never refused."""
    bucket = Admission(rate)
    now, let_in = 0.0, 0
    for wait in waits:
        now += wait
        let_in += bucket.admit(now)
    assert let_in <= rate * (CONNECTS_BURST_SECONDS + now) + 1
    if all(wait >= 1 / rate for wait in waits):
        assert let_in == len(waits)


@given(costs=st.lists(st.floats(0, 3 * TURN_SECONDS), max_size=60), behind=st.integers(0, 60))
def test_a_crowd_is_let_in_by_turns(costs: list[float], behind: int) -> None:
    """In the order of coming, nobody forgotten, and no turn of the loop is longer than it may."""
    busy, entered = [0.0], list[int]()
    turns: list[Callable[[], None]] = []
    turnstile = Turnstile(lambda: busy[0], turns.append)

    def enter(who: int) -> None:
        entered.append(who)
        busy[0] += costs[who]

    def turn(crowd: range) -> None:
        begin, before = busy[0], len(entered)
        due = turns.copy()
        turns.clear()
        for step in due:
            step()
        for who in crowd:
            turnstile.pass_through(partial(enter, who))
        last = costs[entered[-1]] if len(entered) > before else 0.0
        assert busy[0] - begin - last < 2 * TURN_SECONDS  # what waited, and who came now

    first = min(behind, len(costs))
    turn(range(first))
    turn(range(first, len(costs)))
    while turns:
        turn(range(0))
    assert entered == list(range(len(costs)))
    assert len(turns) == 0


def test_one_who_fails_at_the_turnstile_keeps_nobody_from_entering() -> None:
    """The fault goes to the loop, which logs it; the next turn goes on behind it."""
    turns: list[Callable[[], None]] = []
    entered: list[int] = []
    busy = iter(range(100))
    turnstile = Turnstile(lambda: float(next(busy)), turns.append)
    turnstile.pass_through(lambda: entered.append(0))

    def fail() -> None:
        raise ValueError("no head")

    assert not turnstile.pass_through(fail)
    assert not turnstile.pass_through(lambda: entered.append(2))
    with pytest.raises(ValueError, match="no head"):
        turns.pop()()
    turns.pop()()
    assert entered == [0, 2]


async def test_who_waits_before_the_turnstile_loses_nothing_of_what_it_sent(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each turn lets one in here; all are served, with what came in one piece with the head."""
    monkeypatch.setattr(admission, "TURN_SECONDS", 1e-9)
    async with serve(insecure=True) as place:
        with ExitStack() as stack:
            for _ in range(40):
                stack.enter_context(stall(place, "plain:x"))

            async def all_there() -> bool:
                return place.gateway.hub.hub.viewers_of("plain:x", "plain:x") == 40

            await eventually(all_there)


async def test_too_long_a_queue_before_the_turnstile_is_told_to_come_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After: at once to who comes then, and in time to who waited in vain."""
    monkeypatch.setattr(admission, "TURN_SECONDS", 0.0)  # nobody ever gets in
    monkeypatch.setattr(admission, "WAITING_MAX", 10)
    async with serve(head_seconds=0.3, step_seconds=0.05) as place:
        answers = await asyncio.gather(*(raw_upgrade(place) for _ in range(30)))
        assert {status for _, _, status in answers} == {503}
        assert all(int(reader.headers["retry-after"]) > 0 for reader, _, _ in answers)
        assert place.gateway.admission.refused == 30
        for _, writer, _ in answers:
            writer.close()


async def test_a_crowd_above_the_rate_is_told_when_to_come_back(serve: Serve) -> None:
    """503 with Retry-After for those above, before anything else; the others are all served."""
    rate = 4
    async with serve(connects_per_second=rate) as place:
        answers = await asyncio.gather(*(raw_upgrade(place) for _ in range(60)))
        let_in = [writer for _, writer, status in answers if status == 101]
        sent_away = [reader for reader, _, status in answers if status == 503]
        assert len(let_in) >= rate * CONNECTS_BURST_SECONDS
        assert len(let_in) + len(sent_away) == 60 and len(sent_away) > 20
        assert place.gateway.admission.refused == len(sent_away)
        for reader in sent_away:
            assert int(reader.headers["retry-after"]) == BUSY_SECONDS
            assert await reader.read() == b""
        for _, writer, _ in answers:
            writer.close()


async def test_a_crowd_below_the_rate_is_let_in_whole(serve: Serve) -> None:
    """Nobody fails because many come at once."""
    async with serve(connects_per_second=100) as place:
        answers = await asyncio.gather(*(raw_upgrade(place) for _ in range(200)))
        assert {status for _, _, status in answers} == {101}
        for _, writer, _ in answers:
            writer.close()


SOFT, HARD = 8 * 1024, 32 * 1024
KERNEL = 4 * 1024  # the system's own buffer of a stalled socket, made small


def stall(place: Place, name: str) -> socket.socket:
    """A viewer who subscribes and never reads a byte."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL)
    sock.connect(("127.0.0.1", place.port))
    head = (
        "GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    )
    commands = [{"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": name}}]
    sock.sendall(head.encode() + masked(TEXT, "\n".join(map(json.dumps, commands)).encode()))
    return sock


@pytest.mark.parametrize("slow", [1, 100, 1_000])
async def test_slow_readers_cost_others_nothing_and_hold_little(
    serve: Serve, unique: str, slow: int
) -> None:
    """However many do not read, who reads gets every message; none holds more than the mark."""
    options: Any = {"soft_mark_bytes": SOFT, "hard_mark_bytes": HARD, "connects_per_second": 0}
    name = f"kept:{unique}"
    async with serve(insecure=True, **options) as place, connected(place) as fast:
        await fast.ok("subscribe", channel=name)
        hub = place.gateway.hub.hub
        with ExitStack() as stack:
            for _ in range(slow):
                stack.enter_context(stall(place, name))
                await asyncio.sleep(0)

            async def all_there() -> bool:
                return hub.viewers_of(name, name) == slow + 1

            await eventually(all_there)
            everyone = list(place.gateway.connections)
            for connection in everyone:
                sock = connection.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL)
            most = 0
            for n in range(1, 21):
                await place.publish(name, [n, "x" * 4_000])
                await fast.until(lambda n=n: len(fast.pubs(name)) == n)
                waiting = [one.transport.get_write_buffer_size() for one in everyone]
                most = max(most, *waiting)
            assert [pub[0] for pub in fast.pubs(name)] == list(range(1, 21))
            assert SOFT < most <= HARD
            assert place.gateway.closes[3008] == slow
            assert hub.viewers_of(name, name) == 1


async def test_a_recovery_that_fits_no_answer_is_none(serve: Serve, unique: str) -> None:
    """It is told so and where it is; an error would leave it in a channel that it thinks closed."""
    name, options = f"kept:{unique}", {"hard_mark_bytes": 256 * 1024}
    async with serve(insecure=True, **options) as place, connected(place) as client:
        for _ in range(5):
            await place.publish(name, "x" * 50_000)
        back = {"recover": True, "offset": 0, "epoch": ""}
        assert await client.error("subscribe", channel=name, flag=2, **back) == 112
        result = await client.ok("subscribe", channel=name, **back)
        assert result.pop("epoch") and result == {
            "recoverable": True, "positioned": True, "was_recovering": True, "offset": 5,
        }  # fmt: skip
        await client.ok("unsubscribe", channel=name)
        result = await client.ok("subscribe", channel=name, **{**back, "offset": 2})
        assert (result["recovered"], len(result["publications"])) == (True, 3)


async def test_who_reads_late_gets_everything_in_order(serve: Serve, unique: str) -> None:
    """What the system does not take waits, whole or in part; then frames go straight again."""
    options: Any = {"soft_mark_bytes": SOFT, "hard_mark_bytes": HARD}
    name = f"kept:{unique}"
    async with serve(insecure=True, **options) as place:
        with stall(place, name) as sock:
            sock.setblocking(False)
            hub = place.gateway.hub.hub

            async def there() -> bool:
                return hub.viewers_of(name, name) == 1

            await eventually(there)
            [viewer] = place.gateway.connections
            viewer.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL
            )
            got, numbers = bytearray(), list(range(1, 9))
            for number in numbers:
                await place.publish(name, [f"n{number:03d}", "x" * 3_000])
                if number == 6:
                    assert not viewer.direct, "all of it fitted into the system"
                    while got.count(b"n00") < 6:
                        got += await asyncio.get_running_loop().sock_recv(sock, 1 << 16)

                    async def straight() -> bool:
                        return viewer.direct

                    await eventually(straight)
            while got.count(b"n00") < len(numbers) or not got.endswith(b"}"):
                got += await asyncio.get_running_loop().sock_recv(sock, 1 << 16)
    assert re.findall(rb"n00(\d)", got) == [b"%d" % number for number in numbers]
    assert got.count(b"x" * 3_000) == len(numbers)


async def test_caps_that_are_off_drop_nothing(redis_url: str, unique: str) -> None:
    """Rate 0 is no limit; the usual rates are."""
    lines = [
        Message(channel=f"chat:{unique}", data=b"1", capped=True),
        Message(channel=f"danmaku:{unique}", data=b"2", numbered=False, droppable=True),
    ] * 60
    dropped = {}
    for node, rates in (("a", {}), ("b", {"chat_per_second": 0, "danmaku_per_second": 0})):
        bus = RedisBus(redis_url, unique + node, **rates)
        await bus.start()
        outcomes = await bus.publish(unique, lines)
        dropped[node] = sum(outcome.dropped for outcome in outcomes)
        await bus.close()
    assert 40 < dropped["a"] < 80
    assert dropped["b"] == 0
