"""How many controls a user meets: one obvious way first, the rest folded.

A new control has to take the place of another one, or these numbers are raised with a reason.
"""

# What can be clicked, moved or typed into; a composite of CTK or MRML is one control.
KINDS = {
    "QPushButton", "QToolButton", "QCheckBox", "QRadioButton", "QComboBox", "QSpinBox",
    "QDoubleSpinBox", "QLineEdit", "QPlainTextEdit", "QTableWidget", "ctkSliderWidget",
    "ctkPathLineEdit", "qMRMLNodeComboBox",
}  # fmt: skip


def controls(widget, folded=True):
    """Names of the controls below a widget; without those in folded boxes, or hidden."""
    found = []
    for child in widget.findChildren("QWidget"):
        inner, parent = False, child.parent()
        while parent is not None and parent is not widget:
            inner = inner or parent.className() in KINDS
            parent = parent.parent()
        readOnly = child.className() in ("QLineEdit", "QPlainTextEdit") and child.readOnly
        if child.className() == "QTableWidget":  # one that only shows numbers
            readOnly = child.selectionMode == child.NoSelection
        isControl = child.className() in KINDS and not inner and not readOnly
        if isControl and (folded or child.isVisibleTo(widget)):
            found.append(child.objectName)
    return found


def test_a_new_user_meets_few_controls(panel):
    assert sorted(controls(panel.widget, folded=False)) == [
        "bundleCombo",
        "frontalSelector",
        "groundTruthSelector",
        "lateralSelector",
        "openFilesButton",
        "openFolderButton",
        "reconstructButton",
    ]


def test_expert_settings_are_folded(host, panel):
    for name in panel.sections:
        panel.container(name).collapsed = False
    host.process_events(0.1)
    opened = controls(panel.widget, folded=False)
    assert len(opened) <= 19, opened
    assert len(controls(panel.widget)) <= 75
