"""Stand-in for ``slicer.app``."""

import os
import platform
import sys
import tempfile

import slicer
from PySide6 import QtCore, QtWidgets

from . import records
from .io_manager import qSlicerIOManager
from .module_manager import qSlicerModuleManager
from .standin import Told, computed, prop, standin

VERSION = "5.12.4"  # that of the slicer-core wheel


class _CommandOptions(Told):
    _h_class = "qSlicerCommandOptions"
    noMainWindow = False
    testingEnabled = False


class _ExtensionsManagerModel(Told):
    """No extensions are installed, and none can be installed."""

    _h_class = "qSlicerExtensionsManagerModel"
    installedExtensions = ()
    interactive = True

    def isExtensionInstalled(self, name):
        return False

    def installExtensionFromServer(self, name, restart=True, *_unused):
        records.dialog("install extension", "", name, None)
        return False

    downloadAndInstallExtensionByName = installExtensionFromServer

    def updateExtensionsMetadataFromServer(self, *_unused):
        return False


def _folder(name):
    return computed(str, lambda self: os.path.join(self._h_folder, name))


def _recorded(kind):
    """A request to the application, which is only recorded."""

    def method(self, *arguments):
        records.dialog(kind, "", " ".join(str(a) for a in arguments), None)

    return method


@standin(
    "startupCompleted()",
    "mrmlSceneChanged(vtkMRMLScene*)",
    "usageEventLogged(QString,QString)",
)
class qSlicerApplication(QtWidgets.QApplication):
    startupCompleted = QtCore.Signal()
    mrmlSceneChanged = QtCore.Signal(object)
    usageEventLogged = QtCore.Signal(str, str)

    def __init__(self):
        QtWidgets.QApplication.__init__(self, [sys.argv[0] or "Slicer"])
        self.applicationName = "Slicer"
        self.applicationVersion = VERSION
        self.organizationName = "NA-MIC"
        folder = tempfile.mkdtemp(prefix="axon_host_")
        self.__dict__.update(
            _h_folder=folder,
            _h_modules=qSlicerModuleManager(self),
            _h_io=qSlicerIOManager(self),
            _h_options=_CommandOptions(),
            _h_extensions=_ExtensionsManagerModel(),
            _h_testing=False,
            _h_layouts=None,
            _h_logic=None,
            _h_environment=dict(os.environ),
        )
        for name in ("temp", "cache", "home", "settings", "extensions"):
            os.makedirs(os.path.join(folder, name))
        settings = QtCore.QSettings
        settings.setDefaultFormat(settings.IniFormat)
        for scope in (settings.UserScope, settings.SystemScope):
            settings.setPath(settings.IniFormat, scope, os.path.join(folder, "settings"))

    majorVersion = computed(int, lambda self: int(VERSION.split(".")[0]))
    minorVersion = computed(int, lambda self: int(VERSION.split(".")[1]))
    mainApplicationMajorVersion, mainApplicationMinorVersion = majorVersion, minorVersion
    mainApplicationName = computed(str, lambda self: "Slicer")
    revision = computed(str, lambda self: "0")
    repositoryRevision = computed(str, lambda self: "0000000")
    slicerHome = _folder("home")
    extensionsInstallPath = _folder("extensions")
    temporaryPath = _folder("temp")
    cachePath = _folder("cache")
    defaultScenePath = prop(str, "defaultScenePath", "")
    startupWorkingPath = computed(str, lambda self: os.getcwd())
    isInstalled = computed(bool, lambda self: True)
    platform = computed(str, lambda self: f"linux-{self.arch}")
    os = computed(str, lambda self: sys.platform)
    arch = computed(str, lambda self: platform.machine())
    applicationLocaleName = computed(str, lambda self: "en_US")
    documentationBaseUrl = computed(str, lambda self: "https://slicer.readthedocs.io/en/latest/")

    def moduleDocumentationUrl(self, name):
        return self.documentationBaseUrl + f"user_guide/modules/{name.lower()}.html"

    def moduleManager(self):
        return self._h_modules

    def layoutManager(self):
        return self._h_layouts

    def applicationLogic(self):
        return self._h_logic

    def mrmlScene(self):
        return slicer.mrmlScene

    def coreIOManager(self):
        return self._h_io

    ioManager = coreIOManager

    def commandOptions(self):
        return self._h_options

    def extensionsManagerModel(self):
        return self._h_extensions

    def userSettings(self):
        if "_h_settings" not in self.__dict__:
            self.__dict__["_h_settings"] = QtCore.QSettings()
        return self._h_settings

    settings = revisionUserSettings = userSettings

    def testingEnabled(self):
        return self._h_testing

    def translate(self, context, text, *_unused):
        return text

    def startupEnvironment(self):
        environment = QtCore.QProcessEnvironment()
        for key, value in self._h_environment.items():
            environment.insert(key, value)
        return environment

    environment = startupEnvironment

    def pauseRender(self):
        pass

    resumeRender = pauseRender

    def setRenderPaused(self, paused):
        pass

    restart = _recorded("restart")
    confirmRestart = _recorded("restart")
    openExtensionsManagerDialog = _recorded("extensions manager")
    openExtensionsCatalogWebsite = _recorded("extensions catalogue")
    openNodeModule = _recorded("node module")
    openUrl = _recorded("url")
