"""What AXON needs in Slicer's Python, and which of it is missing.

Looks at the packages' records only; nothing is imported.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[2] / "Resources" / "requirements.txt"
TORCH = ">=2.10"  # as in pyproject.toml


@dataclass(frozen=True)
class Part:
    """A package: its name, the versions that will do, and the one installed (None: none)."""

    name: str
    wanted: str
    installed: str | None

    @property
    def fits(self) -> bool:
        """Installed, in a version that will do."""
        from packaging.specifiers import SpecifierSet

        if self.installed is None:
            return False
        return SpecifierSet(self.wanted).contains(self.installed, prereleases=True)


@dataclass(frozen=True)
class Plan:
    """What is to be done: install the PyTorch extension, PyTorch itself, and these packages.

    `packages` are requirements as pip takes them; `replaced` are those of them that are there in
    a version too old.
    """

    extension: bool
    torch: bool
    packages: tuple[str, ...]
    replaced: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Everything is there."""
        return not (self.torch or self.packages)


def torchPart() -> Part:
    """PyTorch. An older one than wanted is left alone: other extensions may need it."""
    return Part("torch", TORCH, installedVersion("torch"))


def packageParts() -> list[Part]:
    """The packages of requirements.txt."""
    from packaging.requirements import Requirement

    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return [
        Part(r.name, str(r.specifier), installedVersion(r.name))
        for r in wanted
        if r.marker is None or r.marker.evaluate()
    ]


def plan() -> Plan:
    """What is missing now."""
    torch = torchPart().installed is None
    missing = [part for part in packageParts() if not part.fits]
    return Plan(
        extension=torch and not _isThere("PyTorchUtils"),
        torch=torch,
        packages=tuple(f"{part.name}{part.wanted}" for part in missing),
        replaced=tuple(f"{p.name} {p.installed}" for p in missing if p.installed is not None),
    )


def installedVersion(name: str) -> str | None:
    """The version of a package by its records, None when it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _isThere(module: str) -> bool:
    # Modules that Slicer itself has loaded may lack the specification that find_spec asks for.
    return module in sys.modules or importlib.util.find_spec(module) is not None
