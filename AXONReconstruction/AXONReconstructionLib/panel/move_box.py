"""Manual adjustment of the X-ray: sliders, and interaction handles while they are open."""

from __future__ import annotations

from AXONReconstructionLib.scene.image_geometry import fieldOf, matrixOfTransform
from AXONReconstructionLib.scene.placement_state import ROLES
from AXONReconstructionLib.scene.plane_motion import PlanarMotion, motionOf, moved
from AXONReconstructionLib.views.handles import centreHandles, handlesShown, showHandles

_SLIDERS = ("horizontal", "vertical", "rotation", "scale")


class MoveBox:
    """Sliders that show the placement of the X-ray, however it was set, and change it.

    Args:
        section: the Register section.
    """

    def __init__(self, section) -> None:
        self._section = section
        self._ui = section.ui
        self._updating = False
        for name in _SLIDERS:
            self._slider(name).connect(
                "valueChanged(double)", lambda value, name=name: self._sliderMoved(name, value)
            )
        self._ui.moveBox.connect("toggled(bool)", lambda _on: self.refresh())

    def refresh(self) -> None:
        """Show the current placement."""
        transform, start = self._placed()
        motion = PlanarMotion()
        if start is not None:
            motion = motionOf(matrixOfTransform(transform), start, fieldOf(self._section.drr))
        movable = start is not None and not self._section.auto.running
        self._updating = True
        for name in _SLIDERS:
            slider, value = self._slider(name), getattr(motion, name)
            # Extend the range if the X-ray was moved beyond it by other means.
            if value < slider.minimum:
                slider.minimum = value
            if value > slider.maximum:
                slider.maximum = value
            slider.value = value
            slider.enabled = movable
        self._updating = False
        self._showHandles(transform, movable)

    def centre(self) -> None:
        """Set the handles' centre of rotation to the centre of the field."""
        transform, start = self._placed()
        if start is not None and handlesShown(transform):
            centreHandles(transform, fieldOf(self._section.drr).centre)

    def hideHandles(self) -> None:
        """Hide the handles of all X-rays."""
        node = self._section.parameterNode
        for role in ROLES:
            transform = None if node is None else getattr(node, f"{role}Transform")
            if handlesShown(transform):
                showHandles(transform, role, False)

    def _placed(self):
        """The transform and the initial placement; both None if there is nothing to move."""
        section = self._section
        start = section.placement.start(section.role) if section.parameterNode else None
        transform = None
        if start is not None:
            transform = getattr(section.parameterNode, f"{section.role}Transform")
        return (transform, start) if transform is not None else (None, None)

    def _sliderMoved(self, name: str, value: float) -> None:
        transform, start = self._placed()
        if self._updating or start is None:
            return
        field, present = fieldOf(self._section.drr), matrixOfTransform(transform)
        before = motionOf(present, start, field)
        if name == "scale":
            change = {"factor": value / before.scale}
        else:
            change = {name: value - getattr(before, name)}
        self._section.placement.set(self._section.role, moved(present, field, **change))

    def _showHandles(self, transform, movable: bool) -> None:
        wanted = movable and self._section.isOpen and not self._ui.moveBox.collapsed
        if transform is not None and wanted != handlesShown(transform):
            showHandles(transform, self._section.role, wanted)
            self.centre()

    def _slider(self, name: str):
        return getattr(self._ui, f"{name}Slider")
