"""The module ``qt``: PySide6 with the behaviour of PythonQt."""

import os
import sys
import types

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["PYSIDE6_OPTION_PYTHON_ENUM"] = "0x0E"  # enumerations are integers, of their class

if sys.version_info < (3, 12):
    # PySide6 is built for the stable interface of Python 3.12, where None, True and False are
    # immortal, and gives them away uncounted; before 3.12 their count would reach zero after some
    # thousand calls.
    import ctypes

    for _constant in (None, True, False, Ellipsis, NotImplemented):
        ctypes.c_ssize_t.from_address(id(_constant)).value += 1 << 40

from PySide6 import QtCore, QtGui, QtNetwork, QtTest, QtWidgets

from . import qt_dialogs, qt_objects, records
from .qt_signals import native_connect, slot_function

_LIBRARIES = (QtCore, QtGui, QtWidgets, QtNetwork, QtTest)


class NamespaceModule(types.ModuleType):
    """A partially implemented module of Slicer: other names are reported as missing."""

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        raise records.lacking(f"{self.__name__}.{name}")


def _subclasses(cls, seen):
    for sub in cls.__subclasses__():
        if sub not in seen:
            seen.append(sub)
            _subclasses(sub, seen)
    return seen


def _tolerate_numbers():
    """Accept numbers as enumerations, as PythonQt does and PySide6 does not."""

    def tolerant(cls, method, enumeration, position=0):
        native = getattr(cls, method)

        def call(self, *arguments):
            arguments = list(arguments)
            if len(arguments) > position and type(arguments[position]) is int:
                arguments[position] = enumeration(arguments[position])
            return native(self, *arguments)

        setattr(cls, method, call)

    qt = QtCore.Qt
    for item in (QtWidgets.QTableWidgetItem, QtWidgets.QListWidgetItem, QtGui.QStandardItem):
        tolerant(item, "setCheckState", qt.CheckState)
        tolerant(item, "setFlags", qt.ItemFlag)
    tolerant(QtWidgets.QTreeWidgetItem, "setFlags", qt.ItemFlag)
    for label in (QtWidgets.QLabel, QtWidgets.QLineEdit):
        tolerant(label, "setAlignment", qt.AlignmentFlag)
    tolerant(QtWidgets.QSlider, "setOrientation", qt.Orientation)
    tolerant(QtWidgets.QCheckBox, "setCheckState", qt.CheckState)


def _single_shot(milliseconds, receiver, member=None):
    """``QTimer.singleShot(ms, function)`` whose errors are recorded."""
    function = receiver if member is None else slot_function(receiver, member)
    timer = QtCore.QTimer(QtCore.QCoreApplication.instance())
    timer.setSingleShot(True)

    def fire():
        try:
            function()
        except SystemExit:
            raise
        except BaseException:
            records.slot_error("QTimer.singleShot")
        finally:
            timer.deleteLater()

    native_connect(timer, QtCore.SIGNAL("timeout()"), fire)
    timer.start(int(milliseconds))


def _null_parent(cls):
    native = cls.setParent

    def set_parent(self, parent=None, *rest):
        # PythonQt takes 0 for a null pointer
        return native(self, None if isinstance(parent, int) and parent == 0 else parent, *rest)

    cls.setParent = set_parent


def install():
    """Adapt PySide6 and create the module ``qt``; once per process."""
    names = {}
    for library in _LIBRARIES:  # PySide6 makes its classes when they are first asked for
        names.update({n: getattr(library, n) for n in dir(library) if not n.startswith("_")})
    classes = [QtCore.QObject, *_subclasses(QtCore.QObject, [])]
    qt_objects.adapt([cls for cls in classes if cls.__module__.startswith("PySide6")])
    _tolerate_numbers()
    _null_parent(QtCore.QObject)
    _null_parent(QtWidgets.QWidget)
    QtCore.QTimer.singleShot = staticmethod(_single_shot)
    qt_dialogs.adapt(_subclasses(QtWidgets.QDialog, []))
    qt = NamespaceModule("qt", __doc__)
    qt.__dict__.update(names)
    sys.modules["qt"] = qt
    return qt
