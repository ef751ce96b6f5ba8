"""Stand-in for the main window: a module selector and a panel dock, without views."""

import slicer
from PySide6 import QtCore, QtWidgets

from .module_manager import qSlicerScriptedLoadableModule
from .standin import computed, standin


@standin("moduleSelected(QString)")
class qSlicerModuleSelectorToolBar(QtWidgets.QToolBar):
    moduleSelected = QtCore.Signal(str)
    selectedModule = computed(str, lambda self: self.__dict__.get("_h_current", ""))

    def selectModule(self, name):
        manager = slicer.app.moduleManager()
        for module, method in (
            (manager.module(self.selectedModule), "exit"),
            (manager.module(name), "enter"),
        ):
            if isinstance(module, qSlicerScriptedLoadableModule):
                getattr(module.widgetRepresentation(), method)()
        self.__dict__["_h_current"] = name
        self.moduleSelected.emit(name)


@standin("initialWindowShown()")
class qSlicerMainWindow(QtWidgets.QMainWindow):
    initialWindowShown = QtCore.Signal()

    def __init__(self):
        QtWidgets.QMainWindow.__init__(self)
        self.objectName = "qSlicerMainWindow"
        self.__dict__["_h_selector"] = qSlicerModuleSelectorToolBar(self)
        self.addToolBar(self._h_selector)
        dock = QtWidgets.QDockWidget(self)
        dock.objectName = "PanelDockWidget"
        self.__dict__["_h_panel"] = panel = QtWidgets.QScrollArea()
        panel.objectName = "ModulePanel"
        panel.setWidgetResizable(True)
        dock.setWidget(panel)
        self.addDockWidget(QtCore.Qt.LeftDockWidgetArea, dock)
        self.statusBar()

    def moduleSelector(self):
        return self._h_selector

    def _h_show_panel(self, panel):
        self._h_panel.takeWidget()
        self._h_panel.setWidget(panel)
        panel.show()
