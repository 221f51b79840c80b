"""The checker sees: wrong books of every kind are red, and right ones are not."""

from loadtest import checker
from loadtest.books import Books, Row, Run
from loadtest.checks_orders import LATE_MS
from loadtest.journal import Line


def order(**changes: object) -> Row:
    row: Row = {
        "id": "o1", "buyer": "b", "space": "client", "key": "k", "answer": "{}",
        "state": "reserved", "sequence": 1, "merchant": "m", "room": "r", "flash_sale_id": "s",
        "quantity": 1, "amount_cents": 100, "refunded_cents": 0, "restocked": 0,
        "expires_at": 5_000, "paid_at": None,
    }  # fmt: skip
    return row | changes


def edge(n: int, before: str, state: str, **changes: object) -> Row:
    row: Row = {
        "n": n, "order_id": "o1", "sequence": n, "from_state": before, "state": state,
        "at": 1_000, "event": None,
    }  # fmt: skip
    return row | changes


def sale_row() -> Row:
    return {
        "id": "s", "product_id": "p", "room": "r", "granted": 1, "units": 1, "sold": 1,
        "state": "running",
    }  # fmt: skip


def healthy() -> Run:
    """One order of one unit, and a client that knows of it."""
    body = '{"id": "o1", "amount_cents": 100, "state": "reserved"}'
    ask = {
        "kind": "ask", "what": "reserve", "buyer": "b", "sale": "s", "key": "k", "quantity": 1,
        "price_cents": 100, "status": 201, "body": body, "sent": 1.0, "told": 2.0,
    }  # fmt: skip
    sale = {"kind": "sale", "sale": "s", "units": 1, "limit": 1}
    books = Books(
        orders={"o1": order(answer=body)},
        lines=[{"order_id": "o1", "product_id": "p", "quantity": 1, "unit_price_cents": 100}],
        edges=[edge(1, "", "reserved")],
        sales={"s": sale_row()},
        stock={"p": {"product_id": "p", "total": 1, "committed": 1}},
        units=[{"flash_sale_id": "s", "buyer": "b", "units": 1}],
        grants=[{"product_id": "p", "room": "r", "units_max": 1, "used": 1}],
        clock=2_000,
    )
    seen = {"kind": "seen", "where": "sale", "sale": "s", "units_left": 0}
    return Run(books, [sale, ask, seen])


def test_healthy_books_have_no_violation() -> None:
    """What the wrong ones below are made of."""
    assert checker.check(healthy()) == []


def unknown_at(at: int) -> list[Row]:
    """A payment was started, and nobody knew of its end at the deadline."""
    return [
        edge(2, "reserved", "pending_payment"),
        edge(3, "pending_payment", "payment_unknown", at=at),
    ]


def use_coupon(run: Run, cents: int, budget: int) -> None:
    """The order of `healthy` with a coupon."""
    run.books.coupons = [{"id": "c", "used": cents, "budget": budget}]
    run.books.coupon_uses = [{"order_id": "o1", "coupon_id": "c", "buyer": "b", "cents": cents}]
    run.books.coupon_buyers = [{"coupon_id": "c", "buyer": "b", "used": 1}]
    amount = 100 - cents
    body = f'{{"id": "o1", "amount_cents": {amount}, "state": "reserved"}}'
    run.books.orders["o1"] |= {"amount_cents": amount, "answer": body}
    run.journal[1]["body"] = body


def payment(state: str, **changes: object) -> Row:
    """What the demo's provider takes late of the order of `healthy`."""
    row: Row = {
        "provider": "demo", "id": "demo_late_o1", "order_id": "o1", "state": state,
        "amount_cents": 100,
    }  # fmt: skip
    return row | changes


def refund() -> Row:
    return {
        "kind": "payment", "provider": "demo", "payment_id": "demo_late_o1", "amount_cents": 100,
    }  # fmt: skip


def notice(**changes: object) -> Line:
    """The shop's system was told that its message was taken."""
    line: Line = {
        "kind": "notice", "status": 204, "provider": "shop:m", "payment": "n", "order": "o1",
        "amount_cents": 100, "is_wrong": False, "is_forged": False,
    }  # fmt: skip
    return line | changes


def cancelled(run: Run) -> None:
    """Its buyer began to pay, and cancelled it."""
    run.books.orders["o1"] |= {"state": "cancelled", "sequence": 3}
    run.books.edges += [
        edge(2, "reserved", "pending_payment"), edge(3, "pending_payment", "cancelled"),
    ]  # fmt: skip
    run.books.sales["s"] |= {"sold": 0}
    run.books.units[0]["units"] = 0
    run.journal[2]["units_left"] = 1
    run.books.clock = 1_000 + LATE_MS + 1
    start = {"what": "start", "order": "o1", "outcome": "late", "status": 200}
    run.journal.append(run.journal[1] | start)


def violated(run: Run) -> set[str]:
    return {line.split()[0] for line in checker.check(run)}


def test_the_checker_names_each_invariant() -> None:
    """Wrong books of every kind are red by the invariant that they break."""

    def second(run: Run, **changes: object) -> None:
        run.books.orders["o2"] = order(id="o2", **changes)
        run.books.edges.append(edge(2, "", "reserved", order_id="o2", sequence=1))

    def oversold(run: Run) -> None:
        second(run, key="k2", buyer="c")

    def sold(run: Run) -> None:
        run.books.sales["s"]["sold"] = 0

    def lost(run: Run) -> None:
        run.books.orders["o1"]["quantity"] = 2

    def phantom(run: Run) -> None:
        run.books.orders["o1"]["key"] = "another"

    def twice(run: Run) -> None:
        second(run)

    def stuck(run: Run) -> None:
        run.books.clock = 5_000 + LATE_MS + 1

    def silent(run: Run) -> None:
        run.books.orders["o1"] |= {"state": "payment_unknown", "sequence": 3}
        run.books.edges += unknown_at(5_100)
        run.books.clock = 5_100 + LATE_MS + 1

    def slow(run: Run) -> None:
        run.books.orders["o1"] |= {"state": "expired", "sequence": 4}
        run.books.edges += unknown_at(5_100)
        at = 5_100 + LATE_MS + 1
        run.books.edges.append(edge(4, "payment_unknown", "expired", at=at))

    def hasty(run: Run) -> None:
        run.books.edges += unknown_at(4_999)

    def both(run: Run) -> None:
        run.books.edges += [edge(2, "reserved", "expired"), edge(3, "expired", "paid")]

    def limit(run: Run) -> None:
        run.journal[0]["limit"] = 0

    def gap(run: Run) -> None:
        run.books.edges[0]["sequence"] = 2

    def money(run: Run) -> None:
        run.books.orders["o1"]["paid_at"] = 1_500

    def taken(run: Run) -> None:
        run.books.orders["o1"]["state"] = "expired"
        start = {"what": "start", "order": "o1", "outcome": "late", "status": 200}
        run.journal.append(run.journal[1] | start)

    def kept(run: Run) -> None:
        cancelled(run)
        run.books.payments = [payment("open")]

    def swallowed(run: Run) -> None:
        cancelled(run)
        run.books.payments = [payment("closed")]

    def unreturned(run: Run) -> None:
        cancelled(run)
        run.books.payments = [payment("returned")]

    def doubled(run: Run) -> None:
        cancelled(run)
        run.books.payments = [payment("returned")]
        run.books.refunds = [refund(), refund()]

    def unbooked(run: Run) -> None:
        run.journal.append(notice())

    def believed(run: Run) -> None:
        run.journal.append(notice(is_forged=True))

    def mistaken(run: Run) -> None:
        run.journal.append(notice(is_wrong=True))
        run.books.orders["o1"]["paid_at"] = 1_500
        run.books.payments = [payment("captured", provider="shop:m", id="n")]

    def unheard(run: Run) -> None:
        run.books.edges[0]["event"] = "order.reserved"
        run.books.endpoints = [
            {"id": "e", "merchant": "m", "state": "active", "events": ["order.reserved"],
             "created_at": 0}
        ]  # fmt: skip

    def budget(run: Run) -> None:
        run.books.coupons = [{"id": "c", "used": 2, "budget": 1}]

    def spent(run: Run) -> None:
        use_coupon(run, cents=20, budget=10)

    def often(run: Run) -> None:
        use_coupon(run, cents=10, budget=10)
        run.journal.append({"kind": "coupon", "coupon": "c", "budget_cents": 10, "limit": 0})

    def forgotten(run: Run) -> None:
        use_coupon(run, cents=10, budget=10)
        run.books.coupon_buyers = []

    def granted(run: Run) -> None:
        run.books.grants[0]["units_max"] = 0

    def uncounted(run: Run) -> None:
        run.books.grants[0]["used"] = 0

    def shown(run: Run) -> None:
        run.journal[2]["units_left"] = 1

    for name, *spoils in (
        ("I1", oversold), ("I2", sold), ("I3", lost), ("I4", phantom), ("I5", twice),
        ("I6", stuck, silent, slow, hasty), ("I7", both), ("I8", limit), ("I9", gap),
        ("I10", money, taken, kept, swallowed, unreturned, doubled, unbooked, believed, mistaken),
        ("I11", unheard),
        ("I12", budget, spent, often, forgotten, granted, uncounted), ("I13", shown),
    ):  # fmt: skip
        for spoil in spoils:
            run = healthy()
            spoil(run)
            assert name in violated(run), (name, spoil.__name__)


def test_a_coupon_within_its_bounds_and_a_late_payment_in_time_are_right() -> None:
    """What the wrong ones above are made of."""
    run = healthy()
    use_coupon(run, cents=10, budget=10)
    run.journal.append({"kind": "coupon", "coupon": "c", "budget_cents": 10, "limit": 1})
    run.books.edges += unknown_at(5_000)
    run.books.edges.append(edge(4, "payment_unknown", "paid", at=5_000 + LATE_MS))
    run.books.orders["o1"] |= {"state": "paid", "sequence": 4, "paid_at": 9_000}
    run.books.payments = [payment("captured", amount_cents=90)]
    assert checker.check(run) == []


def test_money_that_went_back_of_a_cancelled_order_is_right() -> None:
    """Once and whole; a payment that was left open a moment ago is being asked for."""
    run = healthy()
    cancelled(run)
    run.books.payments = [payment("returned"), payment("returned", provider="shop:m", id="n")]
    run.books.refunds = [refund(), refund() | {"provider": "shop:m", "payment_id": "n"}]
    run.journal += [notice(), notice(status=503), notice(status=401, is_forged=True, payment="f")]
    assert checker.check(run) == []
    run.books.payments, run.books.refunds = [payment("open")], []
    run.journal = run.journal[:-3]
    run.books.clock -= 1
    assert checker.check(run) == []


def test_the_length_of_a_fault_is_added_to_what_may_take_time() -> None:
    """Nobody can end an order while nothing can be decided."""
    run = healthy()
    run.books.clock = 5_000 + LATE_MS + 1
    assert violated(run) == {"I6"}
    run.outage_ms = 1
    assert violated(run) == set()


def offered() -> Run:
    """The unit of `healthy` was offered to the first in line; somebody else waits behind."""
    run = healthy()
    run.journal = [line for line in run.journal if line["kind"] != "ask"]
    for buyer, key in (("b", "j1"), ("late", "j2")):
        run.journal.append({
            "kind": "ask", "what": "join", "buyer": buyer, "sale": "s", "key": key, "quantity": 1,
            "status": 201, "body": '{"state": "waiting"}', "sent": 1.0, "told": 2.0,
        })  # fmt: skip
    run.books.orders["o1"] |= {"space": "waitlist", "key": "offer:5"}
    run.books.edges[0]["n"] = 9
    run.books.places = [
        {"n": 5, "flash_sale_id": "s", "buyer": "b", "key": "j1", "state": "offered"},
        {"n": 6, "flash_sale_id": "s", "buyer": "late", "key": "j2", "state": "waiting"},
    ]
    run.books.places[0]["order_id"], run.books.places[1]["order_id"] = "o1", None
    return run


def test_who_is_passed_in_a_waiting_list_is_seen() -> None:
    """By an offer behind, by an ordinary order, by units left lying, or by a place that is lost."""
    assert violated(offered()) == set()

    def behind(run: Run) -> None:
        run.books.places[0]["n"], run.books.places[1]["n"] = 6, 5

    def ordinary(run: Run) -> None:
        run.books.orders["o1"] |= {"space": "client", "key": "k"}
        run.books.places[0] |= {"state": "waiting", "order_id": None}

    def idle(run: Run) -> None:
        run.books.sales["s"]["units"] = 2

    def lost(run: Run) -> None:
        del run.books.places[1]

    for spoil in (behind, ordinary, idle, lost):
        run = offered()
        spoil(run)
        assert "Q1" in violated(run), spoil.__name__
    run = offered()
    run.journal = run.journal[:-2]
    assert "I4" in violated(run), "nobody lined up for the order that was offered"
