"""Where things lie: the checkout and, after the XDG base directory specification, cache, state and settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NAME = "mcp-hosting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Paths that the engine uses; nothing here exists until something has been put there."""

    root: Path
    cache: Path
    data: Path
    config: Path

    @property
    def venv(self) -> Path:
        """The project's virtual environment."""
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        """The virtual environment's interpreter."""
        return self.venv / "bin" / "python"

    @property
    def lock_file(self) -> Path:
        """The locked Python requirements of the whole project."""
        return self.root / "requirements" / "dev.txt"

    @property
    def logs(self) -> Path:
        """The output of long commands, one file each."""
        return self.cache / "logs"

    @property
    def state(self) -> Path:
        """Pulumi's file backend, used unless the user has chosen another."""
        return self.data / "state"

    @property
    def passphrase(self) -> Path:
        """The file with the passphrase that the stacks' secrets are encrypted under."""
        return self.config / "passphrase"


def layout(root: Path, environ: Mapping[str, str]) -> Layout:
    """Return the paths for a checkout at `root`. A relative XDG path is ignored, as the specification asks."""
    home = Path(environ.get("HOME") or Path.home())

    def base(variable: str, default: str) -> Path:
        chosen = environ.get(variable, "")
        return (Path(chosen) if Path(chosen).is_absolute() else home / default) / NAME

    return Layout(
        root=root,
        cache=base("XDG_CACHE_HOME", ".cache"),
        data=base("XDG_DATA_HOME", ".local/share"),
        config=base("XDG_CONFIG_HOME", ".config"),
    )
