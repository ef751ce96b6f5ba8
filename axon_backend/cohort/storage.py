"""Where the cases of a cohort go: a folder, or a bucket that fsspec reaches (``s3://...``).

A case is there when its ``case.json`` is. In a folder it appears by renaming (``dataset.store``);
in a bucket, which has no renaming, the record is removed first and written last.
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
    """Cases in a folder that every worker sees."""

    path: str

    def record(self, case: str) -> dict[str, Any] | None:
        """What ``case.json`` holds; None where the case is not there, or not whole."""
        return store.read_record(Path(self.path), case)

    @contextmanager
    def new_case(self, case: str) -> Iterator[Path]:
        """A folder to fill, which takes the place of the case's when the block ends well."""
        with store.new_case(Path(self.path), case, store.ALL) as folder:
            yield folder

    def write(self, name: str, text: str) -> None:
        """Write a text file beside the cases."""
        write_text(Path(self.path) / name, text)

    def read(self, case: str, name: str) -> bytes | None:
        """A file of a case, None where there is none."""
        try:
            return (Path(self.path) / store.CASES / case / name).read_bytes()
        except OSError:
            return None


@dataclass(frozen=True)
class Bucket:
    """Cases in a store that fsspec reaches; credentials are taken from the environment."""

    url: str

    def record(self, case: str) -> dict[str, Any] | None:
        """As :meth:`Folder.record`."""
        data = self.read(case, store.RECORD)
        try:
            found = None if data is None else json.loads(data)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    @contextmanager
    def new_case(self, case: str) -> Iterator[Path]:
        """As :meth:`Folder.new_case`."""
        with tempfile.TemporaryDirectory(prefix="axon-") as name:
            folder = Path(name)
            yield folder
            system, root = self._system()
            target = posixpath.join(root, store.CASES, case)
            with _told(self.url):
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
        """As :meth:`Folder.write`."""
        system, root = self._system()
        with _told(self.url):
            system.pipe_file(posixpath.join(root, name), text.encode())

    def read(self, case: str, name: str) -> bytes | None:
        """As :meth:`Folder.read`."""
        system, root = self._system()
        try:
            return system.cat_file(posixpath.join(root, store.CASES, case, name))
        except FileNotFoundError:
            return None

    def _system(self) -> tuple[Any, str]:
        return _file_system(self.url)


Storage = Folder | Bucket


def open_storage(output: str) -> Storage:
    """The storage of an ``--output``.

    Raises:
        AxonInputError: a package for such URLs is missing, or the store does not answer.
    """
    if not is_remote(output):
        return Folder(output)
    bucket = Bucket(output.rstrip("/"))
    bucket.record("none")  # whether it answers is known before any work
    return bucket


@contextmanager
def fetched(study: Study) -> Iterator[Study]:
    """The study with its files on this machine: those at URLs are downloaded, and removed at the
    end."""
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
            with _told(path):
                system.get(name, str(target), recursive=system.isdir(name))
            return str(target)

        xrays = tuple(replace(xray, file=local(xray.file)) for xray in study.xrays)
        yield replace(study, xrays=xrays, ct=tuple(local(path) for path in study.ct))


def stamps(paths: Sequence[str]) -> list[list[Any]]:
    """[size, time or tag] of each file, cheap to ask; a changed file has another."""
    rows: list[list[Any]] = []
    for path in paths:
        if is_remote(path):
            system, name = _file_system(path)
            with _told(path):
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

        with _told(url):
            return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise AxonInputError(
            f"{url} needs a package that is not installed ({error}). Install it, for example s3fs "
            "for s3:// or gcsfs for gs://."
        ) from error


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Errors of a remote store in words; a missing file and a missing package stay what they
    are."""
    try:
        yield
    except (ImportError, AxonInputError):
        raise
    except FileNotFoundError as error:
        raise AxonInputError(f"{url} does not exist.") from error
    except Exception as error:  # every store raises its own kinds
        text = " ".join(str(error).split())[:200]
        raise store.OutputFailed(f"{url} cannot be reached: {text}") from error
