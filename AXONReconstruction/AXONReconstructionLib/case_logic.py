"""The part of the console API that comes before the reconstruction: inputs, DRRs, registration."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from AXONReconstructionLib import arguments, nodes, reading, registering
from AXONReconstructionLib.reference import References
from AXONReconstructionLib.tasks import Tasks

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsFiducialNode as Landmarks
    from slicer import vtkMRMLScalarVolumeNode as VolumeNode

    from axon_backend.imaging.frame import ThoraxFrame
    from axon_backend.physics.pose import Pose
    from AXONReconstructionLib.parameters import AXONReconstructionParameterNode
    from AXONReconstructionLib.results import (
        RadiographDescription,
        RegistrationResult,
        RegistrationResults,
    )


class CaseLogic(ScriptedLoadableModuleLogic):
    """Loads and registers; see `AXONReconstructionLogic` for what all methods share."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleLogic.__init__(self, parent)
        self._references = References()
        self.tasks = Tasks(onSceneClose=self._references.clear)
        # Files are read beside a reconstruction, which may take minutes.
        self.files = Tasks()

    @property
    def busy(self) -> bool:
        """A job waits or runs."""
        return self.tasks.busy or self.files.busy

    def cancelAll(self) -> None:
        """Cancel every job."""
        for tasks in (self.tasks, self.files):
            tasks.cancelAll()

    def sceneClosing(self) -> None:
        """Cancel every job and drop what still arrives; done by itself when the scene closes."""
        for tasks in (self.tasks, self.files):
            tasks.forgetScene()

    def cleanup(self) -> None:
        """Cancel everything and end the worker threads."""
        for tasks in (self.tasks, self.files):
            tasks.cleanup()

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
        """Load an X-ray, upright in the coronal or sagittal plane.

        Where no tag states the orientation, the picture decides it if it is certain; what was done
        stands in the assumptions, and `correctRadiograph` overrules it.

        Args:
            source: a path, or a flat volume of the scene (a new node is made of it).
            view: ``pa``, ``ap``, ``ll`` or ``rl``; None takes the file's word.
            pixelSizeMm: one number or (row, column), in the patient.
            invert: True when bones are dark as shown, False when it is right; None decides.
            name: of the node.
            assumedView: for an X-ray whose view is stated nowhere; None is ``pa``.
        """
        return reading.loadRadiograph(
            self.files, source, view, pixelSizeMm, invert, name, assumedView, **callbacks
        )

    def describeRadiograph(self, node: VolumeNode) -> RadiographDescription:
        """What was read and assumed."""
        return reading.describeRadiograph(node)

    def correctRadiograph(
        self,
        node: VolumeNode,
        view: str | None = None,
        pixelSizeMm: float | tuple[float, float] | None = None,
        invert: bool | None = None,
        flip: bool | None = None,
    ) -> VolumeNode:
        """Correct what was assumed, in place.

        A placement is dropped, except when only the greys change.

        Args:
            pixelSizeMm: one number or (row, column), in the patient; 0 says that it is not known.
            invert: True turns the greys.
            flip: True exchanges the picture's left and right.
        """
        return reading.correctRadiograph(node, view, pixelSizeMm, invert, flip)

    def loadCT(self, path: str | PathLike, name: str | None = None, **callbacks) -> VolumeNode:
        """Load a CT in HU: DICOM folder, NIfTI, NRRD, MHA."""
        return reading.loadCT(self.files, path, name, **callbacks)

    def frameOf(
        self, ctNode: VolumeNode | None = None, bundle: str | None = None, **callbacks
    ) -> ThoraxFrame:
        """The thorax frame of a CT, or without one of the atlas, around 0; LPS millimetres. Quick
        after the first time."""
        reference = self._references.of(ctNode, bundle)
        return self.tasks.run(lambda job: reference.frame, **callbacks)

    def poseOf(self, parameterNode: AXONReconstructionParameterNode) -> Pose:
        """The pose that the sliders say."""
        return reading.poseOf(parameterNode)

    def setPose(
        self, parameterNode: AXONReconstructionParameterNode, pose: Pose | None = None
    ) -> None:
        """Bring the sliders to a pose (None: the canonical one), in one change.

        Values beyond a slider's range become the range's end.
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
        """The radiograph computed from the CT, or from the atlas.

        With `onFinished`, of several calls in waiting for one view the latest wins; the others
        end as cancelled.

        Args:
            view: ``pa``, ``ap``, ``ll`` or ``rl``.
            size: pixels along each side.
            fast: a coarser volume, for sliders.
            node: updated in place of making one; also a function that gives it, or None, when
                the picture is there.
        """
        view = reading.viewName(view)
        arguments.wholeNumber(size, "size", 16)
        reference = self._references.of(ctNode, bundle)

        def work(job):
            return reference.drr(view).render(pose, size, fast), reference.frame

        def finish(found):
            old = node() if callable(node) else node
            title = name or (old.GetName() if old is not None else f"DRR {view.value.upper()}")
            return nodes.drrNode(*found, view, title, old)

        return self.tasks.run(
            work,
            finish,
            key=("drr", view) if callbacks.get("onFinished") else None,
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
        """Lay the X-rays over the DRR of the CT or the atlas.

        Each X-ray gets a linear transform of its own (the present one is reused).

        Args:
            method: ``planar`` moves, turns and scales the picture; ``pose`` then also finds how
                the patient stood (six degrees of freedom; needs the CT); ``pose_sid`` the tube's
                distance with it.
            pose: start of the pose search, and the fixed pose of a planar registration.
            accepted: matrices by role (see `matrixOf`) to use without a search of the picture.
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
        """How well the X-ray's present place agrees with the DRR: ``ncc``, ``gradient_ncc``,
        ``mutual_information``, ``verdict``, ``warnings``.

        With `onFinished`, of several calls in waiting for one X-ray the latest wins.
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
        """Place the X-ray so that its points meet the DRR's, pair by pair.

        Args:
            xrayLandmarks: markups on the X-ray, where it lies now.
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
        """The X-ray's present place as a (3, 3) matrix: canonical view in [0, 1]^2 to its pixels
        (column, row)."""
        registering.requireOwn(xrayNode)
        view = nodes.radiographOf(xrayNode).view
        return nodes.matrixOf(xrayNode, self.frameOf(ctNode, bundle), view)
