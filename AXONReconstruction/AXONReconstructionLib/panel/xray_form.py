"""The form for one X-ray in the Inputs section: source, assumptions, corrections."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from AXONReconstructionLib.panel.file_drop import FileDrop
from AXONReconstructionLib.setup import backend

FRONTAL_VIEWS, LATERAL_VIEWS = ("pa", "ap"), ("ll", "rl")
VIEWS = FRONTAL_VIEWS + LATERAL_VIEWS


def viewText(view: str) -> str:
    """Display name of a view."""
    return {
        "pa": _("PA (posterior-anterior)"),
        "ap": _("AP (anterior-posterior)"),
        "ll": _("Left lateral (left side at the detector)"),
        "rl": _("Right lateral (right side at the detector)"),
    }[view]


def partTexts() -> dict[str, str]:
    """Display names of the parts of an image; the first one is all of it."""
    return {
        "": _("Whole image"),
        "left": _("Left part"),
        "right": _("Right part"),
        "top": _("Top part"),
        "bottom": _("Bottom part"),
    }


class XrayForm:
    """The widgets of one role.

    Args:
        section: the Inputs section.
        role: ``frontal`` or ``lateral``.
    """

    def __init__(self, section, role: str) -> None:
        self._section, self.role = section, role
        self._updating = False
        self._shown: tuple = ()
        for view in VIEWS:
            self._control("ViewBox").addItem(viewText(view), view)
        self._control("Selector").connect("currentNodeChanged(vtkMRMLNode*)", self._chosen)
        self._control("ViewBox").connect("currentIndexChanged(int)", self._viewCorrected)
        self._control("PixelBox").connect("valueChanged(double)", self._pixelCorrected)
        self._control("InvertBox").connect("toggled(bool)", self._invertCorrected)
        self._control("FlipButton").connect("clicked()", lambda: self._correct(flip=True))
        for part, text in partTexts().items():
            self._control("PartBox").addItem(text, part)
        self._control("PartBox").connect("currentIndexChanged(int)", self._partChosen)
        self._control("AcceptButton").connect("clicked()", lambda: self._correct(accept=True))
        self._drop = FileDrop(self._control("Box"), lambda paths: section.dropped(role, paths))

    def refresh(self) -> None:
        """Show the X-ray of the parameter node, if it changed."""
        node = self._node
        names = ("View", "PixelMm", "PixelSizeKnown", "Inverted", "Assumptions", "LooksLike")
        shown = (node, *(node.GetAttribute(f"AXON.{n}") for n in names)) if node else (None,)
        if shown == self._shown:
            return
        self._shown = shown
        self._updating = True
        try:
            self._control("Selector").setCurrentNode(node)
            self._control("Corrections").visible = node is not None
            if node is None:
                self._control("Assumed").text = _(
                    "No X-ray selected. Open files, drag one here, or select a volume from the "
                    "scene."
                )
                return
            try:
                found = self._section.logic.describeRadiograph(node)
            except Exception as error:  # set by a script or another version of AXON
                self._control("Corrections").visible = False
                self._control("Assumed").text = backend.explain(error)[0]
                return
            self._control("Assumed").text = descriptionText(found)
            self._control("ViewBox").currentIndex = VIEWS.index(found.view)
            self._control("PixelBox").value = 0.0 if found.pixelMm is None else found.pixelMm[0]
            self._control("InvertBox").checked = found.inverted
            self._control("PartBox").currentIndex = 0
            self._control("Refused").visible = bool(found.looksLike)
        finally:
            self._updating = False

    def forceRefresh(self) -> None:
        """Show the X-ray again, discarding the user's changes in the widgets."""
        self._shown = ()
        self.refresh()

    def showLoading(self, name: str) -> None:
        """Disable the form while a file is loading."""
        self._control("Assumed").text = _("Loading {name}...").format(name=name)
        self._control("Box").enabled = False
        self._shown = ()

    def hideLoading(self) -> None:
        """Enable the form after loading."""
        self._control("Box").enabled = True
        self.refresh()

    @property
    def _node(self):
        parameterNode = self._section.parameterNode
        return None if parameterNode is None else getattr(parameterNode, self.role)

    def _control(self, name: str) -> Any:
        return getattr(self._section.ui, self.role + name)

    def _chosen(self, node) -> None:
        if self._updating or self._section.parameterNode is None or node is self._node:
            return
        self._section.choose(self.role, node)

    def _viewCorrected(self, index: int) -> None:
        if self._updating or self._node is None or not 0 <= index < len(VIEWS):
            return
        if self._section.canAssign(self.role, VIEWS[index]):
            self._correct(view=VIEWS[index])
        else:
            self.forceRefresh()

    def _pixelCorrected(self, value: float) -> None:
        self._correct(pixelSizeMm=value)

    def _invertCorrected(self, _on: bool) -> None:
        self._correct(invert=True)

    def _partChosen(self, index: int) -> None:
        if index > 0:
            self._correct(part=list(partTexts())[index])

    def _correct(self, **what) -> None:
        if self._updating or self._node is None:
            return
        try:
            self._section.logic.correctRadiograph(self._node, **what)
        except Exception as error:
            self._section.panel.reportError(error)
        else:
            self._section.corrected(self.role)
        self.forceRefresh()


def refusal(node) -> str:
    """Why an X-ray of the scene (or None) is not registered; empty if it may be."""
    if node is None or not node.GetAttribute("AXON.LooksLike"):
        return ""
    return _(
        "{name} does not look like one chest X-ray. Select another X-ray in step 1, or click Use "
        "it anyway there."
    ).format(name=node.GetName())


def descriptionText(found) -> str:
    """Text description of a `RadiographDescription`."""
    if found.pixelMm is None:
        pixel = _("pixel size unknown")
    elif abs(found.pixelMm[0] - found.pixelMm[1]) < 5e-4:
        pixel = _("pixel size {mm:.3f} mm").format(mm=found.pixelMm[0])
    else:
        pixel = _("pixel size {rows:.3f} x {columns:.3f} mm").format(
            rows=found.pixelMm[0], columns=found.pixelMm[1]
        )
    grey = _("inverted") if found.inverted else _("not inverted")
    first = _("{view} view, {pixel}, {grey}.").format(
        view={"pa": "PA", "ap": "AP"}.get(found.view)
        or {"ll": _("Left lateral"), "rl": _("Right lateral")}[found.view],
        pixel=pixel,
        grey=grey,
    )
    return "\n".join([first, *(f"\N{BULLET} {note}" for note in found.assumptions)])
