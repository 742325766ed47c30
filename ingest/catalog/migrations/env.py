"""Alembic's entry point: runs on the connection that `Database.migrate` provides."""

from alembic import context

from ingest.catalog.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
