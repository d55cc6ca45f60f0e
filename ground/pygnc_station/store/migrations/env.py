"""Alembic environment: migrates the schema of an open connection (see `database.migrate`)."""

from alembic import context

from pygnc_station.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
