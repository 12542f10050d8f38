"""Builds the control side from its parts: state, handlers, routes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_gateway.audit.events import AuditLog
from mcp_gateway.authorization.authorize import AuthorizationHandler
from mcp_gateway.authorization.client_documents import ClientDocuments
from mcp_gateway.authorization.consent import ConsentHandler
from mcp_gateway.authorization.metadata import MetadataHandler
from mcp_gateway.authorization.registration import RegistrationHandler
from mcp_gateway.authorization.revoke import RevocationHandler
from mcp_gateway.authorization.ssrf import GuardedFetch
from mcp_gateway.authorization.token import TokenHandler
from mcp_gateway.control.apply import DocumentApplier
from mcp_gateway.control.feed import EdgeFeed
from mcp_gateway.control.key_rotation import KeyRotationHandler
from mcp_gateway.control.live import Live
from mcp_gateway.control.upkeep import Upkeep
from mcp_gateway.documents.edge import RESOURCE_METADATA_PATH
from mcp_gateway.instances.attendance import Attendance
from mcp_gateway.instances.following import Following
from mcp_gateway.instances.handlers import InstanceHandlers
from mcp_gateway.instances.launcher import Launcher
from mcp_gateway.instances.owners import Owners
from mcp_gateway.instances.service import Instances
from mcp_gateway.login.form_tokens import FormTokens
from mcp_gateway.login.sign_in import SignInHandler
from mcp_gateway.login.visitors import Visitors
from mcp_gateway.portal.pages import STATIC_FOLDER, Pages
from mcp_gateway.portal.routes import portal_routes
from mcp_gateway.portal.visit import Portal
from mcp_gateway.state.database import Database
from mcp_gateway.state.envelope import Envelope, kept_random_secret
from mcp_gateway.state.rotation import KeyRotation
from mcp_gateway.state.signing_keys import rotate_signing_keys

LAUNCHER_SOCKET: Final = Path("/run/launcher/launcher.sock")
"""Where the launcher listens (docs/contracts.md, section 8)."""

_WITHOUT_DOCUMENT: Final = ("/healthz", "/internal/", "/static/")


@dataclass
class ControlSide:
    """The application, and the parts that its background work drives."""

    app: Starlette
    applier: DocumentApplier
    feed: EdgeFeed
    upkeep: Upkeep
    instances: Instances
    attendance: Attendance
    following: Following
    live: Live = field(repr=False)


class Gate:
    """Lets no page or endpoint answer before there is a document, and keeps browsers from guessing content types."""

    def __init__(self, app: ASGIApp, live: Live) -> None:
        self.app = app
        self.live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Content-Type-Options"] = "nosniff"
            await send(message)

        if self.live.document is None and not scope["path"].startswith(_WITHOUT_DOCUMENT):
            waiting = JSONResponse({"error": "temporarily_unavailable"}, 503, {"Retry-After": "2"})
            await waiting(scope, receive, send_with_headers)
            return
        await self.app(scope, receive, send_with_headers)


def build_control_side(
    *,
    database: Database,
    envelope: Envelope,
    delivery: Path,
    clock: Callable[[], float],
    launcher: Path = LAUNCHER_SOCKET,
    monotonic: Callable[[], float] = time.monotonic,
    audit: AuditLog | None = None,
    fetch: GuardedFetch | None = None,
) -> ControlSide:
    """Wire the parts together. Blocks for the database."""
    with database.begin() as db:
        keys = rotate_signing_keys(db, envelope, int(clock()))
        session_key = kept_random_secret(db, envelope, "edge-session-key")
        form_key = kept_random_secret(db, envelope, "form-key")
        revision_key = kept_random_secret(db, envelope, "instance-revision-key")
    live, audit, pages = Live(keys), audit or AuditLog(clock), Pages()
    forms = FormTokens(hashlib.sha256(b"forms" + form_key).digest())
    feed = EdgeFeed(live, database, envelope, session_key, clock)
    visitors = Visitors(live, database, clock)
    documents = ClientDocuments(fetch or GuardedFetch(), clock)
    metadata = MetadataHandler(live)
    consent = ConsentHandler(live, database, visitors, forms, pages, audit, clock)
    authorize = AuthorizationHandler(live, database, documents, visitors, consent, pages, audit, clock)
    sign_in = SignInHandler(live, database, visitors, forms, pages, audit, clock)
    key_rotation = KeyRotationHandler(KeyRotation(database, envelope), audit, clock)
    owners = Owners(live, database, envelope, revision_key)
    instances = Instances(owners, Launcher(launcher), audit, clock, monotonic)
    instance_handlers = InstanceHandlers(instances)
    portal = Portal(live, database, envelope, feed, visitors, forms, pages, audit, instances, clock)
    if envelope.provider.rotating:
        audit.record("key-rotation-unfinished", remedy="`make rotate-keys` goes on with it")

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok", "document": live.document is not None})

    async def page_error(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        title = {404: "There is nothing here", 405: "That doesn't work here"}.get(status, "Something went wrong")
        response = pages.error(status, title, "Check the address, or go to the start page.")
        if isinstance(error, HTTPException) and error.headers:
            response.headers.update(error.headers)
        return response

    routes = [
        Route("/healthz", healthz),
        Route("/internal/edge", feed.handle),
        Route("/internal/instances", instance_handlers.table),
        Route("/internal/instances/start", instance_handlers.start, methods=["POST"]),
        Route("/internal/instances/active", instance_handlers.active, methods=["POST"]),
        Route("/internal/rotate-keys", key_rotation.handle, methods=["POST"]),
        Route(f"{RESOURCE_METADATA_PATH}/mcp-connect/{{server}}", metadata.resource),
        Route("/.well-known/oauth-authorization-server", metadata.server),
        Route("/oauth/jwks", metadata.keys),
        Route("/oauth/register", RegistrationHandler(live, database, audit, clock).handle, methods=["POST"]),
        Route("/oauth/authorize", authorize.handle),
        Route("/oauth/consent", consent.handle, methods=["POST"]),
        Route("/oauth/token", TokenHandler(live, database, feed, audit, clock).handle, methods=["POST"]),
        Route("/oauth/revoke", RevocationHandler(live, database, feed, audit, clock).handle, methods=["POST"]),
        Route("/sign-in", sign_in.page),
        Route("/sign-in", sign_in.handle, methods=["POST"]),
        Route("/sign-out", sign_in.sign_out, methods=["POST"]),
        *portal_routes(portal),
        Mount("/static", StaticFiles(directory=STATIC_FOLDER)),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Gate, live=live)],
        exception_handlers={404: page_error, 405: page_error, 500: page_error},
    )
    app.router.redirect_slashes = False
    applier = DocumentApplier(delivery, live, database, envelope, feed, audit, clock)
    upkeep = Upkeep(live, database, envelope, feed, clock)
    return ControlSide(app, applier, feed, upkeep, instances, Attendance(instances), Following(instances), live)
