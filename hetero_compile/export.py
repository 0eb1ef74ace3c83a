"""`--export`: a compiled network's parameters in the layout of tools other than this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hetero_compile.flow import Compiled
from hls.export.layers import ExportError, conv_layers
from hls.export.params import params_files


@dataclass(frozen=True)
class Export:
    """One ``--export KIND[=FOLDER]``: without a folder the files go into the package, under the kind's name."""

    kind: str
    folder: Path | None

    @staticmethod
    def parse(text: str) -> Export:
        """``params`` or ``params=FOLDER``; ExportError otherwise."""
        kind, equals, folder = text.partition("=")
        if kind not in KINDS or (equals and not folder):
            allowed = ", ".join(f"{kind}[=FOLDER]" for kind in KINDS)
            raise ExportError(f"--export {text}: unknown (allowed: {allowed})")
        return Export(kind, Path(folder) if folder else None)

    def files(self, compiled: Compiled) -> dict[str, str]:
        """File names and texts; ExportError where the layout cannot carry the network."""
        return KINDS[self.kind](compiled)

    def write(self, files: Mapping[str, str]) -> None:
        """The files in the folder that was asked for, if one was; others that are there stay. May raise OSError."""
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (self.folder / name).write_text(text)

    def packaged(self, files: Mapping[str, str]) -> dict[str, str]:
        """The files for the package: none where a folder was asked for."""
        return {} if self.folder else {f"{self.kind}/{name}": text for name, text in files.items()}


def _params(compiled: Compiled) -> dict[str, str]:
    foldings = {
        name: (int(choice.configuration["simd"]), int(choice.configuration["pe"]))
        for region in compiled.plan.regions
        for name, choice in region.choices.items()
        if "simd" in choice.configuration and "pe" in choice.configuration
    }
    return params_files(conv_layers(compiled.graph, foldings, compiled.frozen.dequantise))


KINDS: Mapping[str, Callable[[Compiled], dict[str, str]]] = {"params": _params}
"""What can be exported, each to texts by file name."""
