"""Stand-ins for the top-level widgets of a panel, which have a scene."""

from PySide6 import QtCore, QtWidgets

from .standin import standin


class SceneAware:
    """mrmlScene() and setMRMLScene()."""

    def mrmlScene(self):
        return self.__dict__.get("_h_scene")

    def setMRMLScene(self, scene):
        if scene is self.mrmlScene():
            return
        self.__dict__["_h_scene"] = scene
        self._h_scene_set(scene)
        if "mrmlSceneChanged" in dir(type(self)):
            self.mrmlSceneChanged.emit(scene)

    def _h_scene_set(self, scene):
        pass


@standin("mrmlSceneChanged(vtkMRMLScene*)")
class qMRMLWidget(SceneAware, QtWidgets.QWidget):
    mrmlSceneChanged = QtCore.Signal(object)


@standin("mrmlSceneChanged(vtkMRMLScene*)")
class qSlicerWidget(SceneAware, QtWidgets.QWidget):
    mrmlSceneChanged = QtCore.Signal(object)
