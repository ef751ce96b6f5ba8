"""What the slice views of the Compare section can show, and its explanation."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.views import slices


def contents(result, other) -> list[tuple[str, str]]:
    """The choices (text, value) for a result.

    Args:
        result: `ReconstructionResult` that is shown.
        other: the one beside it, or None for the CT or nothing.
    """
    found = [(_("Reconstruction"), "reconstruction")]
    if other is not None:
        found = [(_("Both results"), "reconstruction"), (_("Difference of A and B"), "difference")]
    elif result.truth is not None:
        found = [
            (_("Reconstruction and CT"), "reconstruction"),
            (_("Difference from the CT"), "difference"),
        ]
    if result.deviation is not None:
        found.append((_("Standard deviation of samples"), "deviation"))
    if result.samples is not None:
        found.append((_("Single samples"), "sample"))
    found.append((_("X-ray check"), "xray"))
    return found


def fadeText(content: str, other) -> str:
    """Label of the slider that fades to another volume."""
    if content == "xray":
        return _("Fade to DRR:")
    return _("Fade to CT:") if other is None else _("Fade to B:")


def legend(content: str, result, other, checks: dict | None = None) -> str:
    """The explanation of the slices; empty if there is nothing to explain.

    Args:
        content: value of `contents`.
        checks: `reprojection.Check` by role, once they are known.
    """
    if content == "difference":
        text = (
            _("Reconstruction minus CT. Blue: less dense than the CT. Red: denser.")
            if other is None
            else _("A minus B. Blue: A is less dense than B. Red: A is denser.")
        )
        return text + _(" White: equal. Saturated at {hu:.0f} HU.").format(hu=slices.DIFFERENCE_HU)
    if content == "deviation":
        return _(
            "Standard deviation over the samples; brightest at {hu:.0f} HU and above. Where it is "
            "large, the X-rays do not determine the result."
        ).format(hu=slices.brightestStandardDeviation(result.deviation))
    if content == "sample":
        return _("One of the samples of the last stage, whose mean is the reconstruction.")
    if content != "xray":
        return ""
    if checks is None:
        return _("The X-ray with a DRR of the result as overlay.")
    names = {"frontal": _("frontal"), "lateral": _("lateral")}
    parts = [
        _("{name} {value:.2f}").format(name=names[role], value=pair.agreement)
        for role, pair in checks.items()
    ]
    if not parts:
        return _("The X-rays of this result are no longer in the scene.")
    return _("Agreement with the X-ray: {parts} (1 is perfect).").format(parts=", ".join(parts))
