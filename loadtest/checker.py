"""
The checker: the clients' journals and SQL, nothing else. `python -m loadtest check --help`.

It knows the rules of the shop by itself (states, edges, which states hold units) and imports
nothing of the server, so that a mistake there cannot hide itself here. Every violation is one line
that begins with the number of its invariant.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from loadtest.books import Run, is_open
from loadtest.checks_hooks import everything_is_heard, nobody_else_hears
from loadtest.checks_line import nobody_is_passed
from loadtest.checks_money import money_is_right
from loadtest.checks_orders import (
    edges_are_allowed,
    no_phantoms,
    nothing_stuck,
    one_order_a_key,
    resolved_once,
    successes_are_true,
)
from loadtest.checks_stock import budgets_hold, conservation, limits_hold, no_oversell


def everyone_hears(run: Run) -> Iterator[str]:
    """I11: every committed order event is in every active endpoint's queue, once."""
    queued: Counter[tuple[str, str, str, int]] = Counter()
    names: dict[tuple[str, str, int], set[str]] = defaultdict(set)
    for row in run.books.deliveries:
        if not row["type"].startswith("order."):
            continue
        order = json.loads(row["body"])["data"]["order"]
        queued[row["endpoint"], row["type"], order["id"], order["sequence"]] += 1
        names[row["type"], order["id"], order["sequence"]].add(row["event_id"])
    for event, ids in names.items():
        if len(ids) > 1:
            yield f"event {event} has {len(ids)} webhook ids"
    for endpoint in run.books.endpoints:
        wanted = endpoint["events"]
        kinds = json.loads(wanted) if isinstance(wanted, str) else wanted
        for edge in run.books.edges:
            order = run.books.orders[edge["order_id"]]
            if (
                edge["event"] in kinds
                and endpoint["state"] == "active"
                and order["merchant"] == endpoint["merchant"]
                and edge["at"] > endpoint["created_at"]
            ):
                place = (endpoint["id"], edge["event"], order["id"], edge["sequence"])
                if queued[place] != 1:
                    yield f"event {place} is queued {queued[place]} times"


def pages_show_the_truth(run: Run) -> Iterator[str]:
    """I13: after the rush, pages show SQL's units left."""
    for line in run.journal:
        if line["kind"] == "seen":
            sale = run.books.sales[line["sale"]]
            left = sale["units"] - sale["sold"] if is_open(sale) else 0
            if line["units_left"] != left:
                yield f"{line['where']} {line['sale']}: shows {line['units_left']}, SQL {left}"


def versions_get_along(run: Run) -> Iterator[str]:
    """V1: gateways of two versions sell, whichever version the writer has."""
    for line in run.journal:
        if line["kind"] == "phase" and not all(line["served"]):
            yield f"orders of the gateways with the {line['name']}: {line['served']}"


INVARIANTS: dict[str, Callable[[Run], Iterator[str]]] = {
    "I1": no_oversell,
    "I2": conservation,
    "I3": successes_are_true,
    "I4": no_phantoms,
    "I5": one_order_a_key,
    "I6": nothing_stuck,
    "I7": resolved_once,
    "I8": limits_hold,
    "I9": edges_are_allowed,
    "I10": money_is_right,
    "I11": everyone_hears,
    "I12": budgets_hold,
    "I13": pages_show_the_truth,
    "Q1": nobody_is_passed,
    "V1": versions_get_along,
    "W1": nobody_else_hears,
    "W2": everything_is_heard,
}


def check(run: Run) -> list[str]:
    """Every violation, each a line that begins with its invariant."""
    return [f"{name} {words}" for name, look in INVARIANTS.items() for words in look(run)]


def database_url(place: str) -> str:
    """A SQLAlchemy URL from a URL or from the path of a SQLite file, which is opened to read."""
    if "://" in place:
        return place
    return f"sqlite+aiosqlite:///file:{Path(place).absolute()}?mode=ro&uri=true"
