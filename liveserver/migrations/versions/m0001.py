"""All tables of the first version."""

# ruff: noqa: E501 - conditions stand in one line, as in the database

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

#: 64 bits everywhere; on SQLite a primary key called INTEGER is the row id itself
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("room", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_audit_entry_number")),
        sa.PrimaryKeyConstraint("room", "number", name=op.f("pk_audit_entry")),
    )
    op.create_table(
        "room",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("show", sa.String(length=64), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("merchant_ids", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "rehearsal",
            sa.Boolean(create_constraint=True, name=op.f("ck_room_is_bool")),
            nullable=False,
        ),
        sa.CheckConstraint("state = 'idle' OR show IS NOT NULL", name=op.f("ck_room_show")),
        sa.CheckConstraint("state IN ('idle', 'live', 'ended')", name=op.f("ck_room_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_room")),
    )
    op.create_table(
        "word_list",
        sa.Column("scope", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=8), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("revision", sa.String(length=64), nullable=False),
        sa.CheckConstraint(
            "action IN ('refuse', 'hold', 'mask', 'pass')", name=op.f("ck_word_list_action")
        ),
        sa.PrimaryKeyConstraint("scope", "name", name=op.f("pk_word_list")),
    )
    op.create_table(
        "held_message",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=80), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("list", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("info", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'shown', 'refused')", name=op.f("ck_held_message_state")
        ),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_held_message_room_room")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_held_message")),
    )
    op.create_index(
        "ix_held_message_room_state_id", "held_message", ["room", "state", "id"], unique=False
    )
    op.create_table(
        "report",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=40), nullable=False),
        sa.Column("reporter", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("message", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'upheld', 'dismissed')", name=op.f("ck_report_state")
        ),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_report_room_room")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report")),
        sa.UniqueConstraint(
            "room", "reporter", "about", name=op.f("uq_report_room_reporter_about")
        ),
    )
    op.create_index("ix_report_room_state_id", "report", ["room", "state", "id"], unique=False)
    op.create_table(
        "room_part",
        sa.Column("room", sa.String(length=40), nullable=False),
        sa.Column("part", sa.String(length=32), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.CheckConstraint("version > 0", name=op.f("ck_room_part_version")),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_room_part_room_room")),
        sa.PrimaryKeyConstraint("room", "part", name=op.f("pk_room_part")),
    )
    op.create_index(op.f("ix_room_part_part"), "room_part", ["part"], unique=False)
    op.create_table(
        "sanction",
        sa.Column("room", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind = 'ban' OR until IS NOT NULL", name=op.f("ck_sanction_until")),
        sa.CheckConstraint("kind IN ('mute', 'ban')", name=op.f("ck_sanction_kind")),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_sanction_room_room")),
        sa.PrimaryKeyConstraint("room", "kind", "user", name=op.f("pk_sanction")),
    )
    op.create_table(
        "show",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=40), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column(
            "rehearsal",
            sa.Boolean(create_constraint=True, name=op.f("ck_show_is_bool")),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_show_room_room")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_show")),
    )
    op.create_index(op.f("ix_show_ended_at"), "show", ["ended_at"], unique=False)
    op.create_index(op.f("ix_show_room"), "show", ["room"], unique=False)
    op.create_table(
        "address",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("given_at", BIG, autoincrement=False, nullable=False),
        sa.Column("purge_at", BIG, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_address")),
    )
    op.create_index(op.f("ix_address_purge_at"), "address", ["purge_at"], unique=False)
    op.create_table(
        "buyer_units",
        sa.Column("flash_sale_id", sa.Text(), nullable=False),
        sa.Column("buyer", sa.Text(), nullable=False),
        sa.Column("units", BIG, autoincrement=False, nullable=False),
        sa.CheckConstraint("units >= 0", name=op.f("ck_buyer_units_units")),
        sa.PrimaryKeyConstraint("flash_sale_id", "buyer", name=op.f("pk_buyer_units")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "coupon",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", BIG, autoincrement=False, nullable=False),
        sa.Column("min_amount_cents", BIG, autoincrement=False, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("budget", BIG, autoincrement=False, nullable=False),
        sa.Column("used", BIG, autoincrement=False, nullable=False),
        sa.Column("per_buyer_limit", BIG, autoincrement=False, nullable=False),
        sa.Column("starts_at", BIG, autoincrement=False, nullable=False),
        sa.Column("ends_at", BIG, autoincrement=False, nullable=True),
        sa.Column("created_at", BIG, autoincrement=False, nullable=False),
        sa.CheckConstraint("kind IN ('amount', 'percent')", name=op.f("ck_coupon_kind")),
        sa.CheckConstraint("0 <= used AND used <= budget", name=op.f("ck_coupon_used")),
        sa.CheckConstraint("value >= 0", name=op.f("ck_coupon_value")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coupon")),
        sa.UniqueConstraint("merchant", "code", name=op.f("uq_coupon_merchant_code")),
    )
    op.create_table(
        "coupon_use",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("coupon_id", sa.Text(), nullable=False),
        sa.Column("buyer", sa.Text(), nullable=False),
        sa.Column("cents", BIG, autoincrement=False, nullable=False),
        sa.CheckConstraint("cents >= 0", name=op.f("ck_coupon_use_cents")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_coupon_use")),
    )
    op.create_index(op.f("ix_coupon_use_coupon_id"), "coupon_use", ["coupon_id"], unique=False)
    op.create_table(
        "feed_note",
        sa.Column("n", BIG, autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=True),
        sa.Column("at", BIG, autoincrement=False, nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_feed_note")),
    )
    op.create_table(
        "inbound",
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", BIG, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("merchant", "id", name=op.f("pk_inbound")),
    )
    op.create_table(
        "kept_answer",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("at", BIG, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("pk_kept_answer")),
    )
    op.create_index(op.f("ix_kept_answer_at"), "kept_answer", ["at"], unique=False)
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("fence", BIG, autoincrement=False, nullable=False),
        sa.Column("beat", BIG, autoincrement=False, nullable=False),
        sa.Column("now", BIG, autoincrement=False, nullable=False),
        sa.CheckConstraint("fence >= 0", name=op.f("ck_lease_fence")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "order_edges",
        sa.Column("n", BIG, autoincrement=False, nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("sequence", BIG, autoincrement=False, nullable=False),
        sa.Column("from_state", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", BIG, autoincrement=False, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=True),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_order_edges")),
        sa.UniqueConstraint("order_id", "sequence", name=op.f("uq_order_edges_order_id_sequence")),
    )
    op.create_table(
        "order_lines",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("no", BIG, autoincrement=False, nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("quantity", BIG, autoincrement=False, nullable=False),
        sa.Column("unit_price_cents", BIG, autoincrement=False, nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_order_lines_quantity")),
        sa.CheckConstraint("unit_price_cents >= 0", name=op.f("ck_order_lines_unit_price")),
        sa.PrimaryKeyConstraint("order_id", "no", name=op.f("pk_order_lines")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("buyer", sa.Text(), nullable=False),
        sa.Column("space", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sequence", BIG, autoincrement=False, nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=True),
        sa.Column("flash_sale_id", sa.Text(), nullable=True),
        sa.Column("quantity", BIG, autoincrement=False, nullable=False),
        sa.Column("amount_cents", BIG, autoincrement=False, nullable=False),
        sa.Column("refunded_cents", BIG, autoincrement=False, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("restocked", BIG, autoincrement=False, nullable=False),
        sa.Column("created_at", BIG, autoincrement=False, nullable=False),
        sa.Column("expires_at", BIG, autoincrement=False, nullable=True),
        sa.Column("paid_at", BIG, autoincrement=False, nullable=True),
        sa.CheckConstraint(
            "space IN ('client', 'server', 'waitlist')", name=op.f("ck_orders_space")
        ),
        sa.CheckConstraint(
            "state IN ('cancelled', 'completed', 'expired', 'paid', 'payment_unknown', 'pending_payment', 'refunded', 'refunding', 'reserved', 'shipped')",
            name=op.f("ck_orders_state"),
        ),
        sa.CheckConstraint(
            "0 <= refunded_cents AND refunded_cents <= amount_cents",
            name=op.f("ck_orders_refunded"),
        ),
        sa.CheckConstraint("amount_cents >= 0", name=op.f("ck_orders_amount")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_orders_quantity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("buyer", "space", "key", name=op.f("uq_orders_buyer_space_key")),
    )
    op.create_index(
        "ix_orders_due",
        "orders",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('reserved', 'pending_payment')"),
        postgresql_where=sa.text("state IN ('reserved', 'pending_payment')"),
    )
    op.create_index(
        op.f("ix_orders_flash_sale_id_orders_id"), "orders", ["flash_sale_id", "id"], unique=False
    )
    op.create_index(
        op.f("ix_orders_merchant_orders_id"), "orders", ["merchant", "id"], unique=False
    )
    op.create_index(
        "ix_orders_unknown",
        "orders",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 'payment_unknown'"),
        postgresql_where=sa.text("state = 'payment_unknown'"),
    )
    op.create_table(
        "payments",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("amount_cents", BIG, autoincrement=False, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", BIG, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'closed', 'captured', 'returned')", name=op.f("ck_payments_state")
        ),
        sa.CheckConstraint("amount_cents >= 0", name=op.f("ck_payments_amount")),
        sa.PrimaryKeyConstraint("provider", "id", name=op.f("pk_payments")),
    )
    op.create_index(
        "ix_payments_open",
        "payments",
        ["order_id", "provider", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(op.f("ix_payments_order_id"), "payments", ["order_id"], unique=False)
    op.create_table(
        "product",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("seller_name", sa.Text(), nullable=False),
        sa.Column("price_cents", BIG, autoincrement=False, nullable=False),
        sa.Column("list_price_cents", BIG, autoincrement=False, nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("image_url", sa.Text(), nullable=True),
        sa.Column("created_at", BIG, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "list_price_cents IS NULL OR list_price_cents >= 0", name=op.f("ck_product_list_price")
        ),
        sa.CheckConstraint("price_cents >= 0", name=op.f("ck_product_price")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product")),
        sa.UniqueConstraint("merchant", "sku", name=op.f("uq_product_merchant_sku")),
    )
    op.create_table(
        "refunds",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_cents", BIG, autoincrement=False, nullable=False),
        sa.Column("completes", BIG, autoincrement=False, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("restock", BIG, autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", BIG, autoincrement=False, nullable=False),
        sa.CheckConstraint("kind IN ('order', 'payment')", name=op.f("ck_refunds_kind")),
        sa.CheckConstraint("amount_cents >= 0", name=op.f("ck_refunds_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refunds")),
    )
    op.create_index(op.f("ix_refunds_order_id"), "refunds", ["order_id"], unique=False)
    op.create_table(
        "shop",
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("checkout", sa.Text(), nullable=False),
        sa.Column("checkout_url", sa.Text(), nullable=True),
        sa.Column("keep_days", BIG, autoincrement=False, nullable=False),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("old_secret", sa.Text(), nullable=True),
        sa.Column("old_until", BIG, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "checkout IN ('none', 'handoff', 'collect')", name=op.f("ck_shop_checkout")
        ),
        sa.CheckConstraint("keep_days > 0", name=op.f("ck_shop_keep_days")),
        sa.PrimaryKeyConstraint("merchant", name=op.f("pk_shop")),
    )
    op.create_table(
        "stock_change",
        sa.Column("n", BIG, autoincrement=False, nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("delta", BIG, autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", BIG, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_stock_change")),
    )
    op.create_index(
        op.f("ix_stock_change_product_id"), "stock_change", ["product_id"], unique=False
    )
    op.create_table(
        "waitlist",
        sa.Column("n", BIG, autoincrement=False, nullable=False),
        sa.Column("flash_sale_id", sa.Text(), nullable=False),
        sa.Column("buyer", sa.Text(), nullable=False),
        sa.Column("buyer_name", sa.Text(), nullable=False),
        sa.Column("guest", BIG, autoincrement=False, nullable=False),
        sa.Column("quantity", BIG, autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("joined_at", BIG, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "(state = 'offered') = (order_id IS NOT NULL)", name=op.f("ck_waitlist_order")
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'offered', 'left', 'passed')", name=op.f("ck_waitlist_state")
        ),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_waitlist_quantity")),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_waitlist")),
        sa.UniqueConstraint("buyer", "key", name=op.f("uq_waitlist_buyer_key")),
    )
    op.create_index(
        op.f("ix_waitlist_flash_sale_id_waitlist_n"),
        "waitlist",
        ["flash_sale_id", "n"],
        unique=False,
    )
    op.create_index(
        "ix_waitlist_waiting",
        "waitlist",
        ["flash_sale_id", "buyer"],
        unique=True,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "coupon_buyer",
        sa.Column("coupon_id", sa.Text(), nullable=False),
        sa.Column("buyer", sa.Text(), nullable=False),
        sa.Column("used", BIG, autoincrement=False, nullable=False),
        sa.CheckConstraint("used >= 0", name=op.f("ck_coupon_buyer_used")),
        sa.ForeignKeyConstraint(
            ["coupon_id"], ["coupon.id"], name=op.f("fk_coupon_buyer_coupon_id_coupon")
        ),
        sa.PrimaryKeyConstraint("coupon_id", "buyer", name=op.f("pk_coupon_buyer")),
    )
    op.create_table(
        "flash_sale",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("show", sa.Text(), nullable=True),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("price_cents", BIG, autoincrement=False, nullable=False),
        sa.Column("list_price_cents", BIG, autoincrement=False, nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("units", BIG, autoincrement=False, nullable=False),
        sa.Column("sold", BIG, autoincrement=False, nullable=False),
        sa.Column("counter", BIG, autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("per_buyer_limit", BIG, autoincrement=False, nullable=False),
        sa.Column("buyers", sa.Text(), nullable=False),
        sa.Column("hold_seconds", BIG, autoincrement=False, nullable=False),
        sa.Column("starts_at", BIG, autoincrement=False, nullable=False),
        sa.Column("ends_at", BIG, autoincrement=False, nullable=False),
        sa.Column("created_at", BIG, autoincrement=False, nullable=False),
        sa.Column("granted", BIG, autoincrement=False, nullable=False),
        sa.Column("void", BIG, autoincrement=False, nullable=False),
        sa.Column("host_away", sa.Text(), nullable=False),
        sa.Column("paused_at", BIG, autoincrement=False, nullable=True),
        sa.CheckConstraint("buyers IN ('account', 'guest')", name=op.f("ck_flash_sale_buyers")),
        sa.CheckConstraint("host_away IN ('go_on', 'pause')", name=op.f("ck_flash_sale_host_away")),
        sa.CheckConstraint(
            "paused_at IS NULL OR state = 'scheduled'", name=op.f("ck_flash_sale_paused")
        ),
        sa.CheckConstraint(
            "state IN ('scheduled', 'running', 'ended', 'cancelled')",
            name=op.f("ck_flash_sale_state"),
        ),
        sa.CheckConstraint("0 <= sold AND sold <= units", name=op.f("ck_flash_sale_sold")),
        sa.CheckConstraint("per_buyer_limit > 0", name=op.f("ck_flash_sale_per_buyer_limit")),
        sa.CheckConstraint("price_cents >= 0", name=op.f("ck_flash_sale_price")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["product.id"], name=op.f("fk_flash_sale_product_id_product")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flash_sale")),
    )
    op.create_index(
        "ix_flash_sale_open",
        "flash_sale",
        ["state"],
        unique=False,
        sqlite_where=sa.text("state IN ('scheduled', 'running')"),
        postgresql_where=sa.text("state IN ('scheduled', 'running')"),
    )
    op.create_index(op.f("ix_flash_sale_product_id"), "flash_sale", ["product_id"], unique=False)
    op.create_index(
        op.f("ix_flash_sale_room_flash_sale_ends_at"),
        "flash_sale",
        ["room", "ends_at"],
        unique=False,
    )
    op.create_table(
        "product_stock",
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("total", BIG, autoincrement=False, nullable=False),
        sa.Column("committed", BIG, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "0 <= committed AND committed <= total", name=op.f("ck_product_stock_committed")
        ),
        sa.ForeignKeyConstraint(
            ["product_id"], ["product.id"], name=op.f("fk_product_stock_product_id_product")
        ),
        sa.PrimaryKeyConstraint("product_id", name=op.f("pk_product_stock")),
    )
    op.create_table(
        "sale_grant",
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("min_price_cents", BIG, autoincrement=False, nullable=True),
        sa.Column("units_max", BIG, autoincrement=False, nullable=True),
        sa.Column("used", BIG, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "used >= 0 AND (units_max IS NULL OR used <= units_max)",
            name=op.f("ck_sale_grant_used"),
        ),
        sa.ForeignKeyConstraint(
            ["product_id"], ["product.id"], name=op.f("fk_sale_grant_product_id_product")
        ),
        sa.PrimaryKeyConstraint("product_id", "room", name=op.f("pk_sale_grant")),
    )
    op.create_index(op.f("ix_sale_grant_room"), "sale_grant", ["room"], unique=False)
    op.create_table(
        "feed_cursor",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_feed_cursor")),
    )
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", sa.String(length=60), nullable=False),
        sa.Column("merchant", sa.String(length=200), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("disabled_reason", sa.String(length=20), nullable=True),
        sa.Column("secret", sa.String(length=100), nullable=False),
        sa.Column("old_secret", sa.String(length=100), nullable=True),
        sa.Column("old_secret_until", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("paused_until", sa.BigInteger(), nullable=False),
        sa.Column("replay_after", sa.BigInteger(), nullable=True),
        sa.Column("replay_until", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('active', 'disabled')", name=op.f("ck_webhook_endpoint_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoint")),
    )
    op.create_index(
        op.f("ix_webhook_endpoint_merchant"), "webhook_endpoint", ["merchant"], unique=False
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.String(length=60), nullable=False),
        sa.Column("endpoint", sa.String(length=60), nullable=False),
        sa.Column("merchant", sa.String(length=200), nullable=False),
        sa.Column("event_id", sa.String(length=60), nullable=False),
        sa.Column("type", sa.String(length=60), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("claim", sa.String(length=60), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.Column("last_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_response", sa.Text(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'delivered', 'failed')", name=op.f("ck_webhook_delivery_state")
        ),
        sa.ForeignKeyConstraint(
            ["endpoint"],
            ["webhook_endpoint.id"],
            name=op.f("fk_webhook_delivery_endpoint_webhook_endpoint"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_delivery")),
        sa.UniqueConstraint(
            "endpoint", "event_id", name=op.f("uq_webhook_delivery_endpoint_event_id")
        ),
    )
    op.create_index(
        op.f("ix_webhook_delivery_created_at"), "webhook_delivery", ["created_at"], unique=False
    )
    op.create_index(
        op.f("ix_webhook_delivery_endpoint_webhook_delivery_state_webhook_delivery_due_at"),
        "webhook_delivery",
        ["endpoint", "state", "due_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_webhook_delivery_merchant_webhook_delivery_id"),
        "webhook_delivery",
        ["merchant", "id"],
        unique=False,
    )
    op.create_table(
        "account",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("display_name", sa.String(length=24), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("rooms", sa.JSON(), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=True),
        sa.Column(
            "disabled",
            sa.Boolean(create_constraint=True, name=op.f("ck_account_is_bool")),
            nullable=False,
        ),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "role IN ('viewer', 'streamer', 'moderator', 'merchant', 'admin')",
            name=op.f("ck_account_role"),
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_account")),
    )
    op.create_index(op.f("ix_account_changed_at"), "account", ["changed_at"], unique=False)
    op.create_table(
        "login_failure",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_login_failure")),
    )
    op.create_index(op.f("ix_login_failure_since"), "login_failure", ["since"], unique=False)
    op.create_table(
        "setting",
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_setting")),
    )
    op.create_table(
        "stream_key",
        sa.Column("room", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("room", name=op.f("pk_stream_key")),
    )
    op.create_table(
        "archive_rule",
        sa.Column("room", sa.String(length=40), nullable=False),
        sa.Column(
            "open",
            sa.Boolean(create_constraint=True, name=op.f("ck_archive_rule_is_bool")),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("room", name=op.f("pk_archive_rule")),
    )
    op.create_table(
        "show_events",
        sa.Column("n", BIG, nullable=False),
        sa.Column("show", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=80), nullable=False),
        sa.Column("epoch", sa.String(length=64), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("message", sa.String(length=64), nullable=False),
        sa.Column("json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_show_events")),
    )
    op.create_index("ix_show_events_room_message", "show_events", ["room", "message"], unique=False)
    op.create_index("ix_show_events_show_n", "show_events", ["show", "n"], unique=False)
    op.create_index(
        "uq_show_events_position",
        "show_events",
        ["channel", "epoch", "offset"],
        unique=True,
        sqlite_where=sa.text('"offset" > 0'),
        postgresql_where=sa.text('"offset" > 0'),
    )
