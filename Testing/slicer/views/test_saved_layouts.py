"""A scene saved in one of AXON's layouts opens in it, and without AXON in one of Slicer's own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STEPS = (-5741, -5742, -5743, -5751, -5752, -5753, -5731, -5732, -5733)

# A new application; what Slicer does with an installed module at its start, or nothing.
FRESH = """
import json, sys
sys.path.append({testing!r})
import host
host.start()
import slicer
if {installed}:
    host.load_module({module!r}, gui=False)
    slicer.app.startupCompleted.emit()
logic = slicer.app.layoutManager().layoutLogic()
seen = {{}}
for path in {scenes!r}:
    host.load_scene(path)
    views = logic.GetViewNodes()
    views = [views.GetItemAsObject(i).GetLayoutName() for i in range(views.GetNumberOfItems())]
    seen[path] = logic.GetLayoutNode().GetViewArrangement(), sorted(views)
print(json.dumps([seen, [text for *_rest, text in host.slot_errors]]))
sys.stdout.flush()
host.finish()
"""


def opened(scenes, installed):
    """{path: (number of the layout, names of the views shown)} in a new application."""
    code = FRESH.format(
        testing=str(ROOT / "Testing"),
        module=str(ROOT / "AXONReconstruction" / "AXONReconstruction.py"),
        scenes=[str(path) for path in scenes],
        installed=installed,
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert run.stdout, run.stderr
    seen, errors = json.loads(run.stdout.splitlines()[-1])
    assert not errors
    return {Path(path): (number, views) for path, (number, views) in seen.items()}


@pytest.fixture
def saved(host, slicer, axon, tmp_path):
    """Scenes saved in each of AXON's layouts, and in two of Slicer's: number by path."""
    from AXONReconstructionLib.views import layout, own_layouts, xray_views

    assert set(STEPS) == {*layout.descriptions(), *xray_views.descriptions()}
    scenes = {}
    for number in (*STEPS, 3, 6):
        slicer.app.layoutManager().setLayout(number)
        assert own_layouts.shownLayout() == number
        scenes[host.save_scene(tmp_path / f"layout{number}.mrml")] = number
    return scenes


def test_every_layout_comes_back_in_a_new_application(saved):
    seen = opened(saved, installed=True)
    assert {path: number for path, (number, _views) in seen.items()} == saved
    views = {saved[path]: views for path, (_number, views) in seen.items()}
    assert views[-5741] == ["Green"] and views[-5742] == ["Yellow"]
    assert views[-5743] == ["Green", "Yellow"]
    assert views[-5753] == ["Green", "PlotView1", "Yellow"]
    assert views[-5731] == ["AXONRecon", "AXONTruth", "Green", "Red", "Yellow"]
    assert views[-5732] == ["AXONRecon", "Green", "Red", "Yellow"]
    assert len(views[-5733]) == 6


def test_without_axon_slicers_initial_layout_is_shown(saved):
    seen = opened(saved, installed=False)
    for path, number in saved.items():
        assert seen[path][0] == (number if number > 0 else 0)
    assert all(views for _number, views in seen.values())
    ours = [views for path, (_number, views) in seen.items() if saved[path] < 0]
    assert all(views == ["1", "Green", "Red", "Yellow"] for views in ours)


def test_the_layout_of_the_inputs_comes_back(host, slicer, axon, tmp_path, phantom_xray_file):
    """By the panel: what is saved after the first step."""
    panel = axon[1].panel
    panel.sections["inputsSection"].load("frontal", str(phantom_xray_file))
    node = panel.parameterNode
    assert host.wait_until(lambda: node.frontal is not None, 60)
    scene = host.save_scene(tmp_path / "inputs.mrb")
    assert opened([scene], installed=True)[scene] == (-5741, ["Green"])
    assert opened([scene], installed=False)[scene][0] == 0


def test_a_layout_that_was_left_is_not_shown_again(host, slicer, axon, tmp_path):
    from AXONReconstructionLib.views import own_layouts, xray_views

    manager = slicer.app.layoutManager()
    initial = slicer.vtkMRMLLayoutNode.SlicerLayoutInitialView
    xray_views.showRoles(("frontal",))
    manager.setLayout(initial)
    scene = host.save_scene(tmp_path / "left.mrml")
    xray_views.showRoles(("lateral",))
    host.load_scene(scene)
    assert own_layouts.shownLayout() == initial


def test_a_scene_saved_after_another_was_closed_has_the_users_layout(host, slicer, axon, tmp_path):
    """Closing a scene leaves AXON's layout, whose views are empty then, for the user's."""
    from AXONReconstructionLib.views import own_layouts, xray_views

    users = slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView
    slicer.app.layoutManager().setLayout(users)
    xray_views.showRoles(("frontal", "lateral"))
    assert own_layouts.shownLayout() == -5743
    host.close_scene()
    assert own_layouts.shownLayout() == users
    scene = host.save_scene(tmp_path / "next.mrml")
    xray_views.showRoles(("frontal", "lateral"))
    host.load_scene(scene)
    assert own_layouts.shownLayout() == users
