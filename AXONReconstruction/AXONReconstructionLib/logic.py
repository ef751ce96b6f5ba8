"""The module's console API: everything that the panel does, without a window.

logic = AXONReconstructionLogic()
frontal = logic.loadRadiograph("chest_pa.dcm")
result = logic.reconstruct(frontal)
logic.save(result, "chest")
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from AXONReconstructionLib import arguments, reconstructing
from AXONReconstructionLib.case_logic import CaseLogic

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode as VolumeNode

    from axon_backend.physics.pose import Pose
    from AXONReconstructionLib.parameters import AXONReconstructionParameterNode
    from AXONReconstructionLib.results import ReconstructionResult


class AXONReconstructionLogic(CaseLogic):
    """Load, register, reconstruct, compare and save.

    Long methods compute on a worker thread and take **callbacks**, all called on the main thread:
    onFinished(result), onError(exception), onCancelled(partial result or None), and where a method
    says so onProgress(...). Without `onFinished` they wait, keep the window alive meanwhile, and
    return the result or raise the error. With `onFinished` they return a `Job` at once, which has
    `cancel()`. When the scene closes jobs end as cancelled, and what they found is dropped.

    Arguments of many methods:
        ctNode: reference and ground truth; None takes the bundle's atlas, an average chest.
        bundle: folder of a model; None or "" is the one that ships with AXON.
        pose: the backend's `Pose`, how the CT stands in the beam; None is the canonical one.

    Raises (all methods): `axon_backend.errors.AxonInputError` for what the user can mend,
    `ImportError` with a sentence when packages are missing.
    """

    def getParameterNode(self) -> AXONReconstructionParameterNode:
        """The module's settings in the scene."""
        from AXONReconstructionLib.parameters import settingsOf

        return settingsOf(super().getParameterNode())

    def reconstruct(
        self,
        frontalNode: VolumeNode | None = None,
        lateralNode: VolumeNode | None = None,
        ctNode: VolumeNode | None = None,
        bundle: str | None = None,
        stages: tuple[str, ...] = ("coarse", "fine", "sr"),
        steps: dict[str, int] | None = None,
        seed: int = 0,
        samples: int = 1,
        device: str = "auto",
        register: bool = True,
        accepted: dict | None = None,
        allowPoor: bool = False,
        pose: Pose | None = None,
        parameterNode: AXONReconstructionParameterNode | None = None,
        **callbacks,
    ) -> ReconstructionResult:
        """Compute the CT volume.

        Args:
            frontalNode: X-ray; None uses the DRR of the CT.
            lateralNode: X-ray or None.
            steps: denoising steps by stage, for example ``{"coarse": 10}``.
            seed, samples: means over the seeds ``seed .. seed + samples - 1``, with deviations.
            register: search the place of the X-rays that are not in `accepted`; False takes each
                picture as filling the field of view.
            accepted: matrices by role, from `register` or `matrixOf`; used without a search.
            allowPoor: go on where a registration is poor and not in `accepted`, instead of
                refusing it with the backend's `PoorRegistration`.
            parameterNode: takes the results; nodes it holds from the same inputs are updated.
            onProgress: called with stage, step, total, secondsLeft (of the stage, or None) and
                preview (HU [z, y, x], or None); the stages are ``read``, ``register``, ``coarse``,
                ``fine``, ``sr``, with " (2 of 4)" for several samples, or a sentence when memory
                runs short.
            onStage: onStage(stage, node) as soon as a stage has ended.

        A blocking call that is cancelled raises the backend's `Cancelled`, whose `result` is the
        `ReconstructionResult` of the finished stages, or None.
        """
        return reconstructing.reconstruct(
            self.tasks,
            None if ctNode is None else self._references.of(ctNode, bundle),
            (frontalNode, lateralNode, ctNode),
            pose,
            parameterNode,
            bundle=bundle,
            stages=arguments.stageNames(stages),
            steps=arguments.stepCounts(steps),
            seed=arguments.wholeNumber(seed, "seed", 0),
            samples=arguments.wholeNumber(samples, "samples", 1),
            device=device,
            register=register,
            placements=accepted or None,
            allow_poor=allowPoor,
            **callbacks,
        )

    def showComparison(self, result, stage: str | None = None, preset: str = "lung") -> None:
        """Show the volume beside the ground truth; `result` may be a parameter node."""
        from AXONReconstructionLib import display

        display.showComparison(result, stage, preset)

    def metrics(self, result) -> dict[str, dict[str, float]]:
        """{stage: {mae, mse, psnr, ssim3d_gauss11, ...}}; empty without a ground truth."""
        from AXONReconstructionLib import display

        return display.resultOf(result).record.get("metrics") or {}

    def save(self, result, path: str | PathLike, format: str = "nii.gz") -> list:
        """Write the volumes (``nii.gz``, ``nrrd`` or ``dicom``) and the record. -> files"""
        from AXONReconstructionLib import saving

        return saving.save(result, path, format)
