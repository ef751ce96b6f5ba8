"""The Register section with the phantom: the X-ray is identical to the DRR of the atlas."""

import pytest


@pytest.fixture
def panel(axon, tiny_bundle):
    made = axon[1].panel
    made.parameterNode.bundle = str(tiny_bundle.path)
    return made


@pytest.fixture
def ui(panel):
    return panel.ui


@pytest.fixture
def section(panel):
    return panel.sections["registerSection"]


@pytest.fixture
def settle(host, section):
    """settle(): wait until nothing is computed and every change is an undo step."""

    def quiet():
        return not section.logic.busy and not section.placement._settleTimer.active

    def wait():
        host.process_events(0.05)
        assert host.wait_until(quiet, 120)
        host.process_events(0.05)

    return wait


@pytest.fixture
def place(slicer, section):
    """place(): (4, 4) current placement of the frontal X-ray."""

    def matrix():
        transform = section.parameterNode.frontalTransform
        return slicer.util.arrayFromTransformMatrix(transform, toWorld=True)

    return matrix


@pytest.fixture
def message(ui):
    """message(): text of the message area; empty if hidden."""
    return lambda: ui.messageLabel.text if ui.messageFrame.visible else ""


@pytest.fixture
def computed_xray(panel):
    """computed_xray(name): an X-ray that is a DRR of the bundle's atlas."""

    def make(name):
        node = panel.logic.renderDRR(None, "pa", size=256, bundle=panel.parameterNode.bundle)
        node.SetName(name)
        return node

    return make


@pytest.fixture
def frontal(panel, computed_xray):
    panel.parameterNode.frontal = computed_xray("phantom")
    return panel.parameterNode.frontal


@pytest.fixture
def ct(panel, phantom_ct_file):
    panel.parameterNode.groundTruth = panel.logic.loadCT(phantom_ct_file)
    return panel.parameterNode.groundTruth


@pytest.fixture
def composite(slicer):
    """The composite node of the coronal slice view."""
    return slicer.mrmlScene.GetSingletonNode("Green", "vtkMRMLSliceCompositeNode")


@pytest.fixture
def opened(panel, section, frontal, settle):
    """The section, expanded."""
    panel.container("registerSection").collapsed = False
    settle()
    return section
