"""Automatic registration: method, start/cancel button, progress."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from AXONReconstructionLib.panel.xray_form import refusal
from AXONReconstructionLib.scene.placement_state import ROLES

# In the order of the list.
METHODS = ("planar", "pose", "pose_sid")


class AutoRegister:
    """Auto-register/Cancel button with a progress bar.

    Args:
        section: the Register section.
    """

    def __init__(self, section) -> None:
        self._section = section
        self._ui = section.ui
        self._job: Any = None
        names = {
            "planar": _("X-ray in plane (2-D)"),
            "pose": _("X-ray and CT pose (6-DoF)"),
            "pose_sid": _("X-ray, CT pose and SID (6-DoF + SID)"),
        }
        for method in METHODS:
            self._ui.methodBox.addItem(names[method], method)
        self._ui.registerProgress.visible = False
        self._ui.registerButton.connect("clicked()", self.toggle)
        self._ui.methodBox.connect("currentIndexChanged(int)", lambda index: self.refresh())

    @property
    def running(self) -> bool:
        """Whether a registration is running."""
        return self._job is not None

    @property
    def method(self) -> str:
        """One of `METHODS`."""
        return METHODS[max(0, self._ui.methodBox.currentIndex)]

    def refresh(self) -> None:
        """Update the enabled state; tooltips explain why a control is disabled."""
        section, button = self._section, self._ui.registerButton
        button.text = _("Cancel") if self.running else _("Auto-register")
        self._ui.methodBox.enabled = not self.running
        reason = ""
        if not self.running:
            reason = section.missing
            if not reason and section.xray is None:
                reason = _("Select an X-ray under Inputs first.")
            reason = reason or refusal(section.xray)
            if not reason and self.method != "planar" and section.ct is None:
                reason = _(
                    "6-DoF registration requires a CT of the same patient. Select one under Inputs."
                )
            if not reason and section.panel.isBusy:
                reason = _("Another computation is running. Wait for it to finish, or cancel it.")
        button.enabled = not reason
        button.toolTip = reason or (
            _("Cancels the registration; the X-ray keeps its placement.")
            if self.running
            else _("Registers the X-ray automatically. Click again to cancel.")
        )

    def toggle(self) -> None:
        """Start the registration, or cancel it if it is running."""
        if self.running:
            self._job.cancel()
            self._ui.registerButton.enabled = False
            self._ui.registerButton.text = _("Cancelling...")
            return
        section, method = self._section, self.method
        node = section.parameterNode
        # The pose is common to both views; planar registration applies to the current view.
        affected = (section.role,) if method == "planar" else ROLES
        roles = [role for role in affected if getattr(node, role) is not None]
        section.placement.commit()
        section.panel.hideMessage()
        section.showOverlay(switchLayout=True)
        progress = self._ui.registerProgress
        progress.visible, progress.maximum, progress.value = True, 0, 0
        progress.format = ""
        try:
            self._job = section.logic.register(
                **{f"{role}Node": getattr(node, role) for role in roles},
                ctNode=node.groundTruth,
                method=method,
                bundle=node.bundle or None,
                pose=section.pose,
                onProgress=self._progress,
                onFinished=lambda results: self._finished(method, roles, results),
                onError=self._failed,
                onCancelled=self._cancelled,
            )
        except Exception as error:
            self._failed(error)
            return
        section.panel.setBusy(True)
        section.refresh()

    def cancel(self) -> None:
        """Cancel the registration and discard its result."""
        if self._job is not None:
            self._job.cancel()
            self._end()

    def _progress(self, stage, step, total, similarity=None) -> None:
        bar = self._ui.registerProgress
        # A single view has no steps to count: the bar is then indeterminate.
        bar.maximum = total if total > 1 else 0
        bar.value = min(step, total)
        name = _("CT pose") if stage == "pose" else _("In-plane registration")
        if similarity is None:
            bar.format = _("{name}: %p %").format(name=name)
        else:
            bar.format = _("{name}: %p %, similarity {value:.2f}").format(
                name=name, value=similarity
            )

    def _finished(self, method, roles, results) -> None:
        section = self._section
        self._end()
        if section.parameterNode is None:
            return
        if method != "planar":
            section.logic.setPose(section.parameterNode, results.pose)
            for role in roles:
                section.quality.log.addSearch(role, results.history)
        if results.warnings:
            section.panel.showMessage(" ".join(results.warnings))
        if not section.placement.commit(_("automatic registration")):
            for role in roles:
                section.quality.assess(role)

    def _failed(self, error) -> None:
        self._end()
        self._section.panel.reportError(error)

    def _cancelled(self, _partial=None) -> None:
        if self.running:
            self._end()
            self._section.panel.showMessage(
                _("The registration was cancelled; the placement of the X-ray is unchanged.")
            )

    def _end(self) -> None:
        self._job = None
        self._ui.registerProgress.visible = False
        self._section.panel.setBusy(False)
        self._section.refresh()
