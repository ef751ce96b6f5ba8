"""One case: the volume's millimetres, the DRRs' poses, views that only the image tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from axon_backend.dataset.choose import Xray
from axon_backend.dataset.settings import PrepareSettings
from axon_backend.dataset.views import place_xray, poses, render
from axon_backend.dataset.volume import check_chest, cropped, resampled
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume, read_ct
from axon_backend.imaging.frame import ThoraxFrame, find_thorax_frame, resample_to_frame
from axon_backend.imaging.view import View
from axon_backend.imaging.write import write_png
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.physics.pose import Pose


def ramp() -> CTVolume:
    """HU = x + 2 y + 3 z in millimetres, with three unlike voxel edges."""
    spacing, origin, shape = (0.7, 1.3, 2.5), (-30.0, 10.0, 5.0), (24, 40, 70)
    z, y, x = (
        o + s * np.arange(n) for o, s, n in zip(origin[::-1], spacing[::-1], shape, strict=True)
    )
    hu = x + 2 * y[:, None] + 3 * z[:, None, None]
    return CTVolume(hu.astype(np.float32), spacing, origin)


def test_a_linear_volume_stays_where_it_is():
    new = resampled(ramp(), 1.0)
    assert new.spacing_mm == (1.0, 1.0, 1.0)
    z, y, x = (o + np.arange(n) for o, n in zip(new.origin_mm[::-1], new.hu.shape, strict=True))
    wanted = x + 2 * y[:, None] + 3 * z[:, None, None]
    inside = (slice(4, -4),) * 3
    # Whole HU: half of one is rounding, the rest is the low-pass at float accuracy.
    assert np.abs(new.hu - wanted)[inside].max() < 0.51
    assert np.allclose(new.size_mm, ramp().size_mm, atol=1.0)


def test_a_motion_carries_points_with_it():
    matrix = np.eye(4)
    matrix[:3, 3] = (3.0, -2.0, 4.0)
    still, moved = resampled(ramp(), 1.0), resampled(ramp(), 1.0, matrix)
    # A point's value goes where the point goes: 3 voxels left, 2 forwards, 4 up.
    assert np.abs(moved.hu[10:40, 6:40, 10:40] - still.hu[6:36, 8:42, 7:37]).max() <= 1


def test_the_crop_keeps_the_beam_and_the_millimetres(coarse_chest):
    whole = resampled(coarse_chest(), 4.0)
    frame = find_thorax_frame(whole)
    box = cropped(whole, frame)
    offset = [round((b - w) / 4) for b, w in zip(box.origin_mm, whole.origin_mm, strict=True)][::-1]
    there = tuple(slice(o, o + n) for o, n in zip(offset, box.hu.shape, strict=True))
    assert np.array_equal(box.hu, whole.hu[there])
    for view in (View.pa, View.lateral_left):
        ours, full = (
            render_drr(v, AcquisitionGeometry.of_frame(frame, view), 64).numpy()
            for v in (box, whole)
        )
        assert np.abs(ours - full).max() < 0.01 * full.max()


def test_half_a_chest_is_none(coarse_chest):
    chest = coarse_chest()
    frame = find_thorax_frame(chest)
    check_chest(chest, frame)
    half = CTVolume(chest.hu[:40], chest.spacing_mm, chest.origin_mm)
    with pytest.raises(AxonInputError, match="upper end of the scan|mm high"):
        check_chest(half, find_thorax_frame(half))
    with pytest.raises(AxonInputError, match="90 mm wide"):
        check_chest(chest, ThoraxFrame(frame.center_mm, (90.0, 200.0, 250.0)))


def test_drrs_vary_by_seed_and_the_first_is_canonical(coarse_chest):
    settings = PrepareSettings(drrs=4)
    made = poses(settings, 7)
    assert made[0].is_identity and len({repr(p) for p in made}) == 4
    assert made == poses(settings, 7) and made[1:] != poses(settings, 8)[1:]
    assert made[1:] != poses(replace(settings, seed=1), 7)[1:]
    assert all(abs(a) < 10 for p in made for a in p.rotation_deg)
    chest = coarse_chest()
    frame = find_thorax_frame(chest)
    volume = AttenuationVolume.from_ct(chest)
    first = render(volume, frame, View.pa, made[0], 64)
    assert np.allclose(
        first,
        render_drr(chest, AcquisitionGeometry.of_frame(frame, View.pa), 64).numpy(),
        atol=1e-4,
    )
    assert np.abs(render(volume, frame, View.pa, made[1], 64) - first).max() > 0.05


def as_taken(ct, frame, view, pose) -> np.ndarray:
    """A radiograph with square pixels, 256 rows, in [0, 1]."""
    geometry = pose.geometry(frame, view)
    width = round(256 * geometry.extent_mm[0] / geometry.extent_mm[1])
    image = render_drr(ct, geometry, (256, width)).numpy()
    return image / image.max()


def test_what_is_stated_of_a_case_wins_over_what_is_stated_of_all():
    settings = PrepareSettings(stated={"lateral": {"flip": True}, "b/lateral": {"flip": False}})
    assert settings.stated_for("a", "lateral") == {"flip": True}
    assert settings.stated_for("b", "lateral") == {"flip": False}
    assert settings.stated_for("a", "frontal") == {}
    # A case is made again only where something is stated of it.
    other = replace(settings, stated={"lateral": {"flip": True}})
    assert settings.of_case("a") == other.of_case("a")
    assert settings.of_case("b") != other.of_case("b")
    assert PrepareSettings.from_dict(settings.as_dict()) == settings


def test_what_is_stated_is_done_before_an_xray_is_placed(coarse_chest, tmp_path):
    chest = coarse_chest()
    frame = find_thorax_frame(chest)
    shown = as_taken(chest, frame, View.pa, Pose())
    file = write_png(tmp_path / "x.png", np.rot90(shown))
    settings = PrepareSettings(view_size=128, stated={"p/frontal": {"rotate": 90}})
    found = place_xray(Xray(str(file), "frontal", "pa", "x"), chest, frame, settings, set(), "p")
    assert found.quality.ncc > 0.95
    assert "rotated by 90 degrees clockwise as requested" in found.notes


@pytest.mark.slow
def test_the_image_tells_the_view(coarse_chest, tmp_path):
    """A lateral of a patient who looks to the right, in a file that states nothing."""
    chest = coarse_chest()
    frame = find_thorax_frame(chest)
    settings = PrepareSettings(voxel_mm=4.0, view_size=128)
    for role, view in (("frontal", View.pa), ("lateral", View.lateral_left)):
        shown = as_taken(chest, frame, view, Pose())
        file = write_png(tmp_path / f"{role}.png", shown[:, ::-1] if role == "lateral" else shown)
        found = place_xray(Xray(str(file), None, None, "x"), chest, frame, settings, set())
        assert found.role == role and found.quality.verdict == "good"
        assert "no tag states the view" in found.notes[-1]
        assert found.quality.ncc > 0.95


def test_noise_is_no_xray_of_this_patient(coarse_chest, tmp_path):
    chest = coarse_chest()
    frame = find_thorax_frame(chest)
    rng = np.random.default_rng(0)
    file = write_png(tmp_path / "n.png", np.kron(rng.random((16, 16)), np.ones((16, 16))))
    xray = Xray(str(file), "frontal", "pa", "x")
    with pytest.raises(AxonInputError, match="does not look like a chest X-ray"):
        place_xray(xray, chest, frame, PrepareSettings(view_size=128), set())
    insists = PrepareSettings(view_size=128, stated={"frontal": {"force": True}})
    assert place_xray(xray, chest, frame, insists, set()).quality.verdict == "poor"


@pytest.mark.slow
def test_the_ct_is_moved_to_where_the_patient_stood(coarse_chest, tmp_path, one_thread):
    """X-rays of a leaning patient: the CT of the data set leans as they did."""
    from axon_backend.dataset.prepare import prepare
    from axon_backend.imaging.write import write_volume

    chest = coarse_chest()
    frame = find_thorax_frame(chest)
    true = Pose((0.0, 5.0, 6.0), (0.0, 0.0, 0.0))
    for role, view in (("frontal", View.pa), ("lateral", View.lateral_left)):
        write_png(tmp_path / f"{role}.png", as_taken(chest, frame, view, true), bits=16)
    write_volume(tmp_path / "ct.nii.gz", chest.hu, chest)
    (tmp_path / "m.csv").write_text("id,ct,frontal,lateral\na,ct.nii.gz,frontal.png,lateral.png\n")
    settings = PrepareSettings(voxel_mm=4.0, view_size=128, pose=True)
    (line,) = prepare(tmp_path / "m.csv", tmp_path / "data", settings, workers=0).lines
    assert np.allclose(line.entry["pose"]["rotation_deg"], true.rotation_deg, atol=2.0)
    leaning = resampled(chest, 4.0, true.matrix(frame.center_mm))
    upright = resampled(chest, 4.0)
    made = read_ct(tmp_path / "data" / line.entry["ct"])
    box = ThoraxFrame(frame.center_mm, tuple(0.9 * s for s in frame.size_mm))
    away = {
        name: np.abs(resample_to_frame(ct, box, 32) - resample_to_frame(made, box, 32)).mean()
        for name, ct in (("leaning", leaning), ("upright", upright))
    }
    assert away["leaning"] < 0.5 * away["upright"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"drrs": 0}, "--drrs is 0"),
        ({"voxel_mm": 0.0}, "--voxel"),
        ({"gate": "poor"}, "one of fair, good"),
        ({"hu_low": 900.0}, "higher one"),
        ({"max_days": -1}, "--max-days"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, words):
    with pytest.raises(AxonInputError, match=words):
        PrepareSettings(**values)
