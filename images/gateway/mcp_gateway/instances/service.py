"""Users' instances as the control side's other parts use them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from mcp_gateway.instances.refusal import StartRefused, Unavailable
from mcp_gateway.instances.view import InstanceView, Key, Usage

__all__ = ["InstanceView", "Instances", "StartRefused", "Unavailable", "Usage"]


class Instances:
    """Starts, stops and shows instances. A subject is `users.id`."""

    async def start(
        self, server_id: str, subject: str, *, force: bool = False, replace: bool = False, failed: str | None = None
    ) -> str:
        raise NotImplementedError

    async def stop(self, server_id: str, subject: str) -> None:
        raise NotImplementedError

    async def restart(self, server_id: str, subject: str) -> None:
        raise NotImplementedError

    def view(self, server_id: str, subject: str) -> InstanceView:
        raise NotImplementedError

    def all(self) -> list[InstanceView]:
        raise NotImplementedError

    def log(self, server_id: str, subject: str, *, lines: int = 200, follow: bool = False) -> AsyncIterator[str]:
        raise NotImplementedError

    def export(self, server_id: str, subject: str) -> AsyncIterator[bytes]:
        raise NotImplementedError

    async def delete_data(self, server_id: str, subject: str) -> None:
        raise NotImplementedError

    async def usage(self) -> dict[Key, Usage]:
        raise NotImplementedError

    def values_changed(self, server_id: str, subject: str) -> None:
        raise NotImplementedError
