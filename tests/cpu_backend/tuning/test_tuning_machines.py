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
