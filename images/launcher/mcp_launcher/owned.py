"""What belongs to instances: names, labels, and how they are told from the rest (docs/contracts.md, section 7)."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp_launcher.state import NAME_PREFIX, ROLE_LABEL, STACK_LABEL

PART_LABEL = "mcp-hosting.part"
SUBJECT_LABEL = "mcp-hosting.subject"
TEMPLATE_LABEL = "mcp-hosting.template"
REVISION_LABEL = "mcp-hosting.revision"
UID_LABEL = "mcp-hosting.uid"

INSTANCE, DELIVERY, READY, DATA = "instance", "delivery", "ready", "data"
SERVER_ID = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SUBJECT = re.compile(r"[A-Za-z0-9_-]{1,128}")
REVISION = re.compile(r"[0-9a-f]{0,64}")
_SUFFIXES = {INSTANCE: "", DELIVERY: "-(?:delivery|keeper|export-[0-9a-f]{8})", READY: "-ready", DATA: "-data"}
_DIGEST_LENGTH = 12


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Whose instance of what: one instance for each."""

    server: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A container, network or volume of an instance. `id` is the engine's (a volume's is its name)."""

    id: str
    name: str
    key: Key
    role: str
    labels: Mapping[str, str]

    @property
    def uid(self) -> int | None:
        """The uid that its files or processes have."""
        text = self.labels.get(UID_LABEL, "")
        return int(text) if re.fullmatch(r"[1-9][0-9]{0,9}", text) else None


def instance_name(server_name: str, subject: str) -> str:
    """Return the name of a user's instance; `server_name` is the template's."""
    return f"{server_name}-u-{hashlib.sha256(subject.encode()).hexdigest()[:_DIGEST_LENGTH]}"


def labels(stack: str, key: Key, role: str, **more: str) -> dict[str, str]:
    """Return the labels of one thing of an instance; `more` are `uid`, `template`, `revision`."""
    extra = {"uid": UID_LABEL, "template": TEMPLATE_LABEL, "revision": REVISION_LABEL}
    base = {STACK_LABEL: stack, PART_LABEL: key.server, ROLE_LABEL: role, SUBJECT_LABEL: key.subject}
    return base | {extra[name]: value for name, value in more.items()}


def owned(identity: str, name: str, found: Mapping[str, str] | None, stack: str) -> Owned | None:
    """Return what a thing is to an instance of the stack, or None when it is none's.

    Labels alone don't count, because a container has its image's too: its name must be what only the launcher gives.
    """
    marks = found or {}
    server, subject, role = (marks.get(label, "") for label in (PART_LABEL, SUBJECT_LABEL, ROLE_LABEL))
    if marks.get(STACK_LABEL) != stack or not SERVER_ID.fullmatch(server) or not SUBJECT.fullmatch(subject):
        return None
    tail = f"{re.escape(instance_name('', subject))}{_SUFFIXES.get(role, '(?!)')}"
    if not re.fullmatch(rf"{NAME_PREFIX}[a-z0-9-]+{tail}", name):
        return None
    return Owned(id=identity, name=name, key=Key(server, subject), role=role, labels=dict(marks))


def owned_container(raw: Mapping[str, Any], stack: str) -> Owned | None:
    """One element of `GET /containers/json`."""
    names = [name.lstrip("/") for name in raw.get("Names") or []]
    return owned(raw["Id"], names[0], raw.get("Labels"), stack) if names else None


def owned_network(raw: Mapping[str, Any], stack: str) -> Owned | None:
    """One element of `GET /networks`."""
    found = owned(raw["Id"], raw["Name"], raw.get("Labels"), stack)
    return found if found and found.role == INSTANCE else None


def owned_volume(raw: Mapping[str, Any], stack: str) -> Owned | None:
    """One element of `GET /volumes`."""
    found = owned(raw["Name"], raw["Name"], raw.get("Labels"), stack)
    return found if found and found.role == DATA else None
