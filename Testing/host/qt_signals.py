"""Signals as in PythonQt.

``object.connect("signal(type)", f)`` takes the signature as text, ``object.signal.connect(f)``
gives a slot as many arguments as it takes, a call of a signal emits it. A signature that the class
does not have connects nothing, and is recorded as a warning.
"""

import inspect
import re

import shiboken6
from PySide6 import QtCore

from . import records

native_connect = QtCore.QObject.connect
native_disconnect = QtCore.QObject.disconnect

# Read once from the meta objects: PySide6 ties the Python object of a meta object to the instance
# that was asked for it, and invalidates the class's own with it.
native_signals = {}  # class -> {name: [signature, ...]}, the most arguments first

# Signals of Qt 5 that Qt 6 renamed
_QT5_SIGNALS = {
    ("QComboBox", "currentIndexChanged(QString)"): "currentTextChanged(QString)",
    ("QComboBox", "activated(QString)"): "textActivated(QString)",
    ("QSpinBox", "valueChanged(QString)"): "textChanged(QString)",
    ("QButtonGroup", "buttonClicked(int)"): "idClicked(int)",
    ("QButtonGroup", "buttonToggled(int,bool)"): "idToggled(int,bool)",
}


def normalised(signature):
    """``"2valueChanged( const QString & text )"`` -> ``"valueChanged(QString)"``."""
    name, _, rest = signature.partition("(")
    types = []
    for part in rest.rstrip(") ").split(","):
        part = re.sub(r"\bconst\b", "", part).replace("&", "").split("=")[0].strip()
        named = re.match(r"^(.*[\w>*])\s+(\w+)$", part) or re.match(r"^(.*\*)(\w+)$", part)
        if named and named.group(1).strip() not in ("unsigned", "long", "struct", "class"):
            part = named.group(1)
        if part and part != "void":
            types.append(re.sub(r"\s+", "", part))
    return f"{name.strip().lstrip('012')}({','.join(types)})"


def signal_signatures(cls, name):
    """Signatures of a signal, as declared by a stand-in or by Qt."""
    for base in cls.__mro__:
        declared = base.__dict__.get("_h_signatures", {}).get(name)
        if declared:
            return declared
        if base in native_signals:
            return native_signals[base].get(name, [])
    return []


def _argument_limit(function):
    """Maximum number of positional arguments passed by PythonQt; None: all."""
    taken = 0
    if inspect.ismethod(function):
        function, taken = function.__func__, 1
    code = getattr(function, "__code__", None) if inspect.isroutine(function) else None
    if code is None or code.co_flags & inspect.CO_VARARGS:
        return None
    return code.co_argcount - taken


class _Connection:
    def __init__(self, handle, name, signature, function):
        self.handle, self.name = handle, name
        self.signature, self.function = signature, function


_connections = {}  # address of the sender -> [_Connection]


def address(obj):
    return shiboken6.getCppPointer(obj)[0]


def _remember(sender, connection):
    key = address(sender)
    if key not in _connections:
        _connections[key] = []
        native_connect(
            sender, QtCore.SIGNAL("destroyed()"), lambda: _connections.pop(key, None) and None
        )
    _connections[key].append(connection)


def _closure(function, adapt, count, what):
    numbers = [n for n in (_argument_limit(function), count) if n is not None]
    keep = min(numbers) if numbers else None

    def called(*arguments):
        if adapt is not None:
            arguments = adapt(*arguments)
        try:
            function(*arguments[:keep])
        except SystemExit:
            raise
        except BaseException:
            records.slot_error(what)

    return called


class SignalAttribute:
    """A signal of a class; of an object it is a HostSignal."""

    __slots__ = ("name", "native")

    def __init__(self, name, native):
        self.name, self.native = name, native

    def __get__(self, obj, owner=None):
        return self if obj is None else HostSignal(obj, self.name, self.native)

    def __set__(self, obj, value):
        if not isinstance(value, QtCore.SignalInstance):  # which PySide6 wants to keep in there
            raise AttributeError(f"signal '{self.name}' of {type(obj).__name__} is read-only")


def _native_instance(sender, name):
    """The signal object of PySide6."""
    for base in type(sender).__mro__:
        found = base.__dict__.get(name)
        if isinstance(found, SignalAttribute):
            return found.native.__get__(sender, type(sender))
        if isinstance(found, QtCore.Signal):
            return found.__get__(sender, type(sender))
    return None


def connect_text(sender, signature, function):
    """``sender.connect("signal(type)", function)``; True if done."""
    cls = type(sender)
    signature = normalised(signature)
    for base in cls.__mro__:
        if (base.__name__, signature) in _QT5_SIGNALS:
            signature = _QT5_SIGNALS[(base.__name__, signature)]
            break
    name = signature.partition("(")[0]
    known = signal_signatures(cls, name)
    instance = _native_instance(sender, name)
    own_python_signal = not known and instance is not None
    if signature not in known and not own_python_signal:
        records.warn(f"signal {signature} does not exist on {cls.__name__} (it has {known})")
        return False
    count = 0 if signature.endswith("()") else signature.count(",") + 1
    what = f"a slot of {cls.__name__}.{signature}"
    if any(signature in native_signals.get(base, {}).get(name, ()) for base in cls.__mro__):
        closure = _closure(function, None, count, what)
        handle = native_connect(sender, QtCore.SIGNAL(signature), closure)
    else:
        adapt = getattr(cls, "_h_adapt", {}).get(signature)
        handle = instance.connect(_closure(function, adapt, count, what))
    _remember(sender, _Connection(handle, name, signature, function))
    return True


def disconnect_where(sender, accept):
    kept, found = [], False
    for connection in _connections.get(address(sender), []):
        if accept(connection):
            found = True
            native_disconnect(connection.handle)
        else:
            kept.append(connection)
    if found:
        _connections[address(sender)][:] = kept
    return found


class HostSignal:
    """``object.signal``: connect, disconnect, emit; a call emits."""

    def __init__(self, sender, name, native):
        self._sender, self._name, self._native = sender, name, native

    def connect(self, function):
        if isinstance(function, HostSignal):
            function = function.emit
        what = f"a slot of {type(self._sender).__name__}.{self._name}"
        signature = next(iter(signal_signatures(type(self._sender), self._name)), None)
        closure = _closure(function, None, None, what)
        if any(self._name in native_signals.get(base, ()) for base in type(self._sender).__mro__):
            handle = native_connect(self._sender, QtCore.SIGNAL(signature), closure)
        else:
            handle = self._native.__get__(self._sender, type(self._sender)).connect(closure)
        _remember(self._sender, _Connection(handle, self._name, signature, function))
        return True

    def disconnect(self, function=None):
        if isinstance(function, HostSignal):
            function = function.emit
        return disconnect_where(
            self._sender,
            lambda c: c.name == self._name and (function is None or c.function == function),
        )

    def emit(self, *arguments):
        instance = self._native.__get__(self._sender, type(self._sender))
        known = signal_signatures(type(self._sender), self._name)
        if not arguments and known and known[0] == self._name + "(bool)":
            arguments = (False,)
        return instance.emit(*arguments)

    __call__ = emit

    def __eq__(self, other):
        return isinstance(other, HostSignal) and (self._sender, self._name) == (
            other._sender,
            other._name,
        )

    def __hash__(self):
        return hash((id(self._sender), self._name))


def slot_function(receiver, slot):
    """The slot with a signature; a signal can be a slot as well."""
    if isinstance(slot, HostSignal):
        return slot.emit
    if callable(slot):
        return slot
    name = normalised(slot).partition("(")[0]
    found = getattr(receiver, name, None)
    if not callable(found):
        raise records.lacking(f"{type(receiver).__name__}.{slot} (slot)")
    return found.emit if isinstance(found, HostSignal) else found


class Connect:
    """``object.connect("signal()", f)``, ``object.connect("signal()", receiver, "slot()")``,
    ``QObject.connect(sender, "signal()", f)``; the same for disconnect."""

    def __init__(self, undo):
        self.undo = undo

    def __get__(self, obj, owner=None):
        def act(*arguments):
            arguments = list(arguments)
            sender = obj
            if sender is None or isinstance(arguments[0], QtCore.QObject):
                sender = arguments.pop(0)
            signature = arguments.pop(0)
            if not isinstance(signature, str):
                raise TypeError("connect: the signal must be given as text")
            function = arguments.pop(0) if arguments else None
            if arguments:
                function = slot_function(function, arguments.pop(0))
            if self.undo:
                plain = normalised(signature)
                return disconnect_where(
                    sender,
                    lambda c: c.signature == plain and function in (None, c.function),
                )
            if not callable(function):
                raise TypeError(f"connect: {function!r} is not callable")
            return connect_text(sender, signature, function)

        return act


def read_signals(cls):
    """Register the signals of a PySide6 class and make them behave as in PythonQt."""
    meta = cls.staticMetaObject
    signals = {}
    for index in range(meta.methodCount()):
        method = meta.method(index)
        if method.methodType() == QtCore.QMetaMethod.MethodType.Signal:
            signals.setdefault(bytes(method.name()).decode(), []).append(
                (-method.parameterCount(), bytes(method.methodSignature()).decode())
            )
    native_signals[cls] = {name: [s for _, s in sorted(found)] for name, found in signals.items()}
    wrap_signals(cls)


def wrap_signals(cls):
    for name, value in list(cls.__dict__.items()):
        if isinstance(value, QtCore.Signal):
            setattr(cls, name, SignalAttribute(name, value))
