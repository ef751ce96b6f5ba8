"""The button that searches for a placement, and cancels the search."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.scene.placement_state import ROLES

# In the order of the list.
METHODS = ("planar", "pose", "pose_sid")


class AutoRegister:
    """One button, Auto-register or Cancel, and a progress bar.

    Args:
        section: the Register section.
    """

    def __init__(self, section) -> None:
        self._section = section
        self._ui = section.ui
        self._job = None
        names = {
            "planar": _("Move the X-ray (2-D)"),
            "pose": _("Turn the CT too (6-DoF)"),
            "pose_sid": _("Turn the CT, seek the tube too (6-DoF + SID)"),
        }
        for method in METHODS:
            self._ui.methodBox.addItem(names[method], method)
        self._ui.registerProgress.visible = False
        self._ui.registerButton.connect("clicked()", self.toggle)
        self._ui.methodBox.connect("currentIndexChanged(int)", lambda index: self.refresh())

    @property
    def running(self) -> bool:
        """A search is under way."""
        return self._job is not None

    @property
    def method(self) -> str:
        """One of `METHODS`."""
        return METHODS[max(0, self._ui.methodBox.currentIndex)]

    def refresh(self) -> None:
        """What can be pressed, and why not."""
        section, button = self._section, self._ui.registerButton
        button.text = _("Cancel") if self.running else _("Auto-register")
        self._ui.methodBox.enabled = not self.running
        reason = ""
        if not self.running:
            reason = section.missing
            if not reason and section.xray is None:
                reason = _("Choose an X-ray under Inputs first.")
            if not reason and self.method != "planar" and section.ct is None:
                reason = _(
                    "Turning the CT needs a CT of the same patient. Choose one under Inputs."
                )
            if not reason and section.panel.isBusy:
                reason = _("Another computation is running. Wait for it or cancel it.")
        button.enabled = not reason
        button.toolTip = reason or (
            _("Stops the search and leaves the X-ray where it was.")
            if self.running
            else _("Finds the placement by itself. Press again to cancel.")
        )

    def toggle(self) -> None:
        """Start a search, or cancel the one that runs."""
        if self.running:
            self._job.cancel()
            self._ui.registerButton.enabled = False
            self._ui.registerButton.text = _("Cancelling...")
            return
        section, method = self._section, self.method
        node = section.parameterNode
        # A pose belongs to both views; the flat search moves the view that is looked at.
        roles = (section.role,) if method == "planar" else ROLES
        roles = [role for role in roles if getattr(node, role) is not None]
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
        """Forget the search; its result is no longer wanted."""
        if self._job is not None:
            self._job.cancel()
            self._end()

    def _progress(self, stage, step, total, similarity=None) -> None:
        bar = self._ui.registerProgress
        # One view alone has no steps to count: the bar then runs without end.
        bar.maximum = total if total > 1 else 0
        bar.value = min(step, total)
        name = _("Turning the CT") if stage == "pose" else _("Placing the X-ray")
        if similarity is None:
            bar.format = _("{name}: %p %").format(name=name)
        else:
            bar.format = _("{name}: %p %, fit {fit:.2f}").format(name=name, fit=similarity)

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
            self._section.panel.showMessage(_("The search was cancelled; the X-ray lies where it was."))

    def _end(self) -> None:
        self._job = None
        self._ui.registerProgress.visible = False
        self._section.panel.setBusy(False)
        self._section.refresh()
