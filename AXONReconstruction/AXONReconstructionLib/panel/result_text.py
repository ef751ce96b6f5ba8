"""Text descriptions of a run record for the panel."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.setup.methods import stageLabel
from AXONReconstructionLib.setup.run_times import durationText

# Below this NCC, the DRR of the result differs noticeably from the X-ray.
LOW_AGREEMENT = 0.5


def resultLine(record: dict, volume=None, shown: str = "") -> str:
    """Duration, size and agreement with the X-rays.

    Args:
        record: contents of the backend's ``result.json``.
        volume: node of the last stage, or None.
        shown: the stage that is shown, the one that the model recommends; empty if none is.
    """
    seconds = sum(float(s) for s in record.get("seconds", {}).values())
    begin = _("Done in {time}.")
    if record.get("cancelled"):
        begin = _("Cancelled after {time}; finished stages were kept.")
    sentences = [begin.format(time=durationText(seconds))]
    if volume is not None and volume.GetImageData() is not None:
        last = volume.GetAttribute("AXON.Stage") or ""
        sentences.append(
            _("{stage}: {size} voxels, spacing {spacing} mm.").format(
                stage=stageLabel(record, last),
                size=" x ".join(str(n) for n in volume.GetImageData().GetDimensions()),
                spacing=" x ".join(f"{mm:.1f}" for mm in volume.GetSpacing()),
            )
        )
        if shown and shown != last:
            sentences.append(
                _("Shown is {stage}, which the model recommends.").format(
                    stage=stageLabel(record, shown)
                )
            )
    return " ".join([*sentences, agreementLine(record)]).strip()


def agreementLine(record: dict) -> str:
    """Agreement of DRRs of the result with the X-rays."""
    names = {"frontal": _("frontal X-ray"), "lateral": _("lateral X-ray")}
    parts = [
        _("{name} {value:.2f}").format(name=names[role], value=value)
        for role, value in (record.get("reprojection") or {}).items()
    ]
    if not parts:
        return ""
    return _("Agreement of the result with the {parts} (1 is perfect).").format(
        parts=_(" and the ").join(parts)
    )


def warnings(record: dict) -> list[str]:
    """Warnings about the result, one sentence each."""
    listed = set(record.get("warnings", ()))
    found = [_sentence(text) for text in record.get("warnings", ())]
    computed = set()
    names = {"frontal": _("frontal"), "lateral": _("lateral")}
    for view in record.get("registration", ()):
        if view.get("verdict") == "poor":
            found.append(
                _(
                    "The {role} X-ray is poorly registered to the {reference}. Check it in step 2 "
                    "before relying on this volume."
                ).format(role=names[view["role"]], reference=_reference(record))
            )
        if view.get("verdict") == "rendered in place":
            computed.add(view["role"])
        found += [
            _sentence(text)
            for text in view.get("warnings", ())
            if f"{view['role']}: {text}" not in listed  # the record prefixes them with the role
        ]
    for item in record.get("inputs", ()):
        if item.get("role") not in names or item["role"] in computed:
            continue
        if item.get("pixel_mm") is None and "pixel_mm" in item:
            found.append(
                _(
                    "The pixel size of the {role} X-ray is unknown: lengths and volumes in the "
                    "result are those of the {reference}."
                ).format(role=names[item["role"]], reference=_reference(record))
            )
    for role, value in (record.get("reprojection") or {}).items():
        if value < LOW_AGREEMENT:
            found.append(
                _(
                    "The DRR of the result differs from the {role} X-ray (agreement {value:.2f})."
                ).format(role=names[role], value=value)
            )
    return list(dict.fromkeys(found))


def _reference(record: dict) -> str:
    hasCT = any(item.get("role") == "ct" for item in record.get("inputs", ()))
    return _("CT") if hasCT else _("atlas")


def _sentence(text: str) -> str:
    text = str(text).strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
