"""
A payment and the end of the hold in the same moment, on the real server: two gateways, the writer,
a database. An order is paid or expired, never both, and its buyer is told what is true.
"""

import asyncio
import json
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from loadtest import faults, journal
from loadtest.altered import Edit
from loadtest.shop import Json, Shop
from loadtest.stages import staged
from loadtest.waves import Waves

BUYERS = 40
HOLD_SECONDS = 2
LEAST = 3  # orders of each outcome whose payment was on its way at the deadline
ROUNDS = 16  # at most; two or three do where the machine has time
FIRST_WINDOW_SECONDS = 0.1  # before the deadline, in which payments are sent
WINDOW_MAX_SECONDS = 1.2  # of the hold's two: payments that do not crowd each other out


class Race:
    """Buyers who pay at the last moment, and what they were told."""

    def __init__(self, waves: Waves, path: Path) -> None:
        self.waves = waves
        self.path = path
        self.deadlines: dict[str, float] = {}  # of orders, on the journal's clock

    async def prepare(self) -> None:
        shop = self.waves.shop
        merchant = await shop.sign_in("merchant", "demo")
        await asyncio.gather(*(self.waves._sign_in(n) for n in range(BUYERS)))
        units = BUYERS // 2  # so that who comes too late gives a unit to the next round
        self.sale = await shop.start_sale(
            merchant, "demo", "demo-1", ROUNDS * units, buyers="guest", per_buyer_limit=ROUNDS,
            hold_seconds=HOLD_SECONDS, duration_seconds=600,
        )  # fmt: skip
        self.waves.journal.note("sale", sale=self.sale["id"], units=ROUNDS * units, limit=ROUNDS)

    async def run(self, number: int, window: float) -> None:
        """All buyers reserve at once and pay within `window` seconds before their deadlines."""
        buyers = list(self.waves.idle)
        shares = (n / len(buyers) for n in range(len(buyers)))
        await asyncio.gather(*(
            self._buy(buyer, f"r{number}", window * share)
            for buyer, share in zip(buyers, shares, strict=True)
        ))  # fmt: skip

    async def _buy(self, buyer: Json, key: str, before: float) -> None:
        order = await self.waves.reserve(buyer, self.sale["id"], 1, key)
        if order is None:
            return  # sold out: others were in time
        left = datetime.fromisoformat(order["expires_at"]).timestamp() - time.time()
        self.deadlines[order["id"]] = journal.now() + left
        await asyncio.sleep(max(0.0, left - before))
        both = (self.waves.end_order(buyer, order["id"], "pay") for _ in range(2))
        await asyncio.gather(*both)  # two windows, each on a connection of its own

    def outcomes(self) -> Counter[str]:
        """How those ended whose first payment was sent before the deadline and answered after."""
        sent: dict[str, float] = {}
        told: dict[str, tuple[float, bool]] = {}
        for line in journal.read(self.path):
            if line["kind"] == "ask" and line["what"] == "pay":
                order = line["order"]
                sent[order] = min(sent.get(order, line["sent"]), line["sent"])
                told[order] = (line["told"], line["status"] == 200)
        return Counter(
            "paid" if told[order][1] else "expired"
            for order, deadline in self.deadlines.items()
            if sent[order] < deadline <= told[order][0]
        )


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_an_order_is_paid_or_expired_never_both(database: str, tmp_path: Path) -> None:
    """
    Of payments on their way at the deadline some win and some lose: without both kinds the race
    did not take place, and the window grows until it does. Afterwards the whole list of checks.
    """
    path = tmp_path / "journal.jsonl"
    with journal.Journal(path) as lines:
        async with staged("", database, 2, tmp_path) as stage, Shop(stage.base) as shop:
            race = Race(Waves(shop, lines, seed=1), path)
            await race.prepare()
            window, found = FIRST_WINDOW_SECONDS, Counter[str]()
            for number in range(ROUNDS):
                await race.run(number, window)
                found = race.outcomes()
                if min(found["paid"], found["expired"]) >= LEAST:
                    break
                window = min(window * 1.5, WINDOW_MAX_SECONDS)
            assert min(found["paid"], found["expired"]) >= LEAST, found
            async with asyncio.timeout(20):
                while not await stage.database.is_quiet(race.sale["id"]):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            told = _told(path)
            assert await asyncio.to_thread(faults.run_checker, stage.database.url, path, 0) == []
    assert all(len(answers) == 1 for answers in told.values()), told


#: A pay that does not look whether its order is dead
REVIVES = (
    Edit("orders/order.py", 'PAYABLE = ("reserved",', 'PAYABLE = ("expired", "reserved",'),
    Edit(
        "orders/order.py",
        '    ("paid", "shipped"):',
        '    ("expired", "paid"): Edge("order.paid"),\n    ("paid", "shipped"):',
    ),
)


@pytest.mark.nightly
async def test_a_dead_order_that_revives_is_seen(tmp_path: Path) -> None:
    """The same race on a server without that rule is red: paid and released, units lost."""
    path = tmp_path / "journal.jsonl"
    with journal.Journal(path) as lines:
        async with (
            staged("", "sqlite", 2, tmp_path, REVIVES) as stage,
            Shop(stage.base) as shop,
        ):
            race = Race(Waves(shop, lines, seed=1), path)
            await race.prepare()
            for number in range(3):
                await race.run(number, 0.02)
            found = await asyncio.to_thread(faults.run_checker, stage.database.url, path, 0)
    assert {"I2", "I7", "I9"} <= {words.split()[0] for words in found}


def _told(path: Path) -> dict[str, set[Any]]:
    """The final answers of each order's payments: the state that buyers saw."""
    told: dict[str, set[Any]] = {}
    for line in journal.read(path):
        if line["kind"] == "ask" and line["what"] == "pay" and line["status"] in (200, 409):
            body = json.loads(line["body"])
            told.setdefault(line["order"], set()).add(body.get("state", line["status"]))
    return told
