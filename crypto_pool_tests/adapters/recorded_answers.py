"""Bodies of Alpha Vantage that were recorded."""

from pathlib import Path

import pytest

BODIES = Path(__file__).parents[3] / "shared" / "alphavantage"


def body(name: str) -> bytes:
    path = BODIES / f"{name}.json"
    if not path.exists():
        pytest.skip("the recorded bodies are not here")
    return path.read_bytes()
