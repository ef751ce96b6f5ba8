"""Shared by all tests: a small chest of known shape and a small random model.

Heavy imports stand inside the fixtures, so that a test that needs neither pays for neither.
"""

from __future__ import annotations

import os
from pathlib import Path

# Read when numpy, torch and ITK are imported: of several processes, one thread each.
if "PYTEST_XDIST_WORKER" in os.environ:
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[_name] = "1"
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"

import numpy as np
import pytest

# The phantom's chest, LPS millimetres: spacing, position of voxel (0, 0, 0), shape (z, y, x), and
# the place of a dense marker in the left lung.
PHANTOM_SPACING_MM = (4.0, 4.0, 4.0)
PHANTOM_ORIGIN_MM = (-100.0, -310.0, 500.0)
PHANTOM_SHAPE = (80, 64, 88)
PHANTOM_MARKER_MM = (148.0, -190.0, 670.0)


def phantom_hu() -> np.ndarray:
    """A thorax made of ellipsoids, float32 HU `[z, y, x]`: soft body, two lungs of unlike size,
    spine, and a marker of 1200 HU in the left lung."""
    z, y, x = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in PHANTOM_SHAPE), indexing="ij")

    def inside(centre, radii):
        return (
            sum(((a - c) / r) ** 2 for a, c, r in zip((z, y, x), centre, radii, strict=True)) <= 1
        )

    hu = np.full(PHANTOM_SHAPE, -1000.0, np.float32)
    hu[((y - 32) / 27) ** 2 + ((x - 44) / 40) ** 2 <= 1] = 40.0
    hu[inside((40, 30, 25), (32, 17, 13))] = -850.0  # the patient's right, low x
    hu[inside((42, 30, 62), (30, 17, 12))] = -850.0
    hu[((y - 52) / 4) ** 2 + ((x - 44) / 4) ** 2 <= 1] = 500.0
    k, j, i = (
        round((m - o) / s)
        for m, o, s in zip(
            PHANTOM_MARKER_MM[::-1], PHANTOM_ORIGIN_MM[::-1], PHANTOM_SPACING_MM[::-1], strict=True
        )
    )
    hu[k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2] = 1200.0
    return hu


@pytest.fixture(scope="session")
def phantom_ct():
    """The phantom as a CTVolume."""
    from axon_backend.imaging.ct import CTVolume

    return CTVolume(phantom_hu(), PHANTOM_SPACING_MM, PHANTOM_ORIGIN_MM, "phantom")


@pytest.fixture(scope="session")
def ct_of_image():
    """ct_of_image(SimpleITK image in HU) -> CTVolume."""
    import SimpleITK as sitk

    from axon_backend.imaging.ct import CTVolume

    def convert(image: sitk.Image) -> CTVolume:
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
        affine[:3, 3] = image.GetOrigin()
        return CTVolume.from_affine(sitk.GetArrayFromImage(image), affine)

    return convert


@pytest.fixture(scope="session")
def phantom_ct_file(phantom_ct, tmp_path_factory) -> Path:
    """The phantom as int16 NIfTI."""
    from axon_backend.imaging.write import write_volume

    return write_volume(tmp_path_factory.mktemp("ct") / "phantom.nii.gz", phantom_ct.hu, phantom_ct)


def tiny_config():
    """An AXON model of a few thousand weights, 16^3 -> 32^3."""
    from axon_backend.diffusion.bridge import BrownianBridge
    from axon_backend.methods.axon.config import AxonConfig, Sampling
    from axon_backend.networks.encoder import EncoderConfig
    from axon_backend.networks.srnet import SRConfig
    from axon_backend.networks.unet import UNetConfig

    unet = UNetConfig(channels=(8, 8), attention=(False, False), patch=2, groups=4, head_channels=4)
    return AxonConfig(
        encoder=EncoderConfig(size=16, view_size=32, channels=(8, 8, 8), features=1, trunk=(8, 8)),
        coarse=unet,
        bridge=BrownianBridge(),
        prior=unet,
        sr=SRConfig(gamma=2, features=4, blocks=1, growth=4),
        sampling=Sampling(coarse_steps=3, fine_steps=3),
    )


def write_tiny_bundle(path: Path):
    """A bundle with random weights, the phantom as its atlas, and everything else as it should be.

    The encoder's mean is the phantom too. The volumes are noise, because the mean is
    only one of the inputs of its untrained trunk.
    """
    import torch

    from axon_backend.bundle import write_bundle
    from axon_backend.bundle.metadata import bundle_metadata
    from axon_backend.imaging.ct import CTVolume
    from axon_backend.imaging.frame import find_thorax_frame, resample_to_frame
    from axon_backend.inference.model_loading import bundle_config
    from axon_backend.methods.axon.method import AXON
    from axon_backend.methods.formats import views_format

    config = tiny_config()
    torch.manual_seed(11)
    model = AXON.build(config)
    ct = CTVolume(phantom_hu(), PHANTOM_SPACING_MM, PHANTOM_ORIGIN_MM, "phantom")
    frame = find_thorax_frame(ct)
    n = config.grid
    mean = resample_to_frame(ct, frame, n)
    model.coarse_diff.encoder.mean.copy_(torch.as_tensor(config.window.normalise(mean))[None, None])
    return write_bundle(
        path,
        config=bundle_config(AXON, config),
        metadata=bundle_metadata(
            name="axon-tiny",
            version="0.0.1",
            description="Random weights for tests.",
            inputs=views_format(1024),
            output_grid=2 * n,
            hu_window=(config.window.low, config.window.high),
            networks=AXON.network_formats(config),
        ),
        state_dicts={name: model.network(name).state_dict() for name in config.networks},
        atlas_hu=resample_to_frame(ct, frame, 2 * n),
        atlas_size_mm=frame.size_mm,
        model_card="# axon-tiny\n",
        licence_text="Apache-2.0\n",
        dtype=torch.float32,
    )


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    """`write_tiny_bundle` in a folder of the session; do not change its files."""
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="session")
def coarse_bundle(tiny_bundle, tmp_path_factory):
    """The tiny bundle under another name, recommending its first stage; do not change its files."""
    import json
    import shutil

    from axon_backend.bundle import load_bundle, seal_bundle

    path = tmp_path_factory.mktemp("coarse") / "bundle"
    shutil.copytree(tiny_bundle.path, path)
    metadata = {**tiny_bundle.metadata, "name": "axon-coarse", "recommended_stage": "coarse"}
    (path / "configs" / "metadata.json").write_text(json.dumps(metadata))
    seal_bundle(path)
    return load_bundle(path)


@pytest.fixture(scope="session")
def phantom_xray_file(phantom_ct, tmp_path_factory) -> Path:
    """The phantom's PA DRR as a 16-bit PNG of 256 x 256 pixels, wider than the frame's view."""
    from axon_backend.imaging.frame import find_thorax_frame
    from axon_backend.imaging.view import View
    from axon_backend.imaging.write import write_png
    from axon_backend.physics.drr import render_drr
    from axon_backend.physics.geometry import AcquisitionGeometry

    image = render_drr(
        phantom_ct, AcquisitionGeometry.of_frame(find_thorax_frame(phantom_ct), View.pa), 256
    ).numpy()
    return write_png(
        tmp_path_factory.mktemp("xray") / "pa.png", image / float(image.max()), bits=16
    )


@pytest.fixture
def marker_mm() -> tuple[float, float, float]:
    """Where the phantom's marker is, LPS millimetres (x, y, z)."""
    return PHANTOM_MARKER_MM
