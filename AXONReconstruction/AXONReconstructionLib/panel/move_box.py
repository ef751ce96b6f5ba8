"""Moving the X-ray by hand: handles in the view and sliders."""

from __future__ import annotations

from AXONReconstructionLib.scene.image_geometry import fieldOf, matrixOfTransform
from AXONReconstructionLib.scene.placement_state import ROLES
from AXONReconstructionLib.scene.plane_motion import Figures, figuresOf, moved
from AXONReconstructionLib.views.handles import centreHandles, handlesShown, showHandles

_SLIDERS = ("across", "up", "turn", "size")


class MoveBox:
    """The sliders show where the X-ray lies, whoever moved it, and move it.

    Args:
        section: the Register section.
    """

    def __init__(self, section) -> None:
        self._section = section
        self._ui = section.ui
        self._updating = False
        for name in _SLIDERS:
            self._slider(name).connect(
                "valueChanged(double)", lambda value, name=name: self._slid(name, value)
            )
        self._ui.handlesBox.connect("toggled(bool)", self._handlesToggled)

    def refresh(self) -> None:
        """Show the present place."""
        transform, start = self._placed()
        figures = Figures()
        if start is not None:
            figures = figuresOf(matrixOfTransform(transform), start, fieldOf(self._section.drr))
        movable = start is not None and not self._section.auto.running
        self._updating = True
        for name in _SLIDERS:
            slider, value = self._slider(name), getattr(figures, name)
            # A picture far away must still be shown where it is.
            if value < slider.minimum:
                slider.minimum = value
            if value > slider.maximum:
                slider.maximum = value
            slider.value = value
            slider.enabled = movable
        self._ui.handlesBox.checked = handlesShown(transform)
        self._updating = False
        self._ui.handlesBox.enabled = movable

    def centre(self) -> None:
        """Turning by the handles is about the field's middle again."""
        transform, start = self._placed()
        if start is not None and handlesShown(transform):
            centreHandles(transform, fieldOf(self._section.drr).centre)

    def hideHandles(self) -> None:
        """No handles on any X-ray."""
        node = self._section.parameterNode
        for role in ROLES:
            transform = None if node is None else getattr(node, f"{role}Transform")
            if handlesShown(transform):
                showHandles(transform, role, False)

    def _placed(self):
        """The transform and the start placement; both None while there is nothing to move."""
        section = self._section
        start = section.placement.start(section.role) if section.parameterNode else None
        transform = None
        if start is not None:
            transform = getattr(section.parameterNode, f"{section.role}Transform")
        return (transform, start) if transform is not None else (None, None)

    def _slid(self, name: str, value: float) -> None:
        transform, start = self._placed()
        if self._updating or start is None:
            return
        field, present = fieldOf(self._section.drr), matrixOfTransform(transform)
        was = figuresOf(present, start, field)
        if name == "size":
            change = {"ratio": value / was.size}
        else:
            change = {name: value - getattr(was, name)}
        self._section.placement.set(self._section.role, moved(present, field, **change))

    def _handlesToggled(self, on: bool) -> None:
        transform, start = self._placed()
        if not self._updating and start is not None:
            showHandles(transform, self._section.role, on)
            self.centre()

    def _slider(self, name: str):
        return getattr(self._ui, f"{name}Slider")
