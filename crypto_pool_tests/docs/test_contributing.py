"""The layers that CONTRIBUTING.md names are those that the linter holds."""

import re
import tomllib

from crypto_pool_tests.conftest import ROOT


def test_the_layers_stand_in_the_order_of_the_contract():
    held = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [name for layer in held[0]["layers"] for name in layer.split(" | ")]
    rule = re.search(
        r"Imports point one way: (.*?)\.\n", (ROOT / "CONTRIBUTING.md").read_text(), re.S
    )
    assert rule is not None
    named = [f"crypto_pool.{name}" for name in re.findall(r"`(\w+)`", rule[1])]
    assert named == layers
