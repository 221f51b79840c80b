"""The rows of the fault table: what strikes, what it strikes, and for how long."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from loadtest import strikes, strikes_hooks, strikes_sql, strikes_versions
from loadtest.altered import Edit
from loadtest.scene import Hit, Scene
from loadtest.versions import STRICT
from loadtest.waves import Habits

FILE = {"sqlite": "a file has no server that could"}
SUPERVISED = {"sqlite": "the supervisor ends a holder that stands still: see F13"}

LATE = Habits(pay=0.1, cancel=0.1, late=0.4)


@dataclass(frozen=True)
class Cell:
    """One row of the table."""

    fault: str
    name: str
    strike: Callable[[Scene], Awaitable[Hit]]
    seconds: float = 0.0  # of the fault
    short: float | None = None  # seconds in the short set; None = not in it
    workers: int = 2
    stage: str = ""  # what the server stands on: see `loadtest.stages`
    habits: Habits = field(default_factory=Habits)
    outage_ms: int = 0  # nothing can be decided meanwhile
    sells_on: bool = False  # however long the fault lasts, somebody sells again in time
    settle: Callable[[Scene], Awaitable[None]] | None = None  # when the load has ended
    edits: tuple[Edit, ...] = ()  # in the server's code
    red: str = ""  # without a guard: the invariant that must be violated, and no other
    not_on: Mapping[str, str] = field(default_factory=dict)  # database -> why not


def _kill_writer(moment: str) -> Callable[[Scene], Awaitable[Hit]]:
    return partial(strikes_sql.kill_writer, moment=moment)


def _stop(kind: str) -> Callable[[Scene], Awaitable[Hit]]:
    return partial(strikes.stop_process, kind=kind)


CELLS = (
    Cell("F1", "kill -9 a gateway", strikes.kill_gateway),
    Cell("F2", "kill -9 the writer before a commit", _kill_writer("before")),
    Cell("F2", "kill -9 the writer in a commit", _kill_writer("in"), short=0),
    Cell("F2", "kill -9 the writer after a commit", _kill_writer("after")),
    Cell("F2", "kill -9 the only worker in a commit", _kill_writer("in"), workers=1),
    Cell("F2", "kill -9 the holder, a standby takes over", strikes_sql.kill_holder,
         stage="standby", outage_ms=10_000),
    Cell("F3", "kill -9 Valkey", strikes.kill_bus),
    Cell("F4", "Valkey back empty", partial(strikes.change_bus_files, how="empty")),
    Cell("F4", "Valkey back with older files", partial(strikes.change_bus_files, how="older")),
    Cell("F4", "Valkey back with a cut log", partial(strikes.change_bus_files, how="truncated")),
    Cell("F5", "two writers at once", strikes_sql.two_writers, stage="standby", outage_ms=10_000),
    Cell("F6", "SQL gone for 30 s", strikes_sql.no_database, 30, outage_ms=35_000),
    Cell("F6", "a foreign lock on the lease for 10 s", strikes_sql.held_database, 10,
         outage_ms=15_000, not_on={"sqlite": "the row above: there is one lock for all"}),
    Cell("F7", "SQL slow, +500 ms a commit", strikes_sql.slow_database, 8, stage="far database",
         outage_ms=10_000),
    Cell("F8", "network cut and half-open, clients", strikes.cut_network, 4, stage="far clients"),
    Cell("F8", "network cut and half-open, bus", strikes.cut_network, 6, stage="far bus",
         outage_ms=6_000),
    Cell("F8", "network cut and half-open, database", strikes_sql.cut_database, 12,
         stage="far database", outage_ms=15_000, not_on={"sqlite": "a file has no network"}),
    Cell("F9", "clock jumps +1 h", partial(strikes.jump_clock, hours=1), 4, stage="clock"),
    Cell("F9", "clock jumps -1 h", partial(strikes.jump_clock, hours=-1), 4, stage="clock"),
    Cell("F10", "duplicates that overtake", strikes.habits_alone, 5, habits=Habits(copies=3)),
    Cell("F11", "webhook endpoints fall ill, one way each", strikes_hooks.ill_endpoints, 12,
         stage="listeners", sells_on=True, settle=strikes_hooks.replay_all),
    Cell("F12", "disk full", strikes.fill_disk, 5, stage="small disk", outage_ms=10_000),
    Cell("F13", "SIGSTOP a gateway", _stop("gateway"), 10),
    Cell("F13", "SIGSTOP the writer", _stop("writer"), 10, short=3, outage_ms=12_000),
    Cell("F13", "SIGSTOP the holder, a standby takes over", strikes_sql.stop_holder, 10,
         stage="standby", outage_ms=12_000, sells_on=True, not_on=SUPERVISED),
    Cell("F13", "SIGSTOP Valkey", _stop("bus"), 10, outage_ms=12_000),
    Cell("F13", "SIGSTOP the supervisor", _stop("supervisor"), 10, sells_on=True),
    Cell("F13", "SIGSTOP the database", strikes_sql.stop_database, 10, outage_ms=15_000,
         not_on=FILE),
    Cell("F14", "Valkey out of memory", strikes.full_bus, 4, outage_ms=5_000),
    Cell("F15", "FLUSHALL", strikes.flush_bus),
    Cell("F16", "payments late, twice, of cancelled orders", strikes.late_payments, 8,
         habits=LATE),
    Cell("F17", "merchant edits during the sale", strikes.merchant_edits, 5),
    Cell("F18", "a next version beside the old one, then in its place", strikes_versions.upgrade,
         stage="versions", outage_ms=10_000),
    Cell("F19", "two servers on one directory", strikes.second_server),
    Cell("F19", "orphan Valkey of a killed supervisor", strikes.orphan_bus),
    Cell("F20", "primary shot down in mid-batch and started",
         partial(strikes_sql.restart_database, how="immediate"), outage_ms=10_000, not_on=FILE),
    Cell("F20", "primary shut down in mid-batch and started",
         partial(strikes_sql.restart_database, how="fast"), outage_ms=10_000, not_on=FILE),
)  # fmt: skip

_ILL = partial(
    Cell, "F11", strike=strikes_hooks.ill_endpoints, seconds=12, stage="listeners", sells_on=True,
    settle=strikes_hooks.replay_all,
)  # fmt: skip
_SENDER = "orders/webhooks_http.py"

#: The same without a guard: `--only unguarded`. With it they are rows of the table above.
UNGUARDED = (
    _ILL(name="unguarded: addresses are not looked at", red="W1", edits=(
        Edit(_SENDER, 'raise AddressRefused(f"not sent: {reason}")', "pass"),
    )),
    _ILL(name="unguarded: redirects are followed", red="W1", edits=(
        Edit(_SENDER, "allow_redirects=False", "allow_redirects=True"),
    )),
    Cell("F16", "unguarded: payments left open are not asked for", strikes.late_payments, 8,
         habits=LATE, red="I10", edits=(
             Edit("orders/payments_service.py",
                  "group.create_task(self._follow(self._settle_left_open))", "pass"),
         )),
    Cell("F18", "unguarded: messages may hold nothing new", strikes_versions.upgrade,
         stage="versions", red="V1", edits=STRICT),
)  # fmt: skip
