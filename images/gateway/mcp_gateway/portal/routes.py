"""The portal's addresses."""

from __future__ import annotations

from starlette.routing import Route

from mcp_gateway.portal import account, my_servers, server_data, server_log, server_page
from mcp_gateway.portal.admin import clients, instances, problems, users
from mcp_gateway.portal.visit import FormHandler, PageHandler, Portal


def portal_routes(portal: Portal) -> list[Route]:
    """Every page and action of the portal."""
    server = "/servers/{server}"

    def admin_page(path: str, handler: PageHandler) -> Route:
        return Route(path, portal.page(handler, admin=True))

    def post(path: str, handler: FormHandler, purpose: str = "portal", *, admin: bool = False) -> Route:
        return Route(path, portal.form(handler, purpose, admin=admin), methods=["POST"])

    def admin_post(path: str, handler: FormHandler) -> Route:
        return post(path, handler, instances.PURPOSE, admin=True)

    return [
        Route("/", portal.page(my_servers.my_servers)),
        Route(server, portal.page(server_page.server_page)),
        post(f"{server}/values", server_page.save_values),
        post(f"{server}/start", server_page.start),
        post(f"{server}/stop", server_page.stop),
        post(f"{server}/restart", server_page.restart),
        Route(f"{server}/log", portal.page(server_log.LogStreams().follow)),
        Route(f"{server}/data.tar", portal.page(server_data.export_data)),
        Route(f"{server}/delete", portal.page(server_data.delete_page)),
        post(f"{server}/delete", server_data.delete_data),
        Route("/account", portal.page(account.account_page)),
        post("/account/applications/forget", account.forget_application, account.PURPOSE),
        post("/account/sessions/end", account.end_one_session, account.PURPOSE),
        post("/account/sessions/end-others", account.end_sessions_elsewhere, account.PURPOSE),
        admin_page("/admin", instances.instances_page),
        admin_page("/admin/users", users.users_page),
        admin_page("/admin/clients", clients.clients_page),
        admin_page("/admin/problems", problems.problems_page),
        admin_post("/admin/instances/stop", instances.stop_instance),
        admin_post("/admin/users/end-sessions", users.end_user_sessions),
        admin_post("/admin/users/revoke", users.revoke_user_grants),
        admin_post("/admin/users/delete-data", users.delete_leftover),
        admin_post("/admin/clients/remove", clients.remove_client),
    ]
