"""A small headless host for AXON's Slicer modules: see README.md in this folder.

import host
host.start()
module, widget = host.load_module("AXONReconstruction/AXONReconstruction.py")
host.click(widget.ui.applyButton)
host.wait_until(lambda: not widget.running, 60)
host.screenshot(widget, "panel.png")
"""

import os
import sys

from . import records
from .records import HostMissing, answer_next, dialogs, missing, slot_errors, warnings
from .without import without

_started = False


def start(testing=False):
    """Create the application, the scene and the modules qt, ctk, slicer.*; once per process.

    ``testing``: what ``slicer.app.testingEnabled()`` says.
    """
    global _started
    if not _started:
        _started = True
        from . import startup

        startup.run()
    import slicer

    slicer.app.__dict__["_h_testing"] = testing
    return slicer.app


def load_module(path, enter=True, gui=True):
    """Load a scripted module, build its panel and enter it: (Python module, widget instance)."""
    start()
    from . import module_manager

    return module_manager.load_module(path, gui=gui, enter=enter)


def unload_module(name):
    """Unload a module as Slicer does on exit: exit, cleanup, destruction of the panel."""
    from . import module_manager

    module_manager.unload_module(name)
    process_events()


def process_events(seconds=0.0):
    """Process events for this many seconds (at least once)."""
    from . import event_loop

    event_loop.process_events(seconds)


def wait_until(condition, seconds=30.0):
    """Process events until a condition holds; False on timeout."""
    from . import event_loop

    return event_loop.wait_until(condition, seconds)


def gil_held():
    """A context in which the main thread holds the GIL while Qt processes events, as in Slicer."""
    from . import event_loop

    return event_loop.gil_held()


def pip_runs(wheels, target):
    """A context in which `slicer.packaging` really runs pip: see `packages.pip_runs`."""
    from . import packages

    return packages.pip_runs(wheels, target)


def click(widget):
    """Click a button as a user could: it must be enabled and visible."""
    if not widget.enabled:
        raise RuntimeError(
            f"{widget.className()} {widget.objectName!r} is disabled (tool tip: {widget.toolTip!r})"
        )
    if widget.window().visible and not widget.visible:
        raise RuntimeError(f"{widget.className()} {widget.objectName!r} is not visible")
    widget.click()
    process_events()


def screenshot(widget, path, width=400, height=None):
    """Save a PNG of a module's panel (given its widget instance), or of any Qt widget."""
    from PySide6 import QtWidgets

    panel = widget if isinstance(widget, QtWidgets.QWidget) else widget.parent
    window = panel.window()
    process_events()
    if height is None:
        layout = panel.layout()
        height = layout.totalSizeHint().height() if layout is not None else 0
        if layout is not None and layout.hasHeightForWidth():
            height = max(height, layout.totalHeightForWidth(width))
        height = max(100, panel.minimumSizeHint.height(), height)
    # the main window has docks, which would give the panel another width: take it out meanwhile
    scroll = window.findChild(QtWidgets.QScrollArea, "ModulePanel")
    docked = scroll is not None and panel is scroll.widget()
    if docked:
        scroll.takeWidget()
    panel.resize(width, height)
    panel.show()
    process_events(0.1)
    saved = panel.grab().save(str(path))
    if docked:
        scroll.setWidget(panel)
    if not saved:
        raise RuntimeError(f"could not write {path}")
    return path


def view_screenshot(view, path, width=600, height=600):
    """Save a PNG of a view, rendered by Slicer's displayable managers.

    ``view``: name of a slice view ("Red", ...), number of a 3D view, or a view node.
    """
    import slicer

    manager = slicer.app.layoutManager()
    if isinstance(view, str):
        widget = manager.sliceWidget(view) or manager.threeDWidget(view)
    elif isinstance(view, int):
        widget = manager.threeDWidget(view)
    else:
        widget = manager.viewWidget(view)
    if widget is None:
        raise ValueError(f"there is no view {view!r}")
    process_events()
    widget.rendered().save(path, width, height)
    return path


def save_scene(path):
    """Save the scene to an .mrb (or .mrml) file."""
    import slicer

    if not slicer.util.saveScene(str(path)):
        raise RuntimeError(f"the scene could not be saved to {path}")
    return path


def load_scene(path):
    """Close the scene and load one from an .mrb (or .mrml) file."""
    import slicer

    slicer.util.loadScene(str(path))
    process_events()


def close_scene():
    import slicer

    slicer.mrmlScene.Clear(0)
    process_events()


def clear_records():
    """Clear the records of dialogs, answers, errors in slots, warnings and missing names."""
    records.clear()


def finish(code=0):
    """Exit a script without destructors, whose order VTK, Qt and Python do not agree on."""
    import shutil

    if _started:
        import slicer

        shutil.rmtree(slicer.app._h_folder, True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


__all__ = [
    "HostMissing",
    "answer_next",
    "clear_records",
    "click",
    "close_scene",
    "dialogs",
    "finish",
    "gil_held",
    "load_module",
    "load_scene",
    "missing",
    "pip_runs",
    "process_events",
    "save_scene",
    "screenshot",
    "slot_errors",
    "start",
    "unload_module",
    "view_screenshot",
    "wait_until",
    "warnings",
    "without",
]
