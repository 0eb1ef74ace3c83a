"""Kernels of cores without vectors against `Op.evaluate`: this machine with sanitizers, rv64 and rv32 under qemu."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

import cpu_cases
import cpu_scalar
import numpy as np
import pytest
from cpu_programs import INTEGERS, Programs

from cpu_backend import toolchain
from cpu_backend.scalar import Scheme, chunk, scheme
from ir.types import Array, DType, TensorType

MACHINES = ("x86-asan", "rv64", pytest.param("rv32", marks=pytest.mark.slow))  # slow once: a C library is built
SEED = 20240611
LINUX32 = ("-target", "riscv32-linux-musl", "-mcpu=generic_rv32+m+a", "-O3", "-static")
Check = Callable[[list[cpu_cases.Case]], None]


def soft_core(folder: Path) -> list[str | Path]:
    """The command that runs the driver as rv32im with a Linux around it; skips where a tool is missing."""
    emulator = shutil.which("qemu-riscv32")
    if emulator is None:
        pytest.skip("qemu-riscv32 is missing (Debian and Ubuntu: apt-get install qemu-user)")
    program = folder / "rv32"
    flags = [*toolchain.SOFT_CORE.flags, *toolchain.WARNINGS, f"-I{toolchain.KERNELS}"]
    command = [*toolchain.riscv_compiler(), *LINUX32, *flags, *INTEGERS, "-o", program]
    toolchain.run(command, what="building for rv32")
    return [emulator, program]


@pytest.fixture(scope="module", params=MACHINES)
def check(request: pytest.FixtureRequest, driver_programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Asserts that the kernels on this machine leave what cases expect."""
    folder = tmp_path_factory.mktemp("scalar")
    if request.param != "rv32":
        return lambda cases: driver_programs.check(cases, None if request.param == "x86-asan" else 0, folder)
    command = soft_core(folder)

    def run(cases: list[cpu_cases.Case]) -> None:
        (folder / "cases").write_bytes(cpu_cases.encode(cases))
        toolchain.run([*command, folder / "cases", folder / "results"])
        cpu_cases.check(cases, (folder / "results").read_bytes())

    return run


@pytest.mark.parametrize("types", cpu_scalar.TYPES)
def test_equals_the_reference(types: str, check: Check) -> None:
    cases = [case for word in (32, 64) for case in cpu_scalar.cases(types, word, 15, SEED)]
    check(cases)


@pytest.mark.parametrize("word", [32, 64])
def test_filters_of_every_length(word: int, check: Check) -> None:
    cases = cpu_scalar.filters_of_every_length(word)
    assert all(f"bits, {word} products a word" in case.label for case in cases)
    check(cases)


@pytest.mark.full
@pytest.mark.parametrize("types", cpu_scalar.TYPES)
def test_equals_the_reference_on_many(types: str, check: Check) -> None:
    cases = [case for word in (32, 64) for case in cpu_scalar.cases(types, word, 150, SEED + 1)]
    check(cases)


def test_sample_covers_every_kernel() -> None:
    labels = [
        case.label for types in cpu_scalar.TYPES for w in (32, 64) for case in cpu_scalar.cases(types, w, 15, SEED)
    ]
    parts = ["register block", *(f"bits, {word} products a word" for word in (32, 64))]
    parts += [f"{count} products a multiplication" for count in (2, 4, 8)]
    parts += [f"i{bits} sums of" for bits in (8, 16, 32)]
    for part in parts:
        assert any(part in label for label in labels), part


def fixed(weight: int, shape: tuple[int, int, int, int]) -> Array:
    return np.full(shape, weight, np.int64)


def element(name: str, channels: int = 64) -> TensorType:
    return TensorType.of_dtype((channels, 8, 8), DType.parse(name))


@pytest.mark.parametrize(
    ("weight", "x", "word", "expected"),
    [
        (1, "uint2", 32, Scheme("swar", 32, 8, 40)),  # 42 * 3 = 126; multiples of four
        (-2, "uint2", 32, Scheme("swar", 32, 8, 20)),  # 21 * 6 = 126
        (7, "uint4", 32, Scheme("swar", 32, 16, 312)),  # 312 * 105 = 32760
        (7, "uint4", 64, Scheme("swar", 64, 16, 312)),
        (127, "uint8", 32, Scheme("block", 32)),
        (127, "uint8", 64, Scheme("swar", 64, 32, 576)),
        (-128, "int8", 64, Scheme("swar", 64, 32, 576)),
        (1, "bipolar", 32, Scheme("xnor", 32)),
        (-1, "uint1", 64, Scheme("xnor", 64)),
        (127, "int16", 64, Scheme("block", 64)),
    ],
)
def test_choice(weight: int, x: str, word: int, expected: Scheme) -> None:
    assert scheme(fixed(weight, (8, 64, 3, 3)), element(x), word) == expected


def test_few_bits_are_no_win() -> None:
    """One channel of bits wastes 31 of 32 bits of each word."""
    found = scheme(fixed(1, (8, 1, 3, 3)), element("bipolar", 1), 32)
    assert found is not None and found.kind == "swar"


def test_wide_weights_and_elements_have_no_scheme() -> None:
    assert scheme(fixed(128, (1, 1, 1, 1)), element("uint2", 1), 32) is None
    assert scheme(fixed(1, (1, 1, 1, 1)), element("int24", 1), 32) is None


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("lo", "hi"), [(0, 3), (-2, 1), (-128, 127)])
def test_chunk_is_the_longest_that_always_fits(seed: int, lo: int, hi: int) -> None:
    """Against every window of consecutive products, in the kernels' order, with any of them missing."""
    rng = np.random.default_rng(seed)
    w = rng.integers(-3, 4, (2, 5, 2, 3))
    order = [(ky, kx, i) for ky, kx, i in product(range(2), range(3), range(5))]
    found = chunk(w, lo, hi, 8)

    def fits(n: int) -> bool:
        for o, start in product(range(2), range(32 - n + 1)):
            products = [int(w[o, i, ky, kx]) for ky, kx, i in order[start : start + n]]
            high = sum(max(v * lo, v * hi, 0) for v in products)
            low = sum(min(v * lo, v * hi, 0) for v in products)
            if high > 127 or low < -128:
                return False
        return True

    assert found == 32 or not fits(found + 1)
    assert fits(found)
