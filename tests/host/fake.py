"""A small network of hand-written regions, with its meaning in numpy: cpu (x * 3 - 7, halved channels), device, cpu.

The device region works on packed words on both sides, and a second path goes past it, so that a frame has steps that
run at the same time on both sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from host.manifest import Board, Manifest, Region, Stage, Tensor
from ir.engine import Port
from ir.layouts import Plain, Words
from ir.records import ClassifierHead, Dequantise, Picture, YoloHead
from ir.types import TensorType

Array = npt.NDArray[Any]
HEIGHT, WIDTH, CHANNELS = 5, 7, 8
PIXELS = HEIGHT * WIDTH
SHAPE = (CHANNELS, HEIGHT, WIDTH)


def board(coherent: bool = True, **facts: Any) -> Board:
    known: dict[str, Any] = {
        "name": "fake",
        "isa": "rv64gcv",
        "vlen": 256,
        "role": "host",
        "coherent": coherent,
        "cache_line": 64,
        "pool_bytes": 1 << 20,
    }
    return Board(**(known | facts))


def manifest(coherent: bool = True, failover: bool = False, **facts: Any) -> Manifest:
    """x -> [head] -> small (device: [wide]) and rest -> [tail] -> y; the network's outputs are y and wide.

    With ``failover``, the CPU can compute the device's region: see `FAILOVER_FILES`.
    """
    tensors = (
        Tensor.of("x", TensorType.of_range(SHAPE, 0, 255)),
        Tensor.of("small", TensorType.of_range(SHAPE, -8, 7)),
        Tensor.of("rest", TensorType.of_range(SHAPE, 0, 255)),
        Tensor.of("wide", TensorType.of_range(SHAPE, -500, 500)),
        Tensor.of("y", TensorType.of_range(SHAPE, -200000, 200000)),
    )
    head = Region(
        "head",
        "cpu",
        (Port("x", Plain()),),
        (Port("small", Plain()), Port("rest", Plain())),
        ("regions/head/head.c",),
    )
    device = Region(
        "scale",
        "device",
        (Port("small", Words(8, 4, 4)),),
        (Port("wide", Words(4, 10, 8)),),
        ("regions/scale/scale.cpp",),
        (Stage("multiply", 35, "4 lanes"),),
        200.0,
        failover=("regions/scale_cpu/scale.c",) if failover else (),
    )
    tail = Region(
        "tail",
        "cpu",
        (Port("wide", Plain()), Port("rest", Plain())),
        (Port("y", Plain()),),
        ("regions/tail/tail.c",),
    )
    return Manifest("fake", board(coherent, **facts), tensors, ("x",), ("y", "wide"), (head, device, tail))


def meaning(x: Array) -> dict[str, Array]:
    """What the regions compute, in numpy."""
    x = x.astype(np.int64)
    small, rest = x % 16 - 8, x // 3
    wide = small * 60 + 11
    return {"y": wide * rest + 5, "wide": wide}


HEAD = f"""
#include "hc_region.h"

static int32_t run(const void *const *inputs, void *const *outputs, void *arena) {{
    const uint8_t *x = inputs[0];
    int8_t *small = outputs[0];
    uint8_t *rest = outputs[1];
    (void)arena;
    for (int i = 0; i < {PIXELS * CHANNELS}; i++) {{
        small[i] = (int8_t)(x[i] % 16 - 8);
        rest[i] = (uint8_t)(x[i] / 3);
    }}
    return 0;
}}

static const uint32_t input_bytes[] = {{{PIXELS * CHANNELS}}};
static const uint32_t output_bytes[] = {{{PIXELS * CHANNELS}, {PIXELS * CHANNELS}}};
const hc_region hc_region_head = {{"head", HC_REGION_ABI, 1, 2, input_bytes, output_bytes, 64, run}};
"""

SCALE = f"""
#include "hc_region.h"

// x * 60 + 11, on words of eight 4-bit lanes in and of four 10-bit lanes out.
static int32_t run(const void *const *inputs, void *const *outputs, void *) {{
    auto in = static_cast<const uint32_t *>(inputs[0]);
    auto out = static_cast<uint64_t *>(outputs[0]);
    for (int pixel = 0; pixel < {PIXELS}; pixel++) {{
        for (int half = 0; half < 2; half++) {{
            uint64_t word = 0;
            for (int lane = 0; lane < 4; lane++) {{
                int32_t x = static_cast<int32_t>(in[pixel] << (28 - 16 * half - 4 * lane)) >> 28;
                word |= static_cast<uint64_t>((x * 60 + 11) & 1023) << (10 * lane);
            }}
            out[2 * pixel + half] = word;
        }}
    }}
    return 0;
}}

static const uint32_t input_bytes[] = {{{PIXELS * 4}}};
static const uint32_t output_bytes[] = {{{PIXELS * 16}}};
extern "C" const hc_region hc_region_scale = {{"scale", HC_REGION_ABI, 1, 1, input_bytes, output_bytes, 0, run}};
"""

TAIL = f"""
#include "hc_region.h"

static int32_t run(const void *const *inputs, void *const *outputs, void *arena) {{
    const int16_t *wide = inputs[0];
    const uint8_t *rest = inputs[1];
    int32_t *y = outputs[0];
    (void)arena;
    for (int i = 0; i < {PIXELS * CHANNELS}; i++) {{
        y[i] = wide[i] * rest[i] + 5;
    }}
    return 0;
}}

static const uint32_t input_bytes[] = {{{PIXELS * CHANNELS * 2}, {PIXELS * CHANNELS}}};
static const uint32_t output_bytes[] = {{{PIXELS * CHANNELS * 4}}};
const hc_region hc_region_tail = {{"tail", HC_REGION_ABI, 2, 1, input_bytes, output_bytes, 0, run}};
"""

SCALE_CPU = f"""
#include "hc_region.h"

static int32_t run(const void *const *inputs, void *const *outputs, void *arena) {{
    const int8_t *in = inputs[0];
    int16_t *out = outputs[0];
    *(int32_t *)arena = 60;
    for (int i = 0; i < {PIXELS * CHANNELS}; i++) {{
        out[i] = (int16_t)(in[i] * *(int32_t *)arena + 11);
    }}
    return 0;
}}

static const uint32_t input_bytes[] = {{{PIXELS * CHANNELS}}};
static const uint32_t output_bytes[] = {{{PIXELS * CHANNELS * 2}}};
const hc_region hc_region_scale_cpu = {{"scale_cpu", HC_REGION_ABI, 1, 1, input_bytes, output_bytes, 4, run}};
"""

FILES = {
    "regions/head/head.c": HEAD,
    "regions/scale/scale.cpp": SCALE,
    "regions/tail/tail.c": TAIL,
}


FAILOVER_FILES = {**FILES, "regions/scale_cpu/scale.c": SCALE_CPU}


def frames(count: int, seed: int = 0) -> list[Array]:
    """Different frames; the first two hold the extreme values."""
    random = np.random.default_rng(seed)
    extremes = [np.zeros(SHAPE, np.uint8), np.full(SHAPE, 255, np.uint8)]
    return [*extremes, *(random.integers(0, 256, SHAPE, np.uint8) for _ in range(count - 2))]


# A detector without weights: it answers every picture with the same raw head output, in which the cell in column 12
# of row 4 has the highest confidence, and in it every anchor says: centre of the cell, 40 x 20 pixels.
DETECTOR_SCALE = 1 / 64
DETECTOR_CELL = (12, 4)
DETECTOR_BOX = (12.5 * 16 - 20, 4.5 * 16 - 10, 12.5 * 16 + 20, 4.5 * 16 + 10)  # in pixels of the 320 x 160 input


def detector_manifest() -> Manifest:
    tensors = (
        Tensor.of("image", TensorType.of_range((3, 160, 320), 0, 255)),
        Tensor.of("head", TensorType.of_range((36, 10, 20), -1000, 1000)),
    )
    region = Region("detect", "cpu", (Port("image", Plain()),), (Port("head", Plain()),), ("regions/detect/detect.c",))
    # The bias holds what an integer output cannot: the logarithm of 40 / 20.
    bias = tuple(float(np.log(2)) if channel % 6 == 2 else 0.0 for channel in range(36))
    return Manifest(
        "detector",
        board(),
        tensors,
        ("image",),
        ("head",),
        (region,),
        Picture(320, 160, "bgr"),
        YoloHead(("drone",)),
        {"head": Dequantise(DETECTOR_SCALE, bias)},
    )


DETECTOR_FILES = {
    "regions/detect/detect.c": f"""
#include <string.h>

#include "hc_region.h"

static int32_t run(const void *const *inputs, void *const *outputs, void *arena) {{
    int16_t *head = outputs[0];
    (void)inputs;
    (void)arena;
    memset(head, 0, 10 * 20 * 36 * sizeof *head);
    for (int pixel = 0; pixel < 10 * 20; pixel++) {{
        for (int anchor = 0; anchor < 6; anchor++) {{
            int here = pixel == {DETECTOR_CELL[1] * 20 + DETECTOR_CELL[0]};
            head[pixel * 36 + anchor * 6 + 4] = here ? 64 : -64;
        }}
    }}
    return 0;
}}

static const uint32_t input_bytes[] = {{{3 * 160 * 320}}};
static const uint32_t output_bytes[] = {{{36 * 10 * 20 * 2}}};
const hc_region hc_region_detect = {{"detect", HC_REGION_ABI, 1, 1, input_bytes, output_bytes, 0, run}};
"""
}


def classifier_manifest() -> Manifest:
    """A classifier without weights: cat, dog and bird always score 0, 4 and 1."""
    tensors = (
        Tensor.of("image", TensorType.of_range((3, 32, 32), 0, 255)),
        Tensor.of("scores", TensorType.of_range((3, 1, 1), -100, 100)),
    )
    region = Region("sort", "cpu", (Port("image", Plain()),), (Port("scores", Plain()),), ("regions/sort/sort.c",))
    head = ClassifierHead(("cat", "dog", "bird"))
    picture = Picture(32, 32, "rgb")
    return Manifest("classifier", board(), tensors, ("image",), ("scores",), (region,), picture, head)


CLASSIFIER_FILES = {
    "regions/sort/sort.c": """
#include "hc_region.h"

static int32_t run(const void *const *inputs, void *const *outputs, void *arena) {
    int8_t *scores = outputs[0];
    (void)inputs;
    (void)arena;
    scores[0] = 0;
    scores[1] = 4;
    scores[2] = 1;
    return 0;
}

static const uint32_t input_bytes[] = {3072};
static const uint32_t output_bytes[] = {3};
const hc_region hc_region_sort = {"sort", HC_REGION_ABI, 1, 1, input_bytes, output_bytes, 0, run};
"""
}
