"""The scripts of this folder, and the tiny run of the training's tests, can be imported by its
tests."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "training")]
