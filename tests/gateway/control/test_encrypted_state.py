"""The database: migrations, encryption of secret columns, the key file."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey
from mcp_gateway import state
from mcp_gateway.control.serve import open_state
from mcp_gateway.documents.gateway import LONGEST_ACCESS_SECONDS
from mcp_gateway.state.database import SCHEMA_REVISION, open_database
from mcp_gateway.state.envelope import DataKeys, Envelope, read_secret, write_secret
from mcp_gateway.state.key_provider import KeyFile, KeyUnavailable, open_key_file
from mcp_gateway.state.schema import metadata, secret_values, signing_keys
from mcp_gateway.state.signing_keys import ROTATE_AFTER, SigningKey, active_key, retired
from sqlalchemy import inspect, select, text

from tests.gateway.control.control_site import Site, gateway_document, server
from tests.gateway.rules import rule

MIGRATIONS = Path(str(state.__file__)).parent / "migrations"
DATA_KEY = "00000000-0000-4000-8000-000000000001"
ENVELOPE = Envelope(DataKeys({DATA_KEY: b"k" * 32}, DATA_KEY), KeyFile(Path("unused"), (b"m" * 32,)))


def test_the_migrations_make_the_schema(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'a.db'}")
    with database.begin() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []
        assert db.execute(text("SELECT version_num FROM alembic_version")).scalar() == SCHEMA_REVISION
        assert db.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert db.execute(text("PRAGMA foreign_keys")).scalar() == 1
    database.close()
    open_database(f"sqlite:///{tmp_path / 'a.db'}").close()


def test_a_database_of_the_first_schema_is_brought_up_to_date_with_what_is_in_it(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'a.db'}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.begin() as db:
        config.attributes["connection"] = db
        command.downgrade(config, "0001")
        assert not inspect(db).has_table("user_values")
        db.execute(secret_values.insert().values(name="kept", value=b"sealed"))
    database.close()
    database = open_database(f"sqlite:///{tmp_path / 'a.db'}")
    with database.begin() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []
        assert db.execute(select(secret_values.c.value)).scalar_one() == b"sealed"
    database.close()


@rule(53)
@given(st.binary(max_size=200), st.tuples(st.text(max_size=9), st.text(max_size=9), st.text(max_size=9)))
def test_what_is_sealed_opens_in_its_own_place_only(value: bytes, place: tuple[str, str, str]) -> None:
    sealed = ENVELOPE.seal(value, *place)
    assert ENVELOPE.open(sealed, *place) == value
    for other in ((place[0] + "x", *place[1:]), (place[0], place[1] + "x", place[2]), (*place[:2], place[2] + "x")):
        with pytest.raises(InvalidTag):
            ENVELOPE.open(sealed, *other)


@rule(53)
def test_a_changed_byte_is_noticed_anywhere() -> None:
    sealed = ENVELOPE.seal(b"secret", "t", "r", "f")
    assert b"secret" not in sealed
    for index in range(len(sealed)):
        changed = sealed[:index] + bytes([sealed[index] ^ 1]) + sealed[index + 1 :]
        with pytest.raises((InvalidTag, KeyError)):
            ENVELOPE.open(changed, "t", "r", "f")


@rule(53)
async def test_rows_cannot_be_swapped_and_nothing_secret_is_in_clear(site: Site) -> None:
    upstream = {
        "url": "https://up.example/mcp",
        "reach": "public",
        "headers": {"X-Key": "upstream-key"},
        "caFile": None,
    }
    assert await site.deliver(gateway_document(servers=[server("time", upstream=upstream)])) == []
    envelope = site.control.upkeep.envelope
    with site.database.begin() as db:
        document = read_secret(db, envelope, "gateway-document")
        assert document is not None
        assert b"upstream-key" in document
        write_secret(db, envelope, "a", b"1")
        write_secret(db, envelope, "b", b"2")
        stolen = db.execute(select(secret_values.c.value).where(secret_values.c.name == "a")).scalar_one()
        db.execute(secret_values.update().where(secret_values.c.name == "b").values(value=stolen))
        with pytest.raises(InvalidTag):
            read_secret(db, envelope, "b")
        private = db.execute(select(signing_keys.c.private)).scalar_one()
    assert b"PRIVATE" not in private
    site.database.close()
    stored = b"".join(path.read_bytes() for path in site.folder.parent.rglob("gateway.db*"))
    assert b"upstream-key" not in stored


async def test_the_key_file_is_the_owner_s_alone_and_kept(site: Site, open_site: Callable[[], Site]) -> None:
    path = site.folder.parent / "keys" / "master.key"
    key = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(key) == 32
    open_site().database.close()
    assert path.read_bytes() == key


@pytest.mark.parametrize("damage", ["missing", "other", "short", "open"])
def test_a_key_file_that_is_not_the_right_one_stops_the_start(tmp_path: Path, damage: str) -> None:
    url, path = f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "master.key"
    database, _ = open_state(url, path)
    database.close()
    if damage == "missing":
        path.unlink()
    elif damage == "open":
        path.chmod(0o640)
    else:
        path.write_bytes(b"x" * (32 if damage == "other" else 5))
    with pytest.raises(KeyUnavailable, match="key"):
        open_state(url, path)


def test_a_new_key_file_is_made_for_a_new_database_only(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    made = open_key_file(path, create=True)
    assert open_key_file(path, create=False) == made
    assert made.keys[0].hex() not in repr(made)


def test_a_wrapped_key_is_bound_to_its_id(tmp_path: Path) -> None:
    provider = KeyFile(tmp_path, (b"m" * 32,))
    wrapped = provider.wrap(b"d" * 32, "one")
    assert provider.unwrap(wrapped, "one") == b"d" * 32
    with pytest.raises(KeyUnavailable):
        provider.unwrap(wrapped, "two")


def _key(name: str, created_at: int, active_from: int) -> SigningKey:
    return SigningKey(name, {}, ECKey.generate_key("P-256"), created_at, active_from)


def test_a_key_signs_from_its_time_on_and_stays_until_its_tokens_are_gone() -> None:
    old, new = _key("old", 0, 0), _key("new", ROTATE_AFTER, ROTATE_AFTER + 3600)
    switch = new.active_from
    assert active_key([old, new], switch - 1) is old
    assert active_key([old, new], switch) is new
    assert retired([old, new], switch + LONGEST_ACCESS_SECONDS) == []
    assert retired([old, new], switch + LONGEST_ACCESS_SECONDS + 1) == [old]
