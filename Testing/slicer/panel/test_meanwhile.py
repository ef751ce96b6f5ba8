"""Closing the scene, deleting nodes and changing inputs during computations."""

import json
import threading

import numpy as np
import pytest


@pytest.fixture
def ui(panel, section):
    return panel.ui


def ended(host, section):
    return host.wait_until(lambda: section.state == "idle", 240)


def test_a_run_of_a_closed_scene_does_not_end_the_next_one(
    host, case, section, ui, panel, tiny_bundle, phantom_xray_file
):
    host.click(ui.reconstructButton)
    old = section._run
    host.close_scene()
    node = panel.parameterNode
    node.bundle, node.registerAutomatically = str(tiny_bundle.path), False
    node.frontal = panel.logic.loadRadiograph(phantom_xray_file, view="pa")
    host.click(ui.reconstructButton)
    old._cancelled(None)  # delivered late
    old._failed(RuntimeError("of the old run"))
    assert section.state == "running" and panel.isBusy
    assert not panel.ui.messageFrame.visible
    assert ended(host, section)
    assert ui.resultLabel.text.startswith("Done")


def test_cancelling_before_the_accepted_placement_is_read(host, case, section, ui, panel):
    """The first job of such a run is queued behind another computation."""
    go = threading.Event()
    panel.logic.tasks.run(lambda job: go.wait(30), onFinished=lambda _result: None)
    case.frontalAccepted = True
    host.click(ui.reconstructButton)
    host.click(ui.reconstructButton)
    try:
        assert host.wait_until(lambda: section.state == "idle", 5)
    finally:
        go.set()
    assert "nothing was kept" in ui.resultLabel.text and not panel.isBusy


def test_closing_the_scene_during_a_run_restores_the_users_layout(
    host, slicer, case, section, ui, panel
):
    manager = slicer.app.layoutManager()
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    host.click(ui.reconstructButton)
    assert host.wait_until(lambda: manager.layout < -5000, 60)  # the first stage is shown
    host.close_scene()
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView


def test_changes_after_the_start_do_not_affect_the_run(
    host, slicer, case, section, ui, panel, phantom_xray_file
):
    """The accepted placement is evaluated on the worker, later."""
    other = panel.logic.loadRadiograph(phantom_xray_file, view="pa", name="other")
    panel.logic.register(case.frontal, None, case.groundTruth, bundle=case.bundle)
    case.frontalAccepted, accepted = True, case.frontal
    host.click(ui.reconstructButton)
    case.frontal = other
    slicer.mrmlScene.RemoveNode(accepted)
    assert ended(host, section)
    assert not panel.ui.messageFrame.visible
    assert case.volumes["sr"].GetName() == "AXON sr, 1 view, seed 0, axon-tiny 0.0.1 (phantom PA)"
    assert json.loads(case.record)["registration"][0]["accepted_by_user"]


def test_closing_the_scene_during_loading_leaves_nothing_disabled(
    host, panel, ui, phantom_xray_file, phantom_ct_file
):
    panel.sections["inputsSection"].load("frontal", str(phantom_xray_file))
    panel.sections["inputsSection"].loadCT(str(phantom_ct_file))
    host.close_scene()
    assert host.wait_until(lambda: not panel.logic.busy, 30)
    assert ui.frontalBox.enabled and ui.groundTruthBox.enabled
    assert ui.frontalAssumed.text.startswith("No X-ray selected")


def test_inputs_can_be_loaded_during_a_computation(host, slicer, panel, ui, phantom_xray_file):
    go = threading.Event()
    panel.logic.tasks.run(lambda job: go.wait(60), onFinished=lambda _result: None)
    node = panel.parameterNode
    try:
        panel.sections["inputsSection"].load("frontal", str(phantom_xray_file))
        assert host.wait_until(lambda: node.frontal is not None, 30)
        pixels = np.random.default_rng(0).random((1, 80, 70)).astype(np.float32)
        ui.lateralSelector.setCurrentNode(slicer.util.addVolumeFromArray(pixels, name="side"))
        assert node.lateral is not None and not go.is_set() and panel.logic.busy
    finally:
        go.set()
    assert host.wait_until(lambda: not panel.logic.busy, 10)
