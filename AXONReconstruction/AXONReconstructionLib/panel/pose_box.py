"""Pose sliders of the CT."""

from __future__ import annotations

from slicer.i18n import tr as _

# Moving the X-ray does what translating the CT would.
_SLIDERS = (
    "rotationLR",
    "rotationAP",
    "rotationSI",
    "sid",
)


class PoseBox:
    """Enables the sliders, which are bound to the parameter node, if there is a CT.

    Args:
        section: the Register section.
    """

    def __init__(self, section) -> None:
        self._section = section
        self._sliders = [getattr(section.ui, f"{name}Slider") for name in _SLIDERS]
        self._tips = [slider.toolTip for slider in self._sliders]

    def refresh(self) -> None:
        """Update the enabled state; without a CT, hint and tooltips give the reason."""
        hasCT = self._section.ct is not None
        reason = _("Requires a CT of the same patient; the atlas has a fixed pose.")
        hint = _("The DRR is updated while you move a slider.") if hasCT else reason
        node = self._section.parameterNode
        moved = {axis: getattr(node, f"poseTranslation{axis}") for axis in "XYZ"}
        if hasCT and any(moved.values()):
            hint += " " + _(
                "Auto-register translated the CT by {X:.0f} mm to the left, {Y:.0f} mm to the back "
                "and {Z:.0f} mm to the head."
            ).format(**moved)
        self._section.ui.poseHint.text = hint
        for slider, tip in zip(self._sliders, self._tips, strict=True):
            slider.enabled = hasCT and not self._section.auto.running
            slider.toolTip = tip if hasCT else reason
