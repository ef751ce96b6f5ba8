"""The Setup section: status, installation, environment report, models."""

import zipfile
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[3] / "AXONReconstruction"


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """The folder of imported models."""
    monkeypatch.setenv("AXON_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "bundles"


@pytest.fixture
def versions(host, module_path, monkeypatch):
    """The versions that appear to be installed, modifiable; None = not installed."""
    from AXONReconstructionLib.setup import requirements

    found = {part.name: "99.0" for part in requirements.requiredPackages()}
    found.update(torch="2.10.0", monai="1.6.1")
    monkeypatch.setattr(requirements, "installedVersion", found.get)
    return found


@pytest.fixture
def setup(home, versions, axon):
    """The section, expanded, with its list of models."""
    _module, widget = axon
    section = widget.panel.sections["setupSection"]
    widget.panel.container("setupSection").collapsed = False
    section.ui.setupBundlesBox.collapsed = False
    section.entered()
    return section


@pytest.fixture
def message(setup):
    """message(): text of the message area."""
    return lambda: setup.panel.ui.messageLabel.text


def rows(setup):
    table = setup.ui.setupBundleTable
    return [[table.item(r, c).text() for c in range(4)] for r in range(table.rowCount)]


def imported(host, setup):
    assert host.wait_until(lambda: setup.bundles._import is None, 30)


def test_status_if_everything_is_installed(setup):
    ui = setup.ui
    assert ui.setupTorchLabel.text == "2.10.0 installed"
    listed = (MODULE / "Resources" / "requirements.txt").read_text("utf-8").splitlines()
    count = sum(bool(line) and not line.startswith("#") for line in listed)
    assert ui.setupPackagesLabel.text == f"all {count} installed"
    assert ui.setupBundlesLabel.text == "1 installed"
    assert ui.setupInstallButton.text == "Everything is installed"
    assert not ui.setupInstallButton.enabled


def test_status_lists_what_is_missing(setup, versions):
    versions.update(torch=None, monai=None, pydicom="2.4.4")
    setup.showStatus()
    assert setup.ui.setupTorchLabel.text == "not installed"
    assert setup.ui.setupPackagesLabel.text == "missing or outdated: monai<2,>=1.5.2, pydicom>=3"
    assert setup.ui.setupInstallButton.text == "Install..."
    assert setup.ui.setupInstallButton.enabled


def test_an_older_torch_is_reported_but_not_replaced(setup, versions):
    versions["torch"] = "2.7.1+cu118"
    setup.showStatus()
    assert "2.7.1+cu118" in setup.ui.setupTorchLabel.text
    assert ">=2.10" in setup.ui.setupTorchLabel.text
    assert not setup.ui.setupInstallButton.enabled


def test_every_widget_has_a_tooltip(setup):
    for name, widget in vars(setup.ui).items():
        if name.startswith("setup") and "Layout" not in name and name != "setupReportFrame":
            assert len(widget.toolTip) > 10, name


def test_declining_installs_nothing(host, setup, versions):
    versions["monai"] = None
    setup.showStatus()
    host.answer_next(False)
    host.click(setup.ui.setupInstallButton)
    assert [d["kind"] for d in host.dialogs] == ["question"]
    assert "MONAI" in host.dialogs[0]["text"]


def test_confirming_installs_and_reports(host, setup, versions, message, slicer, monkeypatch):
    versions["monai"] = None
    setup.showStatus()
    busy = []

    def pip_ensure(requirements, **_options):
        busy.append((setup.panel.isBusy, setup.ui.setupInstallButton.enabled))
        versions["monai"] = "1.6.1"

    monkeypatch.setattr(slicer.packaging, "pip_ensure", pip_ensure)
    host.click(setup.ui.setupInstallButton)
    assert busy == [(True, False)]
    assert message() == "All required packages are installed."
    assert setup.ui.setupInstallButton.text == "Everything is installed"
    assert not setup.panel.isBusy and not setup.ui.setupProgressBar.visible


def test_failure_is_one_sentence_with_details(host, setup, versions, message, slicer, monkeypatch):
    versions["monai"] = None
    setup.showStatus()

    def pip_ensure(*_unused, **_options):
        print("ERROR: proxy says no")
        raise RuntimeError("pip failed")

    monkeypatch.setattr(slicer.packaging, "pip_ensure", pip_ensure)
    host.click(setup.ui.setupInstallButton)
    assert message().startswith("Some Python packages could not be installed.")
    assert "proxy says no" in setup.panel.ui.messageDetails.plainText
    assert setup.ui.setupInstallButton.enabled


def test_installation_continues_after_the_restart(host, setup, versions, message, monkeypatch):
    from AXONReconstructionLib.setup import install

    versions.update(torch=None)
    setup.showStatus()
    monkeypatch.setattr(install, "_installExtension", lambda: None)
    host.click(setup.ui.setupInstallButton)  # by default, the host confirms both dialogs
    assert [d["kind"] for d in host.dialogs] == ["question", "question", "restart"]
    assert "Continue installing" in message()
    assert setup.ui.setupInstallButton.text == "Continue installing..."
    install.setInterrupted(False)


@pytest.mark.slow
def test_the_report_is_created_shown_and_copied(host, setup, slicer):
    ui = setup.ui
    assert not ui.setupReportFrame.visible
    host.click(ui.setupCheckButton)
    assert not ui.setupCheckButton.enabled and ui.setupProgressBar.visible
    assert host.wait_until(lambda: ui.setupReportFrame.visible, 120)
    text = ui.setupReportEdit.plainText
    for line in ("Slicer: 5.", "Python: 3.", "VTK: ", "AXON: ", "GPU: ", "disk: ", "device: "):
        assert f"\n{line}" in text, line
    assert "torch 2.10.0" in text and "shipped bundle: axon-preview" in text
    assert "tiny run: stage coarse on " in text and "All checks passed." in text
    assert text.endswith("Research use only, not for diagnosis.")
    assert str(Path.home()) not in text
    host.click(ui.setupCopyButton)
    assert slicer.app.clipboard().text() == text
    assert ui.setupCheckButton.text == "Hide report"
    host.click(ui.setupCheckButton)
    assert not ui.setupReportFrame.visible and ui.setupCheckButton.enabled


def test_the_report_without_torch_lists_what_is_missing(host, setup):
    with host.without("torch"):
        host.click(setup.ui.setupCheckButton)
        assert host.wait_until(lambda: setup.ui.setupReportFrame.visible, 30)
    text = setup.ui.setupReportEdit.plainText
    assert "AXON requires Python packages that are not installed: torch" in text
    assert "tiny run" not in text


def test_shipped_model_is_listed_and_cannot_be_deleted(host, setup):
    from axon_backend.bundle import load_bundle

    [[name, version, size, origin]] = rows(setup)
    assert (name, version, origin) == ("axon-preview", load_bundle().version, "ships with AXON")
    assert size.endswith(" MB")
    assert not setup.ui.setupDeleteButton.enabled
    assert setup.ui.setupCardButton.enabled


def test_model_card_is_shown(host, setup):
    host.click(setup.ui.setupCardButton)
    dialog = setup.bundles._card
    assert dialog.windowTitle == "Model card: axon-preview"
    host.process_events(0.1)
    assert "Research use only" in dialog.layout().itemAt(0).widget().plainText
    dialog.close()


def test_model_is_imported_from_a_folder_and_deleted(host, setup, home, tiny_bundle, message):
    counts = []
    setup.panel.sections["inputsSection"].bundlesChanged = lambda: counts.append(len(rows(setup)))
    host.answer_next(str(tiny_bundle.path / "configs" / "metadata.json"))
    host.click(setup.ui.setupImportButton)
    imported(host, setup)
    assert message() == "The model axon-tiny 0.0.1 was verified and imported."
    assert [row[0] for row in rows(setup)] == ["axon-preview", "axon-tiny"]
    assert setup.bundles.selected().name == "axon-tiny" and setup.ui.setupDeleteButton.enabled
    setup.panel.parameterNode.bundle = str(setup.bundles.selected().path)

    host.clear_records()
    host.answer_next(False)
    host.click(setup.ui.setupDeleteButton)
    assert len(rows(setup)) == 2
    host.click(setup.ui.setupDeleteButton)
    assert [row[0] for row in rows(setup)] == ["axon-preview"]
    assert list(home.iterdir()) == []
    assert setup.panel.parameterNode.bundle == ""
    assert counts == [2, 1]


def test_model_is_imported_from_a_zip_file(host, setup, tiny_bundle, tmp_path):
    with zipfile.ZipFile(tmp_path / "tiny.zip", "w") as archive:
        for path in tiny_bundle.path.rglob("*"):
            archive.write(path, path.relative_to(tiny_bundle.path.parent))
    host.answer_next(str(tmp_path / "tiny.zip"))
    host.click(setup.ui.setupImportButton)
    imported(host, setup)
    assert rows(setup)[1][0] == "axon-tiny"


def test_a_file_that_is_not_a_model_is_refused(host, setup, home, tmp_path, message):
    (tmp_path / "holiday.zip").write_bytes(b"no zip at all")
    host.answer_next(str(tmp_path / "holiday.zip"))
    host.click(setup.ui.setupImportButton)
    imported(host, setup)
    assert "holiday.zip" in message() and "\n" not in message()
    assert len(rows(setup)) == 1 and list(home.iterdir()) == []


def test_an_import_can_be_cancelled(host, setup, home, message, monkeypatch, tmp_path):
    import threading

    from axon_backend.bundle import library
    from axon_backend.errors import Cancelled

    shown = threading.Event()

    def import_bundle(source, *, progress, cancelled):
        progress(30, 120)
        shown.set()
        while not cancelled():
            pass
        raise Cancelled("the import was stopped")

    monkeypatch.setattr(library, "import_bundle", import_bundle)
    ui = setup.ui
    host.answer_next(str(tmp_path / "model.zip"))
    host.click(ui.setupImportButton)
    assert host.wait_until(lambda: shown.is_set() and ui.setupProgressBar.value == 25, 10)
    assert ui.setupProgressLabel.text == "Importing model.zip"
    assert ui.setupImportButton.text == "Cancel import"
    host.click(ui.setupImportButton)
    imported(host, setup)
    assert message() == "The import was cancelled; nothing was kept."
    assert not ui.setupProgressBar.visible and ui.setupImportButton.text == "Import..."


def test_the_section_imports_no_heavy_packages(home, versions):
    """In a separate process: the panel with its Setup section does not import PyTorch."""
    import subprocess
    import sys

    root = Path(__file__).resolve().parents[3]
    script = (
        "import sys; sys.path.append('Testing'); import host; host.start();"
        "module, widget = host.load_module('AXONReconstruction/AXONReconstruction.py');"
        "assert 'setupSection' in widget.panel.sections;"
        "assert not {'torch', 'monai', 'safetensors'} & set(sys.modules);"
        "print('light', flush=True); import os; os._exit(0)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=120
    )
    assert run.stdout.strip().endswith("light"), run.stderr
