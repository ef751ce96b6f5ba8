"""Records of a module run: dialogs, errors in slots, names missing from the host."""

import sys
import traceback


class HostMissing(AttributeError):
    """A name that the host does not provide: an error in the module, or a gap of the host."""


class Dialog(dict):
    """One dialog that would have been shown: kind, title, text, details, answer."""

    def __repr__(self):
        return f"<{self['kind']}: {self['title']!r} {self['text']!r} -> {self['answer']!r}>"


dialogs = []  # Dialog, in order
missing = []  # names that were asked for and are not here, in order of the first request
slot_errors = []  # (what, exception, traceback as text): raised in a slot, a timer or an observer
warnings = []  # connections to signals that do not exist, invented .ui properties
_answers = []


def clear():
    for kept in (dialogs, missing, slot_errors, warnings, _answers):
        kept.clear()


def lacking(name, why=""):
    """The exception to raise for a name that the host does not provide."""
    if name not in missing:
        missing.append(name)
    reason = f" ({why})" if why else ""
    return HostMissing(
        f"the test host has no {name}{reason}; if Slicer has it, the host needs it as well"
    )


def warn(text):
    if text not in warnings:
        warnings.append(text)
        print(f"host warning: {text}", file=sys.stderr)


def slot_error(what):
    """Record the exception being handled, which Slicer would only print to its console."""
    kind, value, _ = sys.exc_info()
    text = traceback.format_exc()
    slot_errors.append((what, value, text))
    print(f"host: {kind.__name__} in {what}\n{text}", file=sys.stderr)


def except_hook(kind, value, trace):
    """Receives errors of VTK observers, and of slots called by PySide6 directly."""
    text = "".join(traceback.format_exception(kind, value, trace))
    slot_errors.append(("a callback", value, text))
    print(f"host: {kind.__name__} in a callback\n{text}", file=sys.stderr)


def answer_next(*answers):
    """Answers for the next dialogs, in order.

    An answer is the value that the dialog returns, or a function that is given the Dialog (its
    "widget" is the real dialog object, if there is one) and returns the value.
    """
    _answers.extend(answers)


def dialog(kind, title="", text="", default=None, details="", widget=None):
    """Record a dialog, and give the next prepared answer, or the default."""
    record = Dialog(
        kind=kind,
        title=str(title or ""),
        text=str(text or ""),
        details=str(details or ""),
        answer=default,
    )
    if _answers:
        given = _answers.pop(0)
        if callable(given):
            record["widget"] = widget
            given = given(record)
            record.pop("widget")
        record["answer"] = given
    dialogs.append(record)
    return record["answer"]
