"""A proxy of the tests' own that adds an access token, because the conformance suite has no option for one.

It changes the Authorization header, and Host and Origin where they name the proxy itself; all else passes as it comes,
so that what the suite gets wrong on purpose reaches the gateway.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

_HEAD_BYTES = 65_536


class AuthorizingProxy:
    """Listens on a port of 127.0.0.1 and passes each request to the gateway on a connection of its own."""

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
            for task in asyncio.all_tasks(loop):
                task.cancel()
            server.close()
            loop.run_until_complete(asyncio.sleep(0.05))
            loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            host, tls = self._gateway.hostname or "", self._gateway.scheme == "https"
            upstream = await asyncio.open_connection(host, self._gateway.port or (443 if tls else 80), ssl=tls or None)
            upstream[1].write(self._rewritten(head))
            await asyncio.gather(_pass(reader, upstream[1]), _pass(upstream[0], writer))
        writer.close()

    def _rewritten(self, head: bytes) -> bytes:
        first, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        own = urlsplit(self.url).netloc
        lines = [first]
        for field in fields:
            name, _, value = field.partition(":")
            match name.lower():
                case "authorization" | "connection":
                    continue
                case "host" if _same(value.strip(), own):
                    lines.append(f"{name}: {self._gateway.netloc}")
                case "origin" if _same(urlsplit(value.strip()).netloc, own):
                    lines.append(f"{name}: {self._gateway.scheme}://{self._gateway.netloc}")
                case _:
                    lines.append(field)
        # One request for each connection: a second one would pass without its token.
        lines += [f"Authorization: Bearer {self._token()}", "Connection: close"]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _same(value: str, own: str) -> bool:
    return value.replace("localhost", "127.0.0.1") == own


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_HEAD_BYTES):
            writer.write(data)
            await writer.drain()
        writer.close()
