"""The headless host for the tests of the Slicer modules: started once, a fresh scene for each."""

import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
_NEEDED = {"slicer_core": "slicer-core", "PySide6": "PySide6-Essentials", "vtk": "vtk"}


def _missing():
    return [name for module, name in _NEEDED.items() if importlib.util.find_spec(module) is None]


def pytest_collection_modifyitems(items):
    """Skip the tests where wheels are not available; in continuous integration they must run."""
    missing = _missing()
    if missing and os.environ.get("CI", "").lower() not in ("true", "1"):
        reason = f"{', '.join(missing)} not installed: pip install -c constraints.txt -e .[dev]"
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def started_host():
    missing = _missing()
    if missing:
        pytest.fail(f"the tests of the Slicer modules require {', '.join(missing)}")
    sys.path.append(str(REPOSITORY / "Testing"))
    import host

    host.start()
    return host


@pytest.fixture
def host(started_host):
    """The host with an empty scene; errors in slots and missing names fail the test."""
    started_host.close_scene()
    started_host.clear_records()
    started_host.start()
    _default_layout()
    yield started_host
    started_host.close_scene()
    errors = [text for _what, _error, text in started_host.slot_errors]
    warnings, gaps = list(started_host.warnings), list(started_host.missing)
    started_host.clear_records()
    assert not errors, "errors in slots, which Slicer only prints:\n" + "\n".join(errors)
    assert not warnings, warnings
    assert not gaps, f"names missing from the test host: {gaps}"


def _default_layout():
    """Reset the layout, which is not part of the scene."""
    import slicer

    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)


@pytest.fixture
def slicer(host):
    import slicer

    return slicer


@pytest.fixture
def module_path(monkeypatch):
    """The folder of AXON Reconstruction, from which its Lib can be imported."""
    folder = REPOSITORY / "AXONReconstruction"
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def logic(slicer, module_path):
    """The logic without a panel."""
    from AXONReconstruction import AXONReconstructionLogic

    made = AXONReconstructionLogic()
    yield made
    made.cleanup()
    assert not made.busy


@pytest.fixture
def axon(host):
    """The AXON Reconstruction module with its panel, shown: (Python module, widget)."""
    path = REPOSITORY / "AXONReconstruction" / "AXONReconstruction.py"
    loaded = host.load_module(path)
    yield loaded
    host.unload_module(path.stem)


@pytest.fixture
def panel(axon):
    return axon[1].panel


@pytest.fixture
def section(panel):
    """The Reconstruct section, open."""
    panel.container("reconstructSection").collapsed = False
    return panel.sections["reconstructSection"]


@pytest.fixture
def case(panel, section, tiny_bundle, phantom_xray_file, phantom_ct_file):
    """The phantom and the tiny model, without registration."""
    node = panel.parameterNode
    node.bundle, node.device, node.registerAutomatically = str(tiny_bundle.path), "cpu", False
    node.frontal = panel.logic.loadRadiograph(phantom_xray_file, view="pa", name="phantom PA")
    node.groundTruth = panel.logic.loadCT(phantom_ct_file)
    return node


@pytest.fixture
def patient_steps(slicer, monkeypatch):
    """Makes each step of a run wait, on its own thread, until a timer of the main thread has fired
    three times more; the list of (stage, whether it did). While the main thread is blocked, none
    fires."""
    import qt

    from axon_backend.util.run_context import RunContext

    ticks, waited, report = [], [], RunContext.report

    def patient(self, stage, *rest):
        wanted, end = len(ticks) + 3, time.monotonic() + 60  # seconds; otherwise it would hang
        while len(ticks) < wanted and time.monotonic() < end:
            time.sleep(0.001)
        waited.append((stage, len(ticks) >= wanted))
        report(self, stage, *rest)

    monkeypatch.setattr(RunContext, "report", patient)
    timer = qt.QTimer()
    timer.interval = 1
    timer.connect("timeout()", lambda: ticks.append(None))
    timer.start()
    yield waited
    timer.stop()


COMPARED_FRAME = {"center_mm": [10.0, -20.0, 30.0], "size_mm": [280.0, 240.0, 300.0]}
COMPARED_SIZE = 32


def compared_hu():
    """HU [z, y, x] of a body with a dense block at the patient's right, front and top."""
    z, y, x = np.meshgrid(
        *[(np.arange(COMPARED_SIZE) + 0.5) / COMPARED_SIZE - 0.5] * 3, indexing="ij"
    )
    hu = np.where((x / 0.42) ** 2 + (y / 0.42) ** 2 + (z / 0.48) ** 2 < 1, 40.0, -1000.0)
    hu[20:26, 8:13, 9:14] = 900.0
    return hu.astype(np.float32)


@pytest.fixture
def compared(axon):
    """The open Compare section with a result in the parameter node: two stages, ground truth,
    difference and standard deviation. Has `panel`, `ui`, `node`, and the truth's `frame`, `hu`."""
    from axon_backend.imaging.frame import ThoraxFrame
    from AXONReconstructionLib.scene import nodes

    frame = ThoraxFrame(tuple(COMPARED_FRAME["center_mm"]), tuple(COMPARED_FRAME["size_mm"]))
    truth = compared_hu()
    made = {
        "truthVolume": truth,
        "differenceVolume": np.full_like(truth, -100),
        "deviationVolume": np.abs(truth) / 20,
    }
    record = {
        "frame": COMPARED_FRAME,
        "pose": None,
        "hu_window": [-1000.0, 900.0],
        "registration": [{"role": "frontal", "view": "pa", "verdict": "rendered in place"}],
        "reprojection": {"frontal": 0.9},
        "metrics": {
            "coarse": {"mae": 0.1, "mse": 0.02, "psnr": 17.0, "ssim3d_gauss11": 0.5},
            "sr": {"mae": 0.05, "mse": 0.03, "psnr": 15.2, "ssim3d_gauss11": 0.75},
        },
        "atlas_mean": {"mae": 0.2, "mse": 0.04, "psnr": 14.0, "ssim3d_gauss11": 0.8},
        "seed": 0,
        "bundle": {"name": "test", "version": "1", "sha256": "0" * 64},
        "inputs": [],
        "warnings": [],
    }
    panel = axon[1].panel
    panel.container("compareSection").collapsed = False
    node = panel.parameterNode
    stages = {"coarse": truth[::2, ::2, ::2].copy(), "sr": truth - 100}
    node.volumes = {s: nodes.volumeNode(hu, frame, s) for s, hu in stages.items()}
    for name, hu in made.items():
        setattr(node, name, nodes.volumeNode(hu, frame, name))
    node.record = json.dumps(record)
    ui = panel.sections["compareSection"].ui
    return SimpleNamespace(panel=panel, ui=ui, node=node, frame=frame, hu=truth)
