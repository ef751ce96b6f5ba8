"""Storage of the cases of a cohort: a folder, or a bucket that fsspec accesses (``s3://...``).

A case exists if its ``case.json`` does. In a folder it is put in place by renaming
(``dataset.store``); in a bucket, which cannot rename, the record is removed first and written last.
"""

from __future__ import annotations

import json
import posixpath
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from axon_backend.cohort.studies import Study
from axon_backend.dataset import store
from axon_backend.dataset.manifest import is_remote
from axon_backend.errors import AxonInputError
from axon_backend.imaging.write import write_text


@dataclass(frozen=True)
class Folder:
    """Cases in a folder, which all workers must see."""

    path: str

    def record(self, case: str) -> dict[str, Any] | None:
        """The content of ``case.json``; None if the case is missing or incomplete."""
        return store.read_record(Path(self.path), case)

    @contextmanager
    def new_case(self, case: str) -> Iterator[Path]:
        """Yield a folder to fill, which replaces the case's folder when the block succeeds."""
        with store.new_case(Path(self.path), case, store.ALL) as folder:
            yield folder

    def write(self, name: str, text: str) -> None:
        """Write a text file beside the cases."""
        write_text(Path(self.path) / name, text)

    def read(self, case: str, name: str) -> bytes | None:
        """The content of a file of a case; None if it does not exist."""
        try:
            return (Path(self.path) / store.CASES / case / name).read_bytes()
        except OSError:
            return None


@dataclass(frozen=True)
class Bucket:
    """Cases in a store that fsspec accesses, with credentials from the environment."""

    url: str

    def record(self, case: str) -> dict[str, Any] | None:
        """See :meth:`Folder.record`."""
        data = self.read(case, store.RECORD)
        try:
            found = None if data is None else json.loads(data)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    @contextmanager
    def new_case(self, case: str) -> Iterator[Path]:
        """See :meth:`Folder.new_case`."""
        with tempfile.TemporaryDirectory(prefix="axon-") as name:
            folder = Path(name)
            yield folder
            system, root = self._system()
            target = posixpath.join(root, store.CASES, case)
            with _readable_errors(self.url):
                if system.exists(target):
                    record = posixpath.join(target, store.RECORD)
                    if system.exists(record):
                        system.rm(record)
                    system.rm(target, recursive=True)
                files = [path for path in folder.rglob("*") if path.is_file()]
                for file in sorted(files, key=lambda f: (f == folder / store.RECORD, f)):
                    name = file.relative_to(folder).as_posix()
                    system.put_file(str(file), posixpath.join(target, name))

    def write(self, name: str, text: str) -> None:
        """See :meth:`Folder.write`."""
        system, root = self._system()
        with _readable_errors(self.url):
            system.pipe_file(posixpath.join(root, name), text.encode())

    def read(self, case: str, name: str) -> bytes | None:
        """See :meth:`Folder.read`."""
        system, root = self._system()
        try:
            return system.cat_file(posixpath.join(root, store.CASES, case, name))
        except FileNotFoundError:
            return None

    def _system(self) -> tuple[Any, str]:
        return _file_system(self.url)


Storage = Folder | Bucket


def open_storage(output: str) -> Storage:
    """The storage for an ``--output``.

    Raises:
        AxonInputError: a package for such URLs is missing.
        store.OutputFailed: the store cannot be reached.
    """
    if not is_remote(output):
        return Folder(output)
    bucket = Bucket(output.rstrip("/"))
    bucket.record("none")  # fail before any work if the store cannot be reached
    return bucket


@contextmanager
def fetched(study: Study) -> Iterator[Study]:
    """Yield the study with local files: those at URLs are downloaded, and removed at the end."""
    with ExitStack() as stack:
        home: Path | None = None

        def local(path: str) -> str:
            nonlocal home
            if not is_remote(path):
                return path
            if home is None:
                home = Path(stack.enter_context(_temporary_folder()))
            system, name = _file_system(path)
            target = home / f"{len(list(home.iterdir()))}-{posixpath.basename(name)}"
            with _readable_errors(path):
                system.get(name, str(target), recursive=system.isdir(name))
            return str(target)

        xrays = tuple(replace(xray, file=local(xray.file)) for xray in study.xrays)
        yield replace(study, xrays=xrays, ct=tuple(local(path) for path in study.ct))


def stamps(paths: Sequence[str]) -> list[list[Any]]:
    """[size, time or tag] of each file, which is cheap to query and changes with the file."""
    rows: list[list[Any]] = []
    for path in paths:
        if is_remote(path):
            system, name = _file_system(path)
            with _readable_errors(path):
                about = system.info(name)
            mark = next(
                (str(about[k]) for k in ("ETag", "etag", "md5Hash", "mtime") if about.get(k)), ""
            )
            rows.append([about.get("size"), mark])
        else:
            files = [Path(path)]
            if files[0].is_dir():
                files = sorted(p for p in files[0].rglob("*") if p.is_file())
            for file in files:
                try:
                    about = file.stat()
                    rows.append([about.st_size, about.st_mtime_ns])
                except OSError:
                    rows.append([-1, -1])
    return rows


@contextmanager
def _temporary_folder() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="axon-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _file_system(url: str) -> tuple[Any, str]:
    try:
        import fsspec

        with _readable_errors(url):
            return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise AxonInputError(
            f"{url} needs a package that is not installed ({error}). Install it, for example s3fs "
            "for s3:// or gcsfs for gs://."
        ) from error


@contextmanager
def _readable_errors(url: str) -> Iterator[None]:
    """Convert the errors of a remote store into messages for the user; missing packages pass."""
    try:
        yield
    except (ImportError, AxonInputError):
        raise
    except FileNotFoundError as error:
        raise AxonInputError(f"{url} does not exist.") from error
    except Exception as error:  # every store raises its own types
        text = " ".join(str(error).split())[:200]
        raise store.OutputFailed(f"{url} cannot be reached: {text}") from error
