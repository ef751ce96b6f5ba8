"""Implementation of the AXON Training module; it uses the Lib of AXON Reconstruction."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("AXONReconstructionLib") is None:
    # Installed modules share a folder; in the repository each has its own.
    sys.path.append(str(Path(__file__).resolve().parents[2] / "AXONReconstruction"))
