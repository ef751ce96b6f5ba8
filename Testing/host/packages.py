"""``slicer.packaging``: installed packages are looked up, but nothing is installed.

A request for an installation is recorded as a dialog of the kind "pip install" and refused, unless
`pip_runs`.
"""

import contextlib
import importlib.metadata
import os
import sys
from pathlib import Path

import slicer
from packaging.requirements import InvalidRequirement, Requirement

from . import records


def load_requirements(path):
    with open(path) as file:
        lines = [line.strip() for line in file]
    return [Requirement(line) for line in lines if line and line[0] not in "#-"]


def _requirements(given):
    if isinstance(given, str):
        try:
            return [Requirement(given)]
        except InvalidRequirement:
            return [Requirement(part) for part in given.split()]
    if isinstance(given, Requirement):
        return [given]
    return [Requirement(r) if isinstance(r, str) else r for r in given]


def _satisfied(requirement, seen):
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    key = (requirement.name.lower(), frozenset(requirement.extras))
    if key in seen:
        return True
    seen.add(key)
    try:
        installed = importlib.metadata.distribution(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    if installed.version not in requirement.specifier:
        return False
    needed = [Requirement(text) for text in installed.requires or []]
    for extra in requirement.extras:
        for other in needed:
            if other.marker is not None and other.marker.evaluate({"extra": extra}):
                other.marker = None
                if not _satisfied(other, seen):
                    return False
    return True


def pip_check(req):
    seen = set()
    return all(_satisfied(requirement, seen) for requirement in _requirements(req))


_pip_runs = False


@contextlib.contextmanager
def pip_runs(wheels, target):
    """A context in which pip really runs, as a process of Slicer's Python, as in Slicer.

    It finds the wheels of one folder only, without network, and installs them into another one.
    Not on Windows: a script of the shell stands for PythonSlicer.
    """
    global _pip_runs
    Path(target).mkdir(parents=True, exist_ok=True)
    python = Path(target) / "PythonSlicer"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    changed = {
        "PATH": os.pathsep.join((str(target), os.environ.get("PATH", ""))),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_TARGET": str(target),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    _pip_runs = True
    try:
        yield
    finally:
        _pip_runs = False
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def pip_install(requirements, constraints=None, *unused, **options):
    if _pip_runs:
        words = [requirements] if isinstance(requirements, str) else list(requirements)
        limits = ["-c", str(constraints)] if constraints else []
        slicer.util.executePythonModule("pip", ["install", *words, *limits])
        return
    records.dialog("pip install", options.get("requester", ""), str(requirements), None)
    raise RuntimeError(f"The test host does not install packages: {requirements}")


def pip_uninstall(requirements, *unused, **options):
    records.dialog("pip uninstall", "", str(requirements), None)
    raise RuntimeError(f"The test host does not remove packages: {requirements}")


def isPipInstallInProgress():
    return False


def pip_ensure(
    requirements,
    constraints=None,
    skip_packages=None,
    prompt_install=True,
    prompt_restart=True,
    requester=None,
    skip_in_testing=True,
    show_progress=True,
):
    """Asks for confirmation, as Slicer does, but does not install anything."""
    lacking = [r for r in _requirements(requirements) if not pip_check(r)]
    if not lacking or (skip_in_testing and slicer.app.testingEnabled()):
        return None
    if prompt_install:
        title = f"{requester} - Install Python Packages" if requester else "Install Python Packages"
        text = (
            f"{len(lacking)} Python packages need to be installed.\n\n"
            "This will modify Slicer's Python environment. Continue?"
        )
        details = "\n".join(f"- {r}" for r in lacking)
        if not slicer.util.confirmOkCancelDisplay(text, title, detailedText=details):
            raise RuntimeError("User declined package installation")
    return pip_install(
        [str(r) for r in lacking],
        constraints=constraints,
        skip_packages=skip_packages,
        requester=requester,
    )
