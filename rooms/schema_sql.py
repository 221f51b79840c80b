"""The tables of rooms, on SQLite and PostgreSQL alike. Times are integer milliseconds."""

import sqlalchemy as sa

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = sa.MetaData(naming_convention=NAMING)

room = sa.Table(
    "room",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("show", sa.String(64)),
    sa.Column("started_at", sa.BigInteger),
    sa.Column("merchant_ids", sa.JSON, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.CheckConstraint("state IN ('idle', 'live', 'ended')", name="state"),
    sa.CheckConstraint("state = 'idle' OR show IS NOT NULL", name="show"),
)

show = sa.Table(
    "show",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("room", sa.String(40), sa.ForeignKey("room.id"), nullable=False, index=True),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger),
)

room_part = sa.Table(
    "room_part",
    metadata,
    sa.Column("room", sa.String(40), sa.ForeignKey("room.id"), primary_key=True),
    sa.Column("part", sa.String(32), primary_key=True, index=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.CheckConstraint("version > 0", name="version"),
)
