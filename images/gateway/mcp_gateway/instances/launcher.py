"""The launcher's client: HTTP on its Unix socket (docs/contracts.md, section 8)."""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from mcp_gateway.instances.view import (
    Key,
    Launched,
    Listing,
    UnexpectedAnswer,
    Usage,
    read_instance,
    read_listing,
    read_usage,
)

SHORT_SECONDS: Final = 15.0
STOP_SECONDS: Final = 60.0
POLL_SECONDS: Final = 40.0
"""The launcher answers after 25 s at the latest."""
EXPORT_SILENCE_SECONDS: Final = 60.0
_CONNECT_SECONDS: Final = 5.0
_LONGEST_LINE: Final = 65_536


class LauncherFailure(Exception):
    """The launcher refused or failed: its code, its words, when to try again, an instance's last lines (unmasked)."""

    def __init__(self, code: str, message: str, retry_seconds: float | None, log: Sequence[str]) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_seconds = retry_seconds
        self.log = tuple(log)


class LauncherAway(Exception):
    """The launcher can't be reached, didn't answer in time, or answered nonsense; the text is fit for a log."""


class Launcher:
    """One for the process; connections are made for each request. Times are in seconds.

    Every method raises LauncherFailure and LauncherAway.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()

    async def listing(self, after: str) -> Listing | None:
        """All instances, as soon as they differ from that version; None after 25 s without a change."""
        raw = await self._json("GET", "/instances", query={"after": after} if after else {}, seconds=POLL_SECONDS)
        return None if raw is None else _read(read_listing, raw)

    async def start(
        self, key: Key, values: Mapping[str, str], revision: str, *, replace: bool, force: bool, seconds: float
    ) -> Launched:
        """Start an instance, or find it; returns when it is ready."""
        body = {**_body(key), "values": dict(values), "revision": revision, "replace": replace, "force": force}
        raw = await self._json("POST", "/instances/start", body=body, seconds=seconds)
        found: Launched = _read(lambda answer: read_instance(answer["instance"]), raw)
        if found.key != key or not found.url:
            raise LauncherAway("the launcher answered a start with another instance")
        return found

    async def stop(self, key: Key) -> None:
        """Stop an instance; returns when nothing of it is left but its volume."""
        await self._json("POST", "/instances/stop", body=_body(key), seconds=STOP_SECONDS)

    async def delete_data(self, key: Key) -> None:
        """Stop an instance and remove its volume."""
        await self._json("DELETE", "/instances/data", query=_body(key), seconds=STOP_SECONDS)

    async def usage(self) -> dict[Key, Usage]:
        """What each instance takes now."""
        found: dict[Key, Usage] = _read(read_usage, await self._json("GET", "/instances/usage", seconds=SHORT_SECONDS))
        return found

    async def log(self, key: Key, *, lines: int, follow: bool) -> AsyncIterator[str]:
        """The last lines of an instance, and with `follow` those that come, until it ends."""
        query = {**_body(key), "lines": str(lines), "follow": "1" if follow else "0"}
        # An instance may be silent for hours; the other end goes with its process.
        silence = None if follow else SHORT_SECONDS
        decoder, rest = codecs.getincrementaldecoder("utf-8")("replace"), ""
        async with self._answer("GET", "/instances/log", query=query, silence=silence) as answer:
            async for part in answer.content.iter_any():
                *whole, rest = (rest + decoder.decode(part)).split("\n")
                for line in whole:
                    yield line
                if len(rest) > _LONGEST_LINE:
                    yield rest
                    rest = ""
        if rest:
            yield rest

    async def data(self, key: Key) -> AsyncIterator[bytes]:
        """The volume's content as a tar file."""
        async with self._answer("GET", "/instances/data", query=_body(key), silence=EXPORT_SILENCE_SECONDS) as answer:
            async for part in answer.content.iter_any():
                yield part

    async def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        seconds: float,
    ) -> Any:
        async with self._answer(method, path, query=query, body=body, seconds=seconds) as answer:
            return None if answer.status == 204 else json.loads(await answer.read())

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        seconds: float | None = None,
        silence: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            # The launcher closes each connection after its answer.
            connector = aiohttp.UnixConnector(str(self.path), limit=0, force_close=True)
            self._session = aiohttp.ClientSession(connector=connector)
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS, sock_read=silence)
        url = f"http://launcher{path}"
        try:
            async with self._session.request(method, url, params=query, json=body, timeout=timeout) as answer:
                if answer.status >= 300:
                    raise _failure(await answer.read())
                yield answer
        except TimeoutError:
            raise LauncherAway(f"the launcher did not answer {method} {path} in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise LauncherAway(f"the launcher can't be reached: {error}") from None
        except ValueError:
            raise LauncherAway(f"the launcher answered {method} {path} with what is no JSON") from None


def _body(key: Key) -> dict[str, str]:
    return {"server": key[0], "subject": key[1]}


def _read(read: Any, raw: Any) -> Any:
    try:
        return read(raw)
    except (UnexpectedAnswer, KeyError, TypeError) as error:
        raise LauncherAway(f"unexpected answer: {error}") from None


def _failure(content: bytes) -> Exception:
    try:
        raw = json.loads(content)
        retry = raw.get("retrySeconds")
        return LauncherFailure(
            str(raw["error"]),
            str(raw["message"]),
            float(retry) if isinstance(retry, int | float) else None,
            [str(line) for line in raw.get("log") or ()],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return LauncherAway("the launcher answered with an error that can't be read")
