"""Runs the migrations on the connection that the control side hands over."""

from __future__ import annotations

from alembic import context
from mcp_gateway.state.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
