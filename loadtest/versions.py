"""
A next version of the server, made of this one by what a version may change without a new name.

It has a longer database (a column and a table more), says more in every message between processes
than this one knows, and calls itself `NEXT`.
"""

from loadtest.altered import Edit

NEXT = "99.0"

_MIGRATION = '''"""One column and one table more."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("next_word", sa.Text(), nullable=True))
    op.create_table("next_table", sa.Column("id", sa.Integer(), primary_key=True))
'''
_DOOR = "orders/door_redis.py"
_WORD = '    next_word: str = "from the next version"\n'

NEXT_VERSION = (
    Edit(f"liveserver-{NEXT}.dist-info/METADATA", "",
         f"Metadata-Version: 2.1\nName: liveserver\nVersion: {NEXT}\n"),
    Edit("liveserver/migrations/versions/m0002.py", "", _MIGRATION),
    Edit("orders/requests.py", '    actor: str = "system"', f'    actor: str = "system"\n{_WORD}'),
    Edit(_DOOR, "\n\n\nclass Reply(", f"\n{_WORD}\n\nclass Reply("),
    Edit(_DOOR, "    facts: dict[str, Any] = {}\n", f"    facts: dict[str, Any] = {{}}\n{_WORD}"),
    Edit("orders/states.py", "    sales: list[State]\n", f"    sales: list[State]\n{_WORD}"),
)  # fmt: skip
#: takes away that more may be said than is known
STRICT = (
    Edit(
        "orders/requests.py", 'tag_field="type")', 'tag_field="type", forbid_unknown_fields=True)'
    ),
)
