"""The files of a bundle folder, and checks of its paths and JSON files.

A bundle is a MONAI bundle folder (https://docs.monai.io/en/stable/mb_specification.html) whose
weights are safetensors instead of pickles. It contains only data; nothing in it is executed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.util.input_file import read_text

FORMAT_VERSION = 3  # 2: weights may be packed in eight bits; 3: the configuration names the method
"""Version of this layout. Increased when older versions of AXON cannot read the new one."""

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
"""Extensions of files whose usual loader can execute code in them; a bundle may contain none."""

_NETWORK_NAME = re.compile(r"[a-z][a-z0-9_]*")
_EXPRESSION_KEYS = frozenset({"_target_", "_requires_", "_mode_"})


def model_path(network: str) -> str:
    """`unet` -> `models/unet.safetensors`; raises AxonInputError for any other spelling."""
    if not _NETWORK_NAME.fullmatch(network):
        raise AxonInputError(
            f"'{network}' is not a valid network name: use lower-case letters, digits and "
            "underscores, for example 'unet'."
        )
    return f"models/{network}.safetensors"


def inside(root: Path, relative: str) -> Path:
    """The path of the file `relative` (forward slashes) in the bundle `root`.

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
            f"The bundle {root} names the file '{relative}', which is outside the bundle. "
            "A valid bundle never does this: get it again from a source that you trust."
        )
    return target


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of plain values.

    Raises AxonInputError if the file is not JSON or not an object, or contains NaN, infinity, or a
    MONAI expression (`$...`, `_target_`), which MONAI's tools would run as Python code.
    """
    text = read_text(path)
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise AxonInputError(f"{path} cannot be read as JSON: {why}.") from error
    if not isinstance(found, dict):
        raise AxonInputError(f"{path} contains a JSON {type(found).__name__}; expected an object.")
    expression = _find_expression(found)
    if expression is not None:
        raise AxonInputError(
            f"{path} contains the expression {expression!r}, which MONAI would run as code. "
            "AXON bundles contain plain values only: do not use this bundle."
        )
    return found


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` with the same bytes on every system, because the files are hashed."""
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
