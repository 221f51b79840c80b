"""The invariants of what there is to sell: units, limits, coupons, grants."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from loadtest.books import Row, Run, held_over_time, is_held, is_open

Place = tuple[Any, ...]  # of what: a coupon, a buyer in a sale, a product in a room


def quantity(order: Row) -> int:
    """Of one order."""
    return int(order["quantity"])


def highest(run: Run, kind: str, name: str, place: str) -> dict[Any, int]:
    """The largest number that a merchant ever allowed, by what it was allowed for."""
    most: dict[Any, int] = {}
    for line in run.journal:
        if line["kind"] == kind and line.get(name) is not None:
            most[line[place]] = max(most.get(line[place], 0), line[name])
    return most


def no_oversell(run: Run) -> Iterator[str]:
    """I1: never more units held than there are: now, and after every edge that ever happened."""
    most = highest(run, "sale", "units", "sale")
    last: dict[str, int] = {}

    def of_sale(order: Row) -> list[tuple[Place, int]]:
        return [((order["flash_sale_id"],), quantity(order))]

    for (sale,), held, edge, _order in held_over_time(run, of_sale):
        last[sale] = held
        if held > most.get(sale, held):
            yield f"sale {sale}: {held} units held after edge {edge['n']} of {most.pop(sale)}"
    for sale_id, row in run.books.sales.items():
        if is_open(row) and last.get(sale_id, 0) > row["units"]:
            yield f"sale {sale_id}: {last[sale_id]} units held of {row['units']}"
    by_product: Counter[str] = Counter()
    for line in run.books.lines:
        if is_held(run.books.orders[line["order_id"]]):
            by_product[line["product_id"]] += line["quantity"]
    for product, units in by_product.items():
        total = run.books.stock[product]["total"]
        if units > total:
            yield f"product {product}: {units} units held of {total}"


def conservation(run: Run) -> Iterator[str]:
    """I2: `sold`, `committed` and the buyers' units are what the orders add up to."""
    sold: Counter[str] = Counter()
    of_buyer: Counter[tuple[str, str]] = Counter()
    committed: Counter[str] = Counter()
    for order in run.books.orders.values():
        if order["flash_sale_id"] is not None:
            sold[order["flash_sale_id"]] += run.units_of(order)
            of_buyer[order["flash_sale_id"], order["buyer"]] += run.units_of(order)
    for line in run.books.lines:
        order = run.books.orders[line["order_id"]]
        sale = run.books.sales.get(order["flash_sale_id"] or "")
        if is_held(order) and (sale is None or not is_open(sale)):
            committed[line["product_id"]] += line["quantity"]
    for sale_id, sale in run.books.sales.items():
        if sale["sold"] != sold[sale_id]:
            yield f"sale {sale_id}: sold {sale['sold']}, orders hold {sold[sale_id]}"
        if is_open(sale):
            committed[sale["product_id"]] += sale["units"]
    for product, stock in run.books.stock.items():
        if stock["committed"] != committed[product]:
            yield f"product {product}: committed {stock['committed']}, held {committed[product]}"
    stored = {(row["flash_sale_id"], row["buyer"]): row["units"] for row in run.books.units}
    for place in stored.keys() | of_buyer.keys():
        if stored.get(place, 0) != of_buyer[place]:
            yield f"buyer {place}: stored {stored.get(place, 0)}, orders hold {of_buyer[place]}"


def limits_hold(run: Run) -> Iterator[str]:
    """I8: no buyer ever holds more than one buyer may have."""
    most = highest(run, "sale", "limit", "sale")

    def of_buyer(order: Row) -> list[tuple[Place, int]]:
        return [((order["flash_sale_id"], order["buyer"]), quantity(order))]

    for place, held, edge, order in held_over_time(run, of_buyer):
        limit = most.get(place[0], held)
        if order["space"] != "server" and edge["from_state"] == "" and held > limit:
            yield f"buyer {place}: holds {held} after edge {edge['n']} of {limit}"


def budgets_hold(run: Run) -> Iterator[str]:
    """I12: no coupon beyond its budget or one buyer's share, no grant beyond its units, ever."""
    yield from _coupons_over_time(run)
    yield from _coupons_now(run)
    yield from _grants(run)


def _coupons_over_time(run: Run) -> Iterator[str]:
    budgets = highest(run, "coupon", "budget_cents", "coupon")
    limits = highest(run, "coupon", "limit", "coupon")
    uses = {use["order_id"]: use for use in run.books.coupon_uses}

    def cents(order: Row) -> list[tuple[Place, int]]:
        use = uses.get(order["id"])
        return [] if use is None else [((use["coupon_id"],), use["cents"])]

    def times(order: Row) -> list[tuple[Place, int]]:
        use = uses.get(order["id"])
        return [] if use is None else [((use["coupon_id"], use["buyer"]), 1)]

    for place, held, edge, _order in held_over_time(run, cents):
        if held > budgets.get(place[0], held):
            yield f"coupon {place[0]}: {held} cents after edge {edge['n']} of {budgets[place[0]]}"
    for place, held, edge, _order in held_over_time(run, times):
        if held > limits.get(place[0], held):
            yield f"coupon of buyer {place}: used {held} times after edge {edge['n']}"


def _coupons_now(run: Run) -> Iterator[str]:
    """What is stored is what the held orders add up to, and within bounds."""
    cents: Counter[str] = Counter()
    times: Counter[tuple[str, str]] = Counter()
    for use in run.books.coupon_uses:
        if is_held(run.books.orders[use["order_id"]]):
            cents[use["coupon_id"]] += use["cents"]
            times[use["coupon_id"], use["buyer"]] += 1
    for coupon in run.books.coupons:
        used = coupon["used"]
        if used != cents[coupon["id"]] or not 0 <= used <= coupon["budget"]:
            held = f"orders hold {cents[coupon['id']]}"
            yield f"coupon {coupon['id']}: used {used} of {coupon['budget']}, {held}"
    stored = {(row["coupon_id"], row["buyer"]): row["used"] for row in run.books.coupon_buyers}
    for place in stored.keys() | times.keys():
        if stored.get(place, 0) != times[place]:
            yield f"coupon of buyer {place}: stored {stored.get(place, 0)}, used {times[place]}"


def _grants(run: Run) -> Iterator[str]:
    """A room's sales inside the grant, and what it sold from its shelf."""
    used: Counter[Place] = Counter()
    for sale in run.books.sales.values():
        if sale["granted"]:
            used[sale["product_id"], sale["room"]] += sale["units"]
    for line in run.books.lines:
        order = run.books.orders[line["order_id"]]
        if order["flash_sale_id"] is None and order["room"] is not None and is_held(order):
            used[line["product_id"], order["room"]] += line["quantity"]
    for grant in run.books.grants:
        count, most = used[grant["product_id"], grant["room"]], grant["units_max"]
        if grant["used"] != count or (most is not None and count > most):
            place = f"{grant['product_id']} {grant['room']}"
            yield f"grant {place}: used {grant['used']} of {most}, sold {count}"
