"""Placing an image by a matrix: pixel centres are whole numbers in the image, (i + 0.5) / size
in the field."""

import numpy as np
import pytest

from axon_backend.registration.planar import whole_image_placement
from axon_backend.registration.resample import resample_image


def test_the_whole_image_at_its_own_size_is_itself():
    image = np.random.default_rng(0).random((40, 40)).astype(np.float32)
    values, valid = resample_image(image, whole_image_placement(image).matrix, 40)
    np.testing.assert_allclose(values, image, atol=1e-6)
    assert valid.all()


def test_a_whole_pixel_shift_moves_the_pixels_and_their_mask():
    image = np.random.default_rng(0).random((40, 40)).astype(np.float32)
    matrix = np.array([[40, 0, -0.5 + 3], [0, 40, -0.5 - 5], [0, 0, 1.0]])
    values, valid = resample_image(image, matrix, 40)
    np.testing.assert_allclose(values[5:, :37], image[:35, 3:], atol=1e-5)
    expected = np.zeros((40, 40), bool)
    expected[5:, :37] = True
    assert np.array_equal(valid, expected)


def test_what_is_not_valid_stays_out_however_much_it_shrinks():
    image, valid = np.zeros((400, 400), np.float32), np.ones((400, 400), bool)
    valid[200:203, 100:300] = False
    for size in (400, 40):
        step = 400 // size
        _, shown = resample_image(image, whole_image_placement(image).matrix, size, valid=valid)
        hidden = np.zeros((size, size), bool)
        hidden[200 // step : -(-203 // step), 100 // step : 300 // step] = True
        assert not shown[hidden].any()
        assert (~shown).sum() <= 2.2 * hidden.sum()


def test_a_marker_lands_where_the_matrix_says():
    image = np.zeros((300, 260), np.float32)
    image[121, 83] = 1.0  # row, column
    angle = np.radians(20.0)
    side = 200.0
    matrix = np.eye(3)
    matrix[:2, :2] = side * np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    matrix[:2, 2] = (60.0, 30.0)
    values, _ = resample_image(image, matrix, 400)
    row, column = (np.average(i, weights=values) for i in np.indices(values.shape))
    x, y, _ = np.linalg.solve(matrix, [83.0, 121.0, 1.0])
    assert (column + 0.5) / 400 == pytest.approx(x, abs=5e-4)
    assert (row + 0.5) / 400 == pytest.approx(y, abs=5e-4)


def test_shrinking_does_not_alias():
    checker = (np.indices((512, 512)).sum(0) % 2).astype(np.float32)
    matrix = whole_image_placement(checker).matrix
    matrix[0, 2] += 0.3  # off the pixel centres
    values, _ = resample_image(checker, matrix, 64)
    assert np.abs(values[4:-4, 4:-4] - 0.5).max() < 0.01
