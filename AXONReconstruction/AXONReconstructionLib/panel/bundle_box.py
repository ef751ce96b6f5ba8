"""Model management: list, model card, folder, import, delete."""

from __future__ import annotations

import re
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.setup import backend


class BundleBox:
    """The lower half of the Setup section.

    Args:
        setup: the `SetupSection`, which provides `ui`, `panel`, `background` and the progress bar.
    """

    def __init__(self, setup) -> None:
        self.setup = setup
        self.ui = setup.ui
        self.panel = setup.panel
        self.bundles: list = []
        self._import = None
        self._card = None
        ui = self.ui
        header = ui.setupBundleTable.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        ui.setupBundleTable.connect("itemSelectionChanged()", self._enable)
        for button, slot in (
            (ui.setupCardButton, self.onCard),
            (ui.setupDeleteButton, self.onDelete),
            (ui.setupImportButton, self.onImport),
        ):
            button.connect("clicked()", slot)
        self._importTip = ui.setupImportButton.toolTip
        self.refresh()

    def refresh(self, select: str = "") -> None:
        """Reload the list of models; `select` is the path of the model to select."""
        table = self.ui.setupBundleTable
        try:
            self.bundles = list(_library().installed_bundles())
            problem = ""
        except Exception as error:
            self.bundles, (problem, _details) = [], backend.explain(error)
        table.rowCount = len(self.bundles)
        for row, info in enumerate(self.bundles):
            origin = _("ships with AXON") if info.shipped else _("imported")
            texts = (info.name, info.version, _size(info.megabytes), origin)
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(info.description or text)
                table.setItem(row, column, item)
            if str(info.path) == select:
                table.selectRow(row)
        if self.bundles and self.selected() is None:
            table.selectRow(0)
        count = len(self.bundles)
        self.ui.setupBundlesLabel.text = problem or (
            _("1 installed") if count == 1 else _("{n} installed").format(n=count)
        )
        self._enable()

    def selected(self):
        """The selected model's `BundleInfo`, or None."""
        row = self.ui.setupBundleTable.currentRow()
        return self.bundles[row] if 0 <= row < len(self.bundles) else None

    def onCard(self) -> None:
        """Show the model card in a separate window."""
        info = self.selected()
        path = Path(info.path) / "docs" / "README.md"
        try:
            text = path.read_text(encoding="utf-8")
        except OSError:
            self.panel.showError(
                _("The model {name} has no readable model card ({path}).").format(
                    name=info.name, path=path
                )
            )
            return
        dialog = qt.QDialog(slicer.util.mainWindow())
        dialog.windowTitle = _("Model card: {name}").format(name=info.name)
        dialog.setLayout(qt.QVBoxLayout())
        browser = qt.QTextBrowser()
        browser.openExternalLinks = True
        browser.setMarkdown(text)
        dialog.layout().addWidget(browser)
        dialog.resize(720, 640)
        dialog.show()
        self._card = dialog

    def onDelete(self) -> None:
        """Delete the model after confirmation."""
        info = self.selected()
        question = _(
            "Delete the model {name} {version} ({size}) from this computer? You can import it "
            "again later."
        ).format(name=info.name, version=info.version, size=_size(info.megabytes))
        if not slicer.util.confirmOkCancelDisplay(question, windowTitle=_("AXON - Delete model")):
            return
        try:
            _library().delete_bundle(f"{info.name}-{info.version}")
        except Exception as error:
            self.panel.reportError(error)
        node = self.panel.parameterNode
        if node is not None and node.bundle and Path(node.bundle) == Path(info.path):
            node.bundle = ""
        self.refresh()
        self.setup.bundlesWereChanged()

    def onImport(self) -> None:
        """Choose a zip file, or the metadata of a folder, and import it; or cancel the import."""
        if self._import is not None:
            self._import.cancel()
            return
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Model"), "", _("Models (*.zip metadata.json)")
        )
        if path:
            # A model is a folder with `configs/metadata.json`.
            isMetadata = Path(path).name == "metadata.json"
            self._start(str(Path(path).parents[1]) if isMetadata else path)

    def _start(self, source: str) -> None:
        self.panel.hideMessage()
        name = re.split(r"[\\/]", source.rstrip("\\/"))[-1]
        label = _("Importing {name}").format(name=name)

        def work(job):
            return _library().import_bundle(
                source,
                progress=lambda done, total: job.report(done=done, total=total),
                cancelled=job.cancelled,
            )

        def progress(done, total) -> None:
            self.setup.showProgress(label, min(100, round(100 * done / total)) if total else None)

        def over() -> None:
            self._import = None
            self.setup.hideProgress()
            self._enable()

        def finished(info) -> None:
            over()
            self.refresh(str(info.path))
            self.setup.bundlesWereChanged()
            self.panel.showMessage(
                _("The model {name} {version} was verified and imported.").format(
                    name=info.name, version=info.version
                )
            )

        def failed(error) -> None:
            over()
            self.panel.reportError(error)

        def cancelled(error) -> None:
            over()
            self.panel.showMessage(_("The import was cancelled; nothing was kept."))

        self._import = self.setup.background.submit(
            work, onProgress=progress, onDone=finished, onError=failed, onCancelled=cancelled
        )
        self.setup.showProgress(label)
        self._enable()

    def _enable(self, *_unused) -> None:
        ui, info, idle = self.ui, self.selected(), self._import is None
        ui.setupCardButton.enabled = info is not None
        ui.setupDeleteButton.enabled = info is not None and not info.shipped and idle
        ui.setupImportButton.text = _("Import...") if idle else _("Cancel import")
        ui.setupImportButton.toolTip = (
            self._importTip if idle else _("Cancels the import; nothing is kept.")
        )


def _library():
    """`axon_backend.bundle.library`, which requires none of the packages installed by Setup."""
    return backend.loadLight("bundle.library")


def _size(megabytes: float) -> str:
    return _("{size} MB").format(size=max(1, round(megabytes)))
