"""Start-up of the host: the modules qt, ctk and slicer.*, scene, logics and application."""

import atexit
import importlib.metadata
import os
import shutil
import sys
import types

from . import records

#: module name -> class of its logic, all of the slicer-core wheel
_LOGICS = {
    "Annotations": "vtkSlicerAnnotationModuleLogic",
    "Cameras": "vtkSlicerCamerasModuleLogic",
    "Colors": "vtkMRMLColorLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Data": "vtkSlicerDataModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "SceneViews": "vtkSlicerSceneViewsModuleLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Units": "vtkSlicerUnitsLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "Volumes": "vtkSlicerVolumesLogic",
}
_HERE = os.path.dirname(os.path.abspath(__file__))


def run():
    """Start the host, once per process; returns the application."""
    from . import qt_module

    qt = qt_module.install()
    import slicer
    import slicer.util

    _widgets(slicer, qt, qt_module.NamespaceModule("ctk"))
    from .application import qSlicerApplication
    from .layouts import qSlicerLayoutManager
    from .main_window import qSlicerMainWindow
    from .module_manager import Namespace, qSlicerScriptedLoadableModuleWidget

    slicer.modules = sys.modules["slicer.modules"] = Namespace("slicer.modules")
    slicer.qSlicerScriptedLoadableModuleWidget = qSlicerScriptedLoadableModuleWidget
    slicer.moduleNames = types.ModuleType("slicer.moduleNames")
    slicer.selfTests = {}
    qt.qInstallMessageHandler(_qt_message)
    app = slicer.app = qSlicerApplication()
    atexit.register(shutil.rmtree, app._h_folder, True)
    _scene(slicer, app)
    _hierarchy(slicer, slicer.mrmlScene)
    app._h_layouts = qSlicerLayoutManager(slicer.mrmlScene, app._h_logic, app)
    app.__dict__["_h_window"] = qSlicerMainWindow()
    _python_modules(slicer, qt_module.NamespaceModule)
    sys.excepthook = records.except_hook
    app._h_window.resize(1200, 900)
    app._h_window.show()
    app.processEvents()
    return app


def _qt_message(kind, context, text):
    if "propagateSizeHints" not in text:
        print(f"Qt: {text}", file=sys.stderr)


def _widgets(slicer, qt, ctk):
    from . import ctk_boxes, ctk_path, ctk_slider, mrml_widgets, node_combo_box, ui_files

    for module in (ctk_boxes, ctk_path, ctk_slider, mrml_widgets, node_combo_box):
        for name, value in vars(module).items():
            if name.startswith(("ctk", "qMRML", "qSlicer")) and isinstance(value, type):
                ui_files.WIDGETS[name] = value
                setattr(ctk if name.startswith("ctk") else slicer, name, value)
    qt.QUiLoader = ui_files.QUiLoader
    sys.modules["ctk"] = ctk

    def name_of_slicer(name):
        if name.startswith(("vtkMRML", "vtkSlicer", "qMRML", "qSlicer")):
            raise records.lacking(f"slicer.{name}")
        raise AttributeError(f"module 'slicer' has no attribute '{name}'")

    slicer.__getattr__ = name_of_slicer


def _scene(slicer, app):
    import vtk

    output = vtk.vtkOutputWindow()
    output.SetDisplayModeToAlwaysStdErr()
    vtk.vtkOutputWindow.SetInstance(output)
    scene = slicer.mrmlScene = slicer.vtkMRMLScene()
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    logic = app._h_logic = slicer.vtkSlicerApplicationLogic()
    logic.SetMRMLScene(scene)
    colours = logic.GetColorLogic()
    colours.SetMRMLScene(scene)
    colours.AddDefaultColorNodes()
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    # without these two a scene cannot be read from an .mrb file
    remote = app.__dict__["_h_remote"] = slicer.vtkMRMLRemoteIOLogic()
    remote.SetMRMLScene(scene)
    remote.AddDataIOToScene()
    cache = slicer.vtkCacheManager()
    cache.SetRemoteCacheDirectory(app.cachePath)
    scene.SetCacheManager(cache)
    logic.SetSliceLogics(vtk.vtkCollection())
    logic.SetViewLogics(vtk.vtkCollection())
    for view in ("ThreeDView", "SliceView"):
        factory = getattr(slicer, f"vtkMRML{view}DisplayableManagerFactory").GetInstance()
        factory.SetMRMLApplicationLogic(logic)
    _logics(slicer, app, scene, colours)


def _logics(slicer, app, scene, colours):
    from .module_manager import LoadableModule

    for name, class_name in _LOGICS.items():
        logic = colours if name == "Colors" else getattr(slicer, class_name)()
        if name == "VolumeRendering":
            logic.SetModuleShareDirectory(_HERE)  # where presets.xml is
        if name != "Colors":
            logic.SetMRMLApplicationLogic(app._h_logic)
            logic.SetMRMLScene(scene)
        app._h_logic.SetModuleLogic(name, logic)
        app.moduleManager()._h_add(name, LoadableModule(name, logic))
    rendering = slicer.modules.volumerendering.logic()
    rendering.ChangeVolumeRenderingMethod("vtkMRMLGPURayCastVolumeRenderingDisplayNode")


def _hierarchy(slicer, scene):
    """Create subject hierarchy items of nodes; in Slicer, Qt plugins do this."""
    import vtk

    kinds = ("vtkMRMLDisplayableNode", "vtkMRMLTableNode", "vtkMRMLTextNode",
             "vtkMRMLPlotSeriesNode", "vtkMRMLPlotChartNode", "vtkMRMLSequenceNode")  # fmt: skip

    def add(node):
        if node is None or node.GetHideFromEditors() or node.IsA("vtkMRMLAbstractViewNode"):
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        if any(map(node.IsA, kinds)) and not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def added(caller, event, node):
        if not scene.IsImporting():
            add(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def leaving(caller, event, node):
        if node is not None and not scene.IsClosing() and any(map(node.IsA, kinds)):
            hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
            item = hierarchy.GetItemByDataNode(node)
            if item:
                hierarchy.RemoveItem(item, False, False)

    def imported(caller, event):
        for i in range(scene.GetNumberOfNodes()):
            add(scene.GetNthNode(i))

    scene.AddObserver(scene.NodeAddedEvent, added)
    scene.AddObserver(scene.NodeAboutToBeRemovedEvent, leaving)
    scene.AddObserver(scene.EndImportEvent, imported)


def _python_modules(slicer, namespace):
    """Install the Python modules of Slicer that are not part of the wheel."""
    from . import packages, parameter_node, parameter_types, sample_data, translation

    def offer(full_name, names):
        module = namespace(full_name)
        module.__dict__.update(names)
        sys.modules[full_name] = module
        if full_name.startswith("slicer."):
            setattr(slicer, full_name.partition(".")[2], module)

    def chosen(module, names):
        return {name: getattr(module, name) for name in names.split()}

    offer("slicer.i18n", chosen(translation, "tr translate"))
    wrapper = chosen(parameter_types, "Default Validator WithinRange Minimum Maximum Choice")
    wrapper["parameterNodeWrapper"] = parameter_node.parameterNodeWrapper
    offer("slicer.parameterNodeWrapper", wrapper)
    packaging_names = "load_requirements pip_check pip_ensure pip_install pip_uninstall"
    offer("slicer.packaging", chosen(packages, packaging_names + " isPipInstallInProgress"))
    offer("SampleData", chosen(sample_data, "SampleDataLogic downloadSample"))
    from . import scripted_classes

    classes = {n: v for n, v in vars(scripted_classes).items() if n.startswith("Scripted")}
    offer("slicer.ScriptedLoadableModule", classes)
    slicer.ScriptedLoadableModule.__all__ = list(classes)
    for name in ("mrml", "slicer.logic"):
        offer(name, {n: v for n, v in vars(slicer).items() if n.startswith("vtk")})
    util = slicer.util
    util.pip_install, util.pip_uninstall = packages.pip_install, packages.pip_uninstall
    util.delayDisplay = lambda message, *unused, **named: slicer.app.processEvents()
    for name in ("exit", "quit", "restart"):
        setattr(util, name, lambda status=0, _name=name: records.dialog(_name, "", str(status)))


def versions():
    """Versions of the packages used by the host, for failure reports."""
    names = ("slicer-core", "vtk", "PySide6-Essentials")
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
