"""
All tables of a sale. The CHECKs and unique keys are the last guard: whatever the code above does,
the database refuses to sell a unit twice, to let a buyer exceed a limit, or to use a key twice.

Times are integer milliseconds, money integer minor units. Hot tables carry no foreign keys: their
parents are written in the same transaction by the only writer, and the audit checks them.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from orders.order import STATES, TIMED

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: 64 bits everywhere; on SQLite a primary key called INTEGER is the row id itself.
Big = BigInteger().with_variant(Integer(), "sqlite")


def _states(column: str, names: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(name) for name in names)})"


def _text(name: str, *, null: bool = False, key: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null, primary_key=key)


def _big(name: str, *, null: bool = False, key: bool = False) -> Column[int]:
    return Column(name, Big, nullable=null, primary_key=key, autoincrement=False)


product = Table(
    "product", metadata,
    _text("id", key=True),
    _text("merchant"), _text("sku"), _text("title"), _text("description"), _text("terms"),
    _text("seller_name"), _big("price_cents"), _big("list_price_cents", null=True),
    _text("currency"), _text("image_url", null=True), _big("created_at"),
    UniqueConstraint("merchant", "sku"),
    CheckConstraint("price_cents >= 0", name="price"),
    CheckConstraint("list_price_cents IS NULL OR list_price_cents >= 0", name="list_price"),
)  # fmt: skip

product_stock = Table(
    "product_stock", metadata,
    Column("product_id", Text, ForeignKey("product.id"), primary_key=True),
    _big("total"), _big("committed"),
    CheckConstraint("0 <= committed AND committed <= total", name="committed"),
)  # fmt: skip

stock_change = Table(
    "stock_change", metadata,
    _big("n", key=True),
    _text("product_id"), _big("delta"), _text("reason"), _text("actor"), _big("at"),
    Index(None, "product_id"),
)  # fmt: skip

sale_grant = Table(
    "sale_grant", metadata,
    Column("product_id", Text, ForeignKey("product.id"), primary_key=True),
    _text("room", key=True),
    _big("min_price_cents", null=True), _big("units_max", null=True), _big("used"),
    CheckConstraint("used >= 0 AND (units_max IS NULL OR used <= units_max)", name="used"),
    Index(None, "room"),
)  # fmt: skip

flash_sale = Table(
    "flash_sale", metadata,
    _text("id", key=True),
    _text("room"), _text("show", null=True),
    Column("product_id", Text, ForeignKey("product.id"), nullable=False),
    _text("merchant"), _text("sku"), _text("title"),
    _big("price_cents"), _big("list_price_cents", null=True), _text("currency"),
    _big("units"), _big("sold"), _big("counter"), _text("state"),
    _big("per_buyer_limit"), _text("buyers"), _big("hold_seconds"),
    _big("starts_at"), _big("ends_at"), _big("created_at"), _big("granted"), _big("void"),
    _text("host_away"), _big("paused_at", null=True),
    CheckConstraint("0 <= sold AND sold <= units", name="sold"),
    CheckConstraint("price_cents >= 0", name="price"),
    CheckConstraint("per_buyer_limit > 0", name="per_buyer_limit"),
    CheckConstraint(_states("state", ("scheduled", "running", "ended", "cancelled")), name="state"),
    CheckConstraint(_states("buyers", ("account", "guest")), name="buyers"),
    CheckConstraint(_states("host_away", ("go_on", "pause")), name="host_away"),
    CheckConstraint("paused_at IS NULL OR state = 'scheduled'", name="paused"),
    Index(None, "room", "ends_at"),
    Index(None, "product_id"),
    Index(
        "ix_flash_sale_open", "state",
        sqlite_where=text("state IN ('scheduled', 'running')"),
        postgresql_where=text("state IN ('scheduled', 'running')"),
    ),
)  # fmt: skip

buyer_units = Table(
    "buyer_units", metadata,
    _text("flash_sale_id", key=True), _text("buyer", key=True), _big("units"),
    CheckConstraint("units >= 0", name="units"),
    sqlite_with_rowid=False,
)  # fmt: skip

orders = Table(
    "orders", metadata,
    _text("id", key=True),
    _text("buyer"), _text("space"), _text("key"), _text("fingerprint"),
    _text("answer"), _text("changes"), _text("state"), _big("sequence"), _text("merchant"),
    _text("room", null=True), _text("flash_sale_id", null=True), _big("quantity"),
    _big("amount_cents"), _big("refunded_cents"), _text("currency"), _big("restocked"),
    _big("created_at"), _big("expires_at", null=True), _big("paid_at", null=True),
    UniqueConstraint("buyer", "space", "key"),
    CheckConstraint(_states("space", ("client", "server", "waitlist")), name="space"),
    CheckConstraint(_states("state", STATES), name="state"),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("amount_cents >= 0", name="amount"),
    CheckConstraint("0 <= refunded_cents AND refunded_cents <= amount_cents", name="refunded"),
    Index(None, "merchant", "id"),
    Index(None, "flash_sale_id", "id"),
    Index(
        "ix_orders_unknown", "id",
        sqlite_where=text("state = 'payment_unknown'"),
        postgresql_where=text("state = 'payment_unknown'"),
    ),
    Index(
        "ix_orders_due", "expires_at",
        sqlite_where=text(_states("state", TIMED)), postgresql_where=text(_states("state", TIMED)),
    ),
)  # fmt: skip

order_lines = Table(
    "order_lines", metadata,
    _text("order_id", key=True), _big("no", key=True),
    _text("product_id"), _big("quantity"), _big("unit_price_cents"),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("unit_price_cents >= 0", name="unit_price"),
    sqlite_with_rowid=False,
)  # fmt: skip

order_edges = Table(
    "order_edges", metadata,
    _big("n", key=True),
    _text("order_id"), _big("sequence"), _text("from_state"), _text("state"), _big("at"),
    _text("actor"), _text("event", null=True), _text("changes"),
    UniqueConstraint("order_id", "sequence"),
)  # fmt: skip

payments = Table(
    "payments", metadata,
    _text("provider", key=True), _text("id", key=True),
    _text("order_id"), _big("amount_cents"), _text("currency"), _text("state"), _big("at"),
    CheckConstraint("amount_cents >= 0", name="amount"),
    CheckConstraint(_states("state", ("open", "closed", "captured", "returned")), name="state"),
    Index(None, "order_id"),
    Index(
        "ix_payments_open", "order_id", "provider", "id",
        sqlite_where=text("state = 'open'"), postgresql_where=text("state = 'open'"),
    ),
)  # fmt: skip

refunds = Table(
    "refunds", metadata,
    _text("id", key=True),
    _text("order_id"), _text("provider"), _text("payment_id"), _text("kind"),
    _big("amount_cents"), _big("completes"), _text("currency"), _big("restock"), _text("reason"),
    _text("actor"), _big("at"),
    CheckConstraint("amount_cents >= 0", name="amount"),
    CheckConstraint(_states("kind", ("order", "payment")), name="kind"),
    Index(None, "order_id"),
)  # fmt: skip

feed_note = Table(
    "feed_note", metadata,
    _big("n", key=True),
    _text("type"), _text("merchant"), _text("room", null=True), _big("at"), _text("data"),
)  # fmt: skip

waitlist = Table(
    "waitlist", metadata,
    _big("n", key=True),
    _text("flash_sale_id"), _text("buyer"), _text("buyer_name"), _big("guest"), _big("quantity"),
    _text("key"), _text("metadata"), _text("state"), _text("order_id", null=True),
    _big("joined_at"),
    UniqueConstraint("buyer", "key"),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint(_states("state", ("waiting", "offered", "left", "passed")), name="state"),
    CheckConstraint("(state = 'offered') = (order_id IS NOT NULL)", name="order"),
    Index(None, "flash_sale_id", "n"),
    Index(
        "ix_waitlist_waiting", "flash_sale_id", "buyer", unique=True,
        sqlite_where=text("state = 'waiting'"), postgresql_where=text("state = 'waiting'"),
    ),
)  # fmt: skip

coupon = Table(
    "coupon", metadata,
    _text("id", key=True),
    _text("merchant"), _text("code"), _text("kind"), _big("value"), _big("min_amount_cents"),
    _text("currency"), _big("budget"), _big("used"), _big("per_buyer_limit"),
    _big("starts_at"), _big("ends_at", null=True), _big("created_at"),
    UniqueConstraint("merchant", "code"),
    CheckConstraint("0 <= used AND used <= budget", name="used"),
    CheckConstraint("value >= 0", name="value"),
    CheckConstraint(_states("kind", ("amount", "percent")), name="kind"),
)  # fmt: skip

coupon_buyer = Table(
    "coupon_buyer", metadata,
    Column("coupon_id", Text, ForeignKey("coupon.id"), primary_key=True),
    _text("buyer", key=True), _big("used"),
    CheckConstraint("used >= 0", name="used"),
)  # fmt: skip

coupon_use = Table(
    "coupon_use", metadata,
    _text("order_id", key=True),
    _text("coupon_id"), _text("buyer"), _big("cents"),
    CheckConstraint("cents >= 0", name="cents"),
    Index(None, "coupon_id"),
)  # fmt: skip

shop = Table(
    "shop", metadata,
    _text("merchant", key=True),
    _text("checkout"), _text("checkout_url", null=True), _big("keep_days"),
    _text("secret", null=True), _text("old_secret", null=True), _big("old_until"),
    CheckConstraint(_states("checkout", ("none", "handoff", "collect")), name="checkout"),
    CheckConstraint("keep_days > 0", name="keep_days"),
)  # fmt: skip

kept_answer = Table(
    "kept_answer", metadata,
    _text("owner", key=True), _text("key", key=True),
    _text("fingerprint"), _text("answer"), _big("at"),
    Index(None, "at"),
)  # fmt: skip

inbound = Table(
    "inbound", metadata,
    _text("merchant", key=True), _text("id", key=True), _big("at"),
)  # fmt: skip

address = Table(
    "address", metadata,
    _text("order_id", key=True),
    _text("merchant"), _text("sealed"), _big("given_at"), _big("purge_at"),
    Index(None, "purge_at"),
)  # fmt: skip

#: Conditions of the partial indexes above, to be used in queries as they are: written with
#: parameters, SQLite reads the whole table instead of the index.
IS_TIMED = text(_states("orders.state", TIMED))
IS_UNKNOWN = text("orders.state = 'payment_unknown'")
IS_PAYMENT_OPEN = text("payments.state = 'open'")
IS_OPEN = text("flash_sale.state IN ('scheduled', 'running')")

lease = Table(
    "lease", metadata,
    _text("name", key=True),
    _text("holder"), _big("fence"), _big("beat"), _big("now"),
    CheckConstraint("fence >= 0", name="fence"),
)  # fmt: skip
