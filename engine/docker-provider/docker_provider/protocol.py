"""The engine's gRPC messages, without the rest of the Pulumi SDK.

The generated modules live inside the `pulumi` package, whose `__init__` takes most of a second to import, and every
`pulumi` command waits for that. So the parent packages are entered as empty ones before the generated modules load.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


def _enter_without_init(package: str, folder: Path) -> None:
    if package not in sys.modules:
        module = ModuleType(package)
        module.__path__ = [str(folder)]
        sys.modules[package] = module


def _enter_parents() -> None:
    spec = find_spec("pulumi")
    if spec is None or spec.origin is None:
        raise ImportError("the Pulumi SDK for Python is not installed in this environment; run `make setup`")
    root = Path(spec.origin).parent
    _enter_without_init("pulumi", root)
    _enter_without_init("pulumi.runtime", root / "runtime")
    _enter_without_init("pulumi.runtime.proto", root / "runtime" / "proto")


if "pulumi" not in sys.modules:
    _enter_parents()

from pulumi.runtime.proto import (  # noqa: E402
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
)

__all__ = ["engine_pb2", "engine_pb2_grpc", "plugin_pb2", "provider_pb2", "provider_pb2_grpc"]
