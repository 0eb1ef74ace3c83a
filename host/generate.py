"""The files that every package gets: the C runtime, the scheduler's tables (plan.c) and the Makefile's source lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources

from host.manifest import MANIFEST_NAME, Manifest, Region, Side
from host.plan import Buffer, Plan, Step, Weights, make_plan
from ir.layouts import Words

GENERATED = ("plan.c", "regions_cpu.c", "regions_device.c", "sources.mk", "Makefile")
RESERVED = (*GENERATED, "runtime", "bin", "obj", MANIFEST_NAME)


def files(manifest: Manifest, plan_hash: str) -> dict[str, str]:
    """Paths in the package -> texts."""
    runtime = resources.files("host") / "runtime"
    sources = {f"runtime/{f.name}": f.read_text("utf-8") for f in runtime.iterdir() if f.name.endswith((".c", ".h"))}
    return dict(sorted(sources.items())) | {
        "plan.c": plan_c(manifest, make_plan(manifest), plan_hash),
        "regions_cpu.c": regions_c(manifest.regions, "cpu"),
        "regions_device.c": regions_c(manifest.regions, "device"),
        "sources.mk": sources_mk(manifest),
        "Makefile": (runtime / "Makefile").read_text("utf-8"),
    }


def plan_c(manifest: Manifest, plan: Plan, plan_hash: str) -> str:
    """The tables of runtime/hc_plan.h."""
    parts = [
        f"/* The plan of '{manifest.name}' on board '{manifest.board.name}'; see runtime/hc_plan.h. */",
        '#include "hc_plan.h"\n',
        "/* Every tensor in every form it is needed in, at its place in one frame's share of the arena or DMA pool. */",
        _table("hc_buffer", "buffers", map(_buffer, plan.buffers)),
        *(_list(f"step{i}_{field}", items) for i, step in enumerate(plan.steps) for field, items in _lists(step)),
        *(_ports(f"step{i}_ports", step, plan, manifest) for i, step in enumerate(plan.steps) if step.kind == "device"),
        _table("hc_step", "steps", (_step(i, step, plan, manifest) for i, step in enumerate(plan.steps))),
        _list("inputs", plan.inputs),
        _list("outputs", plan.outputs),
        *(
            f"extern const void *const hc_weights_{region.name}[]; /* {region.weight_source} */"
            for region in manifest.regions
            if region.weights
        ),
        _table("hc_weights", "weights", (_weights(w, manifest) for w in plan.weights)) if plan.weights else "",
        "const hc_plan hc_package_plan = {",
        f"    .hash = 0x{plan_hash}u,",
        f"    .frames = {plan.frames},",
        f"    .threads = {manifest.board.threads},",
        f"    .coherent = {int(manifest.board.coherent)},",
        f"    .cache_line = {manifest.board.cache_line},",
        f"    .arena_bytes = {plan.arena_bytes}, /* of one frame */",
        f"    .pool_bytes = {plan.pool_bytes},  /* of one frame */",
        f"    .buffer_count = {len(plan.buffers)}, .buffers = buffers,",
        f"    .step_count = {len(plan.steps)}, .steps = steps,",
        f"    .region_count = {len(manifest.regions)},",
        f"    .input_count = {len(plan.inputs)}, .inputs = inputs,",
        f"    .output_count = {len(plan.outputs)}, .outputs = outputs,",
        f"    .weight_bytes = {plan.weight_bytes}, .weight_count = {len(plan.weights)},",
        f"    .weights = {'weights' if plan.weights else '0'},",
        "};\n",
    ]
    return "\n".join(part for part in parts if part)


def regions_c(regions: Sequence[Region], side: Side) -> str:
    """The regions linked into the programs of one side, in the manifest's order, NULL for those of the other.

    On the CPU side also the code that computes device regions when the device fails.
    """
    here = {region.name: region.name for region in regions if region.side == side}
    spare = {region.name: f"{region.name}_cpu" for region in regions if region.failover}
    tables = {"hc_package_regions": here} | ({"hc_package_failover": spare} if side == "cpu" else {})
    lines = [
        f"/* The regions that run on this side: {side}. */",
        "#include <stddef.h>\n",
        '#include "hc_plan.h"\n',
        *(f"extern const hc_region hc_region_{symbol};" for table in tables.values() for symbol in table.values()),
    ]
    for name, symbols in tables.items():
        lines += ["", f"const hc_region *const {name}[] = {{"]
        lines += [
            f"    &hc_region_{symbols[r.name]}," if r.name in symbols else f"    NULL, /* {r.name} */" for r in regions
        ]
        lines += ["};"]
    return "\n".join(lines) + "\n"


def sources_mk(manifest: Manifest) -> str:
    """What the Makefile compiles."""
    sides: dict[Side, list[str]] = {"cpu": [], "device": []}
    for region in manifest.regions:
        sides[region.side] += [source for source in region.sources if source not in sides[region.side]]
        sides["cpu"] += [source for source in region.failover if source not in sides["cpu"]]
    lines = [
        f"# What '{manifest.name}' consists of.",
        f"CPU_SOURCES := {' '.join(sides['cpu'])}",
        f"DEVICE_SOURCES := {' '.join(sides['device'])}",
        f"WEIGHT_SOURCES := {' '.join(region.weight_source for region in manifest.regions if region.weights)}",
        f"ISA := {manifest.board.isa}",
    ]
    return "\n".join(lines) + "\n"


def _weights(weights: Weights, manifest: Manifest) -> str:
    words = f"&hc_weights_{manifest.regions[weights.region].name}[{weights.number}]"
    return f'{{"{_text(weights.port)}", {weights.region}, {weights.offset}, {weights.bytes}, {words}}}'


def _table(kind: str, name: str, rows: Iterable[str]) -> str:
    return f"static const {kind} {name}[] = {{\n" + "".join(f"    {row},\n" for row in rows) + "};\n"


def _list(name: str, items: Sequence[int]) -> str:
    if not items:
        return ""
    return f"static const uint16_t {name}[] = {{{', '.join(map(str, items))}}};\n"


def _lists(step: Step) -> tuple[tuple[str, Sequence[int]], ...]:
    return ("reads", step.reads), ("writes", step.writes), ("after", step.after)


def _buffer(buffer: Buffer) -> str:
    memory = "HC_POOL" if buffer.in_pool else "HC_ARENA"
    return f'{{"{_text(buffer.tensor)}", {memory}, {buffer.offset}, {buffer.bytes}}} /* {_form(buffer)} */'


def _form(buffer: Buffer) -> str:
    layout = buffer.layout
    if isinstance(layout, Words):
        return f"{layout.lanes} lanes of {layout.bits} bits in {layout.word_bytes} bytes"
    return "plain"


def _step(index: int, step: Step, plan: Plan, manifest: Manifest) -> str:
    fields = [f'"{_text(step.name)}"', f"HC_STEP_{step.kind.upper()}", str(step.region)]
    for name, items in _lists(step):
        fields.append(f"{len(items)}, {f'step{index}_{name}' if items else '0'}")
    if step.kind in ("pack", "unpack"):
        fields.append(_conversion(plan.buffers[(step.writes if step.kind == "pack" else step.reads)[0]], manifest))
    else:
        fields.append(NO_CONVERSION)
    fields.append(f"step{index}_ports" if step.kind == "device" else "0")
    return "{" + ", ".join(fields) + "}"


NO_CONVERSION = "{0, 0, 0, 0, 0, 0, 0}"


def _ports(name: str, step: Step, plan: Plan, manifest: Manifest) -> str:
    """The conversions between a device step's buffers and plain ones."""
    rows = [_conversion(plan.buffers[i], manifest) for i in (*step.reads, *step.writes)]
    return _table("hc_conversion", name, rows)


def _conversion(buffer: Buffer, manifest: Manifest) -> str:
    type_ = manifest.tensor(buffer.tensor).type
    layout = buffer.layout
    if not isinstance(layout, Words):
        return NO_CONVERSION
    width, signed, bipolar = type_.dtype.container.itemsize, type_.dtype.signed, type_.dtype.kind == "bipolar"
    fields = (type_.elements, width, int(signed), layout.lanes, layout.bits, layout.word_bytes, int(bipolar))
    return "{" + ", ".join(map(str, fields)) + "}"


def _text(name: str) -> str:
    """A tensor's name as the inside of a C string."""
    return "".join(c if (c.isalnum() and c.isascii()) or c in "._-/ " else "_" for c in name)
