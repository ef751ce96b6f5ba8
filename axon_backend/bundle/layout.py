"""What lies where in a bundle folder, and which paths and JSON files are acceptable.

A bundle is a MONAI bundle folder (https://docs.monai.io/en/stable/mb_specification.html) whose
weights are safetensors instead of pickles. Everything in it is data: nothing is ever executed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.util.input_file import read_text

FORMAT_VERSION = 3  # 2: weights may be packed in eight bits; 3: the configuration names the method
"""Version of this layout. Raised when an older AXON could no longer read the folder."""

SHIPPED = Path(__file__).resolve().parent.parent / "bundles" / "preview"
"""The bundle that comes with the package."""

METADATA = "configs/metadata.json"
CONFIG = "configs/axon.json"
ATLAS = "atlas/atlas.nii.gz"
ATLAS_INFO = "atlas/atlas.json"
MODEL_CARD = "docs/README.md"
LICENCE = "LICENSE"
CHECKSUMS = "SHA256SUMS"

REQUIRED = (METADATA, CONFIG, ATLAS, ATLAS_INFO)

PICKLES = frozenset({".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin", ".joblib"})
"""Endings of files whose usual loader can run code hidden in them; a bundle may hold none."""

_NETWORK_NAME = re.compile(r"[a-z][a-z0-9_]*")
_EXPRESSION_KEYS = frozenset({"_target_", "_requires_", "_mode_"})


def model_path(network: str) -> str:
    """`unet` -> `models/unet.safetensors`; raises AxonInputError for any other spelling."""
    if not _NETWORK_NAME.fullmatch(network):
        raise AxonInputError(
            f"'{network}' is no name for a network: use small letters, digits and underscores, "
            "for example 'unet'."
        )
    return f"models/{network}.safetensors"


def inside(root: Path, relative: str) -> Path:
    """The file `relative` (forward slashes) of the bundle `root`, which must stay inside it.

    Raises AxonInputError for absolute paths, drive letters, backslashes, `..`, and links that lead
    out of the folder. The file itself need not exist.
    """
    pure = PurePosixPath(relative)
    plain = (
        relative != ""
        and not pure.is_absolute()
        and ".." not in pure.parts
        and not set(relative) & set("\\:\0")
        and str(pure) == relative
    )
    target = root / pure
    if not plain or not target.resolve().is_relative_to(root.resolve()):
        raise AxonInputError(
            f"The bundle {root} names the file '{relative}', which lies outside the bundle. "
            "A sound bundle never does this: get it again from a source you trust."
        )
    return target


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of plain values, as a dict.

    Raises AxonInputError when the file is not JSON, is not an object, holds NaN or infinity, or
    holds a MONAI expression (`$...`, `_target_`): those would run as Python code in MONAI's tools.
    """
    text = read_text(path)
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise AxonInputError(f"{path} cannot be read as JSON: {why}.") from error
    if not isinstance(found, dict):
        raise AxonInputError(f"{path} holds a JSON {type(found).__name__}; expected an object.")
    expression = _find_expression(found)
    if expression is not None:
        raise AxonInputError(
            f"{path} holds the expression {expression!r}, which MONAI's tools would run as code. "
            "An AXON bundle holds plain values only: do not use this bundle."
        )
    return found


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` with the same bytes on every system (hashes are taken of them)."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    path.write_bytes(text.encode())


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _find_expression(value: Any) -> str | None:
    """The first MONAI expression in a nested JSON value, or None."""
    if isinstance(value, str):
        return value if value.startswith("$") else None
    if isinstance(value, dict):
        for key, item in value.items():
            found = key if key in _EXPRESSION_KEYS else _find_expression(item)
            if found is not None:
                return found
    if isinstance(value, list):
        for item in value:
            found = _find_expression(item)
            if found is not None:
                return found
    return None
