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
    sa.Column("rehearsal", sa.Boolean(create_constraint=True, name="is_bool"), nullable=False),
    sa.CheckConstraint("state IN ('idle', 'live', 'ended')", name="state"),
    sa.CheckConstraint("state = 'idle' OR show IS NOT NULL", name="show"),
)

show = sa.Table(
    "show",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("room", sa.String(40), sa.ForeignKey("room.id"), nullable=False, index=True),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger, index=True),
    sa.Column("rehearsal", sa.Boolean(create_constraint=True, name="is_bool"), nullable=False),
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

#: who may not speak in a room; `until` empty: until it is lifted
sanction = sa.Table(
    "sanction",
    metadata,
    sa.Column("room", sa.String(40), sa.ForeignKey("room.id"), primary_key=True),
    sa.Column("kind", sa.String(8), primary_key=True),
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("until", sa.BigInteger),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.CheckConstraint("kind IN ('mute', 'ban')", name="kind"),
    sa.CheckConstraint("kind = 'ban' OR until IS NOT NULL", name="until"),
)

#: `scope` is a room, or empty for all rooms of the server; `words` is a JSON list
word_list = sa.Table(
    "word_list",
    metadata,
    sa.Column("scope", sa.String(40), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("action", sa.String(8), nullable=False),
    sa.Column("words", sa.Text, nullable=False),
    sa.Column("revision", sa.String(64), nullable=False),
    sa.CheckConstraint("action IN ('refuse', 'hold', 'mask', 'pass')", name="action"),
)

#: append only; `room` is empty for what holds in all rooms
audit_entry = sa.Table(
    "audit_entry",
    metadata,
    sa.Column("room", sa.String(40), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.CheckConstraint("number > 0", name="number"),
)

report = sa.Table(
    "report",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("room", sa.String(40), sa.ForeignKey("room.id"), nullable=False),
    sa.Column("reporter", sa.Text, nullable=False),
    sa.Column("about", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("message", sa.String(64), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("reason", sa.String(16), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("decided_by", sa.Text, nullable=False),
    sa.Column("decided_at", sa.BigInteger),
    sa.UniqueConstraint("room", "reporter", "about"),
    sa.Index("ix_report_room_state_id", "room", "state", "id"),
    sa.CheckConstraint("state IN ('open', 'upheld', 'dismissed')", name="state"),
)

#: messages that a word list holds until staff have seen them; `data` and `info` are JSON
held_message = sa.Table(
    "held_message",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("room", sa.String(40), sa.ForeignKey("room.id"), nullable=False),
    sa.Column("channel", sa.String(80), nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("list", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("info", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("decided_by", sa.Text, nullable=False),
    sa.Column("decided_at", sa.BigInteger),
    sa.Index("ix_held_message_room_state_id", "room", "state", "id"),
    sa.CheckConstraint("state IN ('open', 'shown', 'refused')", name="state"),
)
