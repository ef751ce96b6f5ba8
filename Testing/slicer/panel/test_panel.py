"""The panel: parameter node, messages, scene and module events."""

import json
import sys
import threading
from pathlib import Path
from xml.etree import ElementTree

import pytest

UI = Path(__file__).resolve().parents[3].glob("AXON*/Resources/UI/*.ui")


@pytest.mark.parametrize("file", sorted(UI), ids=lambda file: file.stem)
def test_every_widget_has_its_place_in_a_form_or_grid(file):
    """Qt puts a widget without one over that of the first cell."""
    for layout in ElementTree.parse(file).iter("layout"):
        if layout.get("class") in ("QFormLayout", "QGridLayout"):
            cells = [(item.get("row"), item.get("column")) for item in layout.findall("item")]
            assert len(set(cells)) == len(cells), layout.get("name")
            assert all(None not in cell for cell in cells), layout.get("name")


def running(panel):
    """Start a job that runs until it is cancelled; its outcome is appended to the returned list."""
    heard, begun = [], threading.Event()

    def work(job):
        begun.set()
        while not job.cancelled():
            threading.Event().wait(0.005)
        from axon_backend.errors import Cancelled

        raise Cancelled("stopped")

    panel.logic.tasks.run(work, onFinished=heard.append, onCancelled=heard.append)
    assert begun.wait(5)
    return heard


def test_the_research_notice_is_visible(panel):
    assert "not for diagnosis" in panel.ui.researchBanner.text
    assert panel.ui.researchBanner.visible


def test_all_sections_exist_and_have_tooltips(panel):
    assert list(panel.sections) == [
        "inputsSection",
        "registerSection",
        "reconstructSection",
        "compareSection",
        "batchSection",
        "setupSection",
    ]
    assert all(panel.container(name).toolTip for name in panel.sections)
    assert panel.ui.messageCloseButton.toolTip and panel.ui.messageDetailsButton.toolTip


def test_an_error_is_one_sentence_with_expandable_details(host, panel):
    ui = panel.ui
    assert not ui.messageFrame.visible
    panel.showError("The X-ray is blank.", "Traceback ...")
    assert ui.messageFrame.visible and ui.messageLabel.text == "The X-ray is blank."
    assert not ui.messageDetails.visible
    host.click(ui.messageDetailsButton)
    assert ui.messageDetails.visible and "Traceback" in ui.messageDetails.plainText
    host.click(ui.messageCloseButton)
    assert not ui.messageFrame.visible
    panel.showMessage("Done.")
    assert ui.messageFrame.visible and not ui.messageDetailsButton.visible
    assert not ui.messageDetails.visible


def test_exceptions_are_explained(panel):
    from axon_backend.errors import AxonInputError

    label = panel.ui.messageLabel
    panel.reportError(AxonInputError("chest.png is too small. Give it in full size."))
    assert label.text == "chest.png is too small. Give it in full size."
    panel.reportError(ZeroDivisionError("division by zero"))
    assert "Unexpected error" in label.text and "division by zero" in label.text
    panel.reportError(MemoryError())
    assert "Out of memory" in label.text
    panel.reportError(ModuleNotFoundError("No module named 'torch'", name="torch"))
    assert "torch is not installed" in label.text


def test_widgets_follow_the_parameter_node_only_while_the_module_is_shown(axon, panel):
    _module, widget = axon
    seen = []
    panel.sections["setupSection"].parameterNodeChanged = seen.append
    panel.parameterNode.seed = 5
    assert seen
    widget.parent.exit()
    seen.clear()
    panel.parameterNode.seed = 6
    assert not seen
    widget.parent.enter()
    assert seen and panel.parameterNode.seed == 6


def test_keyboard_shortcuts_work_while_the_module_is_shown(host, slicer, axon, panel):
    import qt

    def keys():
        found = slicer.util.mainWindow().findChildren(qt.QShortcut)
        return {shortcut.key.toString(): shortcut for shortcut in found}

    assert {"Alt+1", "Alt+2", "Alt+3", "Alt+4", "Ctrl+Return"} <= set(keys())
    keys()["Alt+4"].activated.emit()
    assert not panel.container("compareSection").collapsed
    assert panel.container("inputsSection").collapsed
    keys()["Alt+1"].activated.emit()
    host.answer_next(())
    keys()["Ctrl+Return"].activated.emit()
    assert host.dialogs[-1]["kind"] == "file:open many"
    axon[1].parent.exit()
    host.process_events(0.05)
    assert "Alt+1" not in keys()
    axon[1].parent.enter()
    assert "Alt+1" in keys()


def test_orientation_labels_leave_the_views_with_the_module(host, axon, compared):
    from AXONReconstructionLib.views import side_labels

    host.click(compared.ui.showButton)
    labels = side_labels.shared()
    assert labels.texts("Red")["left"] == "R"
    axon[1].parent.exit()
    assert labels.texts("Red") == {}
    axon[1].parent.enter()
    assert labels.texts("Red")["left"] == "R"


def test_the_help_links_to_the_documentation(host, slicer, axon):
    module = slicer.app.moduleManager().module("AXONReconstruction")
    assert "Resources/Docs/slicer.md" in module.helpText
    for name in module.dependencies:
        assert slicer.app.moduleManager().module(name) is not None, name


def test_closing_the_scene_cancels_and_resets(host, slicer, panel):
    heard = running(panel)
    panel.parameterNode.seed = 5
    before = panel.parameterNode
    panel.showError("An old error.")
    host.close_scene()
    assert host.wait_until(lambda: not panel.logic.busy, 10)
    assert heard == [None]
    assert panel.parameterNode is not None and panel.parameterNode is not before
    assert panel.parameterNode.seed == 0 and not panel.ui.messageFrame.visible
    panel.parameterNode.seed = 7
    assert panel.logic.getParameterNode().seed == 7


def test_cleanup_during_a_job_stops_the_thread(axon, panel):
    heard = running(panel)
    thread = panel.logic.tasks.worker._thread
    axon[1].cleanup()
    assert not thread.is_alive() and heard == [None]
    assert axon[1].panel is None


def test_reload_reimports_the_lib(host, slicer, axon):
    _module, widget = axon
    before = sys.modules["AXONReconstructionLib.console.logic"]
    heard = running(widget.panel)
    widget.onReload()
    host.process_events()
    after = slicer.modules.AXONReconstructionWidget
    assert heard == [None]
    assert after is not widget and after.panel is not None and widget.panel is None
    assert sys.modules["AXONReconstructionLib.console.logic"] is not before
    assert type(after.logic).__module__ == "AXONReconstructionLib.console.logic"
    assert (
        type(after.logic)
        is sys.modules["AXONReconstructionLib.console.logic"].AXONReconstructionLogic
    )


def test_busy_reaches_every_section(panel):
    heard = []
    for section in panel.sections.values():
        section.busyChanged = heard.append
    panel.setBusy(True)
    assert heard == [True] * 6 and panel.isBusy
    panel.setBusy(False)
    assert heard[6:] == [False] * 6


def test_invalid_settings_are_replaced_by_defaults(host, axon, panel, tmp_path):
    node = panel.parameterNode
    node.seed = 5
    wrong = {
        "overlayMode": "stereo",
        "registerRole": "oblique",
        "samples": "77",
        "poseSID": "12",
        "record": "{broken",
        "ofTheFuture": "1",
    }
    axon[1].parent.exit()  # so that the widgets do not observe the invalid values
    for name, text in wrong.items():
        node.parameterNode.SetParameter(name, text)
    host.save_scene(tmp_path / "other.mrb")
    host.close_scene()
    axon[1].parent.enter()
    host.load_scene(tmp_path / "other.mrb")
    node = panel.parameterNode
    assert (node.overlayMode, node.registerRole) == ("blend", "frontal")
    assert (node.samples, node.poseSID, node.record) == (1, 1800, "")
    assert node.seed == 5 and panel.ui.seed.value == 5


def test_an_invalid_number_is_replaced_by_the_default(slicer, axon):
    from AXONReconstructionLib.scene.parameters import settingsOf

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    node.SetParameter("steps.len", "1")
    node.SetParameter("steps.0.0", "coarse")
    node.SetParameter("steps.0.1", "many")
    node.SetParameter("samples", "9")
    node.SetParameter("seed", str(2**40))
    settings = settingsOf(node)
    assert (settings.steps, settings.samples, settings.seed) == ({}, 9, 0)


@pytest.mark.parametrize("count", ["many", "-1", "1000000"])
@pytest.mark.parametrize("name", ["skippedStages", "addedStages", "steps", "volumes"])
def test_an_invalid_count_empties_the_list(slicer, axon, name, count):
    from AXONReconstructionLib.scene.parameters import settingsOf

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    node.SetParameter(f"{name}.len", count)
    node.SetParameter("samples", "9")
    settings = settingsOf(node)
    assert len(getattr(settings, name)) == 0 and settings.samples == 9


def test_the_volumes_of_an_earlier_version_are_found(slicer, axon):
    """Each stage had a parameter of its own, which referred to its volume."""
    from AXONReconstructionLib.scene.parameters import settingsOf

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    volumes = {}
    for stage in ("fine", "coarse"):
        volumes[stage] = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", stage)
        node.SetParameter(f"{stage}Volume", "")
        node.SetNodeReferenceID(f"{stage}Volume", volumes[stage].GetID())
    stages = [{"name": "coarse"}, {"name": "fine"}, {"name": "sr"}]
    node.SetParameter("record", json.dumps({"stages": stages}))
    node.SetParameter("volumes.len", "0")  # written by the module if it was open already
    found = settingsOf(node).volumes
    assert list(found) == ["coarse", "fine"] and dict(found) == volumes


def test_an_error_of_a_closed_scene_is_not_reported(host, panel):
    go, heard = threading.Event(), []

    def work(job):
        go.wait(30)
        raise RuntimeError("of the old scene")

    panel.logic.tasks.run(
        work,
        onFinished=heard.append,
        onError=heard.append,
        onCancelled=lambda rest: heard.append("cancelled"),
    )
    host.process_events(0.05)
    host.close_scene()
    go.set()
    assert host.wait_until(lambda: not panel.logic.busy, 10)
    assert heard == ["cancelled"]
