"""How what AXON needs gets into Slicer's Python, once the user agrees.

PyTorch comes through the PyTorch extension, everything else through pip, held to the versions that
Slicer has: what Slicer brings itself is never replaced.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.setup.pip_log import PipLog
from AXONReconstructionLib.setup.requirements import TORCH, Plan, installedVersion, plan

# Held at the installed version: Slicer's own, and PyTorch, of which pip does not know which build
# suits the graphics card.
PINNED = ("numpy", "scipy", "SimpleITK", "vtk", "torch", "torchvision", "requests")
PACKAGES_MB = 50  # 41 MB of wheels for Linux, measured; other systems are alike
TORCH_CPU_MB, TORCH_CUDA_MB = 200, 3000
RESUME_KEY = "AXON/ContinueInstallation"

Report = Callable[[str], None]


class InstallationError(RuntimeError):
    """Something could not be installed: one sentence; `details` holds the end of the log."""

    def __init__(self, sentence: str, details: str = "") -> None:
        super().__init__(sentence)
        self.details = details


def confirmationText(todo: Plan, nvidiaGpu: bool) -> tuple[str, str]:
    """What the user is asked before anything is installed, and the list to unfold.

    Args:
        todo: what is to be done.
        nvidiaGpu: the computer has an NVIDIA graphics card, for which PyTorch is much larger.
    """
    lines = []
    if todo.extension:
        lines.append(_("the PyTorch extension of Slicer; Slicer then has to restart once"))
    if todo.torch:
        lines.append(
            _("PyTorch, about {size} GB (for your NVIDIA graphics card)").format(
                size=round(TORCH_CUDA_MB / 1000)
            )
            if nvidiaGpu
            else _("PyTorch, about {size} MB").format(size=TORCH_CPU_MB)
        )
    if todo.packages:
        lines.append(
            _("{count} Python packages, MONAI among them, up to {size} MB").format(
                count=len(todo.packages), size=PACKAGES_MB
            )
            if any(package.startswith("monai") for package in todo.packages)
            else _("Python packages: {names}").format(names=", ".join(todo.packages))
        )
    text = _("AXON will download and install into Slicer:") + "\n\n"
    text += "".join(f"  •  {line}\n" for line in lines) + "\n"
    text += _(
        "Slicer's own numpy, SciPy, SimpleITK and VTK stay as they are. It takes some minutes; "
        "no image leaves this computer."
    )
    if todo.replaced:
        text += "\n\n" + _("Newer versions replace: {names}. Restart Slicer afterwards.").format(
            names=", ".join(todo.replaced)
        )
    text += "\n\n" + _("Install now?")
    details = [f"torch{TORCH}"] if todo.torch else []
    return text, "\n".join([*details, *todo.packages])


def confirmed(todo: Plan, nvidiaGpu: bool) -> bool:
    """Ask the user. Automatic tests never install anything: the answer is then no."""
    if slicer.app.testingEnabled():
        return False
    text, details = confirmationText(todo, nvidiaGpu)
    return slicer.util.confirmOkCancelDisplay(
        text, windowTitle=_("AXON - Install Python packages"), detailedText=details
    )


def install(todo: Plan, report: Report) -> bool:
    """Do it, on the main thread, which pip's windows need; call only after the user agreed.

    Args:
        report: hears what is being done, for a progress line.

    Returns:
        Whether Slicer has to restart: to load the PyTorch extension (the installation then goes
        on with the next call after the restart), or because a package in use was replaced.

    Raises:
        InstallationError: with the way out.
    """
    if todo.extension:
        report(_("Downloading the PyTorch extension"))
        _installExtension()
        setInterrupted(True)
        return True
    setInterrupted(False)
    if todo.torch:
        report(_("Installing PyTorch"))
        _installTorch(report)
    used = [name for name in (p.split(" ")[0] for p in todo.replaced) if _isLoaded(name)]
    if todo.packages:
        report(_("Installing Python packages"))
        installPackages(list(todo.packages), report)
    importlib.invalidate_caches()
    left = plan()
    if not left.empty:
        missing = [*(["torch"] if left.torch else []), *left.packages]
        raise InstallationError(
            _("These packages could still not be installed: {names}. Try again.").format(
                names=", ".join(missing)
            )
        )
    return bool(used)


def interrupted() -> bool:
    """An installation waits to go on after a restart of Slicer."""
    return slicer.util.settingsValue(RESUME_KEY, False, converter=slicer.util.toBool)


def setInterrupted(flag: bool) -> None:
    """Remember, also over a restart, that an installation waits to go on."""
    if flag:
        qt.QSettings().setValue(RESUME_KEY, True)
    else:
        qt.QSettings().remove(RESUME_KEY)


def _installExtension() -> None:
    manager = slicer.app.extensionsManagerModel()
    asked = manager.interactive
    manager.interactive = False  # the user has agreed already
    try:
        done = manager.installExtensionFromServer("PyTorch", False)
    finally:
        manager.interactive = asked
    if not done:
        raise InstallationError(
            _(
                "The PyTorch extension could not be downloaded. Look at the internet connection, "
                "or install PyTorch in Slicer's Extensions Manager, restart Slicer and come back."
            )
        )


def _installTorch(report: Report) -> None:
    import PyTorchUtils

    with _reportingPip(report) as log:
        try:
            torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(
                askConfirmation=False, torchVersionRequirement=TORCH
            )
        except Exception as error:
            raise InstallationError(
                _(
                    "PyTorch could not be installed. Open the module PyTorch Utils, choose a "
                    "computation backend (cpu always works), install, and come back."
                ),
                f"{log.tail()}\n{error}",
            ) from error
    if torch is None:
        raise InstallationError(_("PyTorch was not installed."), log.tail())


def installPackages(packages: list[str], report: Report) -> None:
    """Install requirements with pip, what is held staying as it is; after the user agreed.

    Raises:
        InstallationError: with the way out.
    """
    constraints = Path(tempfile.mkdtemp(prefix="axon_")) / "constraints.txt"
    constraints.write_text(
        "".join(f"{name}=={v}\n" for name in PINNED if (v := installedVersion(name)) is not None),
        encoding="utf-8",
    )
    try:
        from slicer.packaging import pip_ensure
    except ImportError:  # Slicer 5.10
        pip_ensure = None
    with _reportingPip(report) as log:
        try:
            if pip_ensure is None:
                slicer.util.pip_install([*packages, "--constraint", str(constraints)])
            else:
                pip_ensure(
                    packages,
                    constraints=constraints,
                    prompt_install=False,
                    prompt_restart=False,
                    requester="AXON",
                )
        except (RuntimeError, subprocess.CalledProcessError) as error:
            raise InstallationError(
                _(
                    "Some Python packages could not be installed. Look at the internet "
                    "connection and the details, and try again."
                ),
                f"{log.tail()}\n{error}",
            ) from error
        finally:
            constraints.unlink(missing_ok=True)
            constraints.parent.rmdir()


@contextmanager
def _reportingPip(report: Report):
    """Let the log of pip, which Slicer prints, be heard while it runs."""
    log = PipLog(sys.stdout, report)
    before = os.environ.get("PIP_PROGRESS_BAR")
    # A bar is drawn only on a terminal; "raw" says by lines how far a download is.
    if _pipKnowsRaw():
        os.environ["PIP_PROGRESS_BAR"] = "raw"
    sys.stdout = log
    try:
        yield log
    finally:
        sys.stdout = log.stream
        if before is None:
            os.environ.pop("PIP_PROGRESS_BAR", None)
        else:
            os.environ["PIP_PROGRESS_BAR"] = before


def _pipKnowsRaw() -> bool:
    from packaging.version import Version

    return Version(installedVersion("pip") or "0") >= Version("24.1")


def _isLoaded(name: str) -> bool:
    imports = {"pillow": "PIL", "python-gdcm": "gdcm"}
    return imports.get(name, name.replace("-", "_")) in sys.modules
