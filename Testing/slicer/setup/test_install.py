"""Installation of dependencies in Slicer: after confirmation, without replacing Slicer's packages.

Nothing is installed here: calls of Slicer's functions are recorded.
"""

import importlib.metadata
import subprocess
import sys
import types
from pathlib import Path

import pytest

EVERYTHING = {"torch": "2.10.0", "numpy": "2.4.6", "scipy": "1.17.1", "SimpleITK": "2.5.5"}


@pytest.fixture
def install(axon):
    from AXONReconstructionLib.setup import install

    install.setInterrupted(False)
    yield install
    install.setInterrupted(False)


@pytest.fixture
def installed(install, monkeypatch):
    """The versions that appear to be installed, as a modifiable dictionary."""
    from AXONReconstructionLib.setup import requirements

    versions = dict(EVERYTHING)
    for part in requirements.requiredPackages():
        versions[part.name] = {"monai": "1.6.1"}.get(part.name, "99.0")
    for module in (requirements, install):
        monkeypatch.setattr(module, "installedVersion", versions.get)
    return versions


# The part of the PyTorch extension used by AXON: records its arguments and prints like pip.
PYTORCH_UTILS = """
asked = []

class PyTorchUtilsLogic:
    def installTorch(self, **options):
        asked.append(options)
        print("Collecting torch>=2.10")
        print("  Downloading https://x.org/torch-2.10.0-cp312-linux.whl (204.1 MB)")
        print("Progress 51000000 of 204000000")
        print("Progress 51000001 of 204000000")
        print("Installing collected packages: torch")
        return installed()
"""


@pytest.fixture
def pytorchUtils(installed, tmp_path, monkeypatch):
    (tmp_path / "PyTorchUtils.py").write_text(PYTORCH_UTILS)
    monkeypatch.syspath_prepend(str(tmp_path))
    import PyTorchUtils

    def done():
        installed["torch"] = "2.10.0"
        return types.SimpleNamespace(__version__="2.10.0")

    PyTorchUtils.installed = done
    yield PyTorchUtils
    del sys.modules["PyTorchUtils"]


def test_nothing_is_planned_if_everything_is_installed(install, installed):
    assert install.plan().empty


def test_everything_is_planned_if_nothing_is_installed(install, installed):
    installed.clear()
    todo = install.plan()
    assert todo.torch and todo.extension and not todo.empty and todo.replaced == ()
    names = Path(install.__file__).parents[2] / "Resources" / "requirements.txt"
    lines = [line for line in names.read_text("utf-8").splitlines() if line[:1] not in ("", "#")]
    assert sorted(p.replace(" ", "") for p in todo.packages) == sorted(
        _sorted_bounds(line) for line in lines
    )
    assert not {"torch", "numpy", "scipy", "SimpleITK"} & set(todo.packages)


def _sorted_bounds(line):
    from packaging.requirements import Requirement

    requirement = Requirement(line)
    return f"{requirement.name}{requirement.specifier}"


def test_outdated_packages_are_upgraded_but_not_torch(install, installed):
    installed.update(torch="2.7.1", pydicom="2.4.4")
    todo = install.plan()
    assert not todo.torch and not todo.extension
    assert todo.packages == ("pydicom>=3",)
    assert todo.replaced == ("pydicom 2.4.4",)


@pytest.mark.parametrize(("nvidiaGpu", "size"), [(True, "3 GB"), (False, "200 MB")])
def test_confirmation_lists_packages_and_sizes(install, installed, nvidiaGpu, size):
    installed.clear()
    text, details = install.confirmationText(install.plan(), nvidiaGpu)
    assert f"about {size}" in text and "restart" in text and "50 MB" in text
    assert "are not changed" in text
    assert "torch>=2.10" in details.splitlines() and "monai<2,>=1.5.2" in details.splitlines()


def test_confirmation_lists_upgrades(install, installed):
    installed["pydicom"] = "2.4.4"
    text, _details = install.confirmationText(install.plan(), False)
    assert "upgraded: pydicom 2.4.4" in text and "PyTorch" not in text


def test_the_user_can_decline(host, install, installed):
    del installed["monai"]
    host.answer_next(False)
    assert not install.confirmed(install.plan(), False)
    assert [d["kind"] for d in host.dialogs] == ["question"]


def test_nothing_is_installed_in_testing_mode(host, install, installed):
    del installed["monai"]
    host.start(testing=True)
    assert not install.confirmed(install.plan(), False)
    assert host.dialogs == []
    host.start(testing=False)


def test_the_extension_is_installed_before_the_packages(install, installed, slicer):
    installed.clear()
    asked = []
    manager = slicer.app.extensionsManagerModel()

    def installExtensionFromServer(name, restart=True, update=False):
        asked.append((name, restart, manager.interactive))
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            type(manager), "installExtensionFromServer", staticmethod(installExtensionFromServer)
        )
        assert install.install(install.plan(), lambda text: None)
    assert asked == [("PyTorch", False, False)]
    assert manager.interactive
    assert install.interrupted() and install.plan().torch


def test_a_failed_extension_download_suggests_a_solution(install, installed):
    installed.clear()
    with pytest.raises(install.InstallationError, match="Extensions Manager"):
        install.install(install.plan(), lambda text: None)
    assert not install.interrupted()


def test_torch_is_installed_by_the_extension_with_progress(
    install, installed, pytorchUtils, capsys
):
    installed.pop("torch")
    install.setInterrupted(True)
    reports = []
    assert not install.install(install.plan(), reports.append)
    assert pytorchUtils.asked == [{"askConfirmation": False, "torchVersionRequirement": ">=2.10"}]
    assert reports == [
        "Installing PyTorch",
        "Downloading torch",
        "Downloading torch: 25 % of 204 MB",
        "Installing (may take several minutes)",
    ]
    assert not install.interrupted()
    assert sys.stdout.__class__.__name__ != "PipLog"
    printed = capsys.readouterr().out
    assert "Collecting torch" in printed and "Progress" not in printed


def test_a_failed_torch_installation_suggests_a_solution_and_keeps_the_log(
    install, installed, pytorchUtils
):
    installed.pop("torch")

    def installTorch(self, **options):
        print("ERROR: No matching distribution found for torch>=2.10")
        raise subprocess.CalledProcessError(1, "ltt")

    pytorchUtils.PyTorchUtilsLogic.installTorch = installTorch
    with pytest.raises(install.InstallationError, match="PyTorch Utils") as caught:
        install.install(install.plan(), lambda text: None)
    assert "No matching distribution" in caught.value.details


def test_packages_are_constrained_to_slicers_versions(install, installed, slicer, monkeypatch):
    for name in ("monai", "safetensors"):
        del installed[name]
    asked = []

    def pip_ensure(requirements, constraints=None, **options):
        asked.append((requirements, Path(constraints).read_text("utf-8").split(), options))
        installed.update(monai="1.6.1", safetensors="0.8.0")

    monkeypatch.setattr(slicer.packaging, "pip_ensure", pip_ensure)
    assert not install.install(install.plan(), lambda text: None)
    [(requirements, constraints, options)] = asked
    assert requirements == ["monai<2,>=1.5.2", "safetensors"]
    assert set(constraints) == {
        "numpy==2.4.6", "scipy==1.17.1", "SimpleITK==2.5.5", "torch==2.10.0",
    }  # fmt: skip
    assert options == {
        "prompt_install": False, "prompt_restart": False, "requester": "AXON",
        "show_progress": False,
    }  # fmt: skip


def test_slicer_5_10_uses_pip_install(install, installed, slicer, monkeypatch):
    del installed["monai"]
    asked = []

    def pip_install(arguments):
        *packages, option, path = arguments
        asked.append((packages, option, "numpy==2.4.6" in Path(path).read_text("utf-8")))
        installed["monai"] = "1.6.1"

    monkeypatch.delattr(slicer, "packaging")
    monkeypatch.delitem(sys.modules, "slicer.packaging")
    monkeypatch.setattr(slicer.util, "pip_install", pip_install)
    install.install(install.plan(), lambda text: None)
    assert asked == [(["monai<2,>=1.5.2"], "--constraint", True)]


def test_upgrading_a_loaded_package_requires_a_restart(install, installed, slicer, monkeypatch):
    import pydicom  # noqa: F401  loaded, as by Slicer's DICOM module

    installed["pydicom"] = "2.4.4"
    monkeypatch.setattr(
        slicer.packaging, "pip_ensure", lambda *a, **k: installed.update(pydicom="3.0.2")
    )
    assert install.install(install.plan(), lambda text: None)
    assert not install.interrupted()


def test_failed_packages_keep_the_log(install, installed, slicer, monkeypatch):
    del installed["monai"]

    def pip_ensure(*_unused, **_options):
        print("ERROR: Could not find a version that satisfies the requirement monai")
        raise subprocess.CalledProcessError(1, "pip install")

    monkeypatch.setattr(slicer.packaging, "pip_ensure", pip_ensure)
    with pytest.raises(install.InstallationError, match="internet connection") as caught:
        install.install(install.plan(), lambda text: None)
    assert "Could not find a version" in caught.value.details


def test_packages_still_missing_afterwards_are_reported(install, installed, slicer, monkeypatch):
    del installed["monai"]
    monkeypatch.setattr(slicer.packaging, "pip_ensure", lambda *a, **k: None)
    with pytest.raises(install.InstallationError, match=r"monai<2,>=1\.5\.2"):
        install.install(install.plan(), lambda text: None)


def test_versions_are_read_without_importing(install):
    before = set(sys.modules)
    from AXONReconstructionLib.setup import requirements

    assert requirements.installedVersion("nibabel") == importlib.metadata.version("nibabel")
    assert requirements.installedVersion("no-such-package") is None
    assert not {"torch", "monai"} & (set(sys.modules) - before)
