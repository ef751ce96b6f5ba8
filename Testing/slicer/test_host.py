"""The headless host: what it provides is real, and what it does not provide is an error."""

import gc
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest

TESTING = Path(__file__).resolve().parents[1]


@pytest.fixture
def qt(host):
    import qt

    return qt


@pytest.fixture
def ctk(host):
    import ctk

    return ctk


def test_names_missing_from_the_host_are_refused_and_recorded(host, slicer, ctk):
    for ask in (
        lambda: ctk.ctkColorPickerButton,
        lambda: slicer.qMRMLSegmentsTableView,
        lambda: slicer.modules.segmenteditor,
        lambda: slicer.app.caCertificatesPath(),
        lambda: ctk.ctkSliderWidget().nosuch,
    ):
        with pytest.raises(host.HostMissing):
            ask()
    assert len(host.missing) == 5
    host.clear_records()


def test_a_property_is_an_attribute_and_not_a_method(qt):
    label = qt.QLabel("one")
    assert label.text == "one"
    with pytest.raises(TypeError):
        label.text()
    label.text = "two"
    assert label.text == "two"
    label.enabled = 0
    assert label.enabled is False


def test_new_attributes_cannot_be_set_on_a_qt_object(qt):
    with pytest.raises(AttributeError, match="tooltip"):
        qt.QPushButton("x").tooltip = "y"  # toolTip


def test_a_slot_receives_as_many_arguments_as_it_accepts(host, qt):
    heard = []
    button = qt.QPushButton("x")
    button.connect("clicked()", lambda: heard.append("none"))
    button.connect("clicked(bool)", lambda on: heard.append(on))
    button.clicked.connect(lambda: heard.append("attribute"))
    host.click(button)
    assert heard == ["none", False, "attribute"]


def test_a_signal_that_does_not_exist_is_a_warning(host, qt, ctk):
    assert not ctk.ctkSliderWidget().connect("valueChanged(int)", print)
    assert not qt.QPushButton().connect("click(bool)", print)
    assert len(host.warnings) == 2
    host.clear_records()


def test_an_error_in_a_slot_is_kept_and_does_not_stop_the_program(host, qt):
    qt.QTimer.singleShot(1, lambda: 1 / 0)
    assert host.wait_until(lambda: host.slot_errors, 5)
    assert isinstance(host.slot_errors[0][1], ZeroDivisionError)
    host.clear_records()


def test_a_disabled_button_cannot_be_clicked(host, qt):
    button = qt.QPushButton("Go")
    button.enabled = False
    button.toolTip = "Choose an X-ray first"
    with pytest.raises(RuntimeError, match="Choose an X-ray first"):
        host.click(button)


def test_dialogs_are_recorded_and_answered_in_order(host, slicer, qt):
    host.answer_next("/data/a.dcm", False)
    assert qt.QFileDialog.getOpenFileName(None, "Open") == "/data/a.dcm"
    assert slicer.util.confirmOkCancelDisplay("Delete?", "Bundles") is False
    assert slicer.util.confirmYesNoDisplay("Go on?") is True
    assert qt.QFileDialog.getExistingDirectory(None, "Folder") == ""
    assert [d["text"] for d in host.dialogs[1:3]] == ["Delete?", "Go on?"]
    slicer.util.errorDisplay("It went wrong", detailedText="because")
    assert host.dialogs[-1]["kind"] == "error" and host.dialogs[-1]["details"] == "because"


def test_a_package_can_be_hidden_temporarily(host):
    import json

    with host.without("json"):
        with pytest.raises(ModuleNotFoundError):
            import json as _  # noqa: F401
        assert "json" not in sys.modules
    import json as again

    assert again is json


def test_packages_are_looked_up_but_never_installed(host, slicer):
    assert slicer.packaging.pip_check("numpy>=1.0")
    assert not slicer.packaging.pip_check(["numpy>=1.0", "no-such-package-anywhere"])
    with host.without("numpy"):
        assert not slicer.packaging.pip_check("numpy")
    assert slicer.packaging.pip_ensure("numpy") is None
    with pytest.raises(RuntimeError, match="does not install"):
        slicer.packaging.pip_ensure("no-such-package-anywhere", requester="AXON")
    assert [d["kind"] for d in host.dialogs][-1] == "pip install"
    host.answer_next(False)
    with pytest.raises(RuntimeError, match="declined"):
        slicer.packaging.pip_ensure("no-such-package-anywhere")


@pytest.fixture
def wrapper_class(slicer):
    from slicer.parameterNodeWrapper import Choice, Minimum, WithinRange, parameterNodeWrapper

    with pytest.raises(TypeError, match="no annotation"):
        parameterNodeWrapper(type("Other", (), {"__annotations__": {"n": Annotated[int, "?"]}}))

    @parameterNodeWrapper
    class Settings:
        volume: slicer.vtkMRMLScalarVolumeNode
        opacity: Annotated[float, WithinRange(0, 100)] = 50
        mode: Annotated[str, Choice(["blend", "flicker"])] = "blend"
        seed: Annotated[int, Minimum(0)] = 3
        linked: bool = True
        name: str = ""
        limit: int | None = None
        skipped: list[str]
        steps: dict[str, int]
        volumes: dict[str, slicer.vtkMRMLScalarVolumeNode]

    return Settings


def test_parameters_have_types_defaults_and_limits(slicer, wrapper_class):
    settings = wrapper_class(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    assert (settings.opacity, settings.mode, settings.seed, settings.linked) == (50, "blend", 3, 1)
    assert settings.volume is None and settings.limit is None and settings.name == ""
    for name, value in (
        ("opacity", 101),
        ("mode", "other"),
        ("seed", -1),
        ("seed", None),
    ):
        with pytest.raises(ValueError):
            setattr(settings, name, value)
    for name, value in (("seed", 1.5), ("linked", 1), ("volume", settings.parameterNode)):
        with pytest.raises(TypeError):
            setattr(settings, name, value)
    assert (settings.opacity, settings.mode, settings.seed) == (50, "blend", 3)


def test_lists_and_dictionaries_are_stored_by_index(slicer, wrapper_class):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    settings = wrapper_class(node)
    assert list(settings.skipped) == [] and dict(settings.steps) == dict(settings.volumes) == {}
    settings.skipped, settings.steps = ["a", "b"], {"second": 2, "first": 1}
    stored = {
        "skipped.len": "2", "skipped.0": "a", "skipped.1": "b",
        "steps.len": "2", "steps.0.0": "second", "steps.0.1": "2", "steps.1.0": "first",
    }  # fmt: skip
    assert {name: node.GetParameter(name) for name in stored} == stored
    assert list(settings.steps.items()) == [("second", 2), ("first", 1)]
    settings.skipped, settings.steps = ["b"], {}
    assert list(settings.skipped) == ["b"] and not node.HasParameter("skipped.1")
    assert not node.HasParameter("steps.0.0")
    with pytest.raises(TypeError):
        settings.steps = {"first": 1.5}
    assert dict(settings.steps) == {}


def test_parameters_survive_an_mrb_file(host, slicer, wrapper_class, tmp_path):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "Settings")
    settings = wrapper_class(node)
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    settings.volume = slicer.util.addVolumeFromArray(voxels, name="CT")
    settings.opacity, settings.mode, settings.seed = 12.5, "flicker", 7
    settings.linked, settings.name, settings.limit = False, 'a "name" <&> é', 4
    settings.volumes, settings.steps = {"first": settings.volume}, {"first": 5}
    host.save_scene(tmp_path / "case.mrb")
    host.close_scene()
    host.load_scene(tmp_path / "case.mrb")
    again = wrapper_class(slicer.util.getFirstNodeByClassByName("vtkMRMLScriptedModuleNode", "Settings"))  # fmt: skip # noqa: E501
    assert (again.opacity, again.mode, again.seed, again.linked) == (12.5, "flicker", 7, False)
    assert again.name == 'a "name" <&> é' and again.limit == 4
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(again.volume), voxels)
    assert dict(again.volumes) == {"first": again.volume} and dict(again.steps) == {"first": 5}


def test_widgets_and_parameters_are_synchronised(slicer, ctk, qt, wrapper_class):
    settings = wrapper_class(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    panel = qt.QWidget()
    layout = qt.QVBoxLayout(panel)
    made = {
        "opacity": ctk.ctkSliderWidget(),
        "mode": qt.QComboBox(),
        "seed": qt.QSpinBox(),
        "linked": qt.QCheckBox(),
        "name": qt.QLineEdit(),
        "volume": slicer.qMRMLNodeComboBox(),
    }
    made["volume"].noneEnabled = True
    for name, widget in made.items():
        layout.addWidget(widget)
        widget.setProperty("SlicerParameterName", name)
    made["volume"].setMRMLScene(slicer.mrmlScene)
    volume = slicer.util.addVolumeFromArray(np.zeros((2, 2, 2)))
    tag = settings.connectGui(panel)
    assert (made["opacity"].value, made["opacity"].maximum, made["seed"].minimum) == (50, 100, 0)
    made["opacity"].value, made["mode"].currentIndex, made["linked"].checked = 20, 1, False
    made["volume"].setCurrentNode(volume)
    made["name"].text = "typed"
    assert (settings.opacity, settings.mode, settings.linked) == (20, "flicker", False)
    assert settings.volume is volume and settings.name == "typed"
    settings.seed, settings.volume = 9, None
    assert made["seed"].value == 9 and made["volume"].currentNode() is None
    settings.disconnectGui(tag)
    made["seed"].value = 1
    assert settings.seed == 9


def test_a_deleted_parameter_node_removes_its_observers(slicer, wrapper_class):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    settings = wrapper_class(node)
    del settings
    gc.collect()
    node.SetParameter("opacity", "not a number")  # would raise in an observer left behind


def test_the_node_selector_follows_the_scene(host, slicer):
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(slicer.mrmlScene)
    heard = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    first = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "First")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Other")
    assert selector.nodeCount() == 1
    selector.setCurrentNode(first)
    assert heard == [first] and selector.currentNodeID == first.GetID()
    slicer.mrmlScene.RemoveNode(first)
    assert selector.currentNode() is None and heard[-1] is None


def test_views_are_drawn_by_slicers_displayable_managers(host, slicer, tmp_path):
    from PIL import Image

    z, y, x = np.indices((40, 40, 40))
    ball = np.where((z - 20) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 < 150, 1000, -1000)
    volume = slicer.util.addVolumeFromArray(ball.astype(np.int16), name="Ball")
    volume.CreateDefaultDisplayNodes()
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    host.view_screenshot("Red", tmp_path / "red.png", 200, 200)
    red = np.asarray(Image.open(tmp_path / "red.png").convert("L"))
    assert red[100, 100] > 200 and red[5, 100] < 50

    logic = slicer.modules.volumerendering.logic()
    shown = logic.CreateDefaultVolumeRenderingNodes(volume)
    shown.GetVolumePropertyNode().Copy(logic.GetPresetByName("CT-Bone"))
    shown.SetVisibility(True)
    slicer.app.layoutManager().resetThreeDViews()
    host.view_screenshot(0, tmp_path / "ball.png", 200, 200)
    image = np.asarray(Image.open(tmp_path / "ball.png").convert("RGB")).astype(int)
    red_minus_blue = image[..., 0] - image[..., 2]
    assert red_minus_blue[100, 100] > 20, "the ball is bone-coloured, the background is blue"
    assert red_minus_blue[5, 5] < 0


def test_a_module_that_fails_to_load_reports_why(tmp_path):
    """In a separate process, because the module is broken deliberately."""
    (tmp_path / "Broken.py").write_text(
        textwrap.dedent(
            """
            import qt
            from slicer.ScriptedLoadableModule import *

            class Broken(ScriptedLoadableModule):
                pass

            class BrokenWidget(ScriptedLoadableModuleWidget):
                def setup(self):
                    ScriptedLoadableModuleWidget.setup(self)
                    self.layout.addWidget(qt.QPushButton("Go").nosuch)
            """
        )
    )
    command = [sys.executable, "-m", "host", "check", str(tmp_path / "Broken.py")]
    done = subprocess.run(command, cwd=TESTING, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "'QPushButton' object has no attribute 'nosuch'" in done.stdout


def test_reloading_gives_a_new_panel(host, slicer, tmp_path):
    source = """
        import qt
        from slicer.ScriptedLoadableModule import *

        class Small(ScriptedLoadableModule):
            def __init__(self, parent):
                ScriptedLoadableModule.__init__(self, parent)
                parent.title = "Small"

        class SmallWidget(ScriptedLoadableModuleWidget):
            cleaned = False

            def setup(self):
                self.button = qt.QPushButton("TEXT")
                self.layout.addWidget(self.button)

            def cleanup(self):
                self.cleaned = True
        """
    path = tmp_path / "Small.py"
    path.write_text(textwrap.dedent(source).replace("TEXT", "before"))
    _module, widget = host.load_module(path)
    path.write_text(textwrap.dedent(source).replace("TEXT", "after it"))
    slicer.util.reloadScriptedModule("Small")
    assert widget.cleaned
    assert slicer.modules.SmallWidget.button.text == "after it"
    assert slicer.modules.small.title == "Small"
    host.unload_module("Small")
    assert slicer.app.moduleManager().module("Small") is None


def test_files_pass_through_slicers_storage_nodes(host, slicer, tmp_path):
    voxels = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    volume = slicer.util.addVolumeFromArray(voxels, name="Some")
    volume.SetSpacing(0.5, 0.6, 0.7)
    assert slicer.util.saveNode(volume, str(tmp_path / "some.nrrd"))
    again = slicer.util.loadVolume(str(tmp_path / "some.nrrd"))
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(again), voxels)
    np.testing.assert_allclose(again.GetSpacing(), (0.5, 0.6, 0.7), rtol=1e-6)
    with pytest.raises(RuntimeError):
        slicer.util.loadVolume(str(tmp_path / "absent.nrrd"))


def test_custom_layouts_have_real_views(slicer):
    description = (
        '<layout type="horizontal"><item><view class="vtkMRMLViewNode" singletontag="AXONLeft"/>'
        '</item><item><view class="vtkMRMLSliceNode" singletontag="AXONSlice"/></item></layout>'
    )
    manager = slicer.app.layoutManager()
    changed = []
    manager.layoutChanged.connect(changed.append)
    before = manager.layout
    manager.layoutLogic().GetLayoutNode().AddLayoutDescription(4321, description)
    manager.setLayout(4321)
    assert changed == [4321]
    node = slicer.mrmlScene.GetSingletonNode("AXONLeft", "vtkMRMLViewNode")
    assert manager.viewWidget(node).mrmlViewNode() is node
    assert "AXONSlice" in manager.sliceViewNames()
    manager.layoutChanged.disconnect(changed.append)
    manager.setLayout(before)
