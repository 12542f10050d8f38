"""Every column whose values are sealed, and what each value is bound to: what key rotation has to move."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import RowMapping, Table

from mcp_gateway.state.schema import secret_values, signing_keys, user_values


@dataclass(frozen=True)
class SealedColumn:
    """`row` names the row as its value was sealed for it, from the columns of the table's primary key."""

    table: Table
    column: str
    row: Callable[[RowMapping], str]


def user_value_row(user_id: str, server: str, key: str) -> str:
    """What a user's value is bound to: no other three have the same text, whatever is in them."""
    return json.dumps([user_id, server, key])


SEALED_COLUMNS: Final = (
    SealedColumn(secret_values, "value", lambda row: str(row["name"])),
    SealedColumn(signing_keys, "private", lambda row: str(row["id"])),
    SealedColumn(user_values, "value", lambda row: user_value_row(row["user_id"], row["server"], row["key"])),
)
