"""Every table of the database; one history covers them all."""

import orders.schema_sql
import orders.webhooks_sql
import rooms.schema_sql
from liveserver import schema_sql
from liveserver.archive import schema_sql as archive_schema

target_metadata = [
    rooms.schema_sql.metadata,
    orders.schema_sql.metadata,
    orders.webhooks_sql.metadata,
    schema_sql.metadata,
    archive_schema.metadata,
]
