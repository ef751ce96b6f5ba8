"""Stand-ins for the module manager and for a scripted module with its panel."""

import importlib.util
import os
import sys
import types

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from . import records
from .mrml_widgets import qSlicerWidget
from .standin import Told, computed, prop, standin


class LoadableModule(Told):
    """A C++ module: its real logic, without panel."""

    def __init__(self, name, logic):
        self.name = self.title = name
        self._h_class = f"slicer.modules.{name.lower()}"
        self._logic = logic

    def logic(self):
        return self._logic


@standin()
class qSlicerScriptedLoadableModule(QtCore.QObject):
    """The parent of a scripted module."""

    title = prop(str, "title", "")
    categories = prop("QStringList", "categories")
    contributors = prop("QStringList", "contributors")
    dependencies = prop("QStringList", "dependencies")
    associatedNodeTypes = prop("QStringList", "associatedNodeTypes")
    helpText = prop(str, "helpText", "")
    acknowledgementText = prop(str, "acknowledgementText", "")
    icon = prop(QtGui.QIcon, "icon", QtGui.QIcon())
    hidden = prop(bool, "hidden", False)
    index = prop(int, "index", -1)
    path = computed(str, lambda self: self._h_path)

    def __init__(self, name, path):
        QtCore.QObject.__init__(self)
        self.objectName = name
        self.__dict__.update(_h_path=path, _h_widget=None, _h_instance=None)

    def widgetRepresentation(self):
        if self._h_widget is None:
            self._h_widget = qSlicerScriptedLoadableModuleWidget(self)
            self._h_widget._h_build()
        return self._h_widget


@standin()
class qSlicerScriptedLoadableModuleWidget(qSlicerWidget):
    """The panel of a scripted module."""

    isEntered = computed(bool, lambda self: self._h_entered)
    moduleName = computed(str, lambda self: self._h_module.name)

    def __init__(self, module):
        qSlicerWidget.__init__(self)
        self.__dict__.update(_h_module=module, _h_self=None, _h_entered=False)
        self.objectName = module.name + "ModuleWidget"
        QtWidgets.QVBoxLayout(self)

    def _h_build(self):
        name = self._h_module.name
        self.setMRMLScene(slicer.mrmlScene)
        self._h_self = getattr(sys.modules[name], name + "Widget")(self)
        setattr(slicer.modules, name + "Widget", self._h_self)
        self._h_self.setup()

    def self(self):
        return self._h_self

    def reload(self):
        self._h_build()

    def enter(self):
        self._h_entered = True
        if hasattr(self._h_self, "enter"):
            self._h_self.enter()

    def exit(self):
        self._h_entered = False
        if hasattr(self._h_self, "exit"):
            self._h_self.exit()


@standin("modulesRegistered(QStringList)")
class qSlicerModuleFactoryManager(QtCore.QObject):
    modulesRegistered = QtCore.Signal("QStringList")

    def loadedModuleNames(self):
        return slicer.app.moduleManager().modulesNames()

    def isLoaded(self, name):
        return name in self.loadedModuleNames()


@standin("moduleLoaded(QString)", "moduleAboutToBeUnloaded(QString)")
class qSlicerModuleManager(QtCore.QObject):
    moduleLoaded = QtCore.Signal(str)
    moduleAboutToBeUnloaded = QtCore.Signal(str)

    def __init__(self, parent=None):
        QtCore.QObject.__init__(self, parent)
        self.__dict__.update(_h_modules={}, _h_factory=qSlicerModuleFactoryManager(self))

    def factoryManager(self):
        return self._h_factory

    def module(self, name):
        return self._h_modules.get(name)

    def modulesNames(self):
        return tuple(self._h_modules)

    def _h_add(self, name, module):
        self._h_modules[name] = module
        setattr(slicer.modules, name.lower(), module)
        setattr(slicer.moduleNames, name, name)
        self.moduleLoaded.emit(name)


class Namespace(types.ModuleType):
    """slicer.modules: an unknown module raises, as one that is not installed does in Slicer."""

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        raise records.lacking(f"slicer.modules.{name}")


def load_module(path, gui=True, enter=True):
    """Load a scripted module: (Python module, widget instance or None)."""
    path = os.path.abspath(str(path))
    name = os.path.splitext(os.path.basename(path))[0]
    if os.path.dirname(path) not in sys.path:
        sys.path.append(os.path.dirname(path))  # the factory appends as well
    spec = importlib.util.spec_from_file_location(name, path)
    python = importlib.util.module_from_spec(spec)
    sys.modules[name] = python
    spec.loader.exec_module(python)
    module = qSlicerScriptedLoadableModule(name, path)
    instance = module.__dict__["_h_instance"] = getattr(python, name)(module)
    setattr(slicer.modules, name + "Instance", instance)
    slicer.app.moduleManager()._h_add(name, module)
    if hasattr(instance, "setup"):
        instance.setup()
    if not gui or not hasattr(python, name + "Widget"):
        return python, None
    panel = module.widgetRepresentation()
    slicer.util.mainWindow()._h_show_panel(panel)
    if enter:
        slicer.util.selectModule(name)
    slicer.app.processEvents()
    return python, panel.self()


def unload_module(name):
    """Unload a module as Slicer does on exit: clean up and delete the panel."""
    manager = slicer.app.moduleManager()
    module = manager.module(name)
    if module._h_widget is not None and module._h_widget._h_entered:
        module._h_widget.exit()
    manager.moduleAboutToBeUnloaded.emit(name)
    manager._h_modules.pop(name)
    for attribute in (name.lower(), name + "Widget", name + "Instance"):
        slicer.modules.__dict__.pop(attribute, None)
    if module._h_widget is not None:
        module._h_widget.setParent(None)
        module._h_widget.deleteLater()
