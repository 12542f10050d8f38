"""Single-user servers: the templates from which the launcher starts users' instances (docs/contracts.md, section 8).

Nothing of such a server runs until a user calls it; the templates and the images are all that `pulumi up` makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from components.names import resource
from components.plan.model import Hosted, HostingPlan, Instance, PulledImage, Server, StartImage
from components.plan.text import ImageId, Json, SecretRef, Text, UserValue
from components.render.docker.images import Images
from components.render.docker.server import READY_SCRIPT, RUNTIMES, cpu_shares, surroundings
from components.render.docker.spec import Part
from components.render.placeholders import placeholder

VERSION = 1


def single_user_part(server: Server, run: Hosted, images: Images) -> Part:
    """Return the part of one single-user server: its image alone, since nothing runs before a user calls it."""
    image = images.server(run.image)
    pulled = (image,) if isinstance(run.image, PulledImage) else ()
    return Part(id=server.id, kind="SingleUserServer", pulled=pulled)


def templates_document(plan: HostingPlan, images: Images) -> dict[str, Json]:
    """Return the templates document. It holds no secret and no user's value, only placeholders for both."""
    bounds = plan.instances
    return {
        "version": VERSION,
        "stack": plan.stack,
        "range": bounds.range,
        "uids": {"first": bounds.first_uid, "count": bounds.uids},
        "limits": {
            "total": bounds.total,
            "perUser": bounds.per_user,
            "startsAtOnce": bounds.starts_at_once,
        },
        "ready": {"image": Text(ImageId(reference=images.python)), "script": images.script(READY_SCRIPT)},
        "servers": [
            _template(plan, server, run, run.where, images)
            for server in plan.servers
            if (run := server.hosted) is not None and isinstance(run.where, Instance)
        ],
    }


def _template(plan: HostingPlan, server: Server, run: Hosted, instance: Instance, images: Images) -> Json:
    bridge = run.bridge
    return {
        "id": server.id,
        "name": resource(plan.stack, server.id),
        "image": Text(ImageId(reference=images.server(run.image), pulled=isinstance(run.image, PulledImage))),
        "bridge": None
        if bridge is None
        else {
            "session": bridge.session,
            "sessionIdleSeconds": bridge.session_idle_seconds,
            "maxSessions": bridge.max_sessions,
        },
        "command": [_pieces(word) for word in run.command],
        "args": [_pieces(word) for word in run.args],
        "env": _env(run),
        "files": {file.path.rpartition("/")[2]: _pieces(file.content) for file in run.files},
        "port": run.port,
        "path": run.path,
        "healthPath": run.health_path,
        "startSeconds": run.startup_seconds,
        "requestBytes": plan.gateway.limits.request_bytes,
        "amounts": {
            "memoryMib": run.amounts.memory_mib,
            "reservedMemoryMib": run.amounts.reserved_memory_mib,
            "cpus": run.amounts.cpus,
            "cpuShares": cpu_shares(run.amounts),
            "processes": run.amounts.processes,
        },
        "installs": isinstance(run.image, StartImage),
        "runtime": RUNTIMES[run.isolation],
        "internet": run.egress == "unrestricted",
        "user": None if instance.user is None else {"uid": instance.user.uid, "gid": instance.user.gid},
        "volume": None if instance.volume is None else {"path": instance.volume},
    }


def _env(run: Hosted) -> Json:
    """All variables; under a runner also those that it would hand on from its image's environment otherwise."""
    around: Mapping[str, str] = {} if run.bridge is None else surroundings(run)
    texts: dict[str, str | Text] = {**around, **run.env, **run.secret_env, **run.user_env}
    return {name: _pieces(text) for name, text in sorted(texts.items())}


def _pieces(text: str | Text) -> Json:
    """Spell a text as a list of texts and placeholders."""
    return [_piece(piece) for piece in (Text(text) if isinstance(text, str) else text).pieces]


def _piece(piece: str | SecretRef | UserValue | ImageId) -> Json:
    if isinstance(piece, str):
        return piece
    if isinstance(piece, ImageId):
        raise TypeError("an image's id is no value of a server's")
    return {"value": placeholder(piece)}
