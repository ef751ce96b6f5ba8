"""Stand-in for the I/O manager: files are read by the real logics and storage nodes."""

import os

import slicer
import vtk
from PySide6 import QtCore

from . import records
from .standin import standin

_EXTENSIONS = {
    "VolumeFile": (".nrrd", ".nhdr", ".mha", ".mhd", ".nii", ".nii.gz", ".dcm"),
    "TransformFile": (".h5", ".tfm", ".mat"),
    "MarkupsFile": (".mrk.json", ".fcsv"),
    "TableFile": (".csv", ".tsv"),
    "SceneFile": (".mrml", ".mrb"),
}
_CLASSES = {
    "vtkMRMLVolumeNode": "VolumeFile",
    "vtkMRMLTransformNode": "TransformFile",
    "vtkMRMLMarkupsNode": "MarkupsFile",
    "vtkMRMLTableNode": "TableFile",
}


def _logic(name):
    return getattr(slicer.modules, name).logic()


def _read_volume(path, name, properties):
    options = 1 if properties.get("labelmap") else 0
    options += 2 if properties.get("center") else 0
    options += 8 if properties.get("singleFile") else 0
    node = _logic("volumes").AddArchetypeVolume(path, name, options)
    if node is not None and properties.get("show", True) and not properties.get("labelmap"):
        selection = slicer.app.applicationLogic().GetSelectionNode()
        selection.SetReferenceActiveVolumeID(node.GetID())
        slicer.app.applicationLogic().PropagateVolumeSelection(1)
    return node


def _read_markups(path, name, properties):
    return slicer.mrmlScene.GetNodeByID(_logic("markups").LoadMarkups(path, name) or "")


def _read_transform(path, name, properties):
    return _logic("transforms").AddTransform(path, slicer.mrmlScene)


_READERS = {
    "VolumeFile": _read_volume,
    "TransformFile": _read_transform,
    "MarkupsFile": _read_markups,
    "TableFile": lambda path, name, p: _logic("tables").AddTable(path, name),
}


def _read_scene(path, clear):
    scene = slicer.mrmlScene
    if path.endswith(".mrb"):
        return bool(scene.ReadFromMRB(path, clear))
    scene.SetURL(path)
    return bool((scene.Connect if clear else scene.Import)())


def _save_scene(path):
    scene = slicer.mrmlScene
    scene.SetURL(path)
    scene.SetRootDirectory(os.path.dirname(os.path.abspath(path)))
    if path.endswith(".mrb"):
        return bool(scene.WriteToMRB(path, None))
    return bool(scene.Commit(path))


@standin("newFileLoaded(qSlicerIO::IOProperties)", "fileSaved(qSlicerIO::IOProperties)")
class qSlicerIOManager(QtCore.QObject):
    newFileLoaded = QtCore.Signal(object)
    fileSaved = QtCore.Signal(object)

    def extractKnownExtension(self, name, node=None):
        known = [e for es in _EXTENSIONS.values() for e in es if name.lower().endswith(e)]
        return max(known, key=len, default="")

    def fileType(self, path):
        extension = self.extractKnownExtension(str(path))
        return next((k for k, es in _EXTENSIONS.items() if extension in es), "NoFile")

    def fileWriterFileType(self, node, *_unused):
        return next((file for kind, file in _CLASSES.items() if node.IsA(kind)), "NoFile")

    def registeredFileReaderCount(self, kind):
        return int(kind in _READERS or kind == "SceneFile")

    def loadNodes(self, kind, properties, nodes=None, messages=None):
        path = properties["fileName"]
        if not os.path.exists(path):
            if messages is not None:
                messages.AddMessage(vtk.vtkCommand.ErrorEvent, f"file not found: {path}")
            return False
        if kind == "SceneFile":
            return _read_scene(path, bool(properties.get("clear", False)))
        if kind not in _READERS:
            raise records.lacking(f"reading of {kind} ({os.path.basename(path)})")
        base = os.path.basename(path)
        name = properties.get("name") or base[: len(base) - len(self.extractKnownExtension(base))]
        node = _READERS[kind](path, name, properties)
        if node is None:
            return False
        if nodes is not None:
            nodes.AddItem(node)
        self.newFileLoaded.emit(properties)
        return True

    def saveNodes(self, kind, properties, messages=None):
        path = str(properties["fileName"])
        if kind == "SceneFile":
            return _save_scene(path)
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        if storage is None:
            return False
        storage.SetFileName(path)
        if "useCompression" in properties:
            storage.SetUseCompression(int(properties["useCompression"]))
        done = bool(storage.WriteData(node))
        if done:
            self.fileSaved.emit(properties)
        return done
