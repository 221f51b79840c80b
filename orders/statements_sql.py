"""
The statements of one batch, made once for each dialect: one a table, guards inside.

The guards repeat what memory decided. When one of them changes fewer rows than it was given, memory
was wrong and the whole batch is rolled back.
"""

from sqlalchemy import Table

from orders import schema_sql as t
from orders.arrays_sql import BIG, TEXT, Statement, insert, select, table_columns, update

PLACE_FIELDS = (("product_id", TEXT), ("room", TEXT))
PAYMENT_FIELDS = (("provider", TEXT), ("id", TEXT))
KEY_FIELDS = (("buyer", TEXT), ("space", TEXT), ("key", TEXT))
MOVE_FIELDS = (
    ("id", TEXT), ("known_state", TEXT), ("state", TEXT), ("sequence", BIG), ("changes", TEXT),
    ("paid_at", BIG), ("refunded_cents", BIG), ("restocked", BIG),
)  # fmt: skip
PAYMENT_MOVE_FIELDS = (
    ("provider", TEXT), ("id", TEXT), ("known_state", TEXT), ("state", TEXT), ("order_id", TEXT),
    ("amount_cents", BIG), ("currency", TEXT),
)  # fmt: skip
SALE_FIELDS = (
    ("id", TEXT), ("known", BIG), ("sold_delta", BIG), ("units", BIG), ("state", TEXT),
    ("per_buyer_limit", BIG), ("starts_at", BIG), ("ends_at", BIG), ("void", BIG),
    ("host_away", TEXT), ("paused_at", BIG),
)  # fmt: skip
UNITS_FIELDS = (("flash_sale_id", TEXT), ("buyer", TEXT), ("delta", BIG))
STOCK_FIELDS = (("product_id", TEXT), ("total", BIG), ("committed", BIG))
GRANT_FIELDS = (("product_id", TEXT), ("room", TEXT), ("used", BIG))
PLACE_MOVE_FIELDS = (("n", BIG), ("state", TEXT), ("order_id", TEXT))
PRODUCT_EDITABLE = (
    "title", "description", "terms", "seller_name", "price_cents", "list_price_cents", "image_url",
)  # fmt: skip

#: The limit of a sale guards each buyer's units again, whatever memory believed.
TAKE_UNITS = """
INSERT INTO buyer_units (flash_sale_id, buyer, units)
SELECT r.flash_sale_id, r.buyer, r.delta FROM {r}
JOIN flash_sale s ON s.id = r.flash_sale_id AND r.delta <= s.per_buyer_limit WHERE true
ON CONFLICT (flash_sale_id, buyer) DO UPDATE SET units = buyer_units.units + excluded.units
WHERE buyer_units.units + excluded.units <=
    (SELECT s.per_buyer_limit FROM flash_sale s WHERE s.id = excluded.flash_sale_id)
"""

UPDATE_SALES = """
sold = flash_sale.sold + r.sold_delta, counter = flash_sale.counter + 1, units = r.units,
state = r.state, per_buyer_limit = r.per_buyer_limit, starts_at = r.starts_at,
ends_at = r.ends_at, void = r.void, host_away = r.host_away, paused_at = r.paused_at
 WHERE flash_sale.id = r.id AND flash_sale.counter = r.known
AND flash_sale.sold + r.sold_delta <= r.units AND flash_sale.sold + r.sold_delta >= 0
"""

MOVE_ORDERS = """
state = r.state, sequence = r.sequence, changes = r.changes, paid_at = r.paid_at,
refunded_cents = r.refunded_cents, restocked = r.restocked
 WHERE orders.id = r.id AND orders.state = r.known_state AND orders.sequence < r.sequence
"""

MOVE_PAYMENTS = """
state = r.state, order_id = r.order_id, amount_cents = r.amount_cents, currency = r.currency
 WHERE payments.provider = r.provider AND payments.id = r.id AND payments.state = r.known_state
"""

MOVE_PLACES = """
state = r.state, order_id = r.order_id
 WHERE waitlist.n = r.n AND waitlist.state = 'waiting'
"""

MOVE_STOCK = """
total = product_stock.total + r.total, committed = product_stock.committed + r.committed
 WHERE product_stock.product_id = r.product_id
AND product_stock.committed + r.committed >= 0
AND product_stock.committed + r.committed <= product_stock.total + r.total
"""

#: Budgets guard every discount again; giving back is always possible.
USE_COUPONS = """
used = coupon.used + r.cents
 WHERE coupon.id = r.id AND coupon.used + r.cents >= 0
AND (r.cents < 0 OR coupon.used + r.cents <= coupon.budget)
"""

USE_COUPONS_OF_BUYERS = """
INSERT INTO coupon_buyer (coupon_id, buyer, used)
SELECT r.coupon_id, r.buyer, r.uses FROM {r}
JOIN coupon c ON c.id = r.coupon_id AND r.uses <= c.per_buyer_limit WHERE true
ON CONFLICT (coupon_id, buyer) DO UPDATE SET used = coupon_buyer.used + excluded.used
WHERE coupon_buyer.used + excluded.used <=
    (SELECT c.per_buyer_limit FROM coupon c WHERE c.id = excluded.coupon_id)
"""

COUPON_BUYER_FIELDS = (("coupon_id", TEXT), ("buyer", TEXT), ("uses", BIG))
ASKED_FIELDS = (("code", TEXT), ("product", TEXT), ("buyer", TEXT))
COUPON_EDITABLE = ("budget", "per_buyer_limit", "min_amount_cents", "ends_at")

USE_GRANTS = """
used = sale_grant.used + r.used
 WHERE sale_grant.product_id = r.product_id AND sale_grant.room = r.room
AND sale_grant.used + r.used >= 0
AND (r.used < 0 OR sale_grant.units_max IS NULL
     OR sale_grant.used + r.used <= sale_grant.units_max)
"""


def _every(table: Table) -> str:
    """All columns of a row by name: a newer version may have added one to the database."""
    return ", ".join(f"o.{column.name}" for column in table.columns)


def _join(table: Table) -> str:
    return f"SELECT {_every(table)} FROM {{r}} JOIN {table.name} o"


class Statements:
    """All statements of a writer's transaction."""

    def __init__(self, dialect: str) -> None:
        lock = "" if dialect == "sqlite" else " FOR UPDATE OF o"
        self.by_key = select(
            dialect,
            KEY_FIELDS,
            _join(t.orders)
            + " ON o.buyer = r.buyer AND o.space = r.space AND o.key = r.key"
            + lock,
        )
        self.grants_at = select(
            dialect,
            PLACE_FIELDS,
            _join(t.sale_grant) + " ON o.product_id = r.product_id AND o.room = r.room"
            " ORDER BY o.product_id, o.room" + lock,
        )
        self.payments_of = select(
            dialect,
            PAYMENT_FIELDS,
            _join(t.payments) + " ON o.provider = r.provider AND o.id = r.id"
            " ORDER BY o.provider, o.id" + lock,
        )
        self.payments_of_orders = select(
            dialect,
            (("order_id", TEXT),),
            _join(t.payments) + " ON o.order_id = r.order_id ORDER BY o.provider, o.id" + lock,
        )
        self.refunds_of = select(
            dialect,
            (("id", TEXT),),
            _join(t.refunds) + " ON o.id = r.id" + lock,
        )
        self.coupons_of = select(
            dialect,
            (("id", TEXT),),
            _join(t.coupon) + " ON o.id = r.id ORDER BY o.id" + lock,
        )
        self.coupons_by_code = select(
            dialect,
            (("merchant", TEXT), ("code", TEXT)),
            _join(t.coupon) + " ON o.merchant = r.merchant AND o.code = r.code"
            " ORDER BY o.id" + lock,
        )
        of_shop = (
            " FROM {r} JOIN product p ON p.id = r.product"
            " JOIN coupon c ON c.merchant = p.merchant AND c.code = r.code"
        )
        self.coupons_asked = select(
            dialect,
            ASKED_FIELDS,
            f"SELECT {_every(t.coupon)} FROM coupon o"
            f" WHERE o.id IN (SELECT c.id{of_shop}) ORDER BY o.id" + lock,
        )
        self.coupon_uses_asked = select(
            dialect,
            ASKED_FIELDS,
            f"SELECT o.coupon_id, o.buyer, o.used{of_shop}"
            " JOIN coupon_buyer o ON o.coupon_id = c.id AND o.buyer = r.buyer",
        )
        self.places_by_key = select(
            dialect,
            (("buyer", TEXT), ("key", TEXT)),
            _join(t.waitlist) + " ON o.buyer = r.buyer AND o.key = r.key ORDER BY o.n" + lock,
        )
        self.new_places = insert(dialect, t.waitlist)
        self.place_moves = update(dialect, t.waitlist, PLACE_MOVE_FIELDS, MOVE_PLACES)
        self.orders = insert(dialect, t.orders, "ON CONFLICT DO NOTHING")
        self.lines = insert(dialect, t.order_lines)
        self.edges = insert(dialect, t.order_edges)
        self.payments = insert(dialect, t.payments)
        self.inbound_known = select(
            dialect,
            (("merchant", TEXT), ("id", TEXT)),
            "SELECT o.merchant, o.id FROM {r}"
            " JOIN inbound o ON o.merchant = r.merchant AND o.id = r.id",
        )
        self.inbound = insert(dialect, t.inbound)
        self.answers_of = select(
            dialect,
            (("owner", TEXT), ("key", TEXT)),
            _join(t.kept_answer) + " ON o.owner = r.owner AND o.key = r.key",
        )
        self.answers = insert(dialect, t.kept_answer)
        shop_fields = [column.name for column in t.shop.columns if column.name != "merchant"]
        self.shops = insert(
            dialect,
            t.shop,
            "ON CONFLICT (merchant) DO UPDATE SET "
            + ", ".join(f"{name} = excluded.{name}" for name in shop_fields),
        )
        self.new_coupons = insert(dialect, t.coupon)
        self.coupons = update(
            dialect,
            t.coupon,
            table_columns(t.coupon),
            ", ".join(f"{name} = r.{name}" for name in COUPON_EDITABLE) + " WHERE coupon.id = r.id",
        )
        self.coupons_used = update(dialect, t.coupon, (("id", TEXT), ("cents", BIG)), USE_COUPONS)
        self.coupon_buyers = select(dialect, COUPON_BUYER_FIELDS, USE_COUPONS_OF_BUYERS)
        self.coupon_buyers_back = update(
            dialect,
            t.coupon_buyer,
            COUPON_BUYER_FIELDS,
            "used = coupon_buyer.used + r.uses WHERE coupon_buyer.coupon_id = r.coupon_id"
            " AND coupon_buyer.buyer = r.buyer AND coupon_buyer.used + r.uses >= 0",
        )
        self.coupon_uses = insert(dialect, t.coupon_use)
        self.refunds = insert(dialect, t.refunds)
        self.notes = insert(dialect, t.feed_note)
        self.stock_changes = insert(dialect, t.stock_change)
        self.new_sales = insert(dialect, t.flash_sale)
        self.new_products = insert(dialect, t.product)
        self.new_stock = insert(dialect, t.product_stock)
        self.grants = insert(
            dialect,
            t.sale_grant,
            "ON CONFLICT (product_id, room) DO UPDATE SET"
            " min_price_cents = excluded.min_price_cents, units_max = excluded.units_max",
        )
        self.products = self._products(dialect)
        self.moves = update(dialect, t.orders, MOVE_FIELDS, MOVE_ORDERS)
        self.payment_moves = update(dialect, t.payments, PAYMENT_MOVE_FIELDS, MOVE_PAYMENTS)
        self.sales = update(dialect, t.flash_sale, SALE_FIELDS, UPDATE_SALES)
        self.stock = update(dialect, t.product_stock, STOCK_FIELDS, MOVE_STOCK)
        self.grants_used = update(dialect, t.sale_grant, GRANT_FIELDS, USE_GRANTS)
        self.units_taken = select(dialect, UNITS_FIELDS, TAKE_UNITS)
        self.units_returned = update(
            dialect,
            t.buyer_units,
            UNITS_FIELDS,
            "units = buyer_units.units + r.delta WHERE"
            " buyer_units.flash_sale_id = r.flash_sale_id AND buyer_units.buyer = r.buyer"
            " AND buyer_units.units + r.delta >= 0",
        )

    @staticmethod
    def _products(dialect: str) -> Statement:
        columns = [(column.name, column) for column in t.product.columns]
        fields = [
            (name, BIG if name.endswith("_cents") or name == "created_at" else TEXT)
            for name, _column in columns
        ]
        changes = ", ".join(f"{name} = r.{name}" for name in PRODUCT_EDITABLE)
        return update(dialect, t.product, fields, f"{changes} WHERE product.id = r.id")
