"""Step 3: start, monitor, stop and resume a training run."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from AXONTrainingLib.curves import Curves
from AXONTrainingLib.fields import Fields
from AXONTrainingLib.run_text import failureMessage, metricsText, numbersText, statusText
from AXONTrainingLib.samples import Samples

RECENT_KEY, RECENT_COUNT = "AXON/TrainingRuns", 8
IMAGE_PIXELS = 340


class RunBox:
    """The widgets of the section Run.

    Attributes:
        watch: `RunWatch` of the run in the folder, or None.
    """

    def __init__(self, panel) -> None:
        self._panel, self._ui = panel, panel.ui
        self._fields = Fields(panel)
        self._fields.bind("path", "runPathEdit", "runPath")
        self._fields.bind("check", "samplesCheck", "showSamples")
        self.watch = None
        self._watched: str | None = None
        self._stopRequested = False
        self._messagesShown = 0  # number of messages of the run already shown
        self._curves, self._samples = Curves(), Samples()
        self._image: str | None = None  # the file shown
        ui = self._ui
        ui.startButton.connect("clicked()", self.start)
        ui.stopButton.connect("clicked()", self.stop)
        ui.resumeButton.connect("clicked()", self.resume)
        ui.curvesButton.connect("clicked()", self._curves.show)
        ui.viewsButton.connect("clicked()", self._curves.hide)
        ui.fadeSlider.connect("valueChanged(double)", lambda _value: self._showSample())
        ui.recentCombo.connect("activated(int)", self._recentChosen)
        self._fillRecent()

    def refresh(self) -> None:
        """Update the widgets from the parameter node; another folder is another run."""
        self._fields.refresh()
        path = self._panel.parameterNode.runPath
        if path != self._watched:
            self._follow(path)

    def sceneClosing(self) -> None:
        """Release volumes and tables of the scene; training continues."""
        self._watched, self.watch = None, None
        self._samples.forget()

    def showButtons(self) -> None:
        """Update the buttons according to the run and the installed packages."""
        ui, watch = self._ui, self.watch
        active = watch is not None and watch.active
        ended = watch is not None and watch.status in ("stopped", "failed", "died")
        ui.startButton.enabled = not active and self._panel.boxes["settings"].missing is None
        ui.stopButton.enabled = active
        ui.stopButton.text = _("Kill") if self._stopRequested and active else _("Stop")
        ui.resumeButton.enabled = not active and ended
        ui.curvesButton.enabled = watch is not None and bool(watch.losses)

    def poll(self) -> None:
        """Show new events of the run."""
        if self.watch is None:
            return
        wasLaunching = self.watch.launching
        self.watch.poll()
        if wasLaunching and self.watch.status in ("none", "failed", "died"):
            output = self.watch.explanation()
            self._panel.showError(failureMessage(output), output)
        self._show()

    def start(self) -> None:
        """Start a new run in the folder."""
        node = self._panel.parameterNode
        if not node.runPath:
            self._panel.showError(_("Choose a run folder first."))
            return
        if not node.dataPath:
            self._panel.showError(_("Choose a data set in step 1 first."))
            return
        extra = [line.strip() for line in node.extra.splitlines() if line.strip()]
        self._run(
            lambda: self._panel.logic.start(
                node.dataPath,
                node.runPath,
                **self._panel.boxes["settings"].chosen(),
                minutes=node.amount if node.unit == "minutes" else None,
                steps=node.amount if node.unit == "steps" else None,
                batch=node.batch or None,
                precision=None if node.precision == "auto" else node.precision,
                seed=node.seed,
                realShare=None if node.realShare < 0 else node.realShare / 100,
                device=node.device,
                startBundle=node.startBundle or None,
                extra=extra,
            )
        )

    def resume(self) -> None:
        """Resume the run in the folder."""
        self._run(lambda: self._panel.logic.resume(self._panel.parameterNode.runPath))

    def stop(self) -> None:
        """Request the run to stop; if already requested, kill it after confirmation."""
        logic, path = self._panel.logic, self._panel.parameterNode.runPath
        try:
            if not self._stopRequested:
                logic.stop(path)
                self._stopRequested = True
                self._panel.showMessage(
                    _("The run stops after the current step. Click again to kill it.")
                )
            elif slicer.util.confirmOkCancelDisplay(
                _(
                    "Kill the run? Progress since its last checkpoint (a few minutes) is lost; "
                    "the run can be resumed from there."
                ),
                windowTitle=_("AXON Training"),
            ):
                logic.terminate(path)
        except Exception as error:
            self._panel.reportError(error)
        self.poll()

    def _run(self, launch) -> None:
        self._panel.hideMessage()
        try:
            launch()
        except Exception as error:
            self._panel.reportError(error)
            return
        self._remember(self._panel.parameterNode.runPath)
        self._watched = None
        self.refresh()

    def _follow(self, path: str) -> None:
        self._watched, self._stopRequested, self._messagesShown, self._image = path, False, 0, None
        self._samples.forget()
        self.watch = None
        if path:
            try:
                self.watch = self._panel.logic.watch(path)
            except Exception as error:
                self._panel.reportError(error)
            if self.watch is not None and self.watch.status != "none":
                self._remember(path)
        self._show()

    def _show(self) -> None:
        ui, watch = self._ui, self.watch
        status = "none" if watch is None else watch.status
        active = watch is not None and watch.active
        self.showButtons()
        ui.statusLabel.text = statusText(status, watch)
        done = None if watch is None else watch.fractionDone
        ui.progressBar.maximum = 0 if active and done is None else 1000
        ui.progressBar.value = round(1000 * (done or 0))
        ui.numbersLabel.text = "" if watch is None else numbersText(watch)
        self._showImage()
        if watch is None:
            return
        for level, text in watch.messages[self._messagesShown :]:
            if level == "warning":
                self._panel.showMessage(text)
        self._messagesShown = len(watch.messages)
        node = self._panel.parameterNode
        self._curves.update(node, watch)
        isNew = self._samples.update(node, watch.sample)
        if isNew and node.showSamples and self._panel.isShown:
            self._showSample()

    def _showSample(self) -> None:
        if self._panel.parameterNode is not None:
            self._samples.show(self._panel.parameterNode, self._ui.fadeSlider.value / 100)

    def _showImage(self) -> None:
        ui = self._ui
        sample: dict = (self.watch and self.watch.sample) or {}
        files = sample.get("files") or {}
        # Runs of older versions called it a picture.
        path = str(files.get("image") or files.get("picture") or "")
        if path == self._image:
            return
        self._image = path
        pixmap = qt.QPixmap(path)
        if path and Path(path).is_file() and not pixmap.isNull():
            pixmap = pixmap.scaledToWidth(IMAGE_PIXELS, qt.Qt.SmoothTransformation)
        ui.sampleImage.setPixmap(pixmap)
        ui.sampleLabel.text = (
            _("{case} at step {step}: {metrics}").format(
                case=sample.get("case"), step=sample.get("step"), metrics=metricsText(self.watch)
            )
            if sample
            else ""
        )

    # Recent runs

    def _remember(self, path: str) -> None:
        recent = [path, *(p for p in _recent() if p != path)][:RECENT_COUNT]
        qt.QSettings().setValue(RECENT_KEY, "\n".join(recent))
        self._fillRecent()

    def _fillRecent(self) -> None:
        combo = self._ui.recentCombo
        combo.clear()
        combo.addItem(_("select a run to monitor"), "")
        for path in _recent():
            combo.addItem(f"{Path(path).parent.name}/{Path(path).name}", path)

    def _recentChosen(self, index: int) -> None:
        path = self._ui.recentCombo.itemData(index)
        if path and self._panel.parameterNode is not None:
            self._panel.parameterNode.runPath = path


def _recent() -> list[str]:
    stored = slicer.util.settingsValue(RECENT_KEY, "")
    return [line for line in str(stored or "").split("\n") if line]
