"""report.html says what runs where and why, and needs nothing but itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

from host.package import load_package
from host.plan import make_plan


class Page(HTMLParser):
    """Collects the text and whatever the page would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_report(package_of: Callable[[str], Path]) -> None:
    folder = package_of("ultranet")
    manifest = load_package(folder).manifest
    text = (folder / "report.html").read_text()
    page = Page()
    page.feed(text)
    words = " ".join(page.words)
    assert not page.loads and "url(" not in text and "<script" not in text
    assert 'name="viewport"' in text
    assert "no block design for board zu3eg-rvv" in words
    assert "packed conv W4A4, up to 6 MAC/DSP" in words and "DSP" in words and "KiB" in words
    left = [step.name for step in make_plan(manifest).steps if step.kind in ("pack", "unpack")]
    names = f" ({', '.join(left)})" if left else ""
    assert f"Conversions between layouts at run time: {len(left)}{names}." in re.sub(r"\s+", " ", words)
    for region in manifest.regions:
        assert f"region {region.name}" in re.sub(r"\s+", " ", words)
        for stage in region.stages:
            assert stage.name in words
            assert str(stage.cycles) in words
