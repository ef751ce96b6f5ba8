"""Licences and known vulnerabilities of the packages that AXON is installed with.

    python Testing/trust/audit.py

Licences are read from the installed packages, so that part works offline: a package under the GPL
(the LGPL is linked, not copied, and passes), or one that states no licence, fails. Vulnerabilities
are looked up by pip-audit where it is installed (`pip install pip-audit`) and there is a network.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution, requires
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_GPL = re.compile(r"(?<![A-Za-z])A?GPL|GNU (Affero )?General Public", re.IGNORECASE)
_LGPL = re.compile(r"LGPL|Lesser General Public", re.IGNORECASE)
# The GPL with an exception for what links to it, or as one of several licences to choose from.
_EXCEPTION = re.compile(r"exception|\bOR\b|,.*(MIT|BSD|Apache)", re.IGNORECASE)
# Stated in the package's files only; checked by hand.
STATED = {"pypng": "MIT"}


def runtime_packages(name: str = "axon-ct") -> dict[str, Distribution]:
    """The installed packages that AXON needs to run, and what those need, by normalised name."""
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        one = waiting.pop()
        for line in requires(one) or ():
            if "extra ==" in line:
                continue
            matched = _NAME.match(line)
            assert matched, line
            needed = re.sub(r"[-_.]+", "-", matched[0]).lower()
            if needed in found:
                continue
            try:
                found[needed] = distribution(needed)
            except PackageNotFoundError:  # for another system or Python
                continue
            waiting.append(needed)
    return found


def licence_of(package: Distribution) -> str:
    """What the package's metadata states: an SPDX expression, else classifiers, else the text."""
    data = package.metadata
    if expression := data.get("License-Expression"):
        return str(expression)
    classifiers = data.get_all("Classifier") or []
    stated = [c.rsplit(" :: ", 1)[-1] for c in classifiers if c.startswith("License ::")]
    stated = [one for one in stated if one != "OSI Approved"]
    text = str(data.get("License") or "").strip().splitlines()
    name = str(data["Name"]).lower()
    return ", ".join(stated) or (text[0][:80] if text else STATED.get(name, ""))


def problem(licence: str) -> str:
    """Why a licence cannot be used with Apache-2.0 in one program; nothing where it can."""
    if not licence:
        return "states no licence"
    if _GPL.search(_LGPL.sub("", licence)) and not _EXCEPTION.search(licence):
        return "is under the GPL"
    return ""


def main() -> int:
    """Print every package with its licence, then what pip-audit says."""
    packages = runtime_packages()
    wrong = 0
    for name, package in sorted(packages.items()):
        licence = licence_of(package)
        why = problem(licence)
        wrong += bool(why)
        print(f"{name} {package.version}: {licence or 'none stated'}", f"<-- {why}" if why else "")
    print(f"{len(packages)} packages, {wrong} with a licence to look at")
    if shutil.which("pip-audit") is None:
        print("vulnerabilities: not looked up, pip-audit is not installed")
        return 1 if wrong else 0
    done = subprocess.run(["pip-audit", "--requirement", str(ROOT / "constraints.txt"), "--no-deps",
                           "--disable-pip"])  # fmt: skip
    return 1 if wrong or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
