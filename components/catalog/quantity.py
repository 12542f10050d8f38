"""Kubernetes quantities (`50m`, `0.5`, `128Mi`, `1e9`) as exact whole numbers of a unit.

Source: the Kubernetes API reference, "Quantity"; a fraction of the unit is rounded up, as the API server does.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

_QUANTITY = re.compile(
    r"\+?([0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,2})?"
)
_DECIMAL = {"m": Decimal("0.001"), "": Decimal(1)} | {
    suffix: Decimal(1000) ** n for n, suffix in enumerate("kMGTPE", 1)
}
_BINARY = {f"{suffix}i": Decimal(1024) ** n for n, suffix in enumerate("KMGTPE", 1)}
MAX = 2**63 - 1


def cpu_milli(text: str | int | float) -> int:
    """Return thousandths of a core; raises `ValueError`."""
    return _whole(text, Decimal(1000))


def memory_bytes(text: str | int | float) -> int:
    """Return bytes; raises `ValueError`."""
    return _whole(text, Decimal(1))


def _whole(text: str | int | float, units: Decimal) -> int:
    match = _QUANTITY.fullmatch(str(text).strip())
    if match is None:
        raise ValueError("not a quantity of at least 0")
    number, suffix = match[1], match[2] or ""
    scale = (_DECIMAL | _BINARY).get(suffix)
    if scale is None:
        scale = Decimal(10) ** int(suffix[1:])
    whole = (Decimal(number) * scale * units).to_integral_value(ROUND_CEILING)
    if whole > MAX:
        raise ValueError("larger than any machine")
    return int(whole)
