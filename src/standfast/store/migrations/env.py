"""Runs migrations on the connection that ``store.opening`` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from standfast.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite can change a table only by copying it.
    render_as_batch=True,
)
context.run_migrations()
