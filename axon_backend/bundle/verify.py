"""Verify that a folder is a valid, undamaged bundle, before any weight is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from axon_backend.bundle.checksums import read_checksums
from axon_backend.bundle.layout import (
    CHECKSUMS,
    CONFIG,
    FORMAT_VERSION,
    METADATA,
    PICKLES,
    REQUIRED,
    inside,
    read_json,
)
from axon_backend.bundle.metadata import check_metadata
from axon_backend.errors import AxonInputError
from axon_backend.util.hashing import file_sha256


def verify_bundle(path: str | Path) -> dict[str, str]:
    """Check every file of the bundle folder `path`; return {path in the bundle: SHA-256}.

    The folder must have a format that this version of AXON reads, no paths that lead outside, no
    pickles, every listed file with its SHA-256, metadata and configuration in plain JSON, and
    readable safetensors files. Needs neither torch nor MONAI.

    Raises:
        AxonInputError: a check failed; the message names the file, the finding and the remedy.
    """
    root = Path(path)
    _check_is_bundle(root)
    _check_no_pickles(root)
    sums = read_checksums(root)
    for required in REQUIRED:
        if required not in sums:
            raise AxonInputError(
                f"{root / CHECKSUMS} does not list {required}. Get the complete bundle again."
            )
    for relative in sorted(sums):
        check_file(root, relative, sums[relative])
    check_metadata(read_json(root / METADATA), source=str(root / METADATA))
    networks = [name for name in sums if name.startswith("models/")]
    if not networks:
        raise AxonInputError(f"{root} contains no network (no models/*.safetensors).")
    for relative in networks:
        _check_safetensors(root / relative)
    return sums


def check_file(root: Path, relative: str, expected: str) -> Path:
    """The path of a listed file; raises AxonInputError unless it has the expected SHA-256."""
    path = inside(root, relative)
    if not path.is_file():
        raise AxonInputError(f"The bundle {root} lacks its file {relative}. Get it again.")
    found = file_sha256(path)
    if found != expected:
        raise AxonInputError(
            f"{path} has changed since the bundle was written: SHA-256 is {found[:16]}..., "
            f"expected {expected[:16]}.... Get the bundle again."
        )
    return path


def _check_is_bundle(root: Path) -> None:
    if not root.exists():
        raise AxonInputError(
            f"There is no bundle at {root}. Give the folder that contains {METADATA}."
        )
    if not root.is_dir():
        raise AxonInputError(f"{root} is a file; a bundle is a folder. Unpack an archive first.")
    for needed in (CONFIG, METADATA):
        if not inside(root, needed).is_file():
            raise AxonInputError(
                f"{root} is not an AXON bundle: it has no {needed}. "
                "Give the folder that contains configs/, models/ and atlas/."
            )
    version: Any = read_json(root / CONFIG).get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise AxonInputError(
            f"{root / CONFIG}: format_version is {version!r}; expected an integer of at least 1."
        )
    if version > FORMAT_VERSION:
        raise AxonInputError(
            f"The bundle {root} has format {version}; this AXON reads formats up to "
            f"{FORMAT_VERSION}. Update AXON (pip install --upgrade axon-ct)."
        )


def _check_no_pickles(root: Path) -> None:
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in PICKLES:
            raise AxonInputError(
                f"The bundle contains {path}: such files can run code when they are loaded, "
                "and AXON never reads them. Convert the weights to safetensors."
            )


def _check_safetensors(path: Path) -> None:
    # Only the header is read; the hash has already verified the rest.
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        raise AxonInputError(f"{path} is not a safetensors file; models/ must not contain others.")
    try:
        with safe_open(str(path), framework="numpy") as tensors:
            names = list(tensors.keys())
    except (SafetensorError, OSError) as error:
        raise AxonInputError(f"{path} is not a readable safetensors file: {error}.") from error
    if not names:
        raise AxonInputError(f"{path} contains no tensors.")
