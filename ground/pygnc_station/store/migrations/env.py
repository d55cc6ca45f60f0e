"""Run by Alembic: brings the schema of one open connection up to date (`engine.migrate`)."""

from alembic import context

from pygnc_station.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
