"""Random user actions: clicking, deleting and closing must not raise errors."""

import random

import numpy as np
import pytest


@pytest.fixture
def panel(axon):
    panel = axon[1].panel
    for name in panel.sections:
        panel.container(name).collapsed = False
    return panel


STEPS = 80
# Buttons that open a system dialog.
LEFT_ALONE = ("file", "browse", "save", "folder", "dicom")


class Monkey:
    """A random user; every action is available in the panel or in Slicer."""

    def __init__(self, host, slicer, widget, files, seed):
        self.host, self.slicer, self.widget, self.files = host, slicer, widget, files
        self.panel = widget.panel
        self.rng = random.Random(seed)
        self.log = []

    def actions(self):
        return [getattr(self, name) for name in sorted(dir(self)) if name.startswith("do_")]

    def step(self):
        action = self.rng.choice(self.actions())
        self.log.append(action.__name__)
        action()
        self.host.process_events(self.rng.choice((0.0, 0.02, 0.1, 0.3)))

    @property
    def node(self):
        return self.panel.parameterNode

    def volumes(self):
        found = list(self.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"))
        return found

    def pick(self, things):
        things = list(things)
        return self.rng.choice(things) if things else None

    def ui(self, section):
        return self.panel.sections[f"{section}Section"].ui

    def click(self, section):
        """Click a random enabled button of a section."""
        ui = self.ui(section)
        named = [(name, getattr(ui, name)) for name in sorted(vars(ui))]
        buttons = [
            (name, widget)
            for name, widget in named
            if name.endswith(("Button", "Radio"))
            and widget.enabled
            and widget.visible
            and not any(word in name.lower() for word in LEFT_ALONE)
        ]
        found = self.pick(buttons)
        if found:
            self.log[-1] += f" {found[0]}"
            self.host.click(found[1])

    def do_click_register(self):
        self.click("register")

    def do_click_reconstruct(self):
        self.click("reconstruct")

    def do_click_compare(self):
        self.click("compare")

    def do_click_inputs(self):
        self.click("inputs")

    def do_reconstruct(self):
        button = self.ui("reconstruct").reconstructButton
        if button.enabled and button.visible:
            self.host.click(button)

    def do_auto_register(self):
        button = self.ui("register").registerButton
        if button.enabled and button.visible:
            self.host.click(button)

    def do_load_xray(self):
        self.panel.sections["inputsSection"].load(
            self.rng.choice(("frontal", "lateral")), str(self.files["xray"])
        )

    def do_choose_frontal(self):
        self.ui("inputs").frontalSelector.setCurrentNode(self.pick([None, *self.volumes()]))

    def do_choose_lateral(self):
        self.ui("inputs").lateralSelector.setCurrentNode(self.pick([None, *self.volumes()]))

    def do_choose_truth(self):
        self.ui("inputs").groundTruthSelector.setCurrentNode(self.pick([None, *self.volumes()]))

    def do_load_ct(self):
        self.node.groundTruth = self.panel.logic.loadCT(str(self.files["ct"]))

    def do_plain_volume(self):
        shape = self.rng.choice(((1, 40, 30), (20, 30, 40), (1, 1, 1)))
        values = np.random.default_rng(self.rng.randrange(99)).normal(size=shape)
        self.slicer.util.addVolumeFromArray(values.astype(np.float32), name="plain")

    def do_empty_volume(self):
        self.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")

    def do_delete(self):
        kinds = ("vtkMRMLVolumeNode", "vtkMRMLTransformNode", "vtkMRMLMarkupsNode",
                 "vtkMRMLTableNode", "vtkMRMLDisplayNode", "vtkMRMLStorageNode")  # fmt: skip
        nodes = [
            n
            for kind in kinds
            for n in self.slicer.util.getNodesByClass(kind)
            if not n.GetSingletonTag() and not n.IsA("vtkMRMLColorNode")
        ]
        found = self.pick(nodes)
        if found is not None:
            self.log[-1] += f" {found.GetName()}"
            self.slicer.mrmlScene.RemoveNode(found)

    def do_close_scene(self):
        if self.rng.random() < 0.2:
            self.host.close_scene()

    def do_slider(self):
        ui = self.ui("register")
        found = self.pick([n for n in dir(ui) if n.endswith("Slider")])
        widget = getattr(ui, found)
        self.log[-1] += f" {found}"
        if widget.enabled:
            widget.value = self.rng.uniform(widget.minimum, widget.maximum)

    def do_overlay(self):
        self.ui("register").overlayModeBox.currentIndex = self.rng.randrange(2)

    def do_fold(self):
        container = self.panel.container(self.pick(self.panel.sections))
        container.collapsed = not container.collapsed

    def do_leave_and_return(self):
        self.widget.exit()
        self.host.process_events(0.05)
        self.widget.enter()

    def do_stage(self):
        ui = self.ui("compare")
        combo = self.pick([ui.stageCombo, ui.presetCombo, ui.slicesCombo, ui.viewsCombo])
        if combo.count and combo.enabled:
            index = self.rng.randrange(combo.count)
            combo.setCurrentIndex(index)
            combo.activated.emit(index)

    def do_samples(self):
        self.node.samples = self.rng.choice((1, 2))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_random_clicks_raise_no_errors(
    host, slicer, axon, panel, tiny_bundle, phantom_xray_file, phantom_ct_file, seed
):
    files = {"xray": phantom_xray_file, "ct": phantom_ct_file}
    monkey = Monkey(host, slicer, axon[1], files, seed)
    monkey.do_load_xray()
    for _step in range(STEPS):
        monkey.node.bundle = str(tiny_bundle.path)
        monkey.step()
        errors = [text for _what, _error, text in host.slot_errors]
        assert not errors, "\n".join([*monkey.log[-15:], *errors])
    panel.logic.tasks.cancelAll()
    assert host.wait_until(lambda: not panel.logic.tasks.busy, 60), monkey.log[-15:]
