"""Board files: the shipped ones, and every kind of mistake with file, key and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from cpu_backend.meter.machine import shipped_machines
from hetero_compile.board import (
    BoardError,
    BoardModel,
    CpuModel,
    FabricModel,
    HostModel,
    MemoryModel,
    RuntimeModel,
    load_board,
    shipped_boards,
)
from ir.target import Cpu, Fabric, Host, Resources, SharedMemory, Target

ROOT = Path(__file__).parents[2]
GOOD = """
name: my-board
objective: latency
fabric: {part: xczu3eg, dsp: dsp48e2, dsp_count: 360, lut_count: 70560, bram18_count: 432, clock_mhz: 250}
cpu: {isa: rv64gcv, vlen: 256, cores: 4, clock_mhz: 1600, role: host}
memory: {dma_pool_mib: 64, bandwidth_gb_s: 4.2, cache_line_bytes: 64, coherent: false}
"""


def changed(edit: str, value: object = None) -> str:
    """The good file with one key (``cpu.isa``) set, or removed where no value is given."""
    data = yaml.safe_load(GOOD)
    *sections, key = edit.split(".")
    place = data
    for section in sections:
        place = place[section]
    if value is None:
        del place[key]
    else:
        place[key] = value
    return yaml.safe_dump(data)


def error(tmp_path: Path, text: str) -> str:
    """The one line; the file it names is cut off."""
    file = tmp_path / "board.yaml"
    file.write_text(text)
    with pytest.raises(BoardError) as raised:
        load_board(str(file))
    message = str(raised.value)
    assert "\n" not in message and message.startswith(f"{file}: ")
    return message.removeprefix(f"{file}: ")


def test_the_shipped_boards_load() -> None:
    assert shipped_boards() == ("bananapi-f3", "kria-kv260", "polarfire-icicle", "ultra96-v2", "zu3eg-rvv")
    boards = {name: load_board(name) for name in shipped_boards()}
    assert all(board.name == name for name, board in boards.items())
    assert [name for name, board in boards.items() if board.hypothetical] == ["zu3eg-rvv"]
    assert [name for name, board in boards.items() if board.fabric is None] == ["bananapi-f3"]
    assert [name for name, board in boards.items() if board.cpu.vlen] == ["bananapi-f3", "zu3eg-rvv"]
    assert [name for name, board in boards.items() if board.cpu.role == "coprocessor"] == ["kria-kv260", "ultra96-v2"]
    assert [name for name, board in boards.items() if board.host] == ["kria-kv260", "ultra96-v2"]
    assert boards["polarfire-icicle"].fabric == Fabric(
        "MPFS250T-FCVG484EES", Resources(203200, 784, 812, ff=254000), "macc18", 150
    )


def test_every_board_has_a_machine_model(tmp_path: Path) -> None:
    machines = {name: load_board(name).cpu.machine for name in shipped_boards()}
    assert machines == {
        "bananapi-f3": "spacemit-x60",
        "kria-kv260": "vexriscv",
        "polarfire-icicle": "u54",
        "ultra96-v2": "vexriscv",
        "zu3eg-rvv": "generic",
    }
    file = tmp_path / "board.yaml"
    file.write_text(changed("cpu", {"isa": "rv32im", "cores": 1, "clock_mhz": 100, "role": "coprocessor"}))
    assert load_board(str(file)).cpu.machine == "vexriscv"  # the isa's usual one


def test_extensions(tmp_path: Path) -> None:
    file = tmp_path / "board.yml"
    file.write_text(changed("cpu.extensions", ["zvbb"]))
    cpu = load_board(str(file)).cpu
    assert (cpu.extensions, cpu.march) == (("zvbb",), "rv64gcv_zvbb")
    scalar = {"isa": "rv64gc", "cores": 1, "clock_mhz": 100, "role": "host", "extensions": ["zvbb"]}
    problem = "key 'cpu': extension zvbb does not go with isa rv64gc (it needs rv64gcv)"
    assert error(tmp_path, changed("cpu", scalar)) == problem


def test_a_file_becomes_facts_in_the_units_of_the_target(tmp_path: Path) -> None:
    file = tmp_path / "board.yml"
    file.write_text(GOOD)
    assert load_board(str(file)) == Target(
        "my-board",
        Cpu("rv64gcv", 256, 4, 1600.0, "host"),
        SharedMemory(64 * 1024 * 1024, 4.2, 64, False, 5.0),
        Fabric("xczu3eg", Resources(lut=56448, dsp=360, bram18=432, ff=141120), "dsp48e2", 250.0),
        "latency",
    )


def test_a_host_beside_a_soft_core(tmp_path: Path) -> None:
    file, soft = tmp_path / "board.yml", {"isa": "rv32im", "cores": 1, "clock_mhz": 100, "role": "coprocessor"}
    file.write_text(changed("cpu", soft))
    assert load_board(str(file)).host_clock_mhz == 100
    file.write_text(file.read_text() + "host: {arch: armv7l, clock_mhz: 650}\n")
    board = load_board(str(file))
    assert (board.host, board.host_clock_mhz) == (Host("armv7l", 650), 650)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (
            "speed",
            3,
            "unknown key 'speed' (allowed: name, description, hypothetical, objective, frames_per_second, fabric, cpu, "
            "memory, runtime, host)",
        ),
        ("runtime", {"driver": "usb"}, "key 'runtime.driver': Input should be 'none', 'uio' or 'pynq', is 'usb'"),
        ("runtime", {"completion": "interrupt"}, "key 'runtime': completion interrupt needs driver uio, not none"),
        ("cpu.clock_ghz", 1.6, "unknown key 'cpu.clock_ghz' (allowed: isa, vlen, cores, clock_mhz, role, machine, "),
        ("memory.dma_pool_kib", 1, "unknown key 'memory.dma_pool_kib' (allowed: dma_pool_mib, bandwidth_gb_s, "),
        ("fabric.dsps", 9, "unknown key 'fabric.dsps' (allowed: part, dsp, dsp_count, lut_count, bram18_count, "),
        ("cpu.clock_mhz", "1600 MHz", "key 'cpu.clock_mhz': Input should be a valid number, is '1600 MHz'"),
        ("cpu.clock_mhz", -5, "key 'cpu.clock_mhz': Input should be greater than 0, is -5"),
        ("cpu.clock_mhz", 1.6e9, "key 'cpu.clock_mhz': Input should be less than or equal to 10000"),
        ("cpu.clock_mhz", float("nan"), "key 'cpu.clock_mhz': Input should be"),
        ("memory.bandwidth_gb_s", float("inf"), "key 'memory.bandwidth_gb_s': Input should be"),
        ("cpu.isa", "rv64imac", "key 'cpu.isa': Input should be 'rv64gc', 'rv64gcv' or 'rv32im', is 'rv64imac'"),
        ("cpu.isa", "rv64gc", "key 'cpu': vlen 256 does not go with isa rv64gc (rv64gcv needs 128 or more, others 0)"),
        ("cpu.vlen", 200, "key 'cpu.vlen': Input should be 0, 128, 256, 512 or 1024, is 200"),
        ("cpu.cores", 0, "key 'cpu.cores': Input should be greater than or equal to 1, is 0"),
        ("cpu.cores", 2.5, "key 'cpu.cores': Input should be a valid integer, is 2.5"),
        ("cpu.cores", True, "key 'cpu.cores': Input should be a valid integer, is True"),
        ("cpu.role", "boss", "key 'cpu.role': Input should be 'host' or 'coprocessor', is 'boss'"),
        (
            "cpu.machine",
            "x60",
            "key 'cpu': machine 'x60' is unknown (allowed: generic, sifive-x280, spacemit-x60, u54, ",
        ),
        ("cpu.extensions", ["zvfh"], "key 'cpu.extensions.0': Input should be 'zvbb', is 'zvfh'"),
        ("cpu.extensions", "zvbb", "key 'cpu.extensions': Input should be a valid list, is 'zvbb'"),
        ("cpu.extensions", ["zvbb", "zvbb"], "key 'cpu': extensions names one twice"),
        ("cpu.machine", "u54", "key 'cpu': machine 'u54' does not run rv64gcv (it runs rv64gc)"),
        ("cpu.machine", "sifive-x280", "key 'cpu': machine 'sifive-x280' does not exist with VLEN 256 (with 512)"),
        ("cpu.machine", "../generic", "key 'cpu': machine '../generic' is unknown (allowed: "),
        (
            "fabric.dsp",
            "dsp48",
            "key 'fabric.dsp': Input should be 'dsp48e1', 'dsp48e2', 'dsp58', 'macc18', 'ecp5', 'gowin18', 'gowin9' or "
            "'gowin5a', is 'dsp48'",
        ),
        ("fabric.dsp_count", -1, "key 'fabric.dsp_count': Input should be greater than or equal to 0, is -1"),
        ("fabric.lut_count", "70k", "key 'fabric.lut_count': Input should be a valid integer, is '70k'"),
        ("memory.cache_line_bytes", 60, "key 'memory.cache_line_bytes': Input should be 16, 32, 64 or 128, is 60"),
        ("memory.coherent", "maybe", "key 'memory.coherent': Input should be a valid boolean, is 'maybe'"),
        ("objective", "power", "key 'objective': Input should be 'throughput', 'latency' or 'area', is 'power'"),
        (
            "host",
            {"arch": "aarch64", "clock_mhz": 1200},
            "key 'top level': host goes with cpu.role coprocessor: with role host the RISC-V cores run hetero-run",
        ),
        ("host", {"arch": "x86_64", "clock_mhz": 1}, "key 'host.arch': Input should be 'aarch64' or 'armv7l', is "),
        ("name", "My Board!", "key 'name': String should match pattern"),
        ("cpu", [1, 2], "key 'cpu': Input should be"),
    ],
)
def test_mistakes(tmp_path: Path, key: str, value: object, expected: str) -> None:
    assert error(tmp_path, changed(key, value)).startswith(expected)


@pytest.mark.parametrize(
    "key", ["name", "cpu", "memory", "cpu.isa", "cpu.cores", "memory.coherent", "fabric.clock_mhz"]
)
def test_missing_keys(tmp_path: Path, key: str) -> None:
    assert error(tmp_path, changed(key)) == f"key '{key}' is missing"


def test_a_mistyped_key_is_named_rather_than_the_one_it_leaves_out(tmp_path: Path) -> None:
    assert error(tmp_path, GOOD.replace("cores: 4", "core: 4")).startswith("unknown key 'cpu.core' (allowed: isa, ")


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words", "7"])
def test_no_mapping(tmp_path: Path, text: str) -> None:
    assert error(tmp_path, text).startswith("holds no keys (a board file has name, description, ")


def test_a_key_that_appears_twice(tmp_path: Path) -> None:
    """YAML would take the last."""
    assert "key 'cores' appears twice" in error(tmp_path, GOOD.replace("cores: 4", "cores: 4, cores: 8"))
    assert "key 'name' appears twice" in error(tmp_path, GOOD + "name: other\n")
    assert error(tmp_path, GOOD + "? [a, b]\n: 1\n").startswith("not valid YAML: ")


def test_no_yaml_and_no_text(tmp_path: Path) -> None:
    assert error(tmp_path, "name: [1, 2\ncpu: }").startswith("not valid YAML: ")
    assert error(tmp_path, "name: !!python/object/apply:os.system ['true']").startswith("not valid YAML: ")
    file = tmp_path / "bytes.yaml"
    file.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(BoardError, match=r"bytes\.yaml: cannot be read \(it is not text\)"):
        load_board(str(file))
    with pytest.raises(BoardError, match=r"missing\.yaml: cannot be read \(No such file or directory\)"):
        load_board(str(tmp_path / "missing.yaml"))


def test_unknown_names_list_the_shipped_boards() -> None:
    with pytest.raises(BoardError, match=r"board 'zu3eg': unknown \(shipped: bananapi-f3, .*; or a \.yaml file\)"):
        load_board("zu3eg")


def test_the_document_has_every_key() -> None:
    """With the words and the defaults that the models have."""
    lines = (ROOT / "docs" / "boards.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in lines if line.startswith("| `")]
    told = {key: (allowed, default) for keys, allowed, default in rows for key in re.findall(r"`(\w+)`", keys)}
    models = (BoardModel, FabricModel, CpuModel, HostModel, MemoryModel, RuntimeModel)
    fields = {key: field for model in models for key, field in model.model_fields.items()}
    assert set(told) == fields.keys() - {"fabric", "cpu", "host", "memory", "runtime"}
    for key, (allowed, default) in told.items():
        words = [word for word in get_args(fields[key].annotation) if isinstance(word, str)]
        assert all(word in allowed for word in words), key
        assert fields[key].is_required() == (default == ""), key
        if isinstance(fields[key].default, float):
            assert default == f"{fields[key].default:g}", key
    assert all(machine in told["machine"][0] for machine in shipped_machines())
