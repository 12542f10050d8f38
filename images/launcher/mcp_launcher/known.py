"""What the engine's own labels and names have shown: ids never change theirs, so what was seen once stays true."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcp_launcher.owned import INSTANCE, Key, Owned
from mcp_launcher.templates import Templates


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the allow-list judges by: the stack's own things, those of instances, and the templates in force.

    `containers`, `edges` and `server_networks` are all of the stack; `owned`, `networks` (by id) and `volumes` (by
    name) are the instances' own.
    """

    edges: frozenset[str] = frozenset()
    server_networks: frozenset[str] = frozenset()
    containers: frozenset[str] = frozenset()
    owned: Mapping[str, Owned] = field(default_factory=dict)
    networks: Mapping[str, Owned] = field(default_factory=dict)
    volumes: Mapping[str, Owned] = field(default_factory=dict)
    templates: Templates | None = None

    def network_of(self, key: Key, name: str) -> Owned | None:
        """The instance's network."""
        return next((each for each in self.networks.values() if each.key == key and each.name == name), None)

    def has(self, key: Key, name: str) -> bool:
        """Whether there is a container of the key of that name."""
        return any(each.key == key and each.name == name for each in self.owned.values())

    def instance(self, identity: str) -> Owned | None:
        """An instance's own container."""
        found = self.owned.get(identity)
        return found if found and found.role == INSTANCE else None
