"""End-to-end case in 3D Slicer without main window: from the sample data to a saved volume.

    Slicer --testing --no-splash --no-main-window --additional-module-paths AXONReconstruction \
        --python-script Testing/slicer_case.py

Exits with 0 on success, 1 on failure, and 77, which CTest counts as skipped, if PyTorch or another
package is not installed in Slicer.
"""

import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
import slicer

DONE, WRONG, SKIPPED = 0, 1, 77


def check(holds: bool, what: str) -> None:
    """An assertion that Python's -O does not remove."""
    if not holds:
        raise AssertionError(what)


def runCase(folder: Path) -> None:
    """Load, register, reconstruct twice, compare, save and load the saved files."""
    from AXONReconstructionLib.console import sample_data
    from AXONReconstructionLib.console.logic import AXONReconstructionLogic

    ct, frontal, lateral = sample_data.load("AXONTestPatient")
    logic = AXONReconstructionLogic()
    found = logic.register(frontal, lateral, ct)
    for role, registration in found.items():
        print(f"{role}: {registration.quality}")

    began = time.monotonic()
    result = logic.reconstruct(frontal, lateral, ct, seed=1, stages="all")
    print(f"reconstructed in {time.monotonic() - began:.0f} s")
    check(set(result.volumes) == {"coarse", "fine", "sr"}, f"stages {set(result.volumes)}")
    for stage, node in result.volumes.items():
        hu = slicer.util.arrayFromVolume(node)
        check(np.isfinite(hu).all(), f"{stage} contains non-finite values")
        check(hu.min() < -700 and hu.max() > 150, f"{stage} is {hu.min()} to {hu.max()} HU")
        check(node.GetAttribute("AXON.ResearchUseOnly") is not None, f"{stage} is not marked")
    metrics = logic.metrics(result)
    print({stage: round(values["psnr"], 2) for stage, values in metrics.items()})
    average = result.record["atlas_mean"]["psnr"]
    reached = metrics["coarse"]["psnr"]
    check(reached > average + 1, f"{reached:.1f} dB, the atlas {average:.1f} dB")

    again = logic.reconstruct(frontal, lateral, ct, seed=1)
    check(set(again.volumes) == {"coarse"}, f"recommended stages {set(again.volumes)}")
    same = np.array_equal(
        slicer.util.arrayFromVolume(again.volumes["coarse"]),
        slicer.util.arrayFromVolume(result.volumes["coarse"]),
    )
    check(same, "the same seed gave a different volume")

    files = [Path(file) for file in logic.save(result, str(folder / "case"), "nii.gz")]
    check(bool(files) and all(file.is_file() for file in files), f"saved were {files}")
    volumes = [file for file in files if file.name.endswith(".nii.gz")]
    final = slicer.util.arrayFromVolume(result.volumes["sr"])
    loaded = [slicer.util.loadVolume(str(file)) for file in volumes]
    check(
        any(
            slicer.util.arrayFromVolume(node).shape == final.shape
            and np.abs(slicer.util.arrayFromVolume(node) - final).max() <= 1
            for node in loaded
        ),
        "the saved volume differs from the one in the scene",
    )
    logic.cleanup()


def main() -> int:
    """Run the case; returns the exit code."""
    from AXONReconstructionLib.setup import backend

    missing = backend.available()
    if missing is not None:
        print(f"skipped: {missing}")
        return SKIPPED
    try:
        with tempfile.TemporaryDirectory() as folder:
            runCase(Path(folder))
    except Exception:
        traceback.print_exc()
        return WRONG
    print("the case is right")
    return DONE


if __name__ == "__main__":
    slicer.util.exit(main())
