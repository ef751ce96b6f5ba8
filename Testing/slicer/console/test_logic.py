"""The console API: no widget, a real scene, a tiny model."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

MODULE = Path(__file__).resolve().parents[3] / "AXONReconstruction"
# A separate process, in which the host only provides Slicer's names.
IMPORT = """
import sys
sys.path[:0] = [{testing!r}, {module!r}]
import host
host.start()
import AXONReconstruction
print([n for n in ("torch", "SimpleITK", "axon_backend", "monai", "scipy") if n in sys.modules])
sys.stdout.flush()
host.finish()
"""


@pytest.fixture
def frontal(logic, phantom_xray_file):
    return logic.loadRadiograph(phantom_xray_file, view="PA", name="phantom PA")


@pytest.fixture
def ct(logic, phantom_ct_file):
    return logic.loadCT(phantom_ct_file)


def values(slicer, node):
    return slicer.util.arrayFromVolume(node)


def blocked(logic):
    """Start a job that occupies the worker until the returned event is set or it is cancelled."""
    event, begun = threading.Event(), threading.Event()

    def work(job):
        begun.set()
        while not event.is_set():
            if job.cancelled():
                from axon_backend.errors import Cancelled

                raise Cancelled("stopped")
            time.sleep(0.002)

    logic.tasks.run(work, onFinished=lambda result: None)
    assert begun.wait(5)
    return event


def settle(host, logic):
    assert host.wait_until(lambda: not logic.busy, 60)


def test_importing_the_module_imports_no_heavy_packages():
    code = IMPORT.format(testing=str(MODULE.parent / "Testing"), module=str(MODULE))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_loaded_xray_matches_the_backend(logic, frontal, phantom_xray_file):
    from axon_backend.imaging.radiograph import read_radiograph
    from AXONReconstructionLib.scene import nodes

    read, found = read_radiograph(phantom_xray_file, view="pa"), nodes.radiographOf(frontal)
    assert np.array_equal(found.pixels, read.pixels)
    assert (found.view, found.pixel_mm, found.assumptions, found.source) == (
        read.view,
        read.pixel_mm,
        read.assumptions,
        read.source,
    )


def test_a_loaded_ct_matches_the_backend(logic, ct, phantom_ct_file):
    from axon_backend.imaging.ct import read_ct
    from AXONReconstructionLib.scene import nodes

    read, found = read_ct(phantom_ct_file), nodes.ctFromArrays(*nodes.ctArrays(ct))
    assert np.array_equal(found.hu, read.hu)
    assert found.spacing_mm == read.spacing_mm and found.origin_mm == read.origin_mm
    assert found.source == read.source


def test_an_xray_is_described_and_corrected(logic, frontal, slicer):
    before = values(slicer, frontal).copy()
    description = logic.describeRadiograph(frontal)
    assert description.view == "pa" and description.pixelMm is None and description.assumptions
    assert logic.correctRadiograph(frontal, invert=True) is frontal
    assert np.allclose(values(slicer, frontal), before.max() + before.min() - before)
    assert logic.describeRadiograph(frontal).inverted is not description.inverted
    logic.correctRadiograph(frontal, invert=True, flip=True, pixelSizeMm=1.5)
    assert np.allclose(values(slicer, frontal), before[:, :, ::-1], atol=1e-4)
    description = logic.describeRadiograph(frontal)
    assert description.pixelMm == (1.5, 1.5)
    assert any("by hand" in note for note in description.assumptions)
    assert frontal.GetSpacing()[:2] == (1.5, 1.5)


def test_a_corrected_view_lies_in_its_plane(logic, frontal):
    logic.correctRadiograph(frontal, view="LL")
    bounds = [0.0] * 6
    frontal.GetRASBounds(bounds)
    assert bounds[1] - bounds[0] < 2 < bounds[3] - bounds[2]
    assert frontal.GetAttribute("AXON.Role") == "lateral"


def test_an_invalid_correction_is_reported(logic, frontal):
    from axon_backend.errors import AxonInputError

    with pytest.raises(AxonInputError, match="0.001"):
        logic.correctRadiograph(frontal, pixelSizeMm=0.001)
    with pytest.raises(AxonInputError, match="oblique"):
        logic.correctRadiograph(frontal, view="oblique")


def test_a_missing_file_is_reported_in_one_sentence(logic):
    from axon_backend.errors import AxonInputError
    from AXONReconstructionLib.setup import backend

    with pytest.raises(AxonInputError, match="does not exist") as caught:
        logic.loadRadiograph("/no/such/chest.dcm")
    sentence, details = backend.explain(caught.value)
    assert "does not exist" in sentence and "Traceback" in details and "\n" not in sentence


def test_the_frame_of_a_ct_and_of_the_atlas(logic, ct, phantom_ct, tiny_bundle):
    from axon_backend.imaging.frame import find_thorax_frame

    assert logic.frameOf(ct) == find_thorax_frame(phantom_ct)
    atlas = logic.frameOf(None, tiny_bundle.path)
    assert atlas.center_mm == (0, 0, 0)
    assert np.allclose(atlas.size_mm, find_thorax_frame(phantom_ct).size_mm)


def test_a_drr_matches_the_backend_and_lies_in_the_frame(logic, ct, phantom_ct, slicer):
    from axon_backend.imaging.frame import find_thorax_frame
    from axon_backend.physics.drr import render_drr
    from axon_backend.physics.geometry import AcquisitionGeometry
    from AXONReconstructionLib.scene import nodes

    frame = find_thorax_frame(phantom_ct)
    node = logic.renderDRR(ct, "LL", size=64)
    made = render_drr(phantom_ct, AcquisitionGeometry.of_frame(frame, "ll"), 64).numpy()
    assert np.array_equal(values(slicer, node)[0], made)
    assert np.allclose(nodes.matrixOf(node, frame, "ll"), [[64, 0, -0.5], [0, 64, -0.5], [0, 0, 1]])
    again = logic.renderDRR(ct, "LL", size=32, fast=True, node=node)
    assert again is node and values(slicer, node).shape == (1, 32, 32)


def test_a_dense_block_is_where_the_anatomy_is_in_the_ct_and_in_both_drrs(
    logic, ct, slicer, marker_mm
):
    from AXONReconstructionLib.scene.volumes import ijkToWorld

    centre = np.array(logic.frameOf(ct).center_mm) * (-1, -1, 1)
    block = values(slicer, ct) == 1200
    k, j, i = np.argwhere(block).mean(0)
    ras = (ijkToWorld(ct) @ [i, j, k, 1])[:3]
    assert np.abs(ras - np.array(marker_mm) * (-1, -1, 1)).max() <= 2  # half a voxel
    drrs = {view: logic.renderDRR(ct, view, size=128) for view in ("pa", "ll")}
    values(slicer, ct)[block] = -850
    slicer.util.arrayFromVolumeModified(ct)
    for view, drr in drrs.items():
        lost = values(slicer, drr)[0] - values(slicer, logic.renderDRR(ct, view, size=128))[0]
        row, column = np.argwhere(lost > 0.5 * lost.max()).mean(0)
        seen = (ijkToWorld(drr) @ [column, row, 0, 1])[:3]
        for axis in (0, 2) if view == "pa" else (1, 2):
            # The cone beam shifts it by less than a tenth of its distance from the centre.
            assert abs(seen[axis] - ras[axis]) < 0.1 * abs(ras[axis] - centre[axis]) + 3
    assert ras[0] < centre[0] - 50  # it is in the left lung, so the test distinguishes the sides


def test_the_latest_drr_request_replaces_queued_ones(host, logic, ct, slicer):
    logic.renderDRR(ct, "pa", size=32)  # fill the caches
    event = blocked(logic)
    finished, cancelled = [], []
    for size in (40, 41, 42, 43):
        logic.renderDRR(
            ct,
            "pa",
            size=size,
            onFinished=lambda node: finished.append(values(slicer, node).shape[1]),
            onCancelled=lambda rest, size=size: cancelled.append(size),
        )
    event.set()
    settle(host, logic)
    assert finished == [43] and cancelled == [40, 41, 42]


def test_a_changed_ct_is_read_again(logic, ct, slicer):
    before = values(slicer, logic.renderDRR(ct, "pa", size=32)).copy()
    values(slicer, ct)[:, 28:36] += 300
    slicer.util.arrayFromVolumeModified(ct)
    assert not np.array_equal(values(slicer, logic.renderDRR(ct, "pa", size=32)), before)


def test_a_pose_round_trips_through_the_sliders(logic):
    from axon_backend.physics.pose import Pose

    parameters = logic.getParameterNode()
    assert logic.poseOf(parameters).is_identity
    pose = Pose((1.5, -2, 3), (10, -20, 30), 2000)
    logic.setPose(parameters, pose)
    assert logic.poseOf(parameters) == pose
    assert (parameters.poseRotationAP, parameters.poseTranslationZ) == (-2, 30)
    logic.setPose(parameters, Pose((90, 0, 0), (0, 0, -500)))
    assert (parameters.poseRotationLR, parameters.poseTranslationZ) == (30, -100)
    logic.setPose(parameters)
    assert logic.poseOf(parameters).is_identity


def test_registration_recovers_the_known_placement(logic, ct, frontal):
    """The X-ray is the canonical DRR of the CT, so its placement is known exactly."""
    reports = []
    found = logic.register(frontal, ctNode=ct, onProgress=lambda **report: reports.append(report))
    matrix = found["frontal"].matrix
    assert np.abs(matrix - [[256, 0, -0.5], [0, 256, -0.5], [0, 0, 1]]).max() < 4
    assert frontal.GetParentTransformNode() is found["frontal"].transformNode
    assert np.allclose(logic.matrixOf(frontal, ct), matrix)
    assert {report["stage"] for report in reports} == {"register"} and reports[-1]["step"] == 1
    quality = logic.assess(frontal, ct)
    assert quality["verdict"] == found["frontal"].quality["verdict"] == "good"
    again = logic.register(frontal, ctNode=ct, accepted={"frontal": matrix})
    assert again["frontal"].transformNode is found["frontal"].transformNode
    assert np.array_equal(again["frontal"].matrix, matrix)


def test_transforms_of_the_user_are_not_modified(logic, ct, frontal, slicer):
    theirs = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    frontal.SetAndObserveTransformNodeID(theirs.GetID())
    known = np.array([[256, 0, -0.5], [0, 256, -0.5], [0, 0, 1]])
    found = logic.register(frontal, ctNode=ct, accepted={"frontal": known})
    assert found["frontal"].transformNode is not theirs
    assert np.array_equal(slicer.util.arrayFromTransformMatrix(theirs), np.eye(4))
    assert np.allclose(logic.matrixOf(frontal, ct), known)


def test_landmarks_register_the_xray(logic, ct, frontal, slicer):
    from AXONReconstructionLib.scene.volumes import ijkToWorld

    drr = logic.renderDRR(ct, "pa", size=256)
    points = [(40, 60), (200, 50), (128, 220), (90, 140)]
    markups = []
    for node in (frontal, drr):
        places = np.array([(ijkToWorld(node) @ [*p, 0, 1])[:3] for p in points])
        made = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
        slicer.util.updateMarkupsControlPointsFromArray(made, places)
        markups.append(made)
    found = logic.registerByLandmarks(frontal, *markups, ctNode=ct)
    assert np.allclose(found.matrix, [[256, 0, -0.5], [0, 256, -0.5], [0, 0, 1]], atol=1e-6)
    markups[1].RemoveNthControlPoint(0)
    with pytest.raises(ValueError, match="4 landmarks .* 3"):
        logic.registerByLandmarks(frontal, *markups, ctNode=ct)


def test_invalid_registration_inputs_are_refused(logic, frontal, slicer):
    from axon_backend.errors import AxonInputError

    with pytest.raises(AxonInputError, match="no X-ray"):
        logic.register()
    with pytest.raises(AxonInputError, match="CT of the same patient"):
        logic.register(frontal, method="pose")
    plain = slicer.util.addVolumeFromArray(np.zeros((1, 90, 90), np.int16), name="plain")
    with pytest.raises(AxonInputError, match="plain"):
        logic.register(plain)


@pytest.mark.slow
def test_a_pose_is_estimated_with_the_ct(logic, ct, frontal):
    known = {"frontal": np.array([[256, 0, -0.5], [0, 256, -0.5], [0, 0, 1]])}
    heard = []
    found = logic.register(
        frontal,
        ctNode=ct,
        method="pose",
        accepted=known,
        onProgress=lambda **report: heard.append(report),
    )
    # The X-ray was rendered at the canonical pose. A single view constrains in-plane rotation best.
    assert abs(found.pose.rotation_deg[1]) < 3 and np.abs(found.pose.translation_mm[::2]).max() < 8
    assert found.history and "pose" in {h["stage"] for h in heard}
    assert ["accepted" in w for w in found.warnings] == [True]  # it was held
    assert any(h["similarity"] is not None for h in heard)


@pytest.mark.parametrize(
    "call",
    [
        lambda logic, xray: logic.loadRadiograph(None),
        lambda logic, xray: logic.reconstruct(xray, steps=5),
        lambda logic, xray: logic.reconstruct(xray, steps={"coarse": "3"}),
        lambda logic, xray: logic.reconstruct(xray, seed=1.5),
        lambda logic, xray: logic.reconstruct(xray, samples="2"),
        lambda logic, xray: logic.reconstruct("an X-ray"),
        lambda logic, xray: logic.reconstruct(xray, ctNode=3),
        lambda logic, xray: logic.register("an X-ray"),
        lambda logic, xray: logic.registerByLandmarks(xray, None, None),
        lambda logic, xray: logic.renderDRR(size="large"),
        lambda logic, xray: logic.loadRadiograph(xray, pixelSizeMm=(1, 2, 3)),
        lambda logic, xray: logic.assess(None),
        lambda logic, xray: logic.metrics(None),
    ],
)
def test_an_argument_of_the_wrong_type_is_reported(logic, frontal, call):
    with pytest.raises(TypeError, match="got"):
        call(logic, frontal)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"seed": -1}, "seed must be an integer from 0"),
        ({"seed": 2**64}, "seed must be an integer from 0"),
        ({"samples": 0}, "samples must be an integer from 1"),
        ({"steps": {"final": 3}}, "the stages of AXON are coarse, fine, sr"),
        ({"stages": "sr"}, "stages sr cannot be run"),
    ],
)
def test_a_value_out_of_range_is_reported(logic, frontal, wrong, words):
    from axon_backend.errors import AxonInputError

    with pytest.raises(AxonInputError, match=words):
        logic.reconstruct(frontal, register=False, **wrong)
