"""Console API up to the reconstruction: inputs, DRRs, registration."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from AXONReconstructionLib.console import arguments, reading, registering
from AXONReconstructionLib.console.sessions import Sessions
from AXONReconstructionLib.jobs.tasks import Tasks
from AXONReconstructionLib.scene import nodes
from AXONReconstructionLib.scene.reference import References
from AXONReconstructionLib.setup import backend

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsFiducialNode as Landmarks
    from slicer import vtkMRMLScalarVolumeNode as VolumeNode

    from axon_backend.imaging.frame import ThoraxFrame
    from axon_backend.physics.pose import Pose
    from AXONReconstructionLib.scene.parameters import AXONReconstructionParameterNode
    from AXONReconstructionLib.scene.results import (
        RadiographDescription,
        RegistrationResult,
        RegistrationResults,
    )


class CaseLogic(ScriptedLoadableModuleLogic):
    """Loading and registration; see `AXONReconstructionLogic` for conventions of all methods."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleLogic.__init__(self, parent)
        self._references = References()
        self.tasks = Tasks(onSceneClose=self._references.clear)
        self.sessions = Sessions()
        # Files can be read during a reconstruction, which may take minutes.
        self.files = Tasks()

    @property
    def busy(self) -> bool:
        """Whether a job is queued or running."""
        return self.tasks.busy or self.files.busy

    def cancelAll(self) -> None:
        """Cancel all jobs."""
        for tasks in (self.tasks, self.files):
            tasks.cancelAll()

    def sceneClosing(self) -> None:
        """Cancel all jobs and discard their results; called automatically when the scene closes."""
        for tasks in (self.tasks, self.files):
            tasks.forgetScene()

    def cleanup(self) -> None:
        """Cancel all jobs and stop the worker threads."""
        for tasks in (self.tasks, self.files):
            tasks.cleanup()
        self.sessions.release()

    def findPatient(self, paths, **callbacks):
        """Which of some files and folders are the frontal X-ray, the lateral X-ray and the CT of a
        patient: the backend's `PatientFiles`, whose paths `loadRadiograph` and `loadCT` take."""
        return self.files.run(
            lambda job: backend.load("cohort.patient").find_patient(paths), **callbacks
        )

    def loadRadiograph(
        self,
        source: str | PathLike | VolumeNode,
        view: str | None = None,
        pixelSizeMm: float | tuple[float, float] | None = None,
        invert: bool | None = None,
        name: str | None = None,
        assumedView: str | None = None,
        **callbacks,
    ) -> VolumeNode:
        """Load an X-ray as an upright volume in the coronal or sagittal plane.

        If no tag states the orientation, the image decides it where it is certain. The assumptions
        record that, and `correctRadiograph` overrules it.

        Args:
            source: a file path, or a single-slice volume of the scene (a new node is created).
            view: ``pa``, ``ap``, ``ll`` or ``rl``; None uses the view stated in the file.
            pixelSizeMm: one number or (row, column), in the plane of the patient.
            invert: True if bones are dark as displayed, False if they are bright; None detects it.
            name: node name.
            assumedView: used if neither `view` nor the file states the view; None is ``pa``.
        """
        return reading.loadRadiograph(
            self.files, source, view, pixelSizeMm, invert, name, assumedView, **callbacks
        )

    def describeRadiograph(self, node: VolumeNode) -> RadiographDescription:
        """What was read from the file and what was assumed."""
        return reading.describeRadiograph(node)

    def correctRadiograph(
        self,
        node: VolumeNode,
        view: str | None = None,
        pixelSizeMm: float | tuple[float, float] | None = None,
        invert: bool | None = None,
        flip: bool | None = None,
        part: str | None = None,
        accept: bool | None = None,
    ) -> VolumeNode:
        """Correct the assumptions about an X-ray, in place.

        Its placement is reset unless only the intensities change.

        Args:
            pixelSizeMm: one number or (row, column), in the plane of the patient; 0 = unknown.
            invert: True inverts the intensities.
            flip: True mirrors the image left/right.
            part: ``left``, ``right``, ``top`` or ``bottom``: which of two X-rays in one image.
            accept: True uses an image that does not look like a chest X-ray of its view.
        """
        return reading.correctRadiograph(node, view, pixelSizeMm, invert, flip, part, accept)

    def loadCT(self, path: str | PathLike, name: str | None = None, **callbacks) -> VolumeNode:
        """Load a CT in HU from a DICOM folder, or a file in any supported format."""
        return reading.loadCT(self.files, path, name, **callbacks)

    def frameOf(
        self, ctNode: VolumeNode | None = None, bundle: str | None = None, **callbacks
    ) -> ThoraxFrame:
        """The thorax frame of a CT, or of the atlas (centred at 0) without one; LPS millimetres.
        Cached after the first call."""
        reference = self._references.of(ctNode, bundle)
        return self.tasks.run(lambda job: reference.frame, **callbacks)

    def poseOf(self, parameterNode: AXONReconstructionParameterNode) -> Pose:
        """The pose stored in the parameter node."""
        return reading.poseOf(parameterNode)

    def setPose(
        self, parameterNode: AXONReconstructionParameterNode, pose: Pose | None = None
    ) -> None:
        """Store a pose (None: the canonical one) in the parameter node, in one modification.

        Values are clamped to the ranges of the sliders.
        """
        reading.setPose(parameterNode, pose)

    def renderDRR(
        self,
        ctNode: VolumeNode | None = None,
        view: str = "pa",
        pose: Pose | None = None,
        size: int = 512,
        bundle: str | None = None,
        fast: bool = False,
        node: VolumeNode | None = None,
        name: str | None = None,
        **callbacks,
    ) -> VolumeNode:
        """Render a digitally reconstructed radiograph (DRR) of the CT, or of the atlas.

        With `onFinished`, a new call replaces queued calls for the same view, which end as
        cancelled.

        Args:
            view: ``pa``, ``ap``, ``ll`` or ``rl``.
            size: image width and height in pixels.
            fast: use a downsampled volume, for interactive sliders.
            node: node to update instead of creating one, or a function returning it (or None)
                when the image is available.
        """
        beam = reading.requiredView(view)
        arguments.integer(size, "size", 16)
        reference = self._references.of(ctNode, bundle)

        def work(job):
            return reference.drr(beam, pose, size, fast), reference.frame

        def finish(rendered):
            present = node() if callable(node) else node
            title = name or (present.GetName() if present else f"DRR {beam.value.upper()}")
            image, frame = rendered
            return nodes.drrNode(image, frame, beam, title, present)

        return self.tasks.run(
            work,
            finish,
            key=("drr", beam) if callbacks.get("onFinished") else None,
            **callbacks,
        )

    def register(
        self,
        frontalNode: VolumeNode | None = None,
        lateralNode: VolumeNode | None = None,
        ctNode: VolumeNode | None = None,
        method: str = "planar",
        bundle: str | None = None,
        pose: Pose | None = None,
        seed: int = 0,
        accepted: dict | None = None,
        **callbacks,
    ) -> RegistrationResults:
        """Register the X-rays to DRRs of the CT or the atlas.

        Each X-ray gets its own linear transform (an existing one is reused).

        Args:
            method: ``planar`` translates, rotates and scales the image; ``pose`` additionally
                estimates the pose of the patient (six degrees of freedom; requires the CT);
                ``pose_sid`` also estimates the source-to-image distance.
            pose: initial pose of the search, and the fixed pose of a planar registration.
            accepted: matrices by role (see `matrixOf`) that are used without registration.
            onProgress: called with stage (``register`` or ``pose``), step, total, similarity (or
                None).
        """
        given = (("frontal", frontalNode), ("lateral", lateralNode))
        return registering.register(
            self.tasks,
            self._references.of(ctNode, bundle),
            {role: node for role, node in given if node is not None},
            method,
            pose,
            seed,
            accepted or {},
            **callbacks,
        )

    def assess(
        self,
        xrayNode: VolumeNode,
        ctNode: VolumeNode | None = None,
        bundle: str | None = None,
        pose: Pose | None = None,
        **callbacks,
    ) -> dict:
        """Agreement of the X-ray at its current placement with the DRR: ``ncc``,
        ``gradient_ncc``, ``mutual_information``, ``verdict``, ``warnings``.

        With `onFinished`, a new call replaces queued calls for the same X-ray.
        """
        reference = self._references.of(ctNode, bundle)
        return registering.assess(self.tasks, reference, xrayNode, pose, **callbacks)

    def registerByLandmarks(
        self,
        xrayNode: VolumeNode,
        xrayLandmarks: Landmarks,
        drrLandmarks: Landmarks,
        ctNode: VolumeNode | None = None,
        bundle: str | None = None,
        pose: Pose | None = None,
        **callbacks,
    ) -> RegistrationResult:
        """Register the X-ray so that its landmarks match those on the DRR, pair by pair.

        Args:
            xrayLandmarks: markups on the X-ray at its current placement.
            drrLandmarks: the same anatomy on the DRR, in the same order.
        """
        return registering.registerByLandmarks(
            self.tasks,
            self._references.of(ctNode, bundle),
            xrayNode,
            xrayLandmarks,
            drrLandmarks,
            pose,
            **callbacks,
        )

    def matrixOf(
        self, xrayNode: VolumeNode, ctNode: VolumeNode | None = None, bundle: str | None = None
    ):
        """The X-ray's current placement as a (3, 3) matrix: canonical view in [0, 1]^2 to its
        pixels (column, row)."""
        registering.requireOwn(xrayNode)
        view = nodes.radiographOf(xrayNode).view
        return nodes.matrixOf(xrayNode, self.frameOf(ctNode, bundle), view)
