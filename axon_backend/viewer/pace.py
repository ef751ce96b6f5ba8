"""When the views of a page are drawn, so that none of them keeps another waiting.

One thread draws all views and answers the browser. A slice costs milliseconds, a rendering at full
quality on a CPU most of a second. So slices are drawn at once, renderings coarsely while anything
changes, and at full quality one after the other when nothing has changed for a while.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

from trame_slicer.views import ScheduledRenderStrategy

# After a change, renderings are touched when the slices have been sent.
SLICES_S = 0.1
# Without a change for so long, renderings are drawn at full quality; between two of them, what the
# user has done meanwhile is answered.
REST_S, PAUSE_S = 0.5, 0.1
# Of a coarse rendering: pixels of the view for one ray, in each direction. Fewer samples along the
# rays would cost less too, but tear thin structures into contour lines.
COARSE_PIXELS = 4.0
# A view that takes no longer at full quality is never drawn coarsely.
FLUENT_S = 0.04


class Pace:
    """The order in which the views of a page are drawn."""

    def __init__(self) -> None:
        self._renderings: list[Rendering] = []
        self._refining: asyncio.TimerHandle | None = None
        self._later: dict[str, asyncio.TimerHandle] = {}

    def add_slice(self, view: Any, draw: Callable[[], Any], shown: Callable[[], bool]) -> None:
        """Draw a ``SliceView`` at once.

        Args:
            view: the view.
            draw: asks for its next image.
            shown: whether its layout is the present one.
        """
        _Paced(self, view, draw, shown)

    def add_rendering(
        self, view: Any, draw: Callable[[], Any], shown: Callable[[], bool]
    ) -> Rendering:
        """Draw a ``ThreeDView`` coarsely, then finely; the rest as for slices."""
        self._renderings.append(Rendering(self, view, draw, shown))
        return self._renderings[-1]

    def after_slices(self, name: str, call: Callable[[], Any]) -> None:
        """Call something when the slices have been sent, once for several requests of a name."""
        if (waiting := self._later.pop(name, None)) is not None:
            waiting.cancel()
        if (loop := _loop()) is None:
            call()
        else:
            self._later[name] = loop.call_later(SLICES_S, call)

    def rest(self) -> None:
        """Something has changed: full quality has to wait."""
        self._refine_in(REST_S)

    def drawn(self) -> None:
        """A rendering has been drawn at full quality: the next one follows."""
        if self._refining is None:
            self._refine_in(PAUSE_S)

    def _refine_in(self, seconds: float) -> None:
        if self._refining is not None:
            self._refining.cancel()
            self._refining = None
        if (loop := _loop()) is not None and self._coarse():
            self._refining = loop.call_later(seconds, self._refine)

    def _coarse(self) -> list[Rendering]:
        return [one for one in self._renderings if one.shown and not one.fine]

    def _refine(self) -> None:
        self._refining = None
        for rendering in self._coarse()[:1]:
            rendering.finely()


class _Paced(ScheduledRenderStrategy):
    """A view; it is not drawn before a browser has told its size."""

    def __init__(
        self, pace: Pace, view: Any, draw: Callable[[], Any], shown: Callable[[], bool]
    ) -> None:
        super().__init__()
        self._pace, self._view, self._draw, self._shown = pace, view, draw, shown
        self._sized = False
        view.set_scheduled_render(self)
        # Its next image has then been asked for already.
        view.render_window().AddObserver("WindowResizeEvent", lambda *_: self._resized())

    @property
    def shown(self) -> bool:
        """Whether a browser shows it."""
        return self._sized and self._shown()

    def schedule_render(self) -> None:
        """Draw it: called by Slicer when something in it has changed."""
        if self.shown:
            self._draw()
            self._pace.rest()

    def _resized(self) -> None:
        self._sized = True
        self._pace.rest()


class Rendering(_Paced):
    """A 3-D view, drawn coarsely when it changes.

    Attributes:
        fine: its image has, or will have, full quality.
        muted: what changes does not concern it.
    """

    def __init__(
        self, pace: Pace, view: Any, draw: Callable[[], Any], shown: Callable[[], bool]
    ) -> None:
        super().__init__(pace, view, draw, shown)
        self.fine = self.muted = False
        self._began, self._full_s = 0.0, math.inf
        view.renderer().AddObserver("StartEvent", lambda *_: self._starts())
        view.renderer().AddObserver("EndEvent", lambda *_: self._drawn())

    def schedule_render(self) -> None:
        """Draw it coarsely: called by Slicer when something in it has changed."""
        if not self.muted:
            self._coarsely()
            super().schedule_render()

    def finely(self) -> None:
        """Draw it at full quality."""
        self.fine = True
        self._draw()

    def _resized(self) -> None:
        self._coarsely()
        super()._resized()

    def _coarsely(self) -> None:
        self.fine = self._full_s < FLUENT_S

    def _starts(self) -> None:
        # Slicer sets it back with every change of a volume's display.
        for volume in self._view.renderer().GetVolumes():
            volume.GetMapper().SetImageSampleDistance(1.0 if self.fine else COARSE_PIXELS)
        self._began = time.perf_counter()

    def _drawn(self) -> None:
        if self.fine:
            # Without a volume, an image tells nothing about the next one.
            if any(volume.GetVisibility() for volume in self._view.renderer().GetVolumes()):
                self._full_s = time.perf_counter() - self._began
            self._pace.drawn()


def _loop() -> asyncio.AbstractEventLoop | None:
    """The loop of the server; None before the page is served."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
