"""The sliders that turn the CT in the beam; they need a CT."""

from __future__ import annotations

from slicer.i18n import tr as _

_SLIDERS = (
    "rotationLR",
    "rotationAP",
    "rotationSI",
    "translationX",
    "translationY",
    "translationZ",
    "sid",
)


class PoseBox:
    """Says why the sliders cannot be used. They follow the parameter node by themselves.

    Args:
        section: the Register section.
    """

    def __init__(self, section) -> None:
        self._section = section
        self._sliders = [getattr(section.ui, f"{name}Slider") for name in _SLIDERS]
        self._tips = [slider.toolTip for slider in self._sliders]

    def refresh(self) -> None:
        """Enabled with a CT; without one the reason stands in the box and in the tooltips."""
        hasCT = self._section.ct is not None
        reason = _("Needs a CT of the same patient: the average chest cannot be turned.")
        self._section.ui.poseHint.text = (
            _("The computed radiograph follows while you move a slider.") if hasCT else reason
        )
        for slider, tip in zip(self._sliders, self._tips, strict=True):
            slider.enabled = hasCT and not self._section.auto.running
            slider.toolTip = tip if hasCT else reason
