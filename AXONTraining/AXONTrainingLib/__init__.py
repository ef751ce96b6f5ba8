"""The parts of the module AXON Training; they use those of AXON Reconstruction beside it."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("AXONReconstructionLib") is None:
    # Installed, both modules share a folder; in the repository each has its own.
    sys.path.append(str(Path(__file__).resolve().parents[2] / "AXONReconstruction"))
