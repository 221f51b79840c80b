"""Tables of people and of the shop's own settings."""

import sqlalchemy as sa

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = sa.MetaData(naming_convention=NAMING)

account = sa.Table(
    "account",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),  # the `sub` of its tokens
    sa.Column("display_name", sa.String(24), nullable=False),
    sa.Column("password_hash", sa.String(200), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("rooms", sa.JSON, nullable=False),
    sa.Column("merchant", sa.String(64)),
    sa.Column("disabled", sa.Boolean(create_constraint=True, name="is_bool"), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),  # raised by whatever ends older tokens
    sa.Column("created_at", sa.BigInteger, nullable=False),  # milliseconds
    sa.Column("changed_at", sa.BigInteger, nullable=False),
    sa.CheckConstraint(
        "role IN ('viewer', 'streamer', 'moderator', 'merchant', 'admin')", name="role"
    ),
    sa.Index(None, "changed_at"),
)

#: attempts that have not been followed by a success, per name that was tried
login_failure = sa.Table(
    "login_failure",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("since", sa.BigInteger, nullable=False),  # start of the window, milliseconds
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Index(None, "since"),
)

#: what programs send a room's picture with; `digest` is the SHA-256 of the key
stream_key = sa.Table(
    "stream_key",
    metadata,
    sa.Column("room", sa.String(40), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),  # milliseconds
)

#: what programs of merchants and the administrator sign in with; `digest` is the SHA-256 of the key
api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("hint", sa.String(4), nullable=False),  # how the key ends, for people
    sa.Column("name", sa.String(60), nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("maker", sa.String(200), nullable=False),  # the `sub` of whoever made it
    sa.Column("role", sa.String(16), nullable=False),  # the maker's, then
    sa.Column("merchant", sa.String(64)),
    sa.Column("of_account", sa.Boolean(create_constraint=True, name="is_bool"), nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),  # milliseconds
    sa.Column("used_at", sa.BigInteger),  # to the hour
    sa.Index(None, "merchant"),
)

#: shop_name, language, public_url, and the SHA-256 of the one-time set-up token
setting = sa.Table(
    "setting",
    metadata,
    sa.Column("key", sa.String(40), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
