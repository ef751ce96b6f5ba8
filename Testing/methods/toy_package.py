"""Puts the toy method where Python finds it, as pip would install somebody else's package."""

import shutil
from pathlib import Path


def install(folder: Path) -> Path:
    """Fill a folder with the module and the package's metadata beside it; returns the folder."""
    shutil.copy(Path(__file__).with_name("toy_method.py"), folder)
    info = folder / "toy_method-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-method\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[axon_backend.methods]\ntoy = toy_method:INFO\n")
    return folder
