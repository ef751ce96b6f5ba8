"""What registration is compared with: SimpleITK alone, and nanodrr's renderer and optimiser.

nanodrr (Apache-2.0 or MIT, see its licence) is no dependency of AXON:
``pip install --no-deps nanodrr jaxtyping wadler-lindig roma einops torchio deprecated wrapt
humanize nibabel platformdirs``.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch

from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.physics.pose import Pose


def sitk_similarity(moving: np.ndarray, fixed: np.ndarray, pixel_mm: float, field_mm: float):
    """(3, 3) field [0, 1]^2 -> pixels of ``moving``, as SimpleITK's examples do it.

    Geometric centring, Mattes MI with 50 bins, a tenth of the pixels at random, regular-step
    gradient descent with scales from physical shift, three levels; pixel sizes are given.
    """
    n = fixed.shape[0]
    target = sitk.GetImageFromArray(fixed.astype(np.float32))
    target.SetSpacing((field_mm / n,) * 2)
    radiograph = sitk.GetImageFromArray(moving.astype(np.float32))
    radiograph.SetSpacing((pixel_mm,) * 2)
    first = sitk.CenteredTransformInitializer(
        target,
        radiograph,
        sitk.Similarity2DTransform(),
        sitk.CenteredTransformInitializerFilter.GEOMETRY,
    )
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.1, seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(4.0, 1e-3, 200)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(first, inPlace=False)
    try:
        found = method.Execute(target, radiograph)
    except RuntimeError:
        found = first
    # Field [0, 1] -> physical: pixel centres of the target start at 0.
    at = (np.array([[0.0, 0], [1, 0], [0, 1]]) - 0.5 / n) * field_mm
    there = np.array([found.TransformPoint(p.tolist()) for p in at]) / pixel_mm
    matrix = np.eye(3)
    matrix[:2] = np.stack([there[1] - there[0], there[2] - there[0], there[0]], 1)
    return matrix


def nanodrr_subject(attenuation: AttenuationVolume, isocentre_mm):
    """nanodrr's volume of an attenuation volume, in LPS mm as its world."""
    from nanodrr.data import Subject

    to_world = torch.eye(4)
    to_world[:3, :3] = torch.diag(torch.tensor(attenuation.spacing_mm))
    to_world[:3, 3] = torch.tensor(attenuation.origin_mm)
    volume = attenuation.mu[None, None]
    return Subject(
        volume,
        torch.zeros_like(volume),
        to_world,
        torch.linalg.inv(to_world),
        Subject._make_voxel_to_grid(volume.shape),
        torch.tensor(isocentre_mm, dtype=torch.float32),
        max_label=0,
        convert_to_mu=False,
    )


def nanodrr_camera(geometry: AcquisitionGeometry, size: int):
    """Inverse intrinsics and camera-to-world of an exposure with its ``size`` x ``size`` image
    on the detector."""
    from nanodrr.camera import make_k_inv

    width, height = geometry.detector_mm
    k_inv = make_k_inv(geometry.sid_mm, width / size, height / size, 0.0, 0.0, size, size)
    to_world = torch.eye(4)
    axes = np.stack([geometry.column, geometry.row, geometry.ray], 1)
    to_world[:3, :3] = torch.as_tensor(axes, dtype=torch.float32)
    to_world[:3, 3] = torch.as_tensor(geometry.source_mm, dtype=torch.float32)
    return k_inv, to_world[None], torch.tensor([geometry.sid_mm])


def nanodrr_pose(
    radiograph: np.ndarray,
    attenuation: AttenuationVolume,
    frame: ThoraxFrame,
    view,
    *,
    size: int = 96,
    samples: int = 160,
    steps: int = 120,
) -> np.ndarray:
    """(4, 4) motion of the patient by nanodrr's Registration module: Adam (1e-2 rad, 1 mm) on its
    NCC over the whole image and over patches of 13 pixels; one view, from the canonical pose."""
    from nanodrr.metrics import MultiscaleNormalizedCrossCorrelation2d
    from nanodrr.registration import Registration

    geometry = Pose().geometry(frame, view)
    k_inv, to_world, sdd = nanodrr_camera(geometry, size)
    subject = nanodrr_subject(attenuation, frame.center_mm)
    module = Registration(subject, to_world, k_inv, sdd, size, size)
    metric = MultiscaleNormalizedCrossCorrelation2d([None, 13], [0.5, 0.5])
    adam = torch.optim.Adam(
        [{"params": [module._rot], "lr": 1e-2}, {"params": [module._xyz], "lr": 1.0}]
    )
    target = torch.nn.functional.adaptive_avg_pool2d(torch.as_tensor(radiograph)[None, None], size)
    for _ in range(steps):
        loss = -metric(target, module(n_samples=samples, backend="torch")).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        moved = module.pose[0].double().numpy()
    # The camera moved by M is the patient moved by its inverse.
    return np.linalg.inv(moved @ np.linalg.inv(to_world[0].double().numpy()))
