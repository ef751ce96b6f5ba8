"""Standard output stream that reports the progress of pip."""

from __future__ import annotations

import io
import re
from collections import deque
from collections.abc import Callable

from slicer.i18n import tr as _

_DOWNLOADING = re.compile(r"\s*Downloading (\S+?)(?:-\d\S*)?(?: \(.*\))?$")
_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_KEPT_LINES = 200


class PipLog(io.TextIOBase):
    """Replaces `sys.stdout` while pip runs.

    Forwards everything to `stream` except pip's numerous raw progress lines. `report` is called
    for each new download and each whole per cent.
    """

    def __init__(self, stream, report: Callable[[str], None]) -> None:
        super().__init__()
        self.stream = stream
        self._report = report
        self._line = ""
        self._package = ""
        self._lastReport = ""
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)

    def writable(self) -> bool:
        """Always True."""
        return True

    def write(self, text: str) -> int:
        """Write text; complete lines are parsed."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if not self._progress(line):
                self._lines.append(line)
                self.stream.write(line + "\n")
                self._parse(line)
        return len(text)

    def flush(self) -> None:
        """Flush the underlying stream."""
        flush = getattr(self.stream, "flush", None)
        if flush is not None:
            flush()

    def tail(self) -> str:
        """The last lines, without progress lines."""
        return "\n".join([*self._lines, self._line]).strip()

    def _progress(self, line: str) -> bool:
        match = _PROGRESS.search(line)
        if match is None:
            return False
        got, total = int(match[1]), int(match[2])
        if total > 0:
            self._reportOnce(
                _("Downloading {package}: {percent} % of {size} MB").format(
                    package=self._package,
                    percent=100 * got // total,
                    size=max(1, round(total / 1e6)),
                )
            )
        return True

    def _parse(self, line: str) -> None:
        match = _DOWNLOADING.match(line)
        if match is not None:
            self._package = match[1].rsplit("/", 1)[-1]
            self._reportOnce(_("Downloading {package}").format(package=self._package))
        elif line.startswith("Installing collected packages"):
            self._reportOnce(_("Installing (may take several minutes)"))

    def _reportOnce(self, text: str) -> None:
        if text != self._lastReport:
            self._lastReport = text
            self._report(text)
