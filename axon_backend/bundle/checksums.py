"""SHA-256 of every file of a bundle, in the format of `sha256sum` (check with `sha256sum -c`)."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from axon_backend.bundle.layout import CHECKSUMS, inside
from axon_backend.errors import AxonInputError
from axon_backend.util.hashing import file_sha256

_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def bundle_sha256(sums: dict[str, str]) -> str:
    """One hash for the whole bundle: SHA-256 of the `hash  path` lines of {path: hash}, sorted."""
    return hashlib.sha256(_text(sums).encode()).hexdigest()


def read_checksums(root: Path) -> dict[str, str]:
    """{path in the bundle: SHA-256} from `SHA256SUMS`.

    Raises AxonInputError if the list is missing or malformed, or names a file twice or a file
    outside the folder.
    """
    path = root / CHECKSUMS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise AxonInputError(
            f"{root} has no {CHECKSUMS}, so its weights cannot be trusted. "
            "Get the complete bundle again."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise AxonInputError(f"{path} cannot be read: {error}.") from error
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in sums:
            raise AxonInputError(
                f"{path}, line {number}: expected '<64 hexadecimal digits>  <path>', each path "
                f"once; found {line[:100]!r}. Get the bundle again."
            )
        inside(root, match[2])
        sums[match[2]] = match[1]
    return sums


def write_checksums(root: Path) -> dict[str, str]:
    """Write `SHA256SUMS` over every file now in the folder; return {path: SHA-256}.

    Hidden files are left out: file browsers create and change them unasked.
    """
    sums: dict[str, str] = {}
    for path in root.rglob("*"):
        inner = path.relative_to(root)
        hidden = any(part.startswith(".") for part in inner.parts)
        if path.is_file() and not hidden and inner.as_posix() != CHECKSUMS:
            sums[inner.as_posix()] = file_sha256(path)
    (root / CHECKSUMS).write_bytes(_text(sums).encode())
    return sums


def _text(sums: dict[str, str]) -> str:
    return "".join(f"{sums[path]}  {path}\n" for path in sorted(sums))
