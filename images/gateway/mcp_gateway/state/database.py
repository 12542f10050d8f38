"""Opens the database (SQLite by default, PostgreSQL by URL), brings its schema up to date and begins transactions."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

SCHEMA_REVISION: Final = "0002"
"""The newest migration. The database that carries it needs none, which spares Alembic's import at start."""


@dataclass(frozen=True)
class Database:
    """Transactions over one engine. Its methods block: call them from a worker thread."""

    engine: Engine

    def begin(self) -> AbstractContextManager[Connection]:
        """A transaction that commits when the block ends and rolls back when it raises."""
        return self.engine.begin()

    def settle(self) -> bool:
        """Make all that was committed durable, and leave no former content in the write-ahead log; False when busy."""
        if self.engine.dialect.name != "sqlite":
            return True
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            answer = cursor.fetchone()
            cursor.close()
        finally:
            connection.close()
        return answer is not None and answer[0] == 0

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Connect and migrate.

    Parameters never appear in errors or logs: some are password hashes.
    """
    engine = create_engine(url, hide_parameters=True, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    if _revision(engine) != SCHEMA_REVISION:
        _migrate(engine)
    return Database(engine)


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        # The driver's own transactions begin late, so that two writers could both read first; ours begin at `begin`.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "busy_timeout=5000",
            "secure_delete=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: Engine) -> None:
    # Alembic is only needed, and only imported, when there is something to migrate.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
