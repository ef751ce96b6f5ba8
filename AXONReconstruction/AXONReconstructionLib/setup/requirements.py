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
class Package:
    """A package: its name, the versions that will do, and the one installed (None: none)."""

    name: str
    required: str
    installed: str | None

    @property
    def satisfied(self) -> bool:
        """Installed, in a version that will do."""
        from packaging.specifiers import SpecifierSet

        if self.installed is None:
            return False
        return SpecifierSet(self.required).contains(self.installed, prereleases=True)


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


def torchPackage() -> Package:
    """PyTorch. An older one than required is left alone: other extensions may need it."""
    return Package("torch", TORCH, installedVersion("torch"))


def requiredPackages() -> list[Package]:
    """The packages of requirements.txt."""
    from packaging.requirements import Requirement

    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    required = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return [
        Package(r.name, str(r.specifier), installedVersion(r.name))
        for r in required
        if r.marker is None or r.marker.evaluate()
    ]


def plan() -> Plan:
    """What is missing now."""
    torch = torchPackage().installed is None
    missing = [part for part in requiredPackages() if not part.satisfied]
    return Plan(
        extension=torch and not _isImportable("PyTorchUtils"),
        torch=torch,
        packages=tuple(f"{part.name}{part.required}" for part in missing),
        replaced=tuple(f"{p.name} {p.installed}" for p in missing if p.installed is not None),
    )


def installedVersion(name: str) -> str | None:
    """The version of a package by its records, None when it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _isImportable(module: str) -> bool:
    # Modules that Slicer itself has loaded may lack the specification that find_spec asks for.
    return module in sys.modules or importlib.util.find_spec(module) is not None
