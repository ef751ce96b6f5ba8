"""The output folder of an evaluation: stored results, which later runs reuse, and tables, which are
replaced as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from axon_backend.errors import AxonInputError, not_written
from axon_backend.evaluation.kept import FOLDER
from axon_backend.util.apart import AnyPath, check_apart
from axon_backend.util.file_lock import FileLock
from axon_backend.util.output_folder import output_folder

LOCK = "evaluate.lock"


@dataclass(frozen=True)
class EvaluationFolder:
    """The output folder of an evaluation.

    Attributes:
        folder: the folder, with the stored results.
        owned: names that an evaluation may write.
        inputs: files and folders that it reads.
    """

    folder: Path
    owned: tuple[str, ...]
    inputs: tuple[AnyPath | None, ...]

    def files(self) -> AbstractContextManager[Path]:
        """A temporary folder whose contents replace the tables of an earlier run."""
        return output_folder(self.folder, self.owned, True, self.inputs)


@contextmanager
def evaluation_folder(
    path: AnyPath, owned: tuple[str, ...], overwrite: bool, inputs: Iterable[AnyPath | None]
) -> Iterator[EvaluationFolder]:
    """Create and lock the output folder of an evaluation.

    Stored results of an earlier run are reused; ``overwrite`` deletes them, and accepts a folder
    that contains other files. Folders created here are removed if they are empty at the end.

    Raises:
        AxonInputError: the folder contains other files or an input, cannot be written, or another
            run is writing to it.
    """
    inputs = tuple(inputs)
    if not str(path).strip():
        raise AxonInputError("--output is empty. Give the name of a folder.")
    check_apart(path, *inputs)
    folder = Path(path)
    results = folder / FOLDER
    if folder.exists() and not folder.is_dir():
        raise AxonInputError(f"{folder} is a file; --output must be a folder. Choose another name.")
    made = [p for p in (folder, *folder.parents) if not p.exists()]
    lock = None
    try:
        try:
            others = [] if made else sorted(p.name for p in folder.iterdir())
            if others and not results.is_dir() and not overwrite:
                more = ", ..." if others[1:] else ""
                raise AxonInputError(
                    f"{folder} already contains files ({others[0]}{more}). "
                    "Choose another --output, or add --overwrite to replace an earlier run."
                )
            results.mkdir(parents=True, exist_ok=True)
            lock = FileLock(results / LOCK)
            if not lock.acquire():
                lock = None
                raise AxonInputError(
                    f"Another run is writing to {folder}. Wait until it ends, or choose another "
                    "--output."
                )
            if overwrite:
                for old in results.iterdir():
                    if old.suffix in (".json", ".npz"):
                        old.unlink()
        except OSError as error:
            raise not_written(
                f"Cannot write to {folder}: {error.strerror or error}. Choose another --output.",
                error,
            ) from error
        yield EvaluationFolder(folder, owned, inputs)
    finally:
        if lock is not None:
            lock.release()
            with suppress(OSError):
                (results / LOCK).unlink()
        for empty in (results, *made):
            with suppress(OSError):  # not empty, or never created
                empty.rmdir()


def result_count(folder: Path) -> int:
    """The number of results stored in the folder of an evaluation."""
    return len(list((folder / FOLDER).glob("*.json")))
