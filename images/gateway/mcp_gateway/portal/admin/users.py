"""The users and what each has here, ending it, and the data that people who left have left behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mcp_gateway.authorization.grants import Grant, forget_everything, grants_in_use
from mcp_gateway.authorization.parameters import Parameters
from mcp_gateway.instances.service import InstanceView, StartRefused, Unavailable
from mcp_gateway.login.sessions import count_sessions, end_other_sessions
from mcp_gateway.portal.account import applications
from mcp_gateway.portal.admin.instances import PURPOSE
from mcp_gateway.portal.admin.people import People, people, server_name
from mcp_gateway.portal.visit import Visit

_PATH: Final = "/admin/users"


async def users_page(visit: Visit) -> Response:
    """`GET /admin/users`."""
    known, views = await people(visit), visit.portal.instances.all()

    def load() -> tuple[dict[str, int], list[Grant]]:
        with visit.portal.database.begin() as db:
            return count_sessions(db, visit.now), grants_in_use(db, visit.now)

    sessions, grants = await run_in_threadpool(load)
    rows = [
        {
            "user": user,
            "subject": subject,
            "sessions": sessions.get(subject, 0),
            "applications": [
                each.name
                for each in applications([grant for grant in grants if grant.subject == subject], visit.document)
            ],
            "instances": [
                server_name(visit.document, view.server)
                for view in views
                if view.subject == subject and view.state != "stopped"
            ],
        }
        for subject, user in sorted(known.by_subject.items(), key=lambda each: each[1].login.casefold())
    ]
    leftovers = [
        {"view": view, "server": server_name(visit.document, view.server), "person": known.name(view.subject)}
        for view in left_behind(views, known)
    ]
    return visit.render(
        "admin-users", rows=rows, leftovers=leftovers, this_subject=visit.subject, form_token=visit.token(PURPOSE)
    )


def left_behind(views: Sequence[InstanceView], known: People) -> list[InstanceView]:
    """The data of subjects that are no users any more."""
    return [view for view in views if view.has_data and view.subject not in known.by_subject]


async def end_user_sessions(visit: Visit, form: Parameters) -> Response:
    """`POST /admin/users/end-sessions`: the user has to sign in again; an administrator's own current one stays."""
    subject, name = await _named(visit, form)

    def end() -> None:
        with visit.portal.database.begin() as db:
            end_other_sessions(db, subject, visit.session.id)

    await run_in_threadpool(end)
    visit.record("sessions-ended", by="admin", of=subject)
    return visit.back(_PATH, f"{name} has been signed out.")


async def revoke_user_grants(visit: Visit, form: Parameters) -> Response:
    """`POST /admin/users/revoke`: every application of the user is disconnected at once."""
    subject, name = await _named(visit, form)

    def revoke() -> None:
        with visit.portal.database.begin() as db:
            forget_everything(db, subject, visit.now)

    await run_in_threadpool(revoke)
    await visit.portal.feed.refresh()
    visit.record("grant-revoked", by="admin", of=subject)
    return visit.back(_PATH, f"{name}'s applications have been disconnected.")


async def delete_leftover(visit: Visit, form: Parameters) -> Response:
    """`POST /admin/users/delete-data`: data of someone who is no user any more, and of nobody else."""
    place, known = (form.get("server"), form.get("subject")), await people(visit)
    if place not in {(view.server, view.subject) for view in left_behind(visit.portal.instances.all(), known)}:
        raise HTTPException(404)
    try:
        await visit.portal.instances.delete_data(*place)
    except (StartRefused, Unavailable) as error:
        return visit.back(_PATH, error.message, "problem")
    visit.record("data-deleted", by="admin", server=place[0], of=place[1])
    return visit.back(_PATH, "The data has been deleted.")


async def _named(visit: Visit, form: Parameters) -> tuple[str, str]:
    subject, known = form.get("subject"), await people(visit)
    if subject not in known.by_subject:
        raise HTTPException(404)
    return subject, known.name(subject)
