"""Download a file over HTTP, complete and with the expected checksum, or not at all."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from axon_backend import __version__
from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.util.hashing import file_sha256
from axon_backend.util.limits import limit

_TIMEOUT_S = 30.0  # without receiving a byte
_PIECE = 1 << 18
# Defaults of the limits that environment variables of these names set.
_MAX_MB, _MAX_MINUTES = ("AXON_MAX_DOWNLOAD_MB", 1000.0), ("AXON_MAX_DOWNLOAD_MINUTES", 60.0)

# progress(done, total) in bytes; total is 0 if the server does not state it.
ByteProgress = Callable[[int, int], None]


def is_url(source: object) -> bool:
    """Whether a source is an HTTP address."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def download(
    url: str,
    target: Path,
    sha256: str,
    *,
    progress: ByteProgress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> None:
    """Download ``url`` to the new file ``target``, which is removed on any failure.

    Raises:
        AxonInputError: the server does not answer or refuses, the file is incomplete, exceeds
            AXON_MAX_DOWNLOAD_MB or AXON_MAX_DOWNLOAD_MINUTES, or has another SHA-256.
        Cancelled: ``cancelled()`` returned True.
    """
    try:
        _fetch(url, target, progress, cancelled)
        found = file_sha256(target)
        if found != sha256:
            raise AxonInputError(
                f"{url} has the SHA-256 {found}; {sha256} was expected. The file was changed, or "
                "the checksum belongs to another file: do not use it until you know which."
            )
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _fetch(
    url: str,
    target: Path,
    progress: ByteProgress | None,
    cancelled: Callable[[], bool] | None,
) -> None:
    again = "Check the address and the connection, and try again."
    max_mb, max_minutes = limit(*_MAX_MB), limit(*_MAX_MINUTES)
    start = time.monotonic()
    try:
        # Some servers refuse the default user agent of Python.
        request = urllib.request.Request(url, headers={"User-Agent": f"axon/{__version__}"})
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            total, done = answer.length or 0, 0
            _check_size(url, total, max_mb)
            with target.open("wb") as file:
                while True:
                    if cancelled is not None and cancelled():
                        raise Cancelled(f"the download of {url} was stopped")
                    if progress is not None:
                        progress(done, total)
                    piece = answer.read(_PIECE)
                    if not piece:
                        break
                    done += len(piece)
                    _check_size(url, done, max_mb)
                    if time.monotonic() - start > 60 * max_minutes:
                        raise AxonInputError(
                            f"{url}: only {done / 1e6:.0f} MB were downloaded in {max_minutes:g} "
                            f"minutes. Try a faster connection, or raise {_MAX_MINUTES[0]}."
                        )
                    file.write(piece)
    except (AxonInputError, Cancelled):
        raise
    except urllib.error.HTTPError as error:
        raise AxonInputError(
            f"{url}: the server answered {error.code} ({error.reason}) instead of a file. {again}"
        ) from error
    except http.client.IncompleteRead as error:
        raise AxonInputError(f"{url}: the download broke off. {again}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise AxonInputError(f"{url} could not be downloaded: {reason}. {again}") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise AxonInputError(
            f"{url} could not be downloaded or stored: {reason}. Check the connection and the free "
            f"space at {target.parent}."
        ) from error
    if total and done != total:
        raise AxonInputError(
            f"{url}: the download broke off after {done} of {total} bytes. {again}"
        )


def _check_size(url: str, size: int, max_mb: float) -> None:
    if size > 1e6 * max_mb:
        raise AxonInputError(
            f"{url} has more than {max_mb:g} MB, the limit for downloads. If the size is right, "
            f"raise {_MAX_MB[0]}."
        )
