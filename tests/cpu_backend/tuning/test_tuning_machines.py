"""The form of a layer where machines differ: by what the machine's own model says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tuning_layers import CPU, graph

from cpu_backend.forms import cheapest
from cpu_backend.layers import Form, layers_of
from cpu_backend.tuning.choice import choose
from cpu_backend.tuning.database import Database
from cpu_backend.tuning.tuner import of_layers
from cpu_backend.variants import COLUMNS, WINOGRAD
from ir.graph import Graph, Node
from ir.ops import Conv2d
from ir.types import DType, TensorType


@pytest.mark.parametrize(("machine", "form"), [("generic", "columns"), ("spacemit-x60", "winograd"), (None, "columns")])
def test_a_machine_whose_loads_are_dear_multiplies(machine: str | None, form: Form) -> None:
    """A layer like UltraNet's second, a fifth of the weights zero. Where weights repeat every addition has a load of
    its own, a beat each on the machine generic, two on the X60; there the meter counts 5,977,382 cycles of UltraNet's
    by columns and 3,135,488 by minimal filtering (4,976,089 and 5,035,271 on generic)."""
    cpu = replace(CPU, machine=machine)
    network = graph(channels=16, filters=32, size=80, pool=True)
    weights = network.constants["w"] * (np.random.default_rng(2).random((32, 16, 3, 3)) > 0.2)
    (layer,) = layers_of(replace(network, constants={**network.constants, "w": weights}).verify())
    assert cheapest(layer, cpu).form == "columns"
    assert choose(layer, cpu, Database(())).layer.form == form
    ((_, _, default),) = of_layers([layer], cpu)
    assert default == {"columns": COLUMNS, "winograd": WINOGRAD}[form]


@pytest.mark.parametrize("machine", ["generic", "spacemit-x60"])
def test_minimal_filtering_of_few_pixels_reads_too_many_weights(machine: str) -> None:
    """256 filters of 128 channels over 3x3 results, W4A4 (as in CNV): the meter counts 517,925 and 404,178 cycles by
    every product, misses included, 902,412 and 1,337,256 by minimal filtering, whose weights are 16/9 as large;
    without misses it is the faster one on both."""
    rng = np.random.default_rng(3)
    constants = {"w": rng.integers(-7, 8, (256, 128, 3, 3))}
    x = TensorType.of_dtype((128, 5, 5), DType("uint", 4))
    network = Graph("few", {"x": x}, (Node("y", Conv2d(), ("x", "w")),), ("y",), constants).verify()
    (layer,) = layers_of(network)
    cpu = replace(CPU, machine=machine)
    assert cheapest(layer, cpu).form == "winograd"
    assert choose(layer, cpu, Database(())).layer.form == "usual"
