"""Patient and role from the name of a plain file.

p1_ct.nii.gz  p1_pa.png  p1_lateral.png         the id is the rest of the file name
p1/ct.nii.gz  p1/frontal.png                    without a rest, it is the folder's name
ct/p1.nii.gz  xray/p1_PA.png  lateral/p1.png    a folder may name the role
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from axon_backend.imaging.formats import find_format, without_extension

# Word -> (role, view); the role None is an X-ray whose view must be determined from the image.
_WORDS: dict[str, tuple[str | None, str | None]] = {
    "ct": ("ct", None), "cect": ("ct", None), "cts": ("ct", None),
    "frontal": ("frontal", None), "front": ("frontal", None),
    "pa": ("frontal", "pa"), "ap": ("frontal", "ap"),
    "lateral": ("lateral", None), "lat": ("lateral", None),
    "ll": ("lateral", "ll"), "rl": ("lateral", "rl"),
    "xray": (None, None), "xrays": (None, None), "cxr": (None, None), "dx": (None, None),
    "cr": (None, None), "radiograph": (None, None),
}  # fmt: skip


@dataclass(frozen=True)
class NamedFile:
    """`role` is "ct", "frontal", "lateral" or None (X-ray of unknown view); `view` may be None."""

    id: str
    role: str | None
    view: str | None


def named(root: Path, name: str) -> NamedFile:
    """Interpret a file's path relative to the root; a volume without a known word is a CT."""
    path = PurePosixPath(name)
    stem = without_extension(path.name)
    words, rest = _split(stem)
    folders = list(reversed(path.parts[:-1]))
    while folders and not rest:
        folder_words, rest = _split(folders.pop(0))
        words += folder_words
    if folders:
        folder_words, folder_rest = _split(folders[0])
        words += [] if folder_rest else folder_words
    roles = [_WORDS[word] for word in words]
    role = next((r for r, _ in roles if r is not None), None)
    view = next((v for _, v in roles if v is not None), None)
    if role is None and not roles and not is_flat(root / name):
        role = "ct"
    return NamedFile(rest or stem or "case", role, view)


def is_flat(path: Path) -> bool:
    """Whether a file is a 2-D image according to its header; False if the header is damaged."""
    try:
        format = find_format(path)
        if format is None:
            return False
        if format.read_volume is None or format.read_size is None:
            return format.read_volume is None
        return sum(n > 1 for n in format.read_size(path)) <= 2
    except Exception:  # of many types; reading the whole file will report the problem
        return False


def _split(text: str) -> tuple[list[str], str]:
    """The known words at both ends of a name, and the rest."""
    parts = re.split(r"([\s_.\-]+)", text)
    words = []
    while parts and parts[0].lower() in _WORDS:
        words.append(parts[0].lower())
        parts = parts[2:]
    while parts and parts[-1].lower() in _WORDS:
        words.append(parts[-1].lower())
        parts = parts[:-2]
    return words, "".join(parts)
