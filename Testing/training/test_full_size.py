"""A training step of the paper's presets at their full size on a CPU: 1024 x 1024 pixels, 128^3 and
256^3 voxels.

`paper_biplanar` differs from `paper` only in what it is trained on (`test_settings.py`), so the
large U-Nets run once.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "full_size.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is asked of a Unix system")
@pytest.mark.parametrize(
    ("preset", "training"),
    [
        ("paper", "encoder"),
        ("paper_biplanar", "encoder"),
        ("paper", "coarse"),
        ("paper", "prior"),
        ("paper", "controlnet"),
        ("paper", "sr"),
    ],
)
def test_a_step_at_full_size_moves_the_weights_and_fits_into_memory(preset, training):
    """Adam's first step moves every weight that has a gradient by the learning rate."""
    words = [SCRIPT, "--here", "--preset", preset, "--training", training]
    words += ["--threads", str(os.cpu_count())]
    # The sample of CoarseDiff that the ControlNet is trained on: ten steps take minutes.
    words += ["--set", "model.sampling.coarse_steps=1"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["moved"] == pytest.approx(2e-4 if training == "sr" else 1e-4, rel=0.01)
    assert 0 < row["loss"] < 10 and row["peak_gb"] < 12
