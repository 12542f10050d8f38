"""Key rotation: a new key in the key provider, a new data key, every sealed value moved, the former keys forgotten.

Each step leaves a state that opens, and from which the same steps go on after a crash:
1. the provider holds the new key beside the former one (durable);
2. one transaction makes the new data key and wraps all data keys under the new key; from then on it seals;
3. small transactions move values to it, while others go on;
4. one transaction deletes the former data keys once nothing is under them, and is made durable;
5. the provider forgets the former key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from sqlalchemy import Connection, exists, select

from mcp_gateway.state.database import Database
from mcp_gateway.state.envelope import DataKeys, Envelope, new_data_key, sealed_under_another, stored_data_keys
from mcp_gateway.state.schema import data_keys
from mcp_gateway.state.sealed_columns import SEALED_COLUMNS, SealedColumn

BATCH: Final = 50
"""Values moved in one transaction: a few milliseconds for which another writer waits."""

_TRIES: Final = 6
"""At making the database durable; each waits for its readers as long as every transaction does."""


class RotationStopped(Exception):
    """Rotation can't go on; nothing is lost and the former keys stay. The message says what to do."""


@dataclass
class KeyRotation:
    """The steps, in the order `begin`, `move` until it answers 0, `finish`. They block."""

    database: Database
    envelope: Envelope

    def begin(self, now: int) -> None:
        """Steps 1 and 2. A rotation that was interrupted is gone on with."""
        provider = self.envelope.provider
        provider.add_key()
        with self.database.begin() as db:
            rows = stored_data_keys(db)
            opened = {str(row.id): provider.unwrap(row.wrapped, row.id) for row in rows}
            for key_id, key in opened.items():
                wrapped = provider.wrap(key, key_id)
                db.execute(data_keys.update().where(data_keys.c.id == key_id).values(wrapped=wrapped))
            current = str(rows[-1].id)
            # More than one: the last of them was made by a rotation that didn't finish.
            if len(rows) == 1:
                # The newest is the one in use, so no two may be of the same second.
                current, key = new_data_key(db, provider, max(now, rows[-1].created_at + 1))
                opened[current] = key
        # Not before the transaction has committed: what is sealed under a key that isn't kept is lost.
        self.envelope.keys = DataKeys(opened, current)

    def move(self) -> int:
        """Step 3, one batch: how many values were moved.

        Raises:
            RotationStopped: a value doesn't open.
        """
        with self.database.begin() as db:
            for sealed in SEALED_COLUMNS:
                if moved := self._move(db, sealed):
                    return moved
        return 0

    def _move(self, db: Connection, sealed: SealedColumn) -> int:
        table, column = sealed.table, sealed.table.c[sealed.column]
        rows = db.execute(
            select(*table.primary_key.columns, column)
            .where(sealed_under_another(column, self.envelope.keys.current))
            .limit(BATCH)
            .with_for_update()
        ).mappings()
        moved = 0
        for row in rows.all():
            place = (table.name, sealed.row(row), sealed.column)
            try:
                value = self.envelope.open(row[column], *place)
            except (InvalidTag, KeyError, ValueError):
                raise RotationStopped(
                    f"The value of {place[1]} in the table {table.name} can't be opened: it was changed, or comes from "
                    "elsewhere. Have it given anew, or restore database and key file from one backup; then rotate "
                    "again. The former keys stay until then."
                ) from None
            same_row = [each == row[each] for each in table.primary_key.columns]
            db.execute(table.update().where(*same_row).values({column: self.envelope.seal(value, *place)}))
            moved += 1
        return moved

    def finish(self) -> bool:
        """Steps 4 and 5; False when there is more to move, because a value was written under a former data key.

        Raises:
            RotationStopped: the database can't be made durable now.
        """
        current = self.envelope.keys.current
        with self.database.begin() as db:
            for sealed in SEALED_COLUMNS:
                under_another = sealed_under_another(sealed.table.c[sealed.column], current)
                if db.execute(select(exists().where(under_another))).scalar():
                    return False
            db.execute(data_keys.delete().where(data_keys.c.id != current))
        self.envelope.keys = DataKeys({current: self.envelope.keys.by_id[current]}, current)
        # Before the former key goes: after a power cut the database must not need it again.
        if not any(self.database.settle() for _ in range(_TRIES)):
            raise RotationStopped(
                "The database is busy: all values are moved, the former key is still in the key file. Rotate again."
            )
        self.envelope.provider.drop_former()
        return True
