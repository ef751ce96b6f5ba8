"""Dialogs do not block: each is recorded and answered. No browser is opened, either.

Message boxes are answered with consent (Yes, Ok), file dialogs and other dialogs with cancel,
unless ``answer_next`` says otherwise.
"""

from PySide6 import QtCore, QtGui, QtWidgets

from . import records
from .qt_signals import address

_KINDS = {0: "message", 1: "information", 2: "warning", 3: "error", 4: "question"}
_clicked = {}  # address of a message box -> the button that answered it


def preferred(buttons):
    """The confirming button among the standard buttons of a message box."""
    box = QtWidgets.QMessageBox
    order = [
        "Yes",
        "Ok",
        "YesToAll",
        "Open",
        "Save",
        "Apply",
        "Retry",
        "Ignore",
        "Close",
        "Cancel",
        "No",
    ]
    for name in order:
        if int(buttons) & int(getattr(box, name)):
            return getattr(box, name)
    return box.Ok


def _exec_message(self):
    box = QtWidgets.QMessageBox
    custom = [b for b in self.buttons() if self.standardButton(b) == box.NoButton]
    answer = None
    if int(self.standardButtons) or not custom:
        answer = preferred(self.standardButtons)
    details = "\n".join(t for t in (self.informativeText, self.detailedText) if t)
    kind = _KINDS.get(int(self.icon), "message")
    answer = records.dialog(kind, self.windowTitle, self.text, answer, details, self)
    button = answer if isinstance(answer, QtWidgets.QAbstractButton) else None
    if button is None and answer is not None:
        button = self.button(box.StandardButton(int(answer)))
    if button is None and custom:
        accepting = [b for b in custom if self.buttonRole(b) in (box.AcceptRole, box.YesRole)]
        button = (accepting or custom)[0]
        records.dialogs[-1]["answer"] = button.text
    if button is not None:
        _clicked[address(self)] = button
        button.click()
    if button in custom:
        return custom.index(button)
    return int(answer) if answer is not None else 0


def _exec_dialog(self, *_unused):
    if isinstance(self, QtWidgets.QMessageBox):
        return _exec_message(self)
    labels = [label.text for label in QtCore.QObject.findChildren(self, QtWidgets.QLabel)]
    text = " | ".join(t for t in labels if isinstance(t, str) and t)
    answer = records.dialog(type(self).__name__, self.windowTitle, text, 0, widget=self)
    self.done(int(answer or 0))
    return int(answer or 0)


def _message(kind):
    def show(parent, title, text, buttons=None, *_unused):
        return records.dialog(kind, title, text, preferred(buttons or QtWidgets.QMessageBox.Ok))

    return staticmethod(show)


def _question(parent, title, text, buttons=None, *_unused):
    box = QtWidgets.QMessageBox
    return records.dialog("question", title, text, preferred(buttons or box.Yes | box.No))


def _file(kind, empty):
    def show(parent=None, caption="", directory="", *_unused):
        return records.dialog(kind, caption, directory, empty)

    return staticmethod(show)


def _input(kind, default):
    def show(parent, title, label, *rest):
        return records.dialog(kind, title, label, default(rest))

    return staticmethod(show)


def _menu(self, *_unused):
    return records.dialog("menu", self.title, ", ".join(a.text for a in self.actions()), None)


def adapt(dialog_classes):
    box, files, inputs = QtWidgets.QMessageBox, QtWidgets.QFileDialog, QtWidgets.QInputDialog
    QtWidgets.QDialog.exec = QtWidgets.QDialog.exec_ = _exec_dialog
    for cls in dialog_classes:
        for name in ("exec", "exec_"):
            if name in cls.__dict__:
                setattr(cls, name, _exec_dialog)
    box.clickedButton = lambda self: _clicked.get(address(self))
    box.information = _message("information")
    box.warning = _message("warning")
    box.critical = _message("error")
    box.about = _message("information")
    box.question = staticmethod(_question)
    files.getOpenFileName = _file("file:open", "")
    files.getOpenFileNames = _file("file:open many", ())
    files.getSaveFileName = _file("file:save", "")
    files.getExistingDirectory = _file("file:directory", "")
    inputs.getText = _input("input:text", lambda rest: rest[1] if len(rest) > 1 else "")
    inputs.getInt = _input("input:int", lambda rest: rest[0] if rest else 0)
    inputs.getDouble = _input("input:double", lambda rest: rest[0] if rest else 0.0)
    inputs.getItem = _input("input:item", lambda rest: rest[0][rest[1] if len(rest) > 1 else 0])
    QtGui.QDesktopServices.openUrl = staticmethod(
        lambda url: records.dialog("url", "", url if isinstance(url, str) else url.toString(), True)
    )
    QtWidgets.QMenu.exec = QtWidgets.QMenu.exec_ = _menu
