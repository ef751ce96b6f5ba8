"""Stand-in for CTK's path line edit: typing, browsing and a history."""

import os

from PySide6 import QtCore, QtWidgets

from .standin import computed, prop, standin


@standin(
    "currentPathChanged(QString)",
    "validInputChanged(bool)",
    setters=("currentPath",),
)
class ctkPathLineEdit(QtWidgets.QWidget):
    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)
    # QDir::Filter, as an enumeration of the class
    Dirs, Files, Drives, NoSymLinks, AllEntries = 0x001, 0x002, 0x004, 0x008, 0x007
    Readable, Writable, Executable, Hidden, System = 0x010, 0x020, 0x040, 0x100, 0x200
    NoDot, NoDotDot = 0x2000, 0x4000

    def __init__(self, *arguments):
        parent = next((a for a in arguments if isinstance(a, QtWidgets.QWidget)), None)
        QtWidgets.QWidget.__init__(self, parent)
        QtWidgets.QHBoxLayout(self).setContentsMargins(0, 0, 0, 0)
        self.__dict__["_h_path"] = ""
        self.__dict__["_h_combo"] = combo = QtWidgets.QComboBox(self)
        combo.setEditable(True)
        combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self.__dict__["_h_browse"] = button = QtWidgets.QToolButton(self)
        button.text = "..."
        button.clicked.connect(lambda: self.browse())
        self.layout().addWidget(combo)
        self.layout().addWidget(button)
        combo.editTextChanged.connect(self._h_edited)

    def _h_edited(self, text):
        if text != self._h_path:
            self._h_path = text
            self.currentPathChanged.emit(text)
            self.validInputChanged.emit(os.path.exists(text))

    def browse(self):
        kind = QtWidgets.QFileDialog
        only_folders = self.filters & 0x007 == 0x001
        ask = kind.getExistingDirectory if only_folders else kind.getOpenFileName
        chosen = ask(self, self.label)
        if chosen:
            self.currentPath = chosen

    def addCurrentPathToHistory(self):
        if self.settingKey and self.currentPath:
            known = QtCore.QSettings().value(self.settingKey) or []
            known = [known] if isinstance(known, str) else list(known)
            if self.currentPath not in known:
                QtCore.QSettings().setValue(self.settingKey, [self.currentPath, *known])

    def _h_retrieve(self, *_unused):
        known = QtCore.QSettings().value(self.settingKey) or []
        current = self.currentPath
        self._h_combo.clear()
        self._h_combo.addItems([known] if isinstance(known, str) else list(known))
        self._h_combo.setEditText(current)

    label = prop(str, "label", "")
    filters = prop(int, "filters", 0x007)
    options = prop(int, "options", 0)
    settingKey = prop(str, "settingKey", "", after=_h_retrieve)
    sizeAdjustPolicy = prop(int, "sizeAdjustPolicy", 1)
    minimumContentsLength = prop(int, "minimumContentsLength", 0)
    nameFilters = prop("QStringList", "nameFilters")
    currentPath = computed(
        str,
        lambda self: self._h_path,
        lambda self, v: self._h_combo.setEditText(str(v)),
    )
    showHistoryButton = prop(bool, "showHistoryButton", True)
    showBrowseButton = prop(
        bool, "showBrowseButton", True, after=lambda self, v: self._h_browse.setVisible(v)
    )
