"""Checks of waiting lists: who stood first got what came back, and every place told is there."""

from collections import defaultdict
from collections.abc import Iterator

from loadtest.books import Row, Run


def nobody_is_passed(run: Run) -> Iterator[str]:
    """Q1: who waits in line gets what comes back before anybody who came later."""
    yield from _places_are_true(run)
    born = {edge["order_id"]: edge["n"] for edge in run.books.edges if edge["from_state"] == ""}
    stood = {place["order_id"]: place["n"] for place in run.books.places if place["order_id"]}
    orders: dict[str, list[Row]] = defaultdict(list)
    for order in run.books.orders.values():
        orders[order["flash_sale_id"] or ""].append(order)
    for place in run.books.places:
        if place["state"] in ("left", "passed"):
            continue
        offered = born.get(place["order_id"] or "")
        for order in orders[place["flash_sale_id"]]:
            got = born[order["id"]]
            came = stood.get(order["id"], got)  # others stood nowhere until they got it
            if place["n"] < came and (offered is None or got < offered):
                yield f"{order['buyer']} got {order['id']} before {place['buyer']}, who waited"
        sale = run.books.sales[place["flash_sale_id"]]
        left = sale["units"] - sale["sold"] if sale["state"] == "running" else 0
        if place["state"] == "waiting" and left > 0:
            yield f"{place['buyer']} waits for sale {sale['id']}, which has {left} left"


def _places_are_true(run: Run) -> Iterator[str]:
    known = {(place["buyer"], place["flash_sale_id"]) for place in run.books.places}
    for line in run.asks:
        told = line["what"] == "join" and line["status"] in (200, 201)
        if told and (line["buyer"], line["sale"]) not in known:
            yield f"{line['buyer']} was told a place in line of {line['sale']}, which is not there"
