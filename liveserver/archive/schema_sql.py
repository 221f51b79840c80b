"""Tables of the archive."""

import sqlalchemy as sa

from liveserver.schema_sql import NAMING

metadata = sa.MetaData(naming_convention=NAMING)

#: `n` is the order of writing; a numbered event is there once, whoever writes it
show_events = sa.Table(
    "show_events",
    metadata,
    sa.Column("n", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("show", sa.String(64), nullable=False),
    sa.Column("room", sa.String(40), nullable=False),
    sa.Column("channel", sa.String(80), nullable=False),
    sa.Column("epoch", sa.String(64), nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),  # milliseconds
    sa.Column("type", sa.String(40), nullable=False),
    sa.Column("message", sa.String(64), nullable=False),
    sa.Column("json", sa.Text, nullable=False),
    sa.Index("ix_show_events_show_n", "show", "n"),
    sa.Index("ix_show_events_room_message", "room", "message"),
    sa.Index(
        "uq_show_events_position",
        "channel",
        "epoch",
        "offset",
        unique=True,
        sqlite_where=sa.text('"offset" > 0'),
        postgresql_where=sa.text('"offset" > 0'),
    ),
)

#: rooms whose archive is for staff alone; without a row it is open after the show
archive_rule = sa.Table(
    "archive_rule",
    metadata,
    sa.Column("room", sa.String(40), primary_key=True),
    sa.Column("open", sa.Boolean(create_constraint=True, name="is_bool"), nullable=False),
)
