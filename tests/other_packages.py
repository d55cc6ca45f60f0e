"""Packages of other authors, installed as pip installs them."""

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class OtherPackage:
    """Package with entry points.

    Attributes:
        entry_points: targets by group and name.
        modules: sources by name.
        distribution: name of the distribution.
        version: its version.
    """

    entry_points: Mapping[str, Mapping[str, str]]
    modules: Mapping[str, str]
    distribution: str = "pygnc-other"
    version: str = "1.0"

    def install(self, folder: Path, summary: str = "", requires: str = "") -> None:
        """Write modules and metadata into a folder, which has to be on the path of imports."""
        for module, source in self.modules.items():
            (folder / f"{module}.py").write_text(source)
        info = folder / f"{self.distribution.replace('-', '_')}-{self.version}.dist-info"
        info.mkdir()
        head = f"Metadata-Version: 2.1\nName: {self.distribution}\nVersion: {self.version}\nSummary: {summary}\n"
        (info / "METADATA").write_text(head + (f"Requires-Dist: {requires}\n" if requires else ""))
        lines = []
        for group, entries in self.entry_points.items():
            lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")

    @contextmanager
    def importable(self, folder: Path) -> Iterator[None]:
        """Install the package for this process until the end of the block."""
        self.install(folder)
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(str(folder))
            for module in self.modules:
                sys.modules.pop(module, None)
            importlib.invalidate_caches()
