"""
An evening in one room: two workers with viewers, a host, an archive, and a bus that fails.

Everything but time, the record and the bus is the product's own code. A viewer does what the SDKs
and the pages do: snapshot, then numbered events after its position; recovery by offset where it
was cut off; a new snapshot where it is told that something is gone.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

import msgspec

from liveserver.archive.entry import GAP, SNAPSHOT, Entry, Show
from liveserver.archive.recorder import Recorder
from rooms import bus as ports
from rooms.bus import Delivery, Position
from rooms.bus_memory import MemoryBus, MemoryServer
from rooms.channels import CHAT, ROOM, Rules
from rooms.errors import Refusal, Unavailable
from rooms.frames import JSON_TEXT
from rooms.hub import Entered
from rooms.hub_service import HubService
from rooms.room import Room, Speaker, apply, state_of
from rooms.service import RoomService
from rooms.store import Part, ReadProducts
from tests.simulation.loop import VirtualLoop

NAME = "r"
SECONDS = 40.0  # of the evening in which things go wrong
QUIET_SECONDS = 30.0  # in which everything has to come right
STEP_SECONDS = 0.2  # mean, between two things that people do
PARTS = ("room", "shelf", "pinned", "notice", "chat_rules", "flash_sales", "video")

T = TypeVar("T")


@dataclass
class Odds:
    """Probabilities of each call or message, or of each second; times in seconds."""

    lost_call: float  # a call does not reach the bus
    lost_answer: float  # it does, and nobody hears the answer
    lost_delivery: float
    slow: float  # mean of a travel
    restart: float  # each second: the bus starts again with what it held
    empty: float  # each second: it starts again with nothing
    flush: float  # each second: FLUSHALL
    away: float  # each second: it is away for a while
    killed: float  # each second: a worker is killed

    @classmethod
    def draw(cls, random: Random) -> "Odds":
        pick = random.choice
        return cls(
            pick((0, 0.02)), pick((0, 0.02)), pick((0, 0.02, 0.2)), pick((0.0005, 0.02, 0.2)),
            pick((0, 0.05)), pick((0, 0.05)), pick((0, 0.03)), pick((0, 0.05)), pick((0, 0.05)),
        )  # fmt: skip


class FlakyBus(MemoryBus):
    """The memory bus over a bad line. Deliveries of a topic stay in order, as of Pub/Sub."""

    def __init__(self, evening: "Evening", node: str) -> None:
        super().__init__(evening.server, node)
        self._evening = evening
        self._last: dict[str, float] = {}
        self.dead = False

    async def _travel(self) -> None:
        evening = self._evening
        await asyncio.sleep(evening.random.expovariate(1 / evening.odds.slow))

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        evening = self._evening
        await self._travel()
        if evening.happens("lost_call"):
            raise Unavailable("lost on the way")
        answer = await call()
        await self._travel()
        if evening.happens("lost_answer"):
            raise Unavailable("the answer was lost")
        return answer

    def receive(self, delivery: Delivery) -> None:
        if self.dead or self._evening.happens("lost_delivery"):
            return
        loop = asyncio.get_running_loop()
        wait = self._evening.random.expovariate(1 / self._evening.odds.slow)
        at = max(self._last.get(delivery.topic, 0.0), loop.time() + wait) + 1e-6
        self._last[delivery.topic] = at
        loop.call_at(at, super().receive, delivery)

    async def publish(self, topic: str, messages: Sequence[ports.Message]) -> list[ports.Outcome]:
        base = super().publish
        return await self._call(lambda: base(topic, messages))

    async def history(
        self,
        topic: str,
        channel: str,
        *,
        since: Position | None,
        limit: int,
        reverse: bool = False,
        most_bytes: int = 0,
    ) -> ports.History:
        base = super().history
        return await self._call(
            lambda: base(
                topic, channel, since=since, limit=limit, reverse=reverse, most_bytes=most_bytes
            )
        )

    async def snapshot(self, room: str) -> ports.Snapshot | None:
        base = super().snapshot
        return await self._call(lambda: base(room))

    async def restore(
        self, room: str, parts: Mapping[str, tuple[bytes, int]], *, anew: bool = False
    ) -> bool:
        base = super().restore
        return await self._call(lambda: base(room, parts, anew=anew))

    async def positions(self, topics: dict[str, list[str]]) -> dict[str, Position]:
        base = super().positions
        return await self._call(lambda: base(topics))


class Record:
    """What SQL is to the rooms, for one room; each call takes its time."""

    def __init__(self, evening: "Evening") -> None:
        self._evening = evening
        self.room: Room | None = None
        self.kept: dict[str, Part] = {}

    async def _wait(self) -> None:
        await asyncio.sleep(self._evening.random.expovariate(1 / 0.002))

    async def create(self, room: Room, parts: dict[str, bytes], *, at: int) -> None:
        self.room = room
        self.kept = {name: Part(body, 1) for name, body in parts.items()}

    async def get(self, id: str) -> Room | None:
        await self._wait()
        return self.room

    async def page(self, state: str | None, after: str, limit: int) -> list[Room]:
        return [self.room] if self.room else []

    async def change(self, id: str, change: Callable[[Room], Room], *, at: int) -> tuple[Room, int]:
        await self._wait()
        assert self.room is not None
        self.room = change(self.room)
        return self.room, self._put("room", msgspec.json.encode(self.room))

    def _put(self, part: str, body: bytes) -> int:
        version = self.kept[part].version + 1 if part in self.kept else 1
        self.kept[part] = Part(body, version)
        return version

    async def put(self, id: str, part: str, body: bytes) -> int:
        await self._wait()
        return self._put(part, body)

    async def put_shelf(
        self, id: str, product_ids: Sequence[str] | None, read: ReadProducts
    ) -> tuple[list[dict[str, object]], int]:
        await self._wait()
        old = json.loads(self.kept["shelf"].body) if "shelf" in self.kept else []
        ids = list(old if product_ids is None else product_ids)
        items = await read(ids)
        return items, self._put("shelf", msgspec.json.encode(ids))

    async def parts(self, id: str) -> dict[str, Part]:
        await self._wait()
        return dict(self.kept)

    async def with_part(self, part: str) -> dict[str, bytes]:
        return {NAME: self.kept[part].body} if part in self.kept else {}

    async def rooms_showing(self, product_id: str) -> list[str]:
        return [NAME]

    async def live(self) -> list[str]:
        await self._wait()
        return [NAME] if self.room and self.room.state == "live" else []

    async def shows(self, since: int) -> list[Show]:
        """The show of the evening, once it has begun."""
        if not await self.live():
            return []
        assert self.room is not None and self.room.show is not None
        return [Show(id=self.room.show, room=NAME, started_at=0, ended_at=None)]


class Source:
    """The shop: products without end, and sales whose versions rise."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}

    def body(self, sale: str) -> tuple[bytes, int]:
        version = self.versions[sale]
        shown = {
            "id": sale, "state": "running", "units_left": 1_000 - version, "version": version,
            "starts_at": "2026-01-01T00:00:00.000Z", "ends_at": "2036-01-01T00:00:00.000Z",
        }  # fmt: skip
        return msgspec.json.encode(shown), version

    async def products(self, ids: list[str]) -> list[dict[str, object]]:
        return [{"id": id} for id in ids]

    async def sales(self, room: str) -> dict[str, tuple[bytes, int]]:
        return {sale: self.body(sale) for sale in self.versions}


class Lines:
    """The archive's store: what is written is kept."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str, int], Entry] = {}
        self.notes: list[Entry] = []

    async def add(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.offset:
                self.kept.setdefault((entry.channel, entry.epoch, entry.offset), entry)
            else:
                self.notes.append(entry)

    async def erase(self, room: str, channel: str, ids: Sequence[str], at: int) -> None:
        """Nobody deletes tonight."""

    async def tops(self, show: str) -> dict[str, Position]:
        return {entry.channel: Position(entry.epoch, entry.offset) for entry in self.kept.values()}

    async def has_end(self, show: str) -> bool:
        """The show goes on all evening."""
        return False

    def rebuilt(self) -> dict[str, Any]:
        """The room from the last state that was written, and the events after it."""
        begin = json.loads([one for one in self.notes if one.type == SNAPSHOT][-1].json)
        state = state_of(begin["parts"])
        epoch, offset = begin["position"]["epoch"], begin["position"]["offset"]
        for (channel, of, at), entry in sorted(self.kept.items(), key=lambda one: one[0][2]):
            if channel == f"room:{NAME}" and of == epoch and at > offset:
                state = apply(state, json.loads(entry.json))
        return state


class Worker:
    """One process: rooms, hub, and the tasks that go on for ever."""

    def __init__(self, evening: "Evening", node: str) -> None:
        self.bus = FlakyBus(evening, node)
        self.rooms = RoomService(
            self.bus, evening.record, evening.source, node=node, now=evening.now,
            new_id=evening.new_id,
        )  # fmt: skip
        self.hubs = HubService(self.bus, lambda: 0.0)
        self.alive = True
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.bus.start()
        self.tasks = [asyncio.create_task(self.rooms.run()), asyncio.create_task(self.hubs.run())]

    async def kill(self) -> None:
        self.alive, self.bus.dead = False, True
        await self.bus.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@dataclass(eq=False)
class Seat:
    """One subscription of a viewer, as the hub sees it: what it is written, it applies."""

    viewer: "Person"
    channel: str
    variant: Any = JSON_TEXT
    direct: bool = True
    closed: bool = False

    def write(self, frame: bytes) -> None:
        if self.closed or not frame:
            return
        head = {126: 4, 127: 10}.get(frame[1], 2)
        for line in frame[head:].split(b"\n"):
            push = json.loads(line)["push"]
            if push["channel"] == self.channel and "pub" in push:
                self.viewer.hear(self.channel, push["pub"])

    def queue(self, frame: bytes, lean: bytes) -> None:
        self.write(frame)

    def lost(self, channel: str) -> None:
        self.closed = True
        self.viewer.positions.pop(channel, None)  # told: it begins anew
        self.viewer.away.set()

    def failed(self) -> None:
        raise AssertionError("a write failed")


class Person:
    """A viewer: wants room and chat, on whichever worker lives."""

    def __init__(self, evening: "Evening", name: str) -> None:
        self.evening, self.name = evening, name
        self.state: dict[str, Any] = {}
        self.positions: dict[str, Position] = {}
        self.away = asyncio.Event()
        self.found: list[str] = []
        self.heard = 0

    async def run(self) -> None:
        """Take a seat; when it is lost, take another."""
        while True:
            worker = self.evening.some_worker()
            self.away.clear()
            seats = [Seat(self, f"room:{NAME}"), Seat(self, f"chat:{NAME}")]
            try:
                await self._sit(worker, seats[0], ROOM)
                await self._sit(worker, seats[1], CHAT)
                while worker.alive and not self.away.is_set():
                    try:
                        async with asyncio.timeout(0.5):
                            await self.away.wait()
                    except TimeoutError:
                        pass
            except Refusal:
                pass
            for seat in seats:
                seat.closed = True
                worker.hubs.unsubscribe(seat, NAME, seat.channel)
            await asyncio.sleep(self.evening.random.uniform(0.05, 0.5))

    async def _sit(self, worker: Worker, seat: Seat, rules: Rules) -> None:
        channel = seat.channel
        if channel.startswith("room:") and channel not in self.positions:
            await self._load(worker)

        def admit(entered: Entered) -> bool:
            assert entered.position is not None
            if channel in self.positions:
                if not entered.recovered:
                    self.positions.pop(channel)
                    self.away.set()
                    return False
                for one in entered.missed:
                    self.hear(channel, {"offset": one.offset, "data": json.loads(one.data)})
            self.positions[channel] = entered.position
            return True

        await worker.hubs.subscribe(
            seat, NAME, channel, rules, since=self.positions.get(channel), admit=admit
        )

    async def _load(self, worker: Worker) -> None:
        snapshot = json.loads(await worker.rooms.snapshot(NAME))
        self.state = {part: snapshot[part] for part in (*PARTS, "stats")}
        at = snapshot["position"]
        self.positions[f"room:{NAME}"] = Position(at["epoch"], at["offset"])

    def hear(self, channel: str, pub: dict[str, Any]) -> None:
        offset = pub.get("offset", 0)
        if offset:
            here = self.positions.get(channel)
            if here is None:
                return
            if offset != here.offset + 1:
                self.found.append(f"{self.name} {channel}: {offset} after {here.offset}")
            self.positions[channel] = Position(here.epoch, offset)
            self.heard += 1
        if channel.startswith("room:") and self.state:
            self.state = apply(self.state, pub["data"])


@dataclass
class Evening:
    """One evening, all of it decided by its seed."""

    seed: int
    found: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.odds = Odds.draw(self.random)
        self.faulty = True
        self.server = MemoryServer(chat_per_second=1_000, chat_burst=1_000)
        self.record, self.source, self.lines = Record(self), Source(), Lines()
        self.workers: list[Worker] = []
        self._ids = 0
        self._tasks: list[asyncio.Task[None]] = []

    def now(self) -> int:
        return 1_790_000_000_000 + int(asyncio.get_running_loop().time() * 1000)

    def new_id(self, prefix: str) -> str:
        self._ids += 1
        return f"{prefix}_{self._ids:06d}"

    def happens(self, what: str) -> bool:
        if not self.faulty or self.random.random() >= getattr(self.odds, what):
            return False
        self.seen[what] += 1
        return True

    def some_worker(self) -> Worker:
        return self.random.choice([one for one in self.workers if one.alive])

    async def run(self) -> None:
        for _ in range(2):
            await self._hire()
        while True:
            try:
                await self.workers[0].rooms.create(NAME, "Evening", [], actor="host")
                break
            except Refusal:
                pass
        people = [Person(self, f"p{n}") for n in range(4)]
        bus = FlakyBus(self, "archive")
        await bus.start()
        recorder = Recorder(bus, self.lines, shows=self.record.shows, now=self.now)
        tasks = self._tasks
        tasks += [asyncio.create_task(one.run()) for one in (*people, recorder)]
        tasks.append(asyncio.create_task(self._break_things()))
        while not await self.record.live():
            await self._act("start", lambda rooms: rooms.start(NAME, actor="host"))
        await self._people_act(SECONDS)
        self.faulty, self.server.up = False, True
        await asyncio.sleep(QUIET_SECONDS)
        await self._check(people)
        for task in tasks:
            if task.done() and not task.cancelled() and task.exception():
                self.found.append(f"{task.exception()!r}")
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for worker in self.workers:
            if worker.alive:
                await worker.kill()

    async def _hire(self) -> None:
        worker = Worker(self, f"w{len(self.workers)}")
        self.workers.append(worker)
        await worker.start()

    async def _take_over(self, worker: Worker) -> None:
        """Who takes the orders role says again what is on record."""
        while worker.alive:
            try:
                await worker.rooms.republish_live_rooms()
                return
            except Refusal:
                await asyncio.sleep(0.5)

    async def _break_things(self) -> None:
        while self.faulty:
            await asyncio.sleep(1)
            if self.happens("restart"):
                self.server.restart()
            if self.happens("empty"):
                self.server.restart(lose=True)
            if self.happens("flush"):
                self.server.lose()
            if self.happens("killed"):
                await self._hire()
                self._tasks.append(asyncio.create_task(self._take_over(self.workers[-1])))
                await self.random.choice([one for one in self.workers[:-1] if one.alive]).kill()
            if self.happens("away"):
                self.server.up = False
                await asyncio.sleep(self.random.uniform(0.5, 3))
                self.server.up = True
                self.server.restart()

    async def _act(self, what: str, act: Callable[[RoomService], Awaitable[Any]]) -> None:
        try:
            await act(self.some_worker().rooms)
            self.seen[what] += 1
        except Refusal as refusal:
            self.seen[f"refused {refusal.problem}"] += 1

    async def _people_act(self, seconds: float) -> None:
        loop, pick = asyncio.get_running_loop(), self.random.choice
        until = loop.time() + seconds
        while loop.time() < until:
            await asyncio.sleep(self.random.expovariate(1 / STEP_SECONDS))
            n = self.random.randrange(1_000)
            await pick((self._say, self._say, self._sell, self._sell, self._show))(n)

    async def _say(self, n: int) -> None:
        text = json.dumps({"text": f"text {n}"}).encode()
        who = Speaker(id=f"u{n % 5}", name="Li")
        await self._act("say", lambda rooms: rooms.say(NAME, who, b"", text))

    async def _sell(self, n: int) -> None:
        sale = f"fs_{n % 3}"
        self.source.versions[sale] = self.source.versions.get(sale, 0) + 1
        body, version = self.source.body(sale)
        await self._act("sell", lambda rooms: rooms.publish_sale(NAME, sale, body, version))

    async def _show(self, n: int) -> None:
        ids = [f"prd_{one}" for one in range(1 + n % 4)]
        acts: list[Callable[[RoomService], Awaitable[Any]]] = [
            lambda rooms: rooms.set_notice(NAME, f"notice {n}", actor="host"),
            lambda rooms: rooms.set_notice(NAME, None, actor="host"),
            lambda rooms: rooms.set_shelf(NAME, ids, actor="host"),
            lambda rooms: rooms.pin(NAME, "prd_0", actor="host"),
        ]
        await self._act("show", self.random.choice(acts))

    async def _check(self, people: list[Person]) -> None:
        """When all is quiet: record, bus, viewers and archive show the same room."""
        for worker in [one for one in self.workers if one.alive]:
            shown = json.loads(await worker.rooms.snapshot(NAME))
            self._compare(worker.bus._node, shown, {**shown, **self._recorded()})
        for person in people:
            self.found += person.found
            self._compare(person.name, person.state, shown)
            self.seen["heard"] += person.heard
        self._compare("archive", self.lines.rebuilt(), shown)
        self.seen["gaps"] += sum(one.type == GAP for one in self.lines.notes)

    def _recorded(self) -> dict[str, Any]:
        kept = {name: json.loads(part.body) for name, part in self.record.kept.items()}
        sales = [json.loads(self.source.body(sale)[0]) for sale in sorted(self.source.versions)]
        shelf = [{"id": id, "number": n} for n, id in enumerate(kept.get("shelf", []), 1)]
        return {
            "room": kept["room"], "notice": kept.get("notice"), "pinned": kept.get("pinned"),
            "shelf": shelf, "flash_sales": sales,
        }  # fmt: skip

    def _compare(self, who: str, shown: dict[str, Any], right: dict[str, Any]) -> None:
        for part in PARTS:
            if shown.get(part) != right.get(part):
                self.found.append(f"{who} {part}: {shown.get(part)} is not {right.get(part)}")


def spend(seed: int) -> Evening:
    """The evening of this seed."""
    evening = Evening(seed)
    loop = VirtualLoop()
    try:
        loop.run_until_complete(evening.run())
    finally:
        loop.close()
    return evening
