"""The authorization endpoint (OAuth 2.1 section 3.1): from a client's request to the consent page or to a code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mcp_gateway.audit.events import AuditLog
from mcp_gateway.authorization.client_documents import ClientDocuments, UnusableClient, check_client_url
from mcp_gateway.authorization.clients import Client, find_registered, is_metadata_url
from mcp_gateway.authorization.consent import ConsentHandler
from mcp_gateway.authorization.consents import has_consented, knows_client
from mcp_gateway.authorization.errors import OAuthError
from mcp_gateway.authorization.parameters import Parameters
from mcp_gateway.authorization.redirect_uris import is_loopback, is_registered, is_web, shown_host, with_response
from mcp_gateway.authorization.requests import KNOWN, AuthorizationRequest, parse_authorization_request
from mcp_gateway.control.live import Live
from mcp_gateway.login.attempts import RateLimit
from mcp_gateway.login.sessions import BrowserSession
from mcp_gateway.login.visitors import Visitors
from mcp_gateway.portal.pages import Pages
from mcp_gateway.state.database import Database


@dataclass
class AuthorizationHandler:
    """`GET /oauth/authorize`."""

    live: Live
    database: Database
    documents: ClientDocuments
    visitors: Visitors
    consent: ConsentHandler
    pages: Pages
    audit: AuditLog
    clock: Callable[[], float]
    fetches: RateLimit = field(default_factory=lambda: RateLimit(burst=30, per_second=0.2))

    async def handle(self, request: Request) -> Response:
        """Answer with the sign-in page, the consent page, a redirect to the client, or an error page."""
        try:
            parameters = Parameters.parse(request.scope["query_string"])
            parameters.refuse_repeated(KNOWN)
            client_id, redirect_uri = parameters.required("client_id"), parameters.required("redirect_uri")
        except OAuthError as error:
            return self._error_page(f"{error.code}: {error.description}.")
        session = await self.visitors.session(request)
        try:
            client = await self._client(client_id, session)
        except UnusableClient as error:
            return self._error_page(str(error))
        if client is None:
            return self._sign_in(request)
        # Nothing is sent to a URI that isn't the client's (OAuth 2.1 section 4.1.2.1, RFC 9700 section 4.11).
        native = self.live.current.registration.native_redirect_uris
        if not is_registered(redirect_uri, client.redirect_uris, native):
            return self._error_page("invalid_request: redirect_uri is not one that the application has registered.")
        try:
            wanted = parse_authorization_request(parameters)
        except OAuthError as error:
            return await self._refuse(client, redirect_uri, parameters, session, error)
        if session is None:
            return self._sign_in(request)
        # Asked only now, and alike for a resource that doesn't exist and one that is not this user's.
        server = self.live.current.usable_server(wanted.resource, session.account.login)
        if server is None:
            unusable = OAuthError("invalid_target", "There is no such resource that this user may use")
            return await self._refuse(client, redirect_uri, parameters, session, unusable)
        if await self._may_skip_consent(client, redirect_uri, wanted, session):
            return await self.consent.grant(
                request,
                session,
                client_id=client.id,
                client_name=client.name,
                redirect_uri=redirect_uri,
                state=parameters.get("state"),
                challenge=wanted.challenge,
                resource=wanted.resource,
                scope=wanted.scope,
                refresh=client.refresh,
            )
        return self.consent.page(session, client, server, redirect_uri, parameters.get("state"), wanted)

    async def _client(self, client_id: str, session: BrowserSession | None) -> Client | None:
        """The client, or None when its document has to wait until someone has signed in.

        A stranger can't make this server send requests: documents are fetched for signed-in users only.
        """
        registration = self.live.current.registration
        if not is_metadata_url(client_id):
            client = await run_in_threadpool(self._registered, client_id)
            if client is None:
                raise UnusableClient("invalid_client: this application is not known here. Let it register again.")
            return client
        if not registration.metadata_documents:
            raise UnusableClient("invalid_client: client metadata documents are not accepted here.")
        check_client_url(client_id, registration.metadata_domains)
        if session is None:
            return None
        if self.fetches.take(session.account.subject, self.clock()) > 0:
            raise UnusableClient("Too many applications in a short time: wait a minute.")
        return await self.documents.find(client_id, registration.metadata_domains, registration.native_redirect_uris)

    def _registered(self, client_id: str) -> Client | None:
        with self.database.begin() as db:
            return find_registered(db, client_id)

    async def _may_skip_consent(
        self, client: Client, redirect_uri: str, wanted: AuthorizationRequest, session: BrowserSession
    ) -> bool:
        # Any program on the user's machine can listen on loopback or take an app's scheme, and claim to be this client
        # (RFC 8252 section 8.6).
        if not is_web(redirect_uri):
            return False

        def consented() -> bool:
            with self.database.begin() as db:
                return has_consented(db, session.account.subject, client, wanted.resource, wanted.scope)

        return await run_in_threadpool(consented)

    async def _refuse(
        self,
        client: Client,
        redirect_uri: str,
        parameters: Parameters,
        session: BrowserSession | None,
        error: OAuthError,
    ) -> Response:
        """Tell the client, by itself only where that can't be an open redirector (RFC 9700 section 4.11.2).

        Anyone can register a client, so its https URI is trusted once the user has allowed the client something.
        Loopback stays on the user's machine.
        """
        response = {"error": error.code, "error_description": error.description, "iss": self.live.current.public_url}
        if state := parameters.get("state"):
            response["state"] = state
        target = with_response(redirect_uri, response)
        if is_loopback(redirect_uri) or (session and await run_in_threadpool(self._knows, session, client)):
            return RedirectResponse(target, 303, {"Cache-Control": "no-store"})
        return self.pages.error(
            400,
            "The application's request can't be granted",
            f"{client.name} asked for something that is not possible here. {error.code}: {error.description}.",
            onward=target,
            onward_host=shown_host(redirect_uri),
        )

    def _knows(self, session: BrowserSession, client: Client) -> bool:
        with self.database.begin() as db:
            return knows_client(db, session.account.subject, client)

    def _sign_in(self, request: Request) -> Response:
        onward = f"{request.url.path}?{request.scope['query_string'].decode('ascii', 'replace')}"
        return RedirectResponse(f"/sign-in?onward={quote(onward, safe='')}", 303, {"Cache-Control": "no-store"})

    def _error_page(self, message: str) -> Response:
        return self.pages.error(400, "The application's request is not valid", message)
