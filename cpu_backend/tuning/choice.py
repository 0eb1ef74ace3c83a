"""What the engine asks: the kernel for a layer by the database, or else by the rules and the cost model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cpu_backend.cost import layer_cycles
from cpu_backend.forms import cheapest, shared
from cpu_backend.layers import Form, Layer
from cpu_backend.meter.machine import load_machine
from cpu_backend.tuning.database import Database, DatabaseError, Entry
from cpu_backend.tuning.model import estimate
from cpu_backend.tuning.signature import Signature, signature_of, without_columns
from cpu_backend.variants import COLUMNS, USUAL, WINOGRAD, Variant, legal
from ir.ops import OperatorError
from ir.target import Cpu

FORMS: Mapping[Variant, Form] = {COLUMNS: "columns", WINOGRAD: "winograd"}
"""Kernels with functions of their own."""
CLEARLY = 0.85
"""Of another form's cycles: the models are that good (test_the_model_orders_variants_well)."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The layer with its kernel, shared by threads where that pays; its estimated ``cycles``, from what the database
    ``measured`` on one core where it has that; a note for the report, empty for layers that leave no choice.
    ``signature`` and ``default`` are what a tuner needs, None likewise."""

    layer: Layer
    cycles: int
    measured: int | None = None
    note: str = ""
    signature: Signature | None = None
    default: Variant = USUAL


def choose(layer: Layer, cpu: Cpu, database: Database, cold: bool = False) -> Choice:
    """``cold``: as in `forms.cheapest`. DatabaseError where an entry names a kernel that cannot compute the layer."""
    usual = cheapest(layer, cpu, cold)
    signature = tunable(usual, cpu)
    if signature is None:
        return _shared(usual, cpu)
    usual = on_machine(usual, signature, cpu, cold)
    default = variant_of(usual)
    entry = database.find(signature, load_machine(cpu.machine), cpu.vlen) if cpu.machine else None
    if entry is None:
        return _shared(usual, cpu, None, "kernel by the model", signature, default)
    best = _best(entry, signature, cpu.vlen)
    found = entry.find(best)
    assert found is not None
    cycles, clock = found.measured.cycles, found.measured.clock
    note = f"tuned: {best}, measured {cycles:,} cycles ({clock})"
    return _shared(applied(layer, best), cpu, cycles, note, signature, default)


def on_machine(layer: Layer, signature: Signature, cpu: Cpu, cold: bool = False) -> Layer:
    """The layer in its form, or in another that the machine's own model finds clearly cheaper: the form was chosen for
    vectors in general, and machines differ in what loads cost."""
    if not cpu.machine:
        return layer
    machine = load_machine(cpu.machine)
    forms = [variant for variant in variants_of(signature, cpu.vlen) if variant in FORMS]
    cycles = {variant: estimate(signature, variant, machine, cpu.vlen, cold) for variant in (USUAL, *forms)}
    best = min(cycles, key=lambda variant: cycles[variant])
    return applied(layer, best) if cycles[best] < CLEARLY * cycles[variant_of(layer)] else layer


def _shared(
    layer: Layer,
    cpu: Cpu,
    measured: int | None = None,
    note: str = "",
    signature: Signature | None = None,
    default: Variant = USUAL,
) -> Choice:
    """The choice, in tiles for the board's threads where the model says so; what was measured shrinks as it says."""
    split = shared(layer, cpu)
    cycles = layer_cycles(split, cpu)
    if measured is not None:
        cycles = round(measured * cycles / layer_cycles(layer, cpu)) if split.threads > 1 else measured
    return Choice(split, cycles, measured, note, signature, default)


def tunable(layer: Layer, cpu: Cpu) -> Signature | None:
    """The signature of a layer that leaves a choice; None without vectors, of floats, for what no kernel takes, and for
    forms that depend on more than signatures say: Zvbb, the caches."""
    if not cpu.vlen or layer.is_fallback or not layer.y.dtype.is_integer or layer.form in ("bits", "streamed"):
        return None
    try:
        signature = signature_of(layer)
    except OperatorError:  # which the code generator will say with the node's name
        return None
    return signature if signature and variants_of(signature, cpu.vlen) else None


def variants_of(signature: Signature, vlen: int) -> tuple[Variant, ...]:
    return legal(signature.conv, vlen, signature.columns is not None, signature.winograd is not None)


def variant_of(layer: Layer) -> Variant:
    """What executes a layer without a choice of a tuner's."""
    return next((variant for variant, form in FORMS.items() if form == layer.form), USUAL)


def applied(layer: Layer, variant: Variant) -> Layer:
    """The layer, executed by this variant."""
    chosen = None if variant in (USUAL, *FORMS) else variant
    return replace(layer, form=FORMS.get(variant, "usual"), choice=chosen)


def alone_cycles(layer: Layer, cpu: Cpu, database: Database) -> int:
    """Estimated cycles of a node by itself: measured ones, or the model's with the gain that was measured for the same
    convolution with what follows it."""
    if not _is_measured(layer, cpu, database):
        return _shared(cheapest(layer, cpu), cpu).cycles
    choice = choose(layer, cpu, database)
    cycles = choice.cycles
    if choice.measured is not None or choice.signature is None or not cpu.machine:
        return cycles
    entry = database.alike(choice.signature, load_machine(cpu.machine), cpu.vlen)
    return round(cycles * entry.best.measured.cycles / entry.usual.measured.cycles) if entry else cycles


def _is_measured(layer: Layer, cpu: Cpu, database: Database) -> bool:
    """Whether there is anything about the layer's convolution; without cutting its weights into columns to know."""
    if not (cpu.machine and cpu.vlen) or layer.is_fallback or not layer.y.dtype.is_integer:
        return False
    try:
        signature = without_columns(layer)
    except OperatorError:
        return False
    return signature is not None and database.alike(signature, load_machine(cpu.machine), cpu.vlen) is not None


def _best(entry: Entry, signature: Signature, vlen: int) -> Variant:
    best = entry.best.variant
    if best != USUAL and best not in variants_of(signature, vlen):
        raise DatabaseError(f"{entry.path}: '{best}' cannot compute this layer")
    return best
