"""Installation of AXON's dependencies into Slicer's Python, with the user's consent.

PyTorch is installed by the PyTorch extension, everything else by pip with constraints, so that
packages that ship with Slicer are never replaced.
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

from AXONReconstructionLib.setup import backend, torch_libraries
from AXONReconstructionLib.setup.pip_log import PipLog
from AXONReconstructionLib.setup.requirements import TORCH, Plan, installedVersion, plan

# Pinned to the installed version: packages of Slicer, and PyTorch, because pip cannot select the
# build that matches the GPU.
PINNED = ("numpy", "scipy", "SimpleITK", "vtk", "torch", "torchvision", "requests")
PACKAGES_MB = 50  # 41 MB of wheels measured on Linux; similar on other systems
TORCH_CPU_MB, TORCH_CUDA_MB = 200, 3000
RESUME_KEY = "AXON/ContinueInstallation"

Report = Callable[[str], None]


class InstallationError(RuntimeError):
    """Installation failed; `details` holds the end of the log."""

    def __init__(self, sentence: str, details: str = "") -> None:
        super().__init__(sentence)
        self.details = details


def confirmationText(todo: Plan, nvidiaGpu: bool) -> tuple[str, str]:
    """Text and details of the confirmation dialog.

    Args:
        todo: the installation plan.
        nvidiaGpu: whether there is an NVIDIA GPU, for which PyTorch is much larger.
    """
    lines = []
    if todo.extension:
        lines.append(_("the PyTorch extension of Slicer (requires a restart)"))
    if todo.torch:
        lines.append(
            _("PyTorch for your NVIDIA GPU, about {size} GB").format(
                size=round(TORCH_CUDA_MB / 1000)
            )
            if nvidiaGpu
            else _("PyTorch, about {size} MB").format(size=TORCH_CPU_MB)
        )
    if todo.packages:
        lines.append(
            _("{count} Python packages including MONAI, up to {size} MB").format(
                count=len(todo.packages), size=PACKAGES_MB
            )
            if any(package.startswith("monai") for package in todo.packages)
            else _("Python packages: {names}").format(names=", ".join(todo.packages))
        )
    text = _("AXON will download and install into Slicer:") + "\n\n"
    text += "".join(f"  •  {line}\n" for line in lines) + "\n"
    text += _(
        "The numpy, SciPy, SimpleITK and VTK of Slicer are not changed. This takes a few minutes; "
        "no images leave this computer."
    )
    if todo.replaced:
        text += "\n\n" + _(
            "These packages will be upgraded: {names}. Restart Slicer afterwards."
        ).format(names=", ".join(todo.replaced))
    text += "\n\n" + _("Install now?")
    details = [f"torch{TORCH}"] if todo.torch else []
    return text, "\n".join([*details, *todo.packages])


def confirmed(todo: Plan, nvidiaGpu: bool) -> bool:
    """Ask the user for confirmation. In testing mode nothing is installed: returns False."""
    if slicer.app.testingEnabled():
        return False
    text, details = confirmationText(todo, nvidiaGpu)
    return slicer.util.confirmOkCancelDisplay(
        text, windowTitle=_("AXON - Install Python packages"), detailedText=details
    )


def install(todo: Plan, report: Report) -> bool:
    """Carry out a plan on the main thread, after the user has confirmed; inside
    `pip_process.following` the panel answers meanwhile.

    Args:
        report: called with the current task, for a progress display.

    Returns:
        Whether Slicer must be restarted: to load the PyTorch extension (the next call then
        continues the installation), or because a loaded package was upgraded.

    Raises:
        InstallationError: installation failed; the message suggests a solution.
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
            _("These packages could not be installed: {names}. Try again.").format(
                names=", ".join(missing)
            )
        )
    return bool(used)


def importTorch() -> None:
    """Import PyTorch if it is installed: on a worker, before PyTorchUtils does so on the main
    thread, which would stand still for seconds."""
    importlib.invalidate_caches()
    torch_libraries.load.cache_clear()  # it was called without PyTorch
    try:
        backend.importTorch()
    except Exception:  # PyTorchUtils reports it; before PyTorch it installs light-the-torch
        return


def interrupted() -> bool:
    """Whether an installation is to be continued after a restart of Slicer."""
    return slicer.util.settingsValue(RESUME_KEY, False, converter=slicer.util.toBool)


def setInterrupted(flag: bool) -> None:
    """Store, across restarts, that an installation is to be continued."""
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
                "The PyTorch extension could not be downloaded. Check the internet connection, or "
                "install PyTorch from Slicer's Extensions Manager, restart Slicer and try again."
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
                    "PyTorch could not be installed. Open the module PyTorch Utils, select a "
                    "computation backend (cpu always works), install PyTorch and try again."
                ),
                f"{log.tail()}\n{error}",
            ) from error
    if torch is None:
        raise InstallationError(_("PyTorch was not installed."), log.tail())


def installPackages(packages: list[str], report: Report) -> None:
    """Install requirements with pip, keeping pinned packages, after the user has confirmed.

    Raises:
        InstallationError: installation failed; the message suggests a solution.
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
                    # Its window reads pip's output on a thread that nobody waits for.
                    show_progress=False,
                )
        except (RuntimeError, subprocess.CalledProcessError) as error:
            raise InstallationError(
                _(
                    "Some Python packages could not be installed. Check the internet connection "
                    "and the details, and try again."
                ),
                f"{log.tail()}\n{error}",
            ) from error
        finally:
            constraints.unlink(missing_ok=True)
            constraints.parent.rmdir()


@contextmanager
def _reportingPip(report: Report):
    """Report the progress of pip, whose log Slicer prints, while it runs."""
    log = PipLog(sys.stdout, report)
    before = os.environ.get("PIP_PROGRESS_BAR")
    # Progress bars require a terminal; "raw" prints the download progress in lines.
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
