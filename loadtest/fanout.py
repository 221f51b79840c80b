"""
The fan-out's figures: each row of the table, through the real path, per CPU-second of the gateway.

`python -m loadtest fanout [ROW …]`. The viewers are C sinks that check every payload and sequence;
one in a hundred is an SDK client, whose latencies are printed beside those of all. CPU time is that
of the gateway process (with one worker it holds the writer too), read from /proc. Peers take turns
with the gateway in one run; each figure is the median.
"""

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from loadtest import native
from loadtest.native import Json, Program, cpu_seconds, resident_bytes, tree_cpu_seconds
from loadtest.stage_fanout import CHANNELS, HOST, NAMESPACE, ROOM, Publishers, Stage, staged

EVENT_PAD = 99  # makes an event of 120 bytes, its time and quotes included
LIMIT_AT_LEAST = 110_000  # frames per CPU-second of limit.c; below, the machine is too noisy
PEERS: dict[str, tuple[str, ...]] = {
    "limit.c": (),
    "uvloop transport.write": (sys.executable, "-m", "loadtest.peers.uvloop_writes"),
    "websockets broadcast": (sys.executable, "-m", "loadtest.peers.websockets_broadcast"),
    "Node ws": (str(native.NODE), str(native.HERE / "peers/ws_broadcast.mjs")),
}
BARE_CHAT = (sys.executable, "-m", "loadtest.peers.uvloop_chat")
TALKERS = 250  # who publish; one connection has one publication under way at a time
CROWD_OF_TALKERS = 1_000  # who publish as fast as it goes
AT_ONCE = 900  # of theirs are under way; a topic takes 1,000 before it says too many
PEER_PORT = 18_710  # and the following ones
PEER_AROUND = 24 + 18  # bytes of a peer's payload around its pad


@dataclass
class Options:
    """What one call measures. `scale` makes everything smaller, for trying the benchmark out."""

    runs: int = 5
    seconds: float = 10.0  # of one measurement
    scale: float = 1.0
    caps: bool = False
    tls: bool = False

    def viewers(self, count: int) -> int:
        return max(10, int(count * self.scale))


@dataclass
class Line:
    """One line of the table. `holds`: None where there is no target or the run is void."""

    what: str
    measured: str
    wanted: str = ""
    holds: bool | None = None


@dataclass
class Row:
    """What one row found."""

    lines: list[Line] = field(default_factory=list)

    def add(self, what: str, measured: str, wanted: str = "", holds: bool | None = None) -> None:
        self.lines.append(Line(what, measured, wanted, holds))
        mark = {True: "ok", False: "NOT REACHED", None: ""}[holds]
        print(f"  {what}: {measured}  {wanted and f'(wanted {wanted})'} {mark}", flush=True)

    def at_least(self, what: str, value: float, target: float, form: str = ",.0f") -> None:
        self.add(what, format(value, form), f"≥ {target:,g}", value >= target)

    def at_most(self, what: str, value: float, target: float, unit: str) -> None:
        self.add(what, f"{value:,.1f} {unit}", f"≤ {target:,g} {unit}", value <= target)


def check(told: Json) -> None:
    """Whatever was lost, repeated or damaged makes a measurement worthless."""
    wrong = {name: told[name] for name in ("gaps", "damaged", "closed", "refused") if told[name]}
    if wrong:
        raise RuntimeError(f"the sinks complain: {wrong}")


# --- frames: one event a frame, against the limit and peers --------------------------------------


class Peer:
    """A program of another make with its sinks."""

    def __init__(self, program: Program, viewers: Program, count: int, size: int) -> None:
        self.program, self.viewers, self.count, self.size = program, viewers, count, size

    @classmethod
    async def start(cls, command: tuple[str, ...], port: int, count: int, size: int) -> "Peer":
        program = await Program.start(*(command or (str(native.build("limit")),)), str(port))
        assert await program.line() == "listening"
        options = ("--sequence", "n", "--pad", str(size - PEER_AROUND))
        return cls(program, await native.sinks(HOST, port, count, *options), count, size)

    async def run(self, rounds: int, per_second: int) -> float:
        """Frames per CPU-second."""
        await self.viewers.ask("reset")
        before = tree_cpu_seconds(self.program.pid)
        await self.program.ask(f"go {rounds} {per_second} {self.size}")
        spent = tree_cpu_seconds(self.program.pid) - before
        told = await arrived(self.viewers, rounds * self.count)
        check(told)
        return float(told["marked"]) / spent

    async def stop(self) -> None:
        await self.viewers.stop()
        await self.program.stop()


async def arrived(viewers: Program, count: int, seconds: float = 20.0) -> Json:
    """The sinks' figures once so many marked messages have come."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        told = await viewers.ask("stats")
        if told["marked"] >= count:
            return told
        if loop.time() > end:
            raise RuntimeError(f"{count - told['marked']} messages did not arrive: {told}")
        await asyncio.sleep(0.1)


async def frames(options: Options) -> Row:
    """1,000 viewers, one 120-byte event a frame; peers send frames of the same size, ready-made."""
    row, count = Row(), options.viewers(1_000)
    per_second = 60
    rounds = int(per_second * options.seconds)
    channel = f"{NAMESPACE}:1"
    peers: dict[str, Peer] = {}
    found: dict[str, list[float]] = {name: [] for name in (*PEERS, "liveserver")}
    async with staged(caps=options.caps, tls=options.tls) as stage:
        viewers = await stage.sinks(count, channel, "--pad", str(EVENT_PAD))
        crew = await stage.publishers(1)
        crew.pad = EVENT_PAD
        try:
            await own_frames(stage, viewers, crew, channel, 100)  # warm-up
            size = await own_size(viewers, crew, channel, count)
            row.add("bytes of a frame's payload", str(size))
            for number, (name, command) in enumerate(PEERS.items()):
                peers[name] = await Peer.start(command, PEER_PORT + number, count, size)
            for run in range(options.runs):
                for name, peer in peers.items():
                    found[name].append(await peer.run(rounds, per_second))
                found["liveserver"].append(await own_frames(stage, viewers, crew, channel, rounds))
                last = {name: f"{rates[-1]:,.0f}" for name, rates in found.items()}
                print("  run", run + 1, last, flush=True)
        finally:
            for peer in peers.values():
                await peer.stop()
            await viewers.stop()
            crew.close()
    compare(row, found)
    return row


async def own_size(viewers: Program, crew: Publishers, channel: str, count: int) -> int:
    """Bytes of one event's payload on the wire; the header of such a frame has four."""
    await viewers.ask("reset")
    crew.publish(channel)
    told = await arrived(viewers, count)
    return round(int(told["bytes"]) / int(told["frames"])) - 4


async def own_frames(
    stage: Stage, viewers: Program, crew: Publishers, channel: str, rounds: int
) -> float:
    """The same through the real path: each event is published, numbered, delivered, written."""
    await viewers.ask("reset")
    before = cpu_seconds(stage.gateway)
    for _ in range(rounds):  # the next event only once the last is numbered: one event a frame
        crew.publish(channel)
        await crew.settle()
    told = await viewers.ask("stats")
    count = int(told["ready"])
    told = await arrived(viewers, rounds * count)
    spent = cpu_seconds(stage.gateway) - before
    check(told)
    if told["frames"] < rounds * count:
        raise RuntimeError("several events shared a frame; the comparison would not be fair")
    return float(told["marked"]) / spent


def compare(row: Row, found: dict[str, list[float]]) -> None:
    middle = {name: statistics.median(rates) for name, rates in found.items()}
    for name, rate in middle.items():
        row.add(f"frames per CPU-second, {name}", f"{rate:,.0f}")
    void = middle["limit.c"] < LIMIT_AT_LEAST
    if void:
        row.add("limit.c", f"{middle['limit.c']:,.0f}", f"≥ {LIMIT_AT_LEAST:,}: else void")
    wanted = {"limit.c": 0.70, "uvloop transport.write": 0.92, "websockets broadcast": 1.4,
              "Node ws": 1.1}  # fmt: skip
    for name, target in wanted.items():
        ratio = statistics.median(
            own / other for own, other in zip(found["liveserver"], found[name], strict=True)
        )
        row.add(f"of {name}", f"{ratio:.2f}", f"≥ {target:g}", None if void else ratio >= target)


# --- rooms full of chat -------------------------------------------------------------------------


@asynccontextmanager
async def room(
    stage: Stage, count: int, *sink_options: str
) -> AsyncIterator[tuple[Program, Program]]:
    """`count` viewers of the room, of whom one in a hundred is an SDK client."""
    real = max(1, count // 100)
    viewers = await stage.sinks(count - real, CHANNELS, *sink_options)
    clients = await stage.sdk_clients(real, CHANNELS)
    try:
        yield viewers, clients
    finally:
        await clients.stop()
        await viewers.stop()


@dataclass
class Talk:
    """One measurement of a room that talks."""

    deliveries: float  # per CPU-second
    sinks: Json
    clients: Json
    busy: float  # share of a core
    refused: int
    bytes: int


async def talk(
    stage: Stage, count: int, per_second: float, options: Options, *sink_options: str
) -> list[Talk]:
    """`per_second` lines of chat into a room, measured `runs` times."""
    found = []
    crew = await stage.publishers(TALKERS)
    async with room(stage, count, *sink_options) as (viewers, clients):
        await crew.steadily(f"chat:{ROOM}", per_second, 3.0, chat=True)  # warm-up
        for _ in range(options.runs):
            await crew.settle()
            await asyncio.sleep(0.5)
            await viewers.ask("reset")
            await clients.ask("stats")
            refused, sent = crew.refused, crew.sent
            before = cpu_seconds(stage.gateway)
            begin = asyncio.get_running_loop().time()
            await crew.steadily(f"chat:{ROOM}", per_second, options.seconds, chat=True)
            await crew.settle()
            refused = crew.refused - refused
            told = await arrived(
                viewers, (crew.sent - sent - refused) * (count - max(1, count // 100))
            )
            spent = cpu_seconds(stage.gateway) - before
            took = asyncio.get_running_loop().time() - begin
            check(told)
            heard = await clients.ask("stats")
            deliveries = told["marked"] + heard["count"]
            found.append(
                Talk(deliveries / spent, told, heard, spent / took, refused, told["bytes"])
            )
            print(f"  {deliveries / spent:,.0f} deliveries per CPU-second, p99 {told['p99_ms']}"
                  f" ms, SDK p99 {heard['p99_ms']:.1f} ms, {spent / took:.2f} of a core, "
                  f"{refused} refused", flush=True)  # fmt: skip
    crew.close()
    return found


def middle(found: list[Talk], figure: Callable[[Talk], float]) -> float:
    return statistics.median(figure(one) for one in found)


async def chat(options: Options) -> Row:
    """1,000 viewers, 1,000 messages a second in: deliveries and latency."""
    row = Row()
    async with staged(caps=options.caps, tls=options.tls) as stage:
        plain = await talk(stage, options.viewers(1_000), 1_000 * options.scale, options)
    tell_talk(row, plain, options)
    return row


def tell_talk(row: Row, found: list[Talk], options: Options, p99: float = 250.0) -> None:
    rate = middle(found, lambda one: one.deliveries)
    if options.caps:
        row.add("deliveries per CPU-second", f"{rate:,.0f}", "the cap refuses the rest")
        row.add("refused in words", f"{middle(found, lambda one: one.refused):,.0f} a run")
    else:
        row.at_least("deliveries per CPU-second", rate, 2_000_000)
    row.at_most("p99, all viewers", middle(found, lambda one: one.sinks["p99_ms"]), p99, "ms")
    row.at_most("p99, SDK clients", middle(found, lambda one: one.clients["p99_ms"]), p99, "ms")
    row.add("of a core", f"{middle(found, lambda one: one.busy):.2f}")


async def deflate(options: Options) -> Row:
    """The same with compression, against plain, taking turns."""
    row, count = Row(), options.viewers(1_000)
    async with staged(caps=options.caps, tls=options.tls) as stage:
        plain = await talk(stage, count, 1_000 * options.scale, options)
        small = await talk(stage, count, 1_000 * options.scale, options, "--deflate")
    rate = middle(small, lambda one: one.deliveries)
    row.add("deliveries per CPU-second, deflate", f"{rate:,.0f}")
    row.at_least("of plain", rate / middle(plain, lambda one: one.deliveries), 0.9, ".2f")
    bytes_ratio = middle(small, lambda one: one.bytes) / middle(plain, lambda one: one.bytes)
    row.add("bytes, of plain", f"{bytes_ratio:.2f}", "≤ 0.25", bytes_ratio <= 0.25)
    row.at_most("p99, all viewers", middle(small, lambda one: one.sinks["p99_ms"]), 250, "ms")
    return row


async def crowd(options: Options) -> Row:
    """10,000 viewers in one room, 100 messages a second in."""
    row = Row()
    async with staged(caps=options.caps, tls=options.tls) as stage:
        found = await talk(stage, options.viewers(10_000), 100, options)
    row.at_most("p99, all viewers", middle(found, lambda one: one.sinks["p99_ms"]), 300, "ms")
    row.at_most("p99, SDK clients", middle(found, lambda one: one.clients["p99_ms"]), 300, "ms")
    row.add("of a core", f"{middle(found, lambda one: one.busy):.2f}")
    row.add("viewers lost", "0", "0", True)  # `check` raised otherwise
    return row


# --- connections --------------------------------------------------------------------------------


async def connections(options: Options) -> Row:
    """10,000 connections with token and three subscriptions: memory, CPU to get in, CPU at rest."""
    row, count = Row(), options.viewers(10_000)
    costs, rates, rest = [], [], []
    for _ in range(min(options.runs, 3)):
        async with staged(caps=options.caps, tls=options.tls) as stage:
            warm = await stage.sinks(50, CHANNELS)
            memory, before = resident_bytes(stage.gateway), cpu_seconds(stage.gateway)
            viewers = await stage.sinks(count, CHANNELS)
            rates.append(count / (cpu_seconds(stage.gateway) - before))
            await asyncio.sleep(3)
            costs.append((resident_bytes(stage.gateway) - memory) / count)
            await asyncio.sleep(12)  # the first pings have begun
            before = cpu_seconds(stage.gateway)
            await asyncio.sleep(30)
            rest.append((cpu_seconds(stage.gateway) - before) / 30)
            check(await viewers.ask("stats"))
            for program in (viewers, warm):
                await program.stop()
        print(f"  {rates[-1]:,.0f} connects, {costs[-1]:,.0f} bytes, {rest[-1]:.3f} of a core",
              flush=True)  # fmt: skip
    row.at_least("connects per CPU-second", statistics.median(rates), 1_500)
    row.at_most("memory of one", statistics.median(costs) / 1024, 12, "kB")
    row.at_most("10,000 at rest, with pings", statistics.median(rest) * 100, 5, "% of a core")
    return row


async def publish(options: Options) -> Row:
    """Chat in as fast as it goes: parsed, judged, numbered and answered; one viewer."""
    row = Row()
    own: list[float] = []
    bare: list[float] = []
    async with staged(caps=options.caps, tls=options.tls) as stage:
        viewers = await stage.sinks(1, CHANNELS)
        crew = await stage.publishers(CROWD_OF_TALKERS)
        peer = await Program.start(*BARE_CHAT, str(PEER_PORT), str(stage.server.data / "bus.sock"))
        assert await peer.line() == "listening"
        others = await stage.publishers(CROWD_OF_TALKERS, f"http://{HOST}:{PEER_PORT}")
        for run in range(options.runs + 1):  # the first is for warmth
            seconds = options.seconds if run else 3.0
            own.append(await lines_in(crew, stage.gateway, seconds))
            bare.append(await lines_in(others, peer.pid, seconds))
            print(f"  {own[-1]:,.0f} per CPU-second, {bare[-1]:,.0f} bare; {crew.refused} refused "
                  f"{crew.reason[:90]}", flush=True)  # fmt: skip
        check(await viewers.ask("stats"))
        for one in (crew, others):
            one.close()
        for program in (peer, viewers):
            await program.stop()
    tell_published(row, own[1:], bare[1:], caps=options.caps)
    return row


async def lines_in(crew: Publishers, pid: int, seconds: float) -> float:
    """Lines of chat that a server took, per second of its process's time."""
    answered, refused = crew.answered, crew.refused
    before = cpu_seconds(pid)
    await crew.as_fast_as_it_goes(f"chat:{ROOM}", seconds, AT_ONCE, chat=True)
    spent = cpu_seconds(pid) - before
    return (crew.answered - answered - (crew.refused - refused)) / spent


def tell_published(row: Row, own: list[float], bare: list[float], *, caps: bool) -> None:
    middle = statistics.median(own)
    if caps:
        row.add("published per CPU-second", f"{middle:,.0f}", "the cap holds")
    else:
        row.at_least("published per CPU-second", middle, 20_000)
    row.add("per CPU-second, without any rule", f"{statistics.median(bare):,.0f}")
    ratio = statistics.median(one / other for one, other in zip(own, bare, strict=True))
    row.add("of that", f"{ratio:.2f}")


ROWS: dict[str, Callable[[Options], Awaitable[Row]]] = {
    "frames": frames,
    "chat": chat,
    "deflate": deflate,
    "crowd": crowd,
    "connections": connections,
    "publish": publish,
}
