"""Detection of compressed files and archives, which must be unpacked before they can be read."""

from __future__ import annotations

from pathlib import Path

from axon_backend.errors import AxonInputError

EXTENSIONS = (".zip", ".gz", ".tgz", ".tar", ".7z", ".rar", ".bz2", ".xz", ".zst")
_MARKS = (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"BZh", b"\xfd7zXZ\0",
          b"\x28\xb5\x2f\xfd")  # fmt: skip


def is_packed(path: Path) -> bool:
    """Whether a file is an archive or compressed, by its content or its name."""
    with path.open("rb") as file:
        return file.read(8).startswith(_MARKS) or path.suffix.lower() in EXTENSIONS


def refuse_packed(path: Path, then: str) -> None:
    """Refuse a file that must be unpacked first; ``then``: what to provide afterwards, for the
    message.

    Raises:
        AxonInputError: the file is compressed in a way that no format supports.
    """
    if is_packed(path):
        raise AxonInputError(
            f"{path.name} is an archive or a compressed file. Unpack it first, then give {then}."
        )
