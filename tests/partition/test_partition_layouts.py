"""The fewest conversions, on tensors whose optimum is known by hand, and against every combination."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from host.manifest import Board, Manifest, Region, Tensor
from host.plan import make_plan
from ir.engine import Port
from ir.layouts import Layout, Plain, Words
from ir.types import DType, TensorType
from partition.layouts import Forms, conversions, fewest

BOARD = Board("board", "rv64gc", 0, "host", True, 64, 1 << 20)
THREE_BITS = TensorType.of_dtype((8, 3, 3), DType("uint", 3))
EIGHT, FOUR, TWO = Words(8, 3, 4), Words(4, 3, 2), Words(2, 3, 1)
"""With unused bits, so that no two have the same bytes."""


def test_a_reader_takes_what_the_writer_makes() -> None:
    """It would rather have eight lanes; four need no conversion."""
    assert fewest(Forms(THREE_BITS, FOUR, {"b": (EIGHT, FOUR, TWO)}, False)) == (0, {"b": FOUR})


def test_two_readers_that_cannot_agree_with_the_writer_agree_with_each_other() -> None:
    """Unpacked once and packed once; each one's own favourite would be packed twice."""
    found = fewest(Forms(THREE_BITS, FOUR, {"b": (EIGHT, TWO), "c": (TWO, EIGHT)}, False))
    assert found[0] == 2 and len(set(found[1].values())) == 1


def test_a_packed_reader_is_worth_nothing_where_all_can_read_plain() -> None:
    assert fewest(Forms(THREE_BITS, Plain(), {"b": (EIGHT, Plain()), "c": (FOUR, Plain())}, True)) == (
        0,
        {"b": Plain(), "c": Plain()},
    )


def test_what_the_cpu_reads_is_unpacked_anyway() -> None:
    """The writer's form costs the device nothing and the CPU one conversion."""
    assert fewest(Forms(THREE_BITS, FOUR, {"b": (EIGHT, FOUR)}, True)) == (1, {"b": FOUR})
    assert fewest(Forms(THREE_BITS, FOUR, {"b": (EIGHT,)}, True)) == (2, {"b": EIGHT})


def test_the_same_bytes_are_no_conversion() -> None:
    """Four bits fill words of any width: eight lanes are two words of four."""
    full = TensorType.of_dtype((8, 3, 3), DType("uint", 4))
    assert fewest(Forms(full, Words(4, 4, 2), {"b": (Words(8, 4, 4),)}, False)) == (0, {"b": Words(8, 4, 4)})


ANY = st.sampled_from([Plain(), EIGHT, FOUR, TWO])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ANY, st.lists(st.lists(ANY, min_size=1, max_size=4, unique=True), max_size=3), st.booleans())
def test_nothing_is_cheaper_and_the_runtime_plans_as_many(
    written: Layout, offers: list[list[Layout]], plain: bool
) -> None:
    """The count is that of the steps which host.plan makes; only reads outside of the package make it plain."""
    readers = {f"r{i}": tuple(forms) for i, forms in enumerate(offers)}
    forms = Forms(THREE_BITS, written, readers, plain)
    count, chosen = fewest(forms)
    assert all(form in readers[name] for name, form in chosen.items())
    assert count == min(conversions(forms, each) for each in product(*offers))
    assert count == planned(written, list(chosen.values()), plain)


def planned(written: Layout, read: list[Layout], plain: bool) -> int:
    """The conversions of the tensor ``t`` that the runtime's plan has."""
    writer = Region("w", "device", (Port("x", written),), (Port("t", written),), ("w.c",))
    readers = [
        Region(f"r{i}", "device", (Port("t", form),), (Port(f"y{i}", form),), ("r.c",)) for i, form in enumerate(read)
    ]
    names = ["x", "t", *(f"y{i}" for i in range(len(read)))]
    tensors = tuple(Tensor.of(name, THREE_BITS) for name in names)
    outputs = tuple(names[2:]) + (("t",) if plain else ())
    manifest = Manifest("m", BOARD, tensors, ("x",), outputs, (writer, *readers))
    return sum(step.name.split()[-1] == "t" for step in make_plan(manifest).steps if step.kind in ("pack", "unpack"))
