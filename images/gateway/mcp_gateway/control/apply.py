"""Puts a delivered gateway document in force, or says why not and leaves the last one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool

from mcp_gateway.audit.events import AuditLog
from mcp_gateway.authorization.grants import end_what_is_not_usable
from mcp_gateway.control.feed import EdgeFeed
from mcp_gateway.control.live import Live
from mcp_gateway.credentials.user_values import record_changes, remove_unusable
from mcp_gateway.documents.edge import EdgeState, edge_document
from mcp_gateway.documents.files import DOCUMENT_NAME, acknowledge
from mcp_gateway.documents.gateway import GatewayDocument, InvalidDocument, digest, parse_gateway_document
from mcp_gateway.edge.document import DocumentError
from mcp_gateway.edge.document import document as compile_for_edge
from mcp_gateway.login.accounts import apply_users
from mcp_gateway.state.database import Database
from mcp_gateway.state.envelope import Envelope, read_secret, write_secret

_KEPT_DOCUMENT: Final = "gateway-document"


@dataclass
class DocumentApplier:
    """Watches the delivery folder."""

    folder: Path
    live: Live
    database: Database
    envelope: Envelope
    feed: EdgeFeed
    audit: AuditLog
    clock: Callable[[], float]
    in_force: str = ""
    """Digest of the document in force."""
    seen: tuple[int, int, int] | None = field(default=None)
    """Which file was looked at last."""

    async def restore(self) -> None:
        """Put the document that was in force before a restart in force again, if it still fits this image."""
        raw = await run_in_threadpool(self._kept)
        if raw is None:
            return
        try:
            await self._put_in_force(parse_gateway_document(raw), raw)
        except InvalidDocument as error:
            # Of another release, usually: an upgrade. Nothing is lost, the deploy that goes on delivers the new one.
            self.audit.record(
                "kept-document-refused",
                digest=digest(raw),
                problems="; ".join(error.problems),
                remedy="the gateway answers again once `make up` has delivered a document that fits this image",
            )

    def _kept(self) -> bytes | None:
        with self.database.begin() as db:
            return read_secret(db, self.envelope, _KEPT_DOCUMENT)

    async def poll(self) -> None:
        """Take up a document that is new in the folder, and acknowledge it."""
        path = self.folder / DOCUMENT_NAME
        try:
            status = path.stat()
            state = (status.st_ino, status.st_mtime_ns, status.st_size)
            if state == self.seen:
                return
            raw = path.read_bytes()
        except FileNotFoundError:
            return
        problems: list[str] = []
        if digest(raw) != self.in_force:
            try:
                await self._put_in_force(parse_gateway_document(raw), raw)
            except InvalidDocument as error:
                problems = error.problems
                self.audit.record("document-refused", digest=digest(raw), problems="; ".join(problems))
        self.live.refused = tuple(problems)
        acknowledge(self.folder, digest(raw), problems)
        # Last, so that a document is tried again when the database or the folder failed.
        self.seen = state

    async def _put_in_force(self, document: GatewayDocument, raw: bytes) -> None:
        self._check_for_edge(document)
        removed = await run_in_threadpool(self._store, document, raw)
        for (login, server), keys in removed.items():
            record_changes(self.audit, login, server, dict.fromkeys(keys), by="stack", address=None)
        self.live.document = document
        self.in_force = digest(raw)
        await self.feed.refresh()
        self.audit.record(
            "document-applied",
            digest=self.in_force,
            stack=document.stack,
            users=len(document.users),
            servers=len(document.servers),
            process=os.getpid(),
        )

    def _check_for_edge(self, document: GatewayDocument) -> None:
        """Raise InvalidDocument for what the edge would refuse: it would go on by its last document, revocations and
        removed users unheard, while the deploy says that all is well.

        Each setting is given a value that it takes, because users will give them later.
        """
        state = EdgeState(
            subjects={user.login: user.login for user in document.users},
            keys=[key.public for key in self.live.keys],
            session_key=self.feed.session_key,
            revoked_tokens={},
            revoked_before={},
            given={
                (user.login, server.id): {
                    setting.key: setting.options[0].value if setting.options else "x"
                    for setting in server.user_settings
                }
                for server in document.servers
                if (user := next(filter(server.access.admits, document.users), None)) is not None
            },
        )
        try:
            compile_for_edge(edge_document(document, state))
        except DocumentError as error:
            raise InvalidDocument(str(error).split("; ")) from None

    def _store(self, document: GatewayDocument, raw: bytes) -> dict[tuple[str, str], list[str]]:
        now = int(self.clock())
        with self.database.begin() as db:
            apply_users(db, document.users, now)
            end_what_is_not_usable(db, lambda resource, login: document.usable_server(resource, login) is not None, now)
            removed = remove_unusable(db, document.asked())
            write_secret(db, self.envelope, _KEPT_DOCUMENT, raw)
            return removed
