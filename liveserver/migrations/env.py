"""Run by alembic: the open connection comes from `liveserver.migrate`, which holds the lock."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes.get("target_metadata"),  # to compare with
    render_as_batch=True,  # SQLite changes tables by copying them
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
