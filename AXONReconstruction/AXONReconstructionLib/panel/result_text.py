"""A run's record in parts for the panel."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.setup.run_times import durationText

# Below this the computed radiograph and the X-ray show different things.
LOW_AGREEMENT = 0.5


def resultLine(record: dict, volume=None) -> str:
    """One line: how long, how large, how well it agrees with the X-rays.

    Args:
        record: what the backend's ``result.json`` holds.
        volume: node of the last stage, or None.
    """
    seconds = sum(float(s) for s in record.get("seconds", {}).values())
    begin = _("Done in {time}")
    if record.get("cancelled"):
        begin = _("Stopped after {time}, what was finished is kept")
    parts = [begin.format(time=durationText(seconds))]
    if volume is not None and volume.GetImageData() is not None:
        size = " x ".join(str(n) for n in volume.GetImageData().GetDimensions())
        spacing = " x ".join(f"{mm:.1f}" for mm in volume.GetSpacing())
        parts.append(_("{size} voxels of {spacing} mm").format(size=size, spacing=spacing))
    return ", ".join(parts) + ". " + agreementLine(record)


def agreementLine(record: dict) -> str:
    """How well the result, seen as a radiograph, agrees with the X-rays it was made from."""
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
    """What the user must bear in mind, one sentence each."""
    listed = set(record.get("warnings", ()))
    found = [_sentence(text) for text in record.get("warnings", ())]
    computed = set()
    names = {"frontal": _("frontal"), "lateral": _("lateral")}
    for view in record.get("registration", ()):
        if view.get("verdict") == "poor":
            found.append(
                _(
                    "The {role} X-ray does not fit well onto the {reference}: look at it in step 2 "
                    "before you trust this volume."
                ).format(role=names[view["role"]], reference=_reference(record))
            )
        if view.get("verdict") == "rendered in place":
            computed.add(view["role"])
        found += [
            _sentence(text)
            for text in view.get("warnings", ())
            if f"{view['role']}: {text}" not in listed  # the record's own list has them by role
        ]
    for item in record.get("inputs", ()):
        if item.get("role") not in names or item["role"] in computed:
            continue
        if item.get("pixel_mm") is None and "pixel_mm" in item:
            found.append(
                _(
                    "The {role} X-ray's pixel size is not known: lengths and volumes in the result "
                    "are those of the {reference}."
                ).format(role=names[item["role"]], reference=_reference(record))
            )
    for role, value in (record.get("reprojection") or {}).items():
        if value < LOW_AGREEMENT:
            found.append(
                _(
                    "Seen as a radiograph, the result differs from the {role} X-ray "
                    "(agreement {value:.2f})."
                ).format(role=names[role], value=value)
            )
    return list(dict.fromkeys(found))


def _reference(record: dict) -> str:
    hasCT = any(item.get("role") == "ct" for item in record.get("inputs", ()))
    return _("CT") if hasCT else _("average chest")


def _sentence(text: str) -> str:
    text = str(text).strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
