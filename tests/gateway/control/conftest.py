"""The fixtures of the control side's tests."""

from __future__ import annotations

import datetime
import io
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mcp_gateway.audit.events import AuditLog
from mcp_gateway.authorization.ssrf import GuardedFetch
from mcp_gateway.control.app import build_control_side
from mcp_gateway.control.serve import open_state
from mcp_gateway.state.database import open_database

from tests.gateway.control.control_site import HOST, Clock, Site, gateway_document


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that has been migrated, for tests to begin with a copy of."""
    path = tmp_path_factory.mktemp("database") / "gateway.db"
    open_database(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for HOST, with its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "publisher.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def fetch() -> GuardedFetch:
    """How client documents are fetched; tests with a server of their own override it."""
    return GuardedFetch()


@pytest.fixture
def open_site(tmp_path: Path, empty_database: Path, fetch: GuardedFetch) -> Callable[[], Site]:
    """Opens a control side on this test's folders; a second call is a restart."""
    for folder in ("state", "keys", "delivery"):
        (tmp_path / folder).mkdir()
    shutil.copy(empty_database, tmp_path / "state")

    def start() -> Site:
        clock, lines = Clock(), io.StringIO()
        database, envelope = open_state(
            f"sqlite:///{tmp_path / 'state' / 'gateway.db'}", tmp_path / "keys" / "master.key"
        )
        control = build_control_side(
            database=database,
            envelope=envelope,
            delivery=tmp_path / "delivery",
            clock=clock,
            audit=AuditLog(clock, lines),
            fetch=fetch,
        )
        return Site(control, database, tmp_path / "delivery", clock, lines)

    return start


@pytest.fixture
async def site(open_site: Callable[[], Site]) -> AsyncIterator[Site]:
    """A control side with `gateway_document()` in force."""
    opened = open_site()
    assert await opened.deliver(gateway_document()) == []
    yield opened
    for browser in opened.browsers:
        await browser.aclose()
    opened.database.close()
