"""The instance templates that `pulumi up` delivers (docs/contracts.md, section 8): read with every problem at once."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from typing import Any, Literal, cast

from mcp_launcher import strict_json
from mcp_launcher.fields import Fields, Problems

VERSION = 1
LARGEST_DOCUMENT = 8 * 1024 * 1024
SMALLEST_UID, LARGEST_UID = 1, 2_147_483_646
_MANY = 1000
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME = re.compile(r"mcp-[a-z0-9]([-a-z0-9]{0,57}[a-z0-9])?")
_STACK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_IMAGE = re.compile(r"(?:[a-z0-9][a-z0-9./:_-]{0,255}@)?sha256:[0-9a-f]{64}")
_VARIABLE = re.compile(r"[^=\x00-\x1f\x7f]{1,256}")
_FILE_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_PLACEHOLDER = re.compile(r"(?:user|secret):[^\x00-\x1f\x7f]{1,200}")
_TEXT = re.compile(r"[^\x00]*", re.DOTALL)
_URL_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]{0,500}")
_OPTIONAL_PATH = re.compile(rf"(?:{_URL_PATH.pattern})?")
_VOLUME_PATH = re.compile(r"(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){1,10}")
_OURS = ("/etc/mcp", "/run/mcp", "/tmp", "/proc", "/sys", "/dev", "/opt/runner")  # noqa: S108 - paths in a container
"""A volume must not cover what an instance needs."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A hole that a value fills: `user:<key>` or `secret:<name>`."""

    name: str


Piece = str | Placeholder
Pieces = tuple[Piece, ...]
"""One word, variable or file: its pieces stand one after another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """How the runner bridges a stdio program; seconds and sessions."""

    session: Literal["own", "shared"]
    session_idle_seconds: int
    max_sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What an instance may use."""

    memory_mib: int
    reserved_memory_mib: int | None
    cpus: float
    cpu_shares: int | None
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One server's template. `digest` is the SHA-256 of its canonical JSON."""

    id: str
    name: str
    image: str
    bridge: Bridge | None
    command: tuple[Pieces, ...]
    args: tuple[Pieces, ...]
    env: Mapping[str, Pieces]
    files: Mapping[str, Pieces]
    port: int
    path: str
    health_path: str
    start_seconds: int
    request_bytes: int
    amounts: Amounts
    installs: bool
    runtime: str | None
    internet: bool
    user: tuple[int, int] | None
    volume_path: str | None
    digest: str

    @property
    def placeholders(self) -> frozenset[str]:
        """The names of all placeholders."""
        texts = (*self.command, *self.args, *self.env.values(), *self.files.values())
        return frozenset(piece.name for pieces in texts for piece in pieces if isinstance(piece, Placeholder))


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates:
    """The whole document."""

    stack: str
    range: IPv4Network
    first_uid: int
    uid_count: int
    total: int
    per_user: int
    starts_at_once: int
    ready_image: str
    ready_script: str
    servers: Mapping[str, Template]


class InvalidTemplates(Exception):
    """The document can't be taken; one problem a line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def parse(content: bytes, stack: str | None = None) -> Templates:
    """Read the document; with `stack` it must be that stack's.

    Raises:
        InvalidTemplates: with every problem.
    """
    if len(content) > LARGEST_DOCUMENT:
        raise InvalidTemplates([f"the document is longer than {LARGEST_DOCUMENT} bytes"])
    try:
        raw = strict_json.read(content)
    except strict_json.InvalidJson as error:
        raise InvalidTemplates([f"the document {error}"]) from None
    problems = Problems()
    fields = Fields(raw, "", problems)
    if fields.take("version") != VERSION:
        problems.add("version", f"want {VERSION}")
    found = _document(fields, problems)
    fields.end()
    if stack is not None and found.stack != stack:
        problems.add("stack", "is another stack's")
    if problems.lines:
        raise InvalidTemplates(problems.lines)
    return found


def _document(fields: Fields, problems: Problems) -> Templates:
    stack = fields.text("stack", _STACK, "the stack's name")
    network = _network(fields, problems)
    first_uid, uid_count = fields.inner(
        "uids", lambda uids: (uids.number("first", 1000, 60_000), uids.number("count", 1, 60_000))
    )
    total, per_user, starts = fields.inner(
        "limits",
        lambda limits: (
            limits.number("total", 1, 10_000),
            limits.number("perUser", 1, 10_000),
            limits.number("startsAtOnce", 1, 64),
        ),
    )
    image, script = fields.inner(
        "ready",
        lambda ready: (
            ready.text("image", _IMAGE, "an image by its digest, sha256:…"),
            ready.text("script", _TEXT, "the script's text"),
        ),
    )
    servers = fields.each("servers", _MANY, lambda value, path: _server(value, path, problems))
    _check_unique(servers, problems)
    return Templates(
        stack=stack,
        range=network,
        first_uid=first_uid,
        uid_count=uid_count,
        total=total,
        per_user=per_user,
        starts_at_once=starts,
        ready_image=image,
        ready_script=script,
        servers={server.id: server for server in servers},
    )


def _network(fields: Fields, problems: Problems) -> IPv4Network:
    value = fields.take("range")
    try:
        network = IPv4Network(value) if isinstance(value, str) else None
    except (AddressValueError, NetmaskValueError, ValueError):
        network = None
    if network is None or network.prefixlen > 29 or not network.is_private:
        problems.add(fields.path("range"), "want a private IPv4 range such as 10.201.128.0/17, a /29 or larger")
        return IPv4Network("10.0.0.0/29")
    return network


def _check_unique(servers: tuple[Template, ...], problems: Problems) -> None:
    for field, values in (("id", [each.id for each in servers]), ("name", [each.name for each in servers])):
        for index, value in enumerate(values):
            if value and value in values[:index]:
                problems.add(f"servers[{index}].{field}", f"is another server's too: {value}")


def _server(value: Any, path: str, problems: Problems) -> Template:
    fields = Fields(value, path, problems)

    def word(value: Any, path: str) -> Pieces:
        return _pieces(value, path, problems)

    template = Template(
        id=fields.text("id", _LABEL, "a DNS label"),
        name=fields.text("name", _NAME, "a name mcp-…, a DNS label"),
        image=fields.text("image", _IMAGE, "an image by its digest, sha256:…"),
        bridge=fields.optional("bridge", _bridge),
        command=fields.each("command", _MANY, word),
        args=fields.each("args", _MANY, word),
        env=fields.mapping("env", _MANY, _VARIABLE, "a variable's name", word),
        files=fields.mapping("files", _MANY, _FILE_KEY, "a file's name", word),
        port=fields.number("port", 1, 65_535),
        path=fields.text("path", _URL_PATH, "a path that begins with /"),
        health_path=fields.text("healthPath", _OPTIONAL_PATH, "a path that begins with /, or nothing"),
        start_seconds=fields.number("startSeconds", 1, 3600),
        request_bytes=fields.number("requestBytes", 1, 1024**3),
        amounts=fields.inner("amounts", _amounts),
        installs=fields.flag("installs"),
        runtime=_runtime(fields, problems),
        internet=fields.flag("internet"),
        user=fields.optional(
            "user",
            lambda user: (user.number("uid", SMALLEST_UID, LARGEST_UID), user.number("gid", SMALLEST_UID, LARGEST_UID)),
        ),
        volume_path=fields.optional("volume", lambda volume: _volume_path(volume, problems)),
        digest=digest(value),
    )
    fields.end()
    if template.bridge is not None and template.args:
        problems.add(f"{path}.args", "want none beside a bridge: they belong to its command")
    if template.bridge is not None and not template.command:
        problems.add(f"{path}.command", "want a command for the bridge")
    return template


def digest(server: Any) -> str:
    """Return the SHA-256 of a template as canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(server, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _bridge(fields: Fields) -> Bridge:
    session = fields.text("session", re.compile("own|shared"), '"own" or "shared"', "own")
    return Bridge(
        session=cast(Literal["own", "shared"], session),
        session_idle_seconds=fields.number("sessionIdleSeconds", 1, 31_536_000),
        max_sessions=fields.number("maxSessions", 1, 1_000_000),
    )


def _amounts(fields: Fields) -> Amounts:
    return Amounts(
        memory_mib=fields.number("memoryMib", 6, 1024**2),
        reserved_memory_mib=fields.optional_number("reservedMemoryMib", 1, 1024**2),
        cpus=fields.amount("cpus", 0.01, 1024),
        cpu_shares=fields.optional_number("cpuShares", 2, 262_144),
        processes=fields.number("processes", 1, 4_194_304),
    )


def _runtime(fields: Fields, problems: Problems) -> str | None:
    value = fields.take("runtime")
    if value not in (None, "runsc"):
        problems.add(fields.path("runtime"), 'want null or "runsc"')
        return None
    return cast("str | None", value)


def _volume_path(fields: Fields, problems: Problems) -> str:
    found = fields.text("path", _VOLUME_PATH, "a folder's path such as /data")
    if any(found == each or found.startswith(f"{each}/") or each.startswith(f"{found}/") for each in _OURS):
        problems.add(fields.path("path"), "covers a folder that an instance needs; choose e.g. /data")
    return found


def _pieces(value: Any, path: str, problems: Problems) -> Pieces:
    if not isinstance(value, list) or len(value) > _MANY:
        problems.add(path, f"want a list of at most {_MANY} pieces")
        return ()
    return tuple(_piece(piece, f"{path}[{index}]", problems) for index, piece in enumerate(value))


def _piece(value: Any, path: str, problems: Problems) -> Piece:
    match value:
        case str() if _TEXT.fullmatch(value):
            return value
        case {"value": str(name), **rest} if not rest and _PLACEHOLDER.fullmatch(name):
            return Placeholder(name)
        case _:
            problems.add(path, 'want a text, or {"value": "user:<key>"} or {"value": "secret:<name>"}')
            return ""
