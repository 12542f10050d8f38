"""A proxy of the tests' own that adds an access token, because the conformance suite has no option for one.

It changes the Authorization header, and Host and Origin where they name the proxy itself; all else passes as it comes,
so that what the suite gets wrong on purpose reaches the gateway.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

_HEAD_BYTES = 65_536


class AuthorizingProxy:
    """Listens on a port of 127.0.0.1, with a connection to the gateway for each of its clients' connections."""

    def __init__(self, gateway_url: str, token: Callable[[], str]) -> None:
        self._gateway = urlsplit(gateway_url)
        self._token = token
        self.url = ""

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Serve in a thread; the URL to use in place of the gateway's."""
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_HEAD_BYTES))
        port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}{self._gateway.path}"
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield self.url
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            server.close()
            loop.run_until_complete(_end(asyncio.all_tasks(loop)))
            loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, tls = self._gateway.hostname or "", self._gateway.scheme == "https"
        port = self._gateway.port or (443 if tls else 80)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            gateway, to_gateway = await asyncio.open_connection(host, port, ssl=tls or None)
            answers = asyncio.ensure_future(_pass(gateway, writer))
            try:
                while True:
                    await self._request(reader, to_gateway)
            finally:
                # A client that has gone, or has sent its last, ends the gateway's side too.
                to_gateway.close()
                answers.cancel()
        writer.close()

    async def _request(self, reader: asyncio.StreamReader, to_gateway: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:])]
        length = next((int(value) for name, value in fields if name.lower() == "content-length"), 0)
        lines = [head[0], *(f"{name}: {value}" for name, value in self._rewritten(fields)), "", ""]
        to_gateway.write("\r\n".join(lines).encode("latin-1") + await reader.readexactly(length))
        await to_gateway.drain()

    def _rewritten(self, fields: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        own = urlsplit(self.url).netloc
        for name, value in fields:
            match name.lower():
                case "authorization":
                    continue
                case "host" if _same(value, own):
                    yield name, self._gateway.netloc
                case "origin" if _same(urlsplit(value).netloc, own):
                    yield name, f"{self._gateway.scheme}://{self._gateway.netloc}"
                case _:
                    yield name, value
        yield "Authorization", f"Bearer {self._token()}"


async def _end(tasks: set["asyncio.Task[Any]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _same(value: str, own: str) -> bool:
    return value.replace("localhost", "127.0.0.1") == own


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_HEAD_BYTES):
            writer.write(data)
            await writer.drain()
        writer.close()
