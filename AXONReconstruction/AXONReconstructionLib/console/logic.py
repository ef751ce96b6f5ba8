"""The module's console API: everything the panel does, without a GUI.

logic = AXONReconstructionLogic()
frontal = logic.loadRadiograph("chest_pa.dcm")
result = logic.reconstruct(frontal)
logic.save(result, "chest")
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from AXONReconstructionLib.console import arguments, reconstructing
from AXONReconstructionLib.console.case_logic import CaseLogic
from AXONReconstructionLib.scene.results import resultOf

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode as VolumeNode

    from axon_backend.physics.pose import Pose
    from AXONReconstructionLib.scene.parameters import AXONReconstructionParameterNode
    from AXONReconstructionLib.scene.results import ReconstructionResult


class AXONReconstructionLogic(CaseLogic):
    """Load, register, reconstruct, compare and save.

    Long-running methods compute on a worker thread and take **callbacks**, which are called on the
    main thread: onFinished(result), onError(exception), onCancelled(partial result or None), and,
    where documented, onProgress(...). Without `onFinished` they block while keeping the GUI
    responsive, and return the result or raise the error. With `onFinished` they return a `Job`
    immediately, which has `cancel()`. When the scene closes, jobs are cancelled and their results
    discarded.

    Common arguments:
        ctNode: reference and ground truth; None uses the model's atlas (an average chest).
        bundle: folder of a model; None or "" is the model that ships with AXON.
        pose: the backend's `Pose` of the CT relative to the beam; None is the canonical one.

    Raises (all methods): `axon_backend.errors.AxonInputError` for invalid input, `ImportError`
    with a readable message if packages are missing.
    """

    def getParameterNode(self) -> AXONReconstructionParameterNode:
        """The module's parameter node of the scene."""
        from AXONReconstructionLib.scene.parameters import settingsOf

        return settingsOf(super().getParameterNode())

    def reconstruct(
        self,
        frontalNode: VolumeNode | None = None,
        lateralNode: VolumeNode | None = None,
        ctNode: VolumeNode | None = None,
        bundle: str | None = None,
        stages: tuple[str, ...] | None = None,
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
        """Reconstruct the CT volume.

        Args:
            frontalNode: X-ray; None uses a DRR of the CT.
            lateralNode: X-ray or None.
            stages: names of the stages to run, or ``all``; None is those that the model
                recommends, which are all of its method if it recommends none.
            steps: denoising steps by stage, where they differ from the model's default.
            seed, samples: the result is the mean over the seeds ``seed .. seed + samples - 1``,
                with the standard deviation for two or more samples.
            register: register the X-rays that are not in `accepted`; False assumes that each
                image fills the field of view.
            accepted: matrices by role, from `register` or `matrixOf`; used without registration.
            allowPoor: continue if a registration is poor and not in `accepted`, instead of raising
                the backend's `PoorRegistration`.
            parameterNode: receives the result, unless the run is cancelled and it has one; the
                nodes of earlier results stay in the scene.
            onProgress: called with stage, step, total, secondsLeft (of the stage, or None) and
                preview (HU [z, y, x], or None); the stages are ``read``, ``register`` and those
                of the method, with " (2 of 4)" for several samples, or a message if memory runs
                low.
            onStage: onStage(stage, node), called when a stage has finished.

        A blocking call that is cancelled raises the backend's `Cancelled`, whose `result` is the
        `ReconstructionResult` of the finished stages, or None.
        """
        return reconstructing.reconstruct(
            self.tasks,
            self.sessions,
            None if ctNode is None else self._references.of(ctNode, bundle),
            (frontalNode, lateralNode, ctNode),
            pose,
            parameterNode,
            bundle=bundle,
            stages=arguments.stageNames(stages),
            steps=arguments.stepCounts(steps),
            seed=arguments.integer(seed, "seed", 0),
            samples=arguments.integer(samples, "samples", 1),
            device=device,
            register=register,
            placements=accepted or None,
            allow_poor=allowPoor,
            **callbacks,
        )

    def showComparison(self, result, stage: str | None = None, preset: str = "lung") -> None:
        """Show the volume side by side with the CT; `result` may be a parameter node."""
        from AXONReconstructionLib.views import display

        display.showComparison(result, stage, preset)

    def metrics(self, result) -> dict[str, dict[str, float]]:
        """{stage: {mae, mse, psnr, ssim3d_gauss11, ...}}; empty without a CT."""
        return resultOf(result).record.get("metrics") or {}

    def save(self, result, path: str | PathLike, format: str = "nii.gz") -> list:
        """Save the volumes (``nii.gz``, ``nrrd`` or ``dicom``) and the record; return the files."""
        from AXONReconstructionLib.console import saving

        return saving.save(result, path, format)
