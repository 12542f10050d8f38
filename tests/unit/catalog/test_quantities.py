from __future__ import annotations

import pytest

from components.catalog import quantity


@pytest.mark.parametrize(
    ("text", "milli"), [("500m", 500), ("2", 2000), (1, 1000), (0.5, 500), ("0.0001", 1), ("1e1", 10_000), ("0", 0)]
)
def test_cpu_is_thousandths_of_a_core(text: str | int | float, milli: int) -> None:
    assert quantity.cpu_milli(text) == milli


@pytest.mark.parametrize(
    ("text", "amount"),
    [("128Mi", 128 * 2**20), ("1G", 10**9), ("1Gi", 2**30), (1024, 1024), ("1.5Ki", 1536), ("100m", 1), ("1E", 10**18)],
)
def test_memory_is_bytes(text: str | int | float, amount: int) -> None:
    assert quantity.memory_bytes(text) == amount


@pytest.mark.parametrize("text", ["", "-1", "1 Gi", "1gb", "Mi", "1e99", "1Ei1", "9" * 30, "nan", "inf", "0x10", "١"])
def test_anything_else_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match=r"quantity|machine"):
        quantity.memory_bytes(text)
