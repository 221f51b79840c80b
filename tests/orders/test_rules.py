"""The rules as plain functions: no database, no clock, no waiting."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders import rows, schema_sql
from orders.errors import (
    Ended,
    Forbidden,
    Invalid,
    LimitExceeded,
    NotStarted,
    Refusal,
    SoldOut,
    WrongState,
)
from orders.ids import new_id
from orders.money import check_cents, check_currency, check_integer
from orders.order import EDGES, HELD, STATES, edge, is_held, path
from orders.requests import AnyRequest, Reserve
from orders.rows import SaleRow, merged
from orders.sale import check_reserve_request, reserve_refusal
from orders.text import check_text
from orders.times import rfc3339

NOW = 1_700_000_000_000


def sale(**fields: object) -> SaleRow:
    """A running sale of ten units, two to a buyer, with a minute to go."""
    values: dict[str, object] = {
        "id": "s", "room": "r", "show": None, "product_id": "p", "merchant": "m", "sku": "x",
        "title": "X", "price_cents": 100, "list_price_cents": 100, "currency": "EUR", "units": 10,
        "sold": 0, "counter": 1, "state": "running", "per_buyer_limit": 2, "buyers": "guest",
        "hold_seconds": 60, "starts_at": NOW, "ends_at": NOW + 60_000, "created_at": NOW,
        "granted": 0, "void": 0,
    }  # fmt: skip
    return SaleRow(**(values | fields))  # type: ignore[arg-type]


def request(quantity: int = 1, *, guest: bool = True) -> Reserve:
    return Reserve(
        flash_sale="s", buyer="ann", buyer_name="Ann", guest=guest, quantity=quantity, key="k"
    )


@pytest.mark.parametrize(
    ("fields", "quantity", "held", "now", "refusal"),
    [
        ({}, 1, 0, NOW - 1, NotStarted),
        ({}, 1, 0, NOW, None),
        ({}, 1, 0, NOW + 59_999, None),
        ({}, 1, 0, NOW + 60_000, Ended),
        ({"state": "ended"}, 1, 0, NOW, Ended),
        ({"state": "cancelled"}, 1, 0, NOW, Ended),
        ({}, 2, 0, NOW, None),
        ({}, 1, 1, NOW, None),
        ({}, 2, 1, NOW, LimitExceeded),
        ({"sold": 9}, 1, 0, NOW, None),
        ({"sold": 9}, 2, 0, NOW, SoldOut),
        ({"sold": 10}, 1, 0, NOW, SoldOut),
        ({"buyers": "account"}, 1, 0, NOW, Forbidden),
    ],
)
def test_a_reservation_is_decided_at_every_boundary(
    fields: dict[str, object], quantity: int, held: int, now: int, refusal: type[Refusal] | None
) -> None:
    found = reserve_refusal(sale(**fields), request(quantity), held, now)
    assert type(found) is (refusal or type(None))


@given(
    units=st.integers(0, 20), sold=st.integers(0, 20), limit=st.integers(1, 5),
    held=st.integers(0, 6), quantity=st.integers(1, 8), offset=st.sampled_from([-1, 0, 59_999]),
)  # fmt: skip
def test_what_is_allowed_never_breaks_stock_limit_or_clock(
    units: int, sold: int, limit: int, held: int, quantity: int, offset: int
) -> None:
    """Whatever the numbers are: an allowed reservation leaves all three intact."""
    row = sale(units=units, sold=min(sold, units), per_buyer_limit=limit)
    if reserve_refusal(row, request(quantity), held, NOW + offset) is not None:
        return
    assert row.sold + quantity <= units
    assert held + quantity <= limit
    assert offset >= 0


@pytest.mark.parametrize("quantity", [0, -1, 1.0, "1", True, None, 10**10])
def test_only_a_whole_positive_quantity_is_one(quantity: object) -> None:
    bad = msgspec.structs.replace(request(), quantity=quantity)
    with pytest.raises(Invalid):
        check_reserve_request(bad)


def test_metadata_is_bounded_and_storable() -> None:
    check_reserve_request(msgspec.structs.replace(request(), metadata={"note": "x" * 2000}))
    for metadata in ({"note": "x" * 2048}, {"note": "\ud800"}, {"f": {1, 2}, "g": object()}):
        with pytest.raises(Invalid):
            check_reserve_request(msgspec.structs.replace(request(), metadata=metadata))


@pytest.mark.parametrize("text", ["", "a\x00b", "a\nb", "\ud800", "x" * 65, 5])
def test_text_that_a_row_cannot_hold_is_refused(text: object) -> None:
    with pytest.raises(Invalid):
        check_text(text, "name", most=64)


def test_money_is_a_whole_number_of_cents() -> None:
    assert check_cents(0, "price_cents") == 0
    for bad in (-1, 0.5, "1", True, 10**13):
        with pytest.raises(Invalid):
            check_cents(bad, "price_cents")
    with pytest.raises(Invalid):
        check_integer(3, "units", least=4, most=5)
    for bad in ("eur", "EURO", "€", None):
        with pytest.raises(Invalid):
            check_currency(bad)


def test_only_listed_edges_exist() -> None:
    """A dead order never revives; a paid one never expires; nothing is paid twice."""
    for state in STATES:
        for to in STATES:
            if (state, to) not in EDGES:
                with pytest.raises(WrongState):
                    edge(state, to)
    for dead in ("expired", "cancelled", "refunded"):
        assert not any(state == dead for state, _to in EDGES)
    assert ("paid", "expired") not in EDGES
    assert path("reserved", "paid") == ["pending_payment", "paid"]


def test_an_edge_releases_exactly_when_it_leaves_the_held_states() -> None:
    """Except a refund, which releases only what the merchant restocks."""
    for (state, to), step in EDGES.items():
        leaves = state in HELD and to not in HELD and to != "refunded"
        assert step.releases == leaves, (state, to)
    assert is_held("refunded", restocked=False)
    assert not is_held("refunded", restocked=True)


@given(st.integers(0, 2**47), st.integers(0, 2**80 - 1))
def test_ids_sort_by_their_millisecond(now: int, bits: int) -> None:
    first = new_id("ord", now, lambda _width: bits)
    later = new_id("ord", now + 1, lambda _width: 0)
    assert first < later
    assert len(first) == 30 and first.count("_") == 1 and "." not in first


@given(st.sets(st.integers(0, 2**80 - 1), min_size=2, max_size=9))
def test_each_random_number_makes_another_id(numbers: set[int]) -> None:
    """All 80 bits are in the id."""
    made = {new_id("ord", 0, lambda _width, bits=bits: bits) for bits in numbers}
    assert len(made) == len(numbers)


def test_times_are_shown_with_milliseconds_in_utc() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(1_763_780_000_123) == "2025-11-22T02:53:20.123Z"


def test_a_changed_order_keeps_every_field_that_its_edges_left_alone() -> None:
    assert merged('{"a":1,"b":2}', "{}") == b'{"a":1,"b":2}'
    assert msgspec.json.decode(merged('{"a":1,"b":2}', '{"b":3}')) == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("row", "table", "extra"),
    [
        (rows.ProductRow, schema_sql.product, ("total", "committed")),
        (rows.SaleRow, schema_sql.flash_sale, ()),
        (rows.OrderRow, schema_sql.orders, ()),
        (rows.LineRow, schema_sql.order_lines, ()),
        (rows.EdgeRow, schema_sql.order_edges, ()),
        (rows.PaymentRow, schema_sql.payments, ()),
        (rows.NoteRow, schema_sql.feed_note, ()),
        (rows.StockChangeRow, schema_sql.stock_change, ()),
        (rows.GrantRow, schema_sql.sale_grant, ()),
    ],
)
def test_rows_have_the_columns_of_their_tables_in_order(
    row: type[msgspec.Struct], table: object, extra: tuple[str, ...]
) -> None:
    """Whole batches travel as arrays, so the order counts."""
    columns = tuple(column.name for column in table.columns)  # type: ignore[attr-defined]
    assert row.__struct_fields__ == columns + extra


def test_every_request_survives_the_way_between_processes() -> None:
    """Encoded with its type and decoded as the same request."""
    sent = request(2)
    assert msgspec.json.decode(msgspec.json.encode(sent), type=AnyRequest) == sent
