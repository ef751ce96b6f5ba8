"""Images and volumes as MRML nodes: positions computed by hand, and round trips."""

from pathlib import Path

import numpy as np
import pytest

MODULE = Path(__file__).resolve().parents[3] / "AXONReconstruction"

# A thorax frame away from the origin: LPS millimetres.
CENTRE, SIZE = (10.0, -20.0, 300.0), (320.0, 240.0, 300.0)
VIEWS = ("pa", "ap", "ll", "rl")


@pytest.fixture
def nodes(slicer, module_path):
    from AXONReconstructionLib.scene import nodes

    return nodes


@pytest.fixture
def frame():
    from axon_backend.imaging.frame import ThoraxFrame

    return ThoraxFrame(CENTRE, SIZE)


def image(height=90, width=120):
    pixels = np.random.default_rng(0).random((height, width)).astype(np.float32)
    pixels[4, 7] = 9.0  # near the top, on the viewer's left
    return pixels


def radiograph(view="pa", pixel_mm=(3.0, 2.5), pixels=None):
    from axon_backend.imaging.radiograph import Radiograph
    from axon_backend.imaging.view import View

    pixels = image() if pixels is None else pixels
    return Radiograph(pixels, pixel_mm, View(view), "chest.png", ("the view is a guess",))


def world(nodes, node, i, j, k):
    from AXONReconstructionLib.scene.volumes import ijkToWorld

    return (ijkToWorld(node) @ [i, j, k, 1])[:3]


@pytest.mark.parametrize("view", VIEWS)
def test_a_radiograph_round_trips(nodes, view):
    given = radiograph(view)
    found = nodes.radiographOf(nodes.radiographNode(given, "chest"))
    assert np.array_equal(found.pixels, given.pixels) and found.pixels.dtype == np.float32
    assert (found.view, found.pixel_mm, found.assumptions, found.source) == (
        given.view,
        given.pixel_mm,
        given.assumptions,
        given.source,
    )


@pytest.mark.parametrize("view", ["pa", "ap"])
def test_a_frontal_xray_is_coronal_with_right_on_the_viewers_left(nodes, view):
    node = nodes.radiographNode(radiograph(view), "chest", centreRas=(1.0, 2.0, 3.0))
    assert np.allclose(world(nodes, node, 59.5, 44.5, 0), (1, 2, 3))
    # First column: the patient's right (R grows to +R). First row: superior.
    assert np.allclose(world(nodes, node, 0, 0, 0), (1 + 59.5 * 2.5, 2, 3 + 44.5 * 3.0))
    assert np.allclose(world(nodes, node, 119, 89, 0), (1 - 59.5 * 2.5, 2, 3 - 44.5 * 3.0))


@pytest.mark.parametrize("view", ["ll", "rl"])
def test_a_lateral_xray_is_sagittal_with_anterior_on_the_viewers_left(nodes, view):
    node = nodes.radiographNode(radiograph(view), "chest", centreRas=(1.0, 2.0, 3.0))
    assert np.allclose(world(nodes, node, 0, 0, 0), (1, 2 + 59.5 * 2.5, 3 + 44.5 * 3.0))
    assert np.allclose(world(nodes, node, 119, 89, 0), (1, 2 - 59.5 * 2.5, 3 - 44.5 * 3.0))


@pytest.mark.parametrize("view", VIEWS)
def test_the_axes_are_right_handed(nodes, view):
    from AXONReconstructionLib.scene.volumes import ijkToWorld

    node = nodes.radiographNode(radiograph(view), "chest")
    assert np.linalg.det(ijkToWorld(node)[:3, :3]) > 0


def test_without_a_pixel_size_the_xray_covers_the_field_of_view(nodes, frame):
    node = nodes.radiographNode(radiograph(pixel_mm=None), "chest", frame=frame)
    assert nodes.radiographOf(node).pixel_mm is None
    width, height = 120 * node.GetSpacing()[0], 90 * node.GetSpacing()[1]
    assert np.isclose(node.GetSpacing()[0], node.GetSpacing()[1])
    assert width >= 1.1 * 320 - 1e-6 and height >= 1.1 * 300 - 1e-6
    assert np.isclose(width, 1.1 * 320) or np.isclose(height, 1.1 * 300)


def test_a_volume_keeps_its_right_anterior_superior_corner(nodes, frame):
    hu = np.full((8, 8, 8), -1000, np.float32)
    hu[7, 0, 0] = 1000  # backend: z to superior, y to posterior, x to left
    node = nodes.volumeNode(hu, frame, "volume")
    # LPS box: right edge x = 10 - 160, front y = -20 - 120, top z = 300 + 150; half a voxel in.
    lps = np.array([10 - 160 + 20, -20 - 120 + 15, 300 + 150 - 18.75])
    assert np.allclose(world(nodes, node, 0, 0, 7), lps * (-1, -1, 1))
    import slicer

    k, j, i = np.argwhere(slicer.util.arrayFromVolume(node) == 1000)[0]
    right, anterior, superior = world(nodes, node, i, j, k) - np.array(CENTRE) * (-1, -1, 1)
    assert right > 0 and anterior > 0 and superior > 0
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    assert np.allclose(bounds, (-170, 150, -100, 140, 150, 450))


def test_a_posed_volume_is_transformed_back_to_the_ct(nodes, frame):
    from axon_backend.physics.pose import Pose

    pose = Pose((0, 0, 90), (0, 0, 50))
    back = np.linalg.inv(pose.matrix(frame.center_mm))
    node = nodes.volumeNode(np.zeros((8, 8, 8), np.float32), frame, "volume", back)
    # A point in the beam's frame, LPS, and its position before the pose was applied.
    beam = np.array([-130, -125, 431.25])
    ct = (back @ [*beam, 1])[:3]
    assert np.allclose(world(nodes, node, 0, 0, 7), ct * (-1, -1, 1))
    assert np.isclose(ct[2], 431.25 - 50)


def test_a_ct_round_trips(nodes, phantom_ct):
    node = nodes.ctNode(phantom_ct, "ct")
    found = nodes.ctFromArrays(*nodes.ctArrays(node))
    assert np.array_equal(found.hu, phantom_ct.hu)
    assert np.allclose(found.spacing_mm, phantom_ct.spacing_mm, rtol=0, atol=1e-12)
    assert np.allclose(found.origin_mm, phantom_ct.origin_mm, rtol=0, atol=1e-12)
    assert found.source == phantom_ct.source and found.assumptions == phantom_ct.assumptions


def test_the_transform_of_a_ct_is_applied(nodes, phantom_ct, slicer):
    node = nodes.ctNode(phantom_ct, "ct")
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    move = np.eye(4)
    move[:3, 3] = (5, 7, -11)  # RAS
    slicer.util.updateTransformMatrixFromArray(transform, move)
    node.SetAndObserveTransformNodeID(transform.GetID())
    found = nodes.ctFromArrays(*nodes.ctArrays(node))
    assert np.allclose(np.subtract(found.origin_mm, phantom_ct.origin_mm), (-5, -7, -11))


def test_a_cts_voxel_order_in_the_scene_does_not_matter(nodes, phantom_ct, slicer):
    from AXONReconstructionLib.scene.volumes import LPS_TO_RAS

    # The same anatomy with flipped x and z axes.
    sx, sy, sz = phantom_ct.spacing_mm
    flipped = np.diag([-sx, sy, -sz, 1])
    n = phantom_ct.hu.shape
    flipped[:3, 3] = np.add(
        phantom_ct.origin_mm,
        ((n[2] - 1) * sx, 0, (n[0] - 1) * sz),
    )
    node = slicer.util.addVolumeFromArray(
        phantom_ct.hu[::-1, :, ::-1].astype(np.int16), LPS_TO_RAS @ flipped, "ct"
    )
    found = nodes.ctFromArrays(*nodes.ctArrays(node))
    assert np.array_equal(found.hu, phantom_ct.hu.astype(np.int16))
    assert np.allclose(found.origin_mm, phantom_ct.origin_mm)


@pytest.mark.parametrize("view", VIEWS)
def test_a_drr_fills_the_canonical_view(nodes, frame, view):
    node = nodes.drrNode(image(64, 64), frame, view, "DRR")
    matrix = nodes.matrixOf(node, frame, view)
    assert np.allclose(matrix, [[64, 0, -0.5], [0, 64, -0.5], [0, 0, 1]])
    assert np.allclose(world(nodes, node, 31.5, 31.5, 0), np.array(CENTRE) * (-1, -1, 1))


@pytest.mark.parametrize("view", VIEWS)
def test_a_placement_round_trips(nodes, frame, view, slicer):
    node = nodes.radiographNode(radiograph(view), "chest")
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.array([[80, 7, 5.0], [-4, 60, 8], [0, 0, 1]])
    nodes.placeByMatrix(node, transform, matrix, frame, view)
    assert np.allclose(nodes.matrixOf(node, frame, view), matrix)
    # In the plane through the frame's centre, and upright in it.
    plane = 1 if view in ("pa", "ap") else 0
    for corner in ((0, 0, 0), (119, 0, 0), (0, 89, 0)):
        offset = world(nodes, node, *corner) - np.array(CENTRE) * (-1, -1, 1)
        assert np.isclose(offset[plane], 0)


def test_a_placement_under_a_parent_transform_is_correct(nodes, frame, slicer):
    node = nodes.radiographNode(radiograph(), "chest")
    outer = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    slicer.util.updateTransformMatrixFromArray(outer, np.diag([-1.0, -1.0, 1.0, 1.0]))
    inner = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    inner.SetAndObserveTransformNodeID(outer.GetID())
    matrix = np.array([[80, 7, 5.0], [-4, 60, 8], [0, 0, 1]])
    nodes.placeByMatrix(node, inner, matrix, frame, "pa")
    assert np.allclose(nodes.matrixOf(node, frame, "pa"), matrix)


def test_a_placed_drr_lies_on_the_drr(nodes, frame, slicer):
    """The DRR as an X-ray of half the resolution, moved and then placed by the known matrix."""
    drr = nodes.drrNode(image(64, 64), frame, "pa", "DRR")
    xray = nodes.radiographNode(radiograph(pixels=image(32, 32), pixel_mm=(5, 5)), "chest")
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    nodes.placeByMatrix(
        xray, transform, np.array([[32, 0, -0.5], [0, 32, -0.5], [0, 0, 1]]), frame, "pa"
    )
    # Pixel i of the small image covers pixels 2 i and 2 i + 1 of the large one.
    assert np.allclose(world(nodes, xray, 3, 5, 0), world(nodes, drr, 6.5, 10.5, 0))


def test_an_xray_perpendicular_to_the_view_is_refused(nodes, frame):
    from axon_backend.errors import AxonInputError

    with pytest.raises(AxonInputError, match="perpendicular"):
        nodes.matrixOf(nodes.radiographNode(radiograph("ll"), "chest"), frame, "pa")


def test_a_volume_with_many_slices_is_not_an_xray(nodes, phantom_ct):
    from axon_backend.errors import AxonInputError

    with pytest.raises(AxonInputError, match="not a 2-D image"):
        nodes.radiographOf(nodes.ctNode(phantom_ct, "ct"))


def test_an_axial_slice_is_read_as_displayed(nodes, slicer):
    """As Slicer loads a radiograph: in the axial plane, rows from top to bottom as stored."""
    pixels = np.random.default_rng(0).integers(0, 4000, (300, 240)).astype(np.int16)
    node = slicer.util.addVolumeFromArray(pixels[None], np.diag([-1.3, -1.2, 1, 1]), "loaded")
    found = nodes.radiographOf(node, "pa", invert=False)
    assert np.array_equal(found.pixels, pixels.astype(np.float32))
    assert found.pixel_mm == (1.2, 1.3) and found.view.value == "pa"


def test_a_coronal_slice_is_oriented_by_its_geometry(nodes, slicer):
    """Coronal, stored from left to right and from bottom to top."""
    pixels = np.random.default_rng(0).integers(0, 4000, (300, 240)).astype(np.int16)
    shown = pixels[::-1, ::-1]
    ijkToRas = np.array([[1.3, 0, 0, 0], [0, 0, 1, 0], [0, 1.2, 0, 0], [0, 0, 0, 1.0]])
    node = slicer.util.addVolumeFromArray(pixels[None], ijkToRas, "loaded")
    found = nodes.radiographOf(node, "pa", invert=False)
    assert np.array_equal(found.pixels, shown.astype(np.float32))
    assert np.allclose(found.pixel_mm, (1.2, 1.3))


def test_a_slightly_rotated_slice_is_accepted_and_an_oblique_one_refused(nodes, slicer):
    """Coronal except for a rotation about the SI axis."""
    from axon_backend.errors import AxonInputError

    pixels = np.random.default_rng(0).integers(0, 4000, (300, 240)).astype(np.int16)
    for degrees in (15, 45):
        a = np.radians(degrees)
        across, through = (np.cos(a), np.sin(a), 0), (-np.sin(a), np.cos(a), 0)
        ijkToRas = np.eye(4)
        ijkToRas[:3, :3] = np.stack([1.3 * np.array(across), (0, 0, 1.2), through], 1)
        node = slicer.util.addVolumeFromArray(pixels[None], ijkToRas, f"turned {degrees}")
        found = nodes.radiographOf(node, "pa", invert=False)
        assert np.array_equal(found.pixels, pixels[::-1, ::-1].astype(np.float32))
    with pytest.raises(AxonInputError, match="turned 45 shows an oblique view"):
        nodes.radiographOf(node)


def test_a_sagittal_slice_is_a_lateral(nodes, slicer):
    pixels = np.random.default_rng(0).integers(0, 4000, (300, 240)).astype(np.int16)
    ijkToRas = np.array([[0, 0, 1, 0], [-1.3, 0, 0, 0], [0, -1.2, 0, 0], [0, 0, 0, 1.0]])
    node = slicer.util.addVolumeFromArray(pixels[None], ijkToRas, "side")
    found = nodes.radiographOf(node, invert=False)
    assert found.view.value == "ll" and np.array_equal(found.pixels, pixels.astype(np.float32))


def test_a_volume_loaded_by_slicer_is_read_again_from_its_file(nodes, slicer):
    from axon_backend.imaging.radiograph import read_radiograph

    file = MODULE.parent / "axon_backend" / "demo_data" / "drr_lidc0306_pa.nrrd"
    node = slicer.util.loadVolume(str(file))
    found, read = nodes.radiographOf(node), read_radiograph(file)
    assert np.array_equal(found.pixels, read.pixels) and found.source == str(file)
    # After it was edited in the scene, the file is not used.
    slicer.util.arrayFromVolume(node)[100:110] += 5
    slicer.util.arrayFromVolumeModified(node)
    assert not np.array_equal(nodes.radiographOf(node).pixels, read.pixels)


def test_updating_a_node_keeps_it_and_its_transform(nodes, slicer):
    node = nodes.radiographNode(radiograph(), "chest")
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetAndObserveTransformNodeID(transform.GetID())
    count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    again = nodes.radiographNode(radiograph("ap", pixels=image(64, 80)), "new name", node)
    assert again is node and node.GetName() == "new name"
    assert node.GetImageData().GetDimensions() == (80, 64, 1)
    assert node.GetParentTransformNode() is transform
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == count


def test_a_deleted_node_is_created_again(nodes, slicer, frame):
    node = nodes.drrNode(np.ones((8, 8), np.float32), frame, "pa", "DRR")
    slicer.mrmlScene.RemoveNode(node)
    again = nodes.drrNode(np.ones((8, 8), np.float32), frame, "pa", "DRR", node)
    assert again is not node and again.GetScene() is slicer.mrmlScene
    assert again.GetDisplayNode() is not None
