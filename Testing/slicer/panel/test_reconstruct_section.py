"""The Reconstruct section: plan, progress, cancelling, errors."""

import json

import numpy as np
import pytest


@pytest.fixture
def ui(section):
    return section.ui


@pytest.fixture
def node(panel):
    return panel.parameterNode


def ended(host, section):
    return host.wait_until(lambda: section.state == "idle", 240)


def choose(combo, value):
    index = combo.findData(value)
    assert index >= 0
    combo.setCurrentIndex(index)
    combo.activated.emit(index)


def test_the_button_explains_why_it_is_disabled(panel, section, ui, node, phantom_xray_file):
    assert not ui.reconstructButton.enabled
    assert ui.reconstructButton.toolTip == "Select a frontal X-ray in step 1."
    xray = panel.logic.loadRadiograph(phantom_xray_file, view="pa")
    node.lateral = xray
    assert "lateral X-ray alone is not sufficient" in ui.reconstructButton.toolTip
    node.frontal, node.lateral = xray, None
    assert ui.reconstructButton.enabled
    panel.setBusy(True)
    assert (
        not ui.reconstructButton.enabled
        and "Another computation is running" in ui.reconstructButton.toolTip
    )
    panel.setBusy(False)
    assert ui.reconstructButton.enabled


def test_missing_packages_are_listed(host, panel, section, ui, node, phantom_xray_file):
    node.frontal = panel.logic.loadRadiograph(phantom_xray_file, view="pa")
    with host.without("monai"):
        section.bundlesChanged()
        assert not ui.reconstructButton.enabled
        assert "monai" in ui.reconstructButton.toolTip and "Install" in ui.reconstructButton.toolTip
    section.bundlesChanged()
    assert ui.reconstructButton.enabled


def test_the_plan_follows_the_settings(case, ui):
    assert ui.planLabel.text.startswith("Uses the frontal X-ray (not registered).")
    case.registerAutomatically = True
    assert "(registered to the CT)" in ui.planLabel.text
    case.frontalAccepted = True
    assert "(placement accepted in step 2)" in ui.planLabel.text
    case.lateral = case.frontal
    assert "and the lateral X-ray (registered to the CT)" in ui.planLabel.text
    case.frontalAccepted = False
    assert "Uses both X-rays (registered to the CT)." in ui.planLabel.text
    case.frontal = case.lateral = None
    assert "a frontal DRR of the CT" in ui.planLabel.text


def test_widgets_and_parameter_node_are_synchronised(host, case, section, ui, tiny_bundle):
    choose(ui.deviceCombo, "auto")
    assert case.device == "auto"
    case.device = "cpu"
    assert ui.deviceCombo.itemData(ui.deviceCombo.currentIndex) == "cpu"
    assert ui.bundleCombo.currentText == f"{tiny_bundle.name} {tiny_bundle.version} (AXON)"
    ui.bundleCombo.setCurrentIndex(0)
    ui.bundleCombo.activated.emit(0)
    assert case.bundle == "" and ui.bundleCombo.currentText.startswith("axon-preview")
    ui.samples.value = 3
    assert case.samples == 3
    ui.moreSettings.collapsed = False
    fine = section.stages.rows["fine"]
    fine.steps.value = 7
    assert case.steps == {"fine": 7}
    fine.check.checked = True  # which the shipped model does not recommend
    assert (case.addedStages, case.skippedStages) == (["fine"], []) and fine.steps.enabled
    fine.check.checked = False
    assert (case.addedStages, case.skippedStages) == ([], ["fine"]) and not fine.steps.enabled
    case.addedStages, case.skippedStages, case.steps = ["fine"], [], {}
    assert fine.check.checked and fine.steps.enabled and fine.steps.value == 0
    assert not section.stages.rows["coarse"].check.enabled  # the first stage always runs


def checked(section):
    return [name for name, row in section.stages.rows.items() if row.check.checked]


def test_the_recommended_stages_are_checked_until_the_user_chooses(
    case, section, ui, coarse_bundle, tiny_bundle
):
    rows = section.stages.rows
    assert checked(section) == ["coarse", "fine", "sr"]  # of a model that recommends none
    assert "Stops after" not in ui.planLabel.text
    case.bundle = str(coarse_bundle.path)
    assert checked(section) == ["coarse"]
    assert "Stops after CoarseDiff, as the model recommends." in ui.planLabel.text
    assert (list(case.skippedStages), list(case.addedStages)) == ([], [])
    reason = "authors recommend stopping after CoarseDiff: this stage adds detail"
    assert all(reason in rows[name].check.toolTip for name in ("fine", "sr"))
    assert reason not in rows["coarse"].check.toolTip
    rows["sr"].check.checked = True
    assert checked(section) == ["coarse", "sr"] and "Stops after" not in ui.planLabel.text
    case.bundle = str(tiny_bundle.path)
    assert checked(section) == ["coarse", "fine", "sr"]
    assert reason not in rows["fine"].check.toolTip
    rows["fine"].check.checked = False
    case.bundle = str(coarse_bundle.path)
    assert checked(section) == ["coarse", "sr"]  # the user's choice is kept
    case.bundle = ""
    assert checked(section) == ["coarse", "sr"]


def test_all_stages_run_once_they_are_checked(host, case, section, ui, coarse_bundle):
    case.bundle = str(coarse_bundle.path)
    host.click(ui.reconstructButton)
    assert section.stages.rows["fine"].state.text == "skipped"
    assert ended(host, section) and list(case.volumes) == ["coarse"]
    assert "Shown is" not in ui.resultLabel.text
    one = run_times_of(coarse_bundle, ["coarse"])
    assert one is not None and run_times_of(coarse_bundle, ["coarse", "fine"]) is None
    for name in ("fine", "sr"):
        section.stages.rows[name].check.checked = True
    assert "Duration unknown" in ui.planLabel.text  # that of later stages has not been measured
    host.click(ui.reconstructButton)
    assert ended(host, section) and list(case.volumes) == ["coarse", "fine", "sr"]
    assert "Shown is CoarseDiff, which the model recommends." in ui.resultLabel.text
    assert "based on the last run" in ui.planLabel.text


def run_times_of(bundle, stages):
    from AXONReconstructionLib.setup import run_times

    return run_times.expected("cpu", bundle.name, stages, 1)


def test_the_choice_of_stages_is_saved_with_the_scene(
    host, case, section, panel, coarse_bundle, tmp_path
):
    case.bundle = str(coarse_bundle.path)
    section.stages.rows["sr"].check.checked = True
    host.load_scene(host.save_scene(tmp_path / "scene.mrml"))
    assert list(panel.parameterNode.addedStages) == ["sr"]
    assert checked(section) == ["coarse", "sr"]


@pytest.mark.parametrize(("skipped", "run"), [([], ["coarse"]), (["fine"], ["coarse"])])
def test_a_scene_of_an_earlier_version_is_loaded(
    slicer, axon, coarse_bundle, tiny_bundle, skipped, run
):
    """It had only the stages that are left out."""
    from AXONReconstructionLib.panel import run_plan
    from AXONReconstructionLib.scene.parameters import settingsOf
    from AXONReconstructionLib.setup import methods

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    node.SetParameter("skippedStages.len", str(len(skipped)))
    for number, stage in enumerate(skipped):
        node.SetParameter(f"skippedStages.{number}", stage)
    settings, method = settingsOf(node), methods.find("axon")[0]
    assert list(run_plan.stagesOf(settings, method, ("coarse",))) == run
    rest = [name for name in method.stage_names if name not in skipped]
    assert list(run_plan.stagesOf(settings, method, method.stage_names)) == rest


def test_the_gpu_is_detected_when_the_section_opens(host, case, section, ui, monkeypatch):
    import torch

    assert host.wait_until(lambda: section.modelAndDevice._hardware.detected, 30)
    seen = torch.cuda.is_available()
    assert (torch.cuda.get_device_name(0) if seen else "none") in ui.deviceCombo.itemText(1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    section.bundlesChanged()
    case.device = "cuda"
    assert host.wait_until(lambda: not ui.reconstructButton.enabled, 30)
    assert "No GPU" in ui.reconstructButton.toolTip
    case.bundle = ""
    assert section.stages.rows["coarse"].steps.specialValueText == "model default (1)"


def test_a_missing_model_is_reported(case, ui, tmp_path):
    case.bundle = str(tmp_path / "gone")
    assert not ui.reconstructButton.enabled
    assert "no longer on this computer" in ui.reconstructButton.toolTip


def test_a_run_from_click_to_result(host, slicer, case, section, ui, panel):
    ui.moreSettings.collapsed = False  # folded, its settings are always disabled
    assert ui.stagesBox.enabled
    host.click(ui.reconstructButton)
    assert section.state == "running" and panel.isBusy
    assert ui.reconstructButton.text == "Cancel" and not ui.stagesBox.enabled
    assert ended(host, section) and not panel.isBusy
    assert ui.reconstructButton.text == "Reconstruct" and ui.stagesBox.enabled
    for stage in ("coarse", "fine", "sr"):
        row = section.stages.rows[stage]
        assert row.bar.value == row.bar.maximum
        assert row.state.text.startswith("done in")
    record = json.loads(case.record)
    assert (
        ui.resultLabel.text.startswith("Done in") and "32 x 32 x 32 voxels" in ui.resultLabel.text
    )
    assert f"frontal X-ray {record['reprojection']['frontal']:.2f}" in ui.resultLabel.text
    assert (
        "pixel size of the frontal X-ray is unknown" in ui.warningsLabel.text
        and ui.warningsLabel.visible
    )
    assert slicer.app.layoutManager().layout == -5731
    assert "based on the last run" in ui.planLabel.text or case.bundle


def test_the_coarse_volume_is_shown_during_the_run(host, slicer, case, section, ui):
    seen = []
    original = section._stageFinished
    section._stageFinished = lambda stage, volume: (
        original(stage, volume),
        seen.append((stage, section.state, slicer.app.layoutManager().layout)),
    )
    host.click(ui.reconstructButton)
    assert ended(host, section)
    assert seen[0] == ("coarse", "running", -5732)
    assert [stage for stage, *_rest in seen] == ["coarse", "fine", "sr"]


def test_the_gui_stays_responsive(host, case, section, ui, patient_steps):
    host.click(ui.reconstructButton)
    assert ended(host, section)
    assert {"coarse", "fine", "sr"} <= {stage for stage, _alive in patient_steps}
    assert all(alive for _stage, alive in patient_steps)


@pytest.mark.parametrize(
    ("stage", "kept"), [("coarse", []), ("fine", ["coarse"]), ("sr", ["coarse", "fine", "sr"])]
)
def test_cancel_keeps_the_finished_stages(host, case, section, ui, stage, kept):
    """Cancelled at its first report; a stage of one step ends with that step."""
    original = section.rows.report

    def report(name, *rest):
        original(name, *rest)
        if name == stage and section.state == "running":
            host.click(ui.reconstructButton)
            assert section.state == "stopping" and not ui.reconstructButton.enabled
            assert ui.reconstructButton.text == "Cancelling..."

    section.rows.report = report
    # Enough steps that the stage is still running when the click arrives, also under load.
    case.steps = {"coarse": 60, "fine": 60}
    host.click(ui.reconstructButton)
    assert ended(host, section)
    assert list(case.volumes) == kept
    for name in ("coarse", "fine", "sr"):
        status = section.stages.rows[name].state.text
        assert status.startswith("done in") if name in kept else status == "cancelled"
    if kept and stage != "sr":
        assert "finished stages were kept" in ui.resultLabel.text
        assert json.loads(case.record)["cancelled"]
    if not kept:
        assert "nothing was kept" in ui.resultLabel.text
    section.rows.report = original
    host.click(ui.reconstructButton)  # and it can be started again
    assert ended(host, section) and case.volumes["sr"] is not None


def test_an_error_is_one_sentence(host, slicer, case, section, ui, panel):
    slicer.util.arrayFromVolume(case.frontal)[:] = 1.0
    slicer.util.arrayFromVolumeModified(case.frontal)
    case.registerAutomatically = True
    host.click(ui.reconstructButton)
    assert ended(host, section)
    assert panel.ui.messageFrame.visible and panel.ui.messageLabel.text
    assert "Traceback" not in panel.ui.messageLabel.text
    assert section.stages.rows["coarse"].state.text == "failed" and ui.reconstructButton.enabled


def test_an_accepted_placement_is_used_unchanged(host, case, section, ui, panel):
    from AXONReconstructionLib.scene import nodes

    frame = panel.logic.frameOf(case.groundTruth)
    transform = nodes.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.array([[240.0, 3.0, 10.0], [-2.0, 230.0, 12.0], [0, 0, 1]])
    view = nodes.radiographOf(case.frontal).view
    nodes.placeByMatrix(case.frontal, transform, matrix, frame, view)
    case.frontalAccepted = True
    host.click(ui.reconstructButton)
    assert ended(host, section)
    used = json.loads(case.record)["registration"][0]
    assert used["accepted_by_user"] and np.allclose(used["matrix"], matrix, atol=1e-3)


def test_the_scene_can_be_closed_during_a_run(host, slicer, case, section, ui, panel):
    case.steps = {"coarse": 200}
    host.click(ui.reconstructButton)
    bar = section.stages.rows["coarse"].bar
    assert host.wait_until(lambda: bar.value > 0, 30)
    host.close_scene()
    assert section.state == "idle" and not panel.isBusy and bar.value == 0
    assert host.wait_until(lambda: not panel.logic.busy, 30)
    host.process_events(0.1)
    assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")


def test_another_module_can_be_opened_during_a_run(host, slicer, case, section, ui, panel):
    layout = slicer.app.layoutManager().layout
    host.click(ui.reconstructButton)
    panel.exit()
    assert ended(host, section)
    assert slicer.app.layoutManager().layout == layout  # its views are not changed
    panel.enter()
    assert panel.parameterNode.volumes["sr"] is not None


def test_every_widget_has_a_tooltip(ui):
    for name, widget in vars(ui).items():
        if hasattr(widget, "toolTip") and not name.startswith("qt_") and name != "Reconstruct":
            assert widget.toolTip, name


def test_nothing_is_cut_off(host, case, section, ui, panel, tmp_path):
    ui.moreSettings.collapsed = False
    host.click(ui.reconstructButton)
    assert ended(host, section)
    host.screenshot(panel.widget, tmp_path / "panel.png")
    assert panel.widget.minimumSizeHint.width() <= 400
