"""The bundles on this computer: the shipped one, and those that the user has imported.

Each imported bundle has its own folder in the library, named after its name and version. It appears
there as a whole, after all its files have been verified.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from axon_backend.bundle.checksums import bundle_sha256
from axon_backend.bundle.download import ByteProgress, download, is_url
from axon_backend.bundle.layout import CHECKSUMS, CONFIG, METADATA, SHIPPED, read_json
from axon_backend.bundle.metadata import recommended_stage
from axon_backend.bundle.unpack import unpack_bundle
from axon_backend.bundle.verify import verify_bundle
from axon_backend.errors import AxonInputError, Cancelled, not_written
from axon_backend.util.hashing import file_sha256
from axon_backend.util.input_file import check_input
from axon_backend.util.work_folder import sweep, take_new

_WORK = ".import-*"  # hidden folders of bundles being imported or deleted; see ``work_folder``
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class BundleInfo:
    """One bundle on this computer.

    Attributes:
        name, version, description: from its metadata.
        path: its folder, as ``load_bundle`` and ``--bundle`` take it.
        shipped: the bundle came with AXON and cannot be deleted.
        megabytes: size of all its files in 10^6 bytes.
        method: name of its method, which need not be installed; empty if the bundle does not state
            it (up to format 2).
        recommended_stage: see ``Bundle.recommended_stage``.
    """

    name: str
    version: str
    path: Path
    shipped: bool
    megabytes: float
    description: str
    method: str = ""
    recommended_stage: str | None = None


def library_folder() -> Path:
    """The folder of imported bundles: ``bundles`` in the folder that the environment variable
    AXON_HOME names, or in ``~/.axon``. It need not exist."""
    home = os.environ.get("AXON_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".axon") / "bundles"


def installed_bundles() -> list[BundleInfo]:
    """The shipped bundle, then the imported ones by name and version.

    Quick, because nothing is hashed. Folders that are not bundles are left out.
    """
    shipped = [SHIPPED] if SHIPPED.is_dir() else []
    library = library_folder()
    imported = sorted(library.iterdir()) if library.is_dir() else []
    paths = [p for p in [*shipped, *imported] if not p.name.startswith(".")]
    found = [bundle_info(p, shipped=p is SHIPPED) for p in paths]
    return [info for info in found if info is not None]


def find_bundle(name: str) -> BundleInfo:
    """An installed bundle by its name, or by ``name-version`` if several share the name.

    Raises:
        AxonInputError: no bundle or more than one has this name.
    """
    known = installed_bundles()
    found = [b for b in known if name in _names(b)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(_label(b.name, b.version) for b in found or known) or "none"
    if found:
        raise AxonInputError(
            f"Several bundles are called '{name}': {listed}. Give one of these names."
        )
    raise AxonInputError(f"No bundle called '{name}' is installed; there are: {listed}.")


def bundle_path(path: str | os.PathLike[str]) -> Path:
    """The path itself or, if it does not exist, the folder of the installed bundle with this name.

    Raises:
        AxonInputError: neither a path nor the name of exactly one installed bundle.
    """
    folder = Path(path)
    if folder.exists() or folder.name != str(path):
        return folder
    return find_bundle(folder.name).path


def import_bundle(
    source: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    progress: ByteProgress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> BundleInfo:
    """Copy a bundle into the library.

    Args:
        source: a bundle's folder, a zip file of one, or the http(s) address of such a zip file.
        sha256: expected SHA-256 of the zip file; required for a download, as only the checksum
            shows that the file is the one its authors published.
        progress: called during a download as ``progress(bytes_done, bytes_total)``; the total is 0
            if the server does not state it.
        cancelled: polled throughout; True stops with ``Cancelled``.

    Raises:
        AxonInputError: the source is unavailable, is not a valid bundle, has another checksum, or
            is already installed. Nothing is left behind.
        Cancelled: ``cancelled()`` returned True. Nothing is left behind.
    """
    wanted = _checked_sha256(sha256)
    if not is_url(source):
        check_input(source)
    library = library_folder()
    try:
        library.mkdir(parents=True, exist_ok=True)
        sweep(library, _WORK)
        work = take_new(library, _WORK)
    except OSError as error:
        raise _unwritable(library, error) from error
    try:
        root, sums = _fetched(source, work.path, wanted, progress, cancelled)
        metadata = read_json(root / METADATA)
        target = library / _folder_name(metadata["name"], metadata["version"])
        _check_new(metadata["name"], metadata["version"], sums, target)
        root.rename(target)
    except OSError as error:
        raise _unwritable(library, error) from error
    finally:
        work.remove()
    info = bundle_info(target)
    assert info is not None  # verified above
    return info


def delete_bundle(name: str) -> BundleInfo:
    """Delete an imported bundle by its name or by ``name-version``; returns its description.

    Raises:
        AxonInputError: there is no such bundle, it is the shipped one, or the system refuses.
    """
    info = find_bundle(name)
    if info.shipped:
        raise AxonInputError(f"The bundle {info.name} comes with AXON and cannot be deleted.")
    # Hidden by a single rename, so that no reader finds half a bundle. If the process is killed,
    # the next import removes the rest.
    gone = info.path.with_name(_WORK.replace("*", uuid.uuid4().hex[:12]))
    try:
        info.path.rename(gone)
        if gone.is_symlink():
            gone.unlink()
        else:
            shutil.rmtree(gone)
    except OSError as error:
        raise AxonInputError(
            f"{info.path} cannot be deleted: {error.strerror or error}. Close the programs that "
            "use it, and check the permissions of the folder."
        ) from error
    return info


def _fetched(
    source: str | os.PathLike[str],
    work: Path,
    sha256: str | None,
    progress: ByteProgress | None,
    cancelled: Callable[[], bool] | None,
) -> tuple[Path, dict[str, str]]:
    """A verified copy of the bundle below ``work``, without files that its checksums do not list.
    Returns its folder and checksums."""
    archive = Path(source) if not is_url(source) else work / "download.zip"
    if is_url(source):
        if sha256 is None:
            raise AxonInputError(
                f"{source}: a download needs its SHA-256 checksum, 64 hexadecimal digits, which "
                "the authors publish with the file. Give it together with the address."
            )
        download(str(source), archive, sha256, progress=progress, cancelled=cancelled)
    if archive.is_dir():
        if sha256 is not None:
            raise AxonInputError(
                f"{archive} is a folder, but the SHA-256 of a zip file was given. Leave it out: a "
                "folder is checked against its own checksums."
            )
        sums = verify_bundle(archive)
        root = work / "bundle"
        for relative in (*sums, CHECKSUMS):
            if cancelled is not None and cancelled():
                raise Cancelled("the import was stopped")
            (root / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(archive / relative, root / relative)
    else:
        if not archive.is_file():
            raise AxonInputError(
                f"There is no file or folder {archive}. Give a bundle's folder, its zip file, or "
                "an address that begins with http:// or https://."
            )
        if sha256 is not None and not is_url(source) and file_sha256(archive) != sha256:
            raise AxonInputError(
                f"{archive} has the SHA-256 {file_sha256(archive)}; {sha256} was expected. Either "
                "the file was changed or the checksum belongs to another file."
            )
        (work / "unpacked").mkdir()
        root = unpack_bundle(archive, work / "unpacked", cancelled)
    if cancelled is not None and cancelled():
        raise Cancelled("the import was stopped")
    try:
        sums = verify_bundle(root)
    except AxonInputError as error:
        # Name the source: the copy will have been removed when the message is read.
        raise AxonInputError(str(error).replace(str(root), archive.name)) from error
    for path in sorted(root.rglob("*")):
        inner = path.relative_to(root).as_posix()
        if path.is_file() and inner not in sums and inner != CHECKSUMS:
            path.unlink()
    return root, sums


def _check_new(name: str, version: str, sums: dict[str, str], target: Path) -> None:
    label = _label(name, version)
    if os.path.lexists(target):
        raise AxonInputError(
            f"The bundle {label} is already installed ({target}). Delete it first if you want to "
            "replace it."
        )
    if SHIPPED.is_dir() and bundle_sha256(verify_bundle(SHIPPED)) == bundle_sha256(sums):
        raise AxonInputError(f"The bundle {label} is already installed: it comes with AXON.")


def bundle_info(path: Path, *, shipped: bool = False) -> BundleInfo | None:
    """Describe the bundle in a folder; None if the folder is not a bundle.

    Quick, because nothing is hashed.
    """
    try:
        if not (path / CONFIG).is_file():
            return None
        metadata = read_json(path / METADATA)
        method = str(read_json(path / CONFIG).get("method", ""))
        size = sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    except (AxonInputError, OSError):
        return None
    name, version, about = (str(metadata.get(k, "")) for k in ("name", "version", "description"))
    return BundleInfo(
        name or path.name,
        version,
        path,
        shipped,
        size / 1e6,
        about,
        method,
        recommended_stage(metadata),
    )


def _names(info: BundleInfo) -> tuple[str, ...]:
    return info.name, info.path.name, _label(info.name, info.version)


def _label(name: str, version: str) -> str:
    return f"{name}-{version}"


def _folder_name(name: str, version: str) -> str:
    """A folder name that every file system accepts."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", _label(name, version)).strip("._-")
    return safe[:100] or "bundle"


def _checked_sha256(text: str | None) -> str | None:
    if text is None or not text.strip():
        return None
    digits = text.strip().lower().removeprefix("sha256:")
    if not _SHA256.fullmatch(digits):
        raise AxonInputError(
            f"The checksum {text!r} is not a SHA-256, which has 64 hexadecimal digits. Copy it "
            "again."
        )
    return digits


def _unwritable(library: Path, error: OSError) -> AxonInputError:
    return not_written(
        f"The bundle could not be copied to {library}: {error.strerror or error} "
        f"({error.filename or library}). Check the permissions and the free space, or set "
        "AXON_HOME to another folder.",
        error,
    )
