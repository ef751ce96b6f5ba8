"""AXON's dependencies in Slicer's Python, and which of them are missing.

Reads package metadata only; does not import the packages.
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
    """A package: name, required versions, and installed version (None if not installed)."""

    name: str
    required: str
    installed: str | None

    @property
    def satisfied(self) -> bool:
        """Whether a suitable version is installed."""
        from packaging.specifiers import SpecifierSet

        if self.installed is None:
            return False
        return SpecifierSet(self.required).contains(self.installed, prereleases=True)


@dataclass(frozen=True)
class Plan:
    """Installation plan.

    Attributes:
        extension: install the PyTorch extension.
        torch: install PyTorch.
        packages: requirements to install with pip.
        replaced: those installed in an outdated version, with that version.
    """

    extension: bool
    torch: bool
    packages: tuple[str, ...]
    replaced: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing needs to be installed."""
        return not (self.torch or self.packages)


def torchPackage() -> Package:
    """PyTorch. An older version is not replaced, as other extensions may depend on it."""
    return Package("torch", TORCH, installedVersion("torch"))


def requiredPackages() -> list[Package]:
    """The packages listed in requirements.txt."""
    from packaging.requirements import Requirement

    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    required = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return [
        Package(r.name, str(r.specifier), installedVersion(r.name))
        for r in required
        if r.marker is None or r.marker.evaluate()
    ]


def plan() -> Plan:
    """The plan to install everything that is missing."""
    torch = torchPackage().installed is None
    missing = [part for part in requiredPackages() if not part.satisfied]
    return Plan(
        extension=torch and not _isImportable("PyTorchUtils"),
        torch=torch,
        packages=tuple(f"{part.name}{part.required}" for part in missing),
        replaced=tuple(f"{p.name} {p.installed}" for p in missing if p.installed is not None),
    )


def installedVersion(name: str) -> str | None:
    """The installed version of a package from its metadata; None if not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _isImportable(module: str) -> bool:
    # Modules loaded by Slicer may lack the spec that find_spec requires.
    return module in sys.modules or importlib.util.find_spec(module) is not None
