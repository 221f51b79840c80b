"""The short set of faults: real processes, load running, the checker's verdict."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest import checker, faults, report
from loadtest.cells import CELLS, Cell
from loadtest.journal import Journal, read

SHORT = faults.chosen(set(), short=True)
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("cell", "seconds"), SHORT, ids=[cell.name for cell, _ in SHORT])
async def test_the_shop_survives(cell: Cell, seconds: float, tmp_path: Path) -> None:
    """Nothing is violated, and the cell proves it: in flight, struck, sold again afterwards."""
    result = await faults.run_cell(cell, tmp_path, seconds)
    assert result.not_here or result.bad == [], result.row()


@pytest.mark.nightly
def test_all_faults_are_survived(tmp_path: Path) -> None:
    """The whole table, as `python -m loadtest faults` runs it."""
    done = subprocess.run(
        [sys.executable, "-m", "loadtest", "faults", "--folder", tmp_path],
        cwd=ROOT, capture_output=True, text=True, timeout=3_600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def order(**changes: object) -> checker.Row:
    row: checker.Row = {
        "id": "o1", "buyer": "b", "space": "client", "key": "k", "answer": "{}",
        "state": "reserved", "sequence": 1, "merchant": "m", "flash_sale_id": "s", "quantity": 1,
        "amount_cents": 100, "refunded_cents": 0, "restocked": 0, "expires_at": 5_000,
        "paid_at": None,
    }  # fmt: skip
    return row | changes


def edge(n: int, before: str, state: str, **changes: object) -> checker.Row:
    row: checker.Row = {
        "n": n, "order_id": "o1", "sequence": n, "from_state": before, "state": state,
        "at": 1_000, "event": None,
    }  # fmt: skip
    return row | changes


def healthy() -> checker.Run:
    """One order of one unit, and a client that knows of it."""
    body = '{"id": "o1", "amount_cents": 100, "state": "reserved"}'
    ask = {
        "kind": "ask", "what": "reserve", "buyer": "b", "sale": "s", "key": "k", "quantity": 1,
        "status": 201, "body": body, "sent": 1.0, "told": 2.0,
    }  # fmt: skip
    sale = {"kind": "sale", "sale": "s", "units": 1, "limit": 1, "price_cents": 100}
    books = checker.Books(
        orders={"o1": order(answer=body)},
        lines=[{"order_id": "o1", "product_id": "p", "quantity": 1, "unit_price_cents": 100}],
        edges=[edge(1, "", "reserved")],
        sales={"s": {"id": "s", "product_id": "p", "units": 1, "sold": 1, "state": "running"}},
        stock={"p": {"product_id": "p", "total": 1, "committed": 1}},
        units=[{"flash_sale_id": "s", "buyer": "b", "units": 1}],
        clock=2_000,
    )
    seen = {"kind": "seen", "where": "sale", "sale": "s", "units_left": 0}
    return checker.Run(books, [sale, ask, seen])


def test_healthy_books_have_no_violation() -> None:
    """What the wrong ones below are made of."""
    assert checker.check(healthy()) == []


def violated(run: checker.Run) -> set[str]:
    return {line.split()[0] for line in checker.check(run)}


def test_the_checker_names_each_invariant() -> None:
    """Wrong books of every kind are red by the invariant that they break."""

    def second(run: checker.Run, **changes: object) -> None:
        run.books.orders["o2"] = order(id="o2", **changes)
        run.books.edges.append(edge(2, "", "reserved", order_id="o2", sequence=1))

    def oversold(run: checker.Run) -> None:
        second(run, key="k2", buyer="c")

    def sold(run: checker.Run) -> None:
        run.books.sales["s"]["sold"] = 0

    def lost(run: checker.Run) -> None:
        run.books.orders["o1"]["quantity"] = 2

    def phantom(run: checker.Run) -> None:
        run.books.orders["o1"]["key"] = "another"

    def twice(run: checker.Run) -> None:
        second(run)

    def stuck(run: checker.Run) -> None:
        run.books.clock = 5_000 + checker.LATE_MS + 1

    def both(run: checker.Run) -> None:
        run.books.edges += [edge(2, "reserved", "expired"), edge(3, "expired", "paid")]

    def limit(run: checker.Run) -> None:
        run.journal[0]["limit"] = 0

    def gap(run: checker.Run) -> None:
        run.books.edges[0]["sequence"] = 2

    def money(run: checker.Run) -> None:
        run.books.orders["o1"]["paid_at"] = 1_500

    def unheard(run: checker.Run) -> None:
        run.books.edges[0]["event"] = "order.reserved"
        run.books.endpoints = [
            {"id": "e", "merchant": "m", "state": "active", "events": ["order.reserved"],
             "created_at": 0}
        ]  # fmt: skip

    def budget(run: checker.Run) -> None:
        run.books.coupons = [{"id": "c", "used": 2, "budget": 1}]

    def shown(run: checker.Run) -> None:
        run.journal[2]["units_left"] = 1

    for name, spoil in {
        "I1": oversold, "I2": sold, "I3": lost, "I4": phantom, "I5": twice, "I6": stuck,
        "I7": both, "I8": limit, "I9": gap, "I10": money, "I11": unheard, "I12": budget,
        "I13": shown,
    }.items():  # fmt: skip
        run = healthy()
        spoil(run)
        assert name in violated(run), name


def test_a_cell_that_proves_nothing_has_failed() -> None:
    """None in flight at the fault, or nobody served after it: no evidence, no pass."""
    cell = CELLS[0]
    result = report.Result(cell)
    asks = [
        {"kind": "ask", "what": "reserve", "status": 201, "sent": n, "told": n + 0.5}
        for n in range(2_000)
    ]
    strike = {"kind": "strike", "begun": 1_999.7, "ended": 1_999.8}
    report.count(result, [*asks, strike])
    assert result.bad == [
        "proves nothing: 0 in flight at the fault", "proves nothing: 0 acknowledged after it",
    ]  # fmt: skip
    result = report.Result(dataclasses.replace(cell))
    report.count(result, [*asks, strike | {"begun": 1_000.2, "ended": 1_001.0}])
    assert result.bad == []


def test_a_journal_whose_last_line_was_cut_is_read(tmp_path: Path) -> None:
    """What was written before it counts."""
    path = tmp_path / "journal"
    with Journal(path) as lines:
        lines.note("sale", sale="s")
    path.write_text(path.read_text() + '{"kind": "as')
    assert [line["sale"] for line in read(path)] == ["s"]
