"""report.html: its drawings against plans worked out by hand, the page itself in a browser as wide as a phone."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from frontend.load import Model
from frontend.lower.freeze import Frozen
from hetero_compile.board import load_board
from hetero_compile.flow import Compiled, engines
from hetero_compile.report import report
from hetero_compile.report.memory import draw_memory
from hetero_compile.report.network import draw_network
from hetero_compile.report.page import macs
from hetero_compile.report.roofline import Roof, Work, draw_roofline
from hetero_compile.report.timeline import draw_timeline, expected
from host.plan import Buffer, Plan, Step
from ir.graph import Graph, Node
from ir.layouts import Plain
from ir.ops import Add, Conv2d, MultiplyShift
from ir.records import Dequantise, Picture
from ir.types import DType, TensorType
from partition import partition

BROWSER = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
QUIET = ("--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files")


@pytest.fixture(scope="module")
def graph() -> Graph:
    """A residual block with names that HTML would read otherwise."""
    rng = np.random.default_rng(3)
    constants = {"w": rng.integers(-7, 8, (8, 3, 3, 3)), "m": np.full(8, 60), "a": rng.integers(-50, 50, 8)}
    constants["v"] = rng.integers(-7, 8, (8, 8, 1, 1))
    nodes = (
        Node("conv", Conv2d(padding=(1, 1, 1, 1)), ("input", "w")),
        Node("act", MultiplyShift(8, 0, 15), ("conv", "m", "a")),
        Node("side", Conv2d(), ("act", "v")),
        Node("sum", Add(), ("side", "act")),
    )
    x = TensorType.of_dtype((3, 8, 8), DType("uint", 8))
    return Graph("a<b>&c", {"input": x}, nodes, ("sum",), constants).verify()


@pytest.fixture(scope="module")
def page(graph: Graph) -> str:
    target = load_board("bananapi-f3")
    plan = partition(graph, engines(), target)
    artifacts = {r.name: r.engine.lower(r.graph, r.choices, target) for r in plan.regions}
    frozen = Frozen(graph, {"sum": Dequantise(1.0, (0.0,) * 8)})
    model = Model(graph, Picture(width=8, height=8, order="rgb"), None, "a graph of this test")
    return report(Compiled(model, frozen, plan, target, artifacts))


def steps(*after: tuple[str, str, tuple[int, ...]]) -> Plan:
    made = tuple(Step(name, kind, (n,), (n + 1,), before) for n, (name, kind, before) in enumerate(after))  # type: ignore[arg-type]
    buffers = tuple(Buffer(f"t{n}", Plain(), 64, False, 64 * n) for n in range(len(after) + 1))
    return Plan(made, buffers, (0,), (len(after),), 64 * (len(after) + 1), 0, 2)


def test_the_slower_side_is_always_busy() -> None:
    """Frames of 1 ms CPU, 3 ms FPGA, 1 ms CPU overlap: the FPGA never waits after its first frame."""
    plan = steps(("before", "cpu", ()), ("fpga", "device", (0,)), ("after", "cpu", (1,)))
    spans = expected(plan, {"before": 1.0, "fpga": 3.0, "after": 1.0}, frames=4)
    on_device = [(s.start, s.end) for s in spans if s.row == "device"]
    assert on_device == [(1.0, 4.0), (4.0, 7.0), (7.0, 10.0), (10.0, 13.0)]
    on_cpu = sorted((s.start, s.end) for s in spans if s.row == "cpu")
    assert all(end <= start for (_, end), (start, _) in pairwise(on_cpu))


def test_no_more_frames_than_places() -> None:
    """With two frames in flight the third starts when the first has left."""
    plan = steps(("before", "cpu", ()), ("fpga", "device", (0,)), ("after", "cpu", (1,)))
    spans = expected(plan, {"before": 1.0, "fpga": 5.0, "after": 2.0}, frames=3)
    left = next(s.end for s in spans if s.frame == 0 and s.step.name == "after")
    assert left == 8.0
    assert next(s.start for s in spans if s.frame == 2) == left


def test_multiply_accumulates(graph: Graph) -> None:
    assert [macs(view) for view in graph.views()] == [8 * 8 * 8 * 27, 0, 8 * 8 * 8 * 8, 0]


def test_every_drawing_is_well_formed(graph: Graph) -> None:
    plan = steps(("before", "cpu", ()), ("fpga", "device", (0,)))
    sides = {"conv": "device", "act": "device", "side": "cpu", "sum": "cpu"}
    drawings = (
        draw_network(graph, sides, dict.fromkeys(sides, "because 1 < 2")),
        draw_timeline(expected(plan, {"before": 1.0, "fpga": 3.0})),
        draw_memory(plan, in_pool=False),
        draw_roofline([Work("a<b", "cpu", 1000, 10, 1.0)], [Roof("CPU", "cpu", 1e9)], 1e9),
    )
    for drawing in drawings:
        ET.fromstring(drawing)
    network = ET.fromstring(drawings[0])
    kinds = [e.get("class", "") for e in network.iter("rect")]
    assert sorted(kinds) == sorted(["node input", "node device", "node device", "node cpu", "node cpu"])
    # act -> side and act -> sum cross the shared memory, and so does the picture on its way in
    assert sum(e.get("class") == "edge crossing" for e in network.iter("path")) == 3
    assert draw_memory(plan, in_pool=True) == ""


def test_a_roof_is_level_right_of_its_knee() -> None:
    """At 1e8 a second and 1e9 bytes a second the knee is at 0.1 a byte; the work, so the picture, is at 1000."""
    works = [Work("conv", "device", 10**9, 10**6, 10.0)]
    roofs = [Roof("CPU", "cpu", 1e8), Roof("fpga0", "device", 1e12)]
    drawn = ET.fromstring(draw_roofline(works, roofs, 1e9))
    slow, _ = (
        [p.split(",") for p in line.attrib["points"].split()]
        for line in drawn.iter()
        if "roof" in line.get("class", "")
    )
    assert len({y for _, y in slow}) == 1


def test_roofline_places_what_it_shows() -> None:
    """A point of a hundredth of the rate lies two decades lower."""
    works = [Work("fast", "cpu", 10**8, 10**6, 1.0), Work("slow", "cpu", 10**6, 10**4, 1.0)]
    drawn = ET.fromstring(draw_roofline(works, [Roof("CPU", "cpu", 1e11)], 1e10))
    (fast, slow), lines = list(drawn.iter("circle")), [e for e in drawn.iter("polyline") if e.get("class") == "grid"]
    assert fast.get("cx") == slow.get("cx")
    levels = sorted({float((e.get("points") or "").split()[0].split(",")[1]) for e in lines} - {0.0})
    decade = min(b - a for a, b in pairwise(levels))
    assert float(slow.get("cy", 0)) - float(fast.get("cy", 0)) == pytest.approx(2 * decade, abs=0.5)


def test_page_stands_alone(page: str) -> None:
    """Nothing is fetched, every tag is closed, names are escaped."""
    assert not re.search(r"""(src|href)=|@import|url\(|<script""", page)
    assert "a&lt;b&gt;&amp;c" in page and "a<b>" not in page
    open_tags: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta",):
                open_tags.append(tag)

        def handle_startendtag(self, tag: str, attrs: object) -> None:
            pass

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Parser().feed(page)
    assert open_tags == []


@pytest.mark.parametrize("width", [390, 1200])
def test_page_fits_the_window(page: str, width: int, tmp_path: Path) -> None:
    """On a phone nothing but the scrolling boxes is wider than the screen; all drawings are there."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium (Debian: apt-get install chromium)")
    (tmp_path / "report.html").write_text(page, "utf-8")
    (tmp_path / "frame.html").write_text(
        f"<body style='margin:0'><iframe id=f src=report.html style='border:0;width:{width}px;height:900px'></iframe>"
        "<pre id=found></pre><script>f.onload = () => { const d = f.contentDocument; found.textContent = "
        "[d.documentElement.scrollWidth, d.querySelectorAll('svg').length, d.querySelectorAll('h2').length] }</script>",
        "utf-8",
    )
    command = [browser, *BROWSER, *QUIET, f"--user-data-dir={tmp_path}/profile", "--virtual-time-budget=4000"]
    done = subprocess.run(
        [*command, "--dump-dom", f"file://{tmp_path}/frame.html"], capture_output=True, text=True, timeout=120
    )
    found = re.search(r'<pre id="found">(\d+),(\d+),(\d+)</pre>', done.stdout)
    assert found, done.stderr[-500:]
    scroll, drawings, headings = map(int, found.groups())
    assert scroll <= width
    assert (drawings, headings) == (4, 7)  # network, time line, roofline, arena; one CPU region
