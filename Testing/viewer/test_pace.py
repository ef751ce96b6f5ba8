"""The order in which the views of ``axon view`` are drawn, with the library's own views."""

import asyncio
import time

import pytest

pytest.importorskip("trame_slicer")

from trame_slicer.views import AbstractView
from trame_slicer.views.render_scheduler import NoScheduleRendering
from vtkmodules.vtkRenderingCore import vtkVolume
from vtkmodules.vtkRenderingVolume import vtkGPUVolumeRayCastMapper

from axon_backend.viewer import pace as pace_module
from axon_backend.viewer.pace import COARSE_PIXELS, FLUENT_S, Pace

COARSE, FINE = COARSE_PIXELS, 1.0


class Views:
    """A slice and two renderings of volumes that take ``seconds`` at full quality; ``log`` holds
    what was drawn, and with how many pixels for a ray."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.log: list[tuple[str, float | None]] = []
        self.seconds = 2 * FLUENT_S
        self.visible = {"slice": True, "one": True, "two": True}
        self.views = {name: self._view(name) for name in self.visible}
        self.renderings = {}
        for name, view in self.views.items():
            add = self.pace.add_slice if name == "slice" else self.pace.add_rendering
            self.renderings[name] = add(
                view, lambda name=name: self._ask(name), lambda name=name: self.visible[name]
            )

    def _view(self, name):
        view = AbstractView(scheduled_render_strategy=NoScheduleRendering())
        if name != "slice":
            volume = vtkVolume()
            volume.SetMapper(vtkGPUVolumeRayCastMapper())
            view.renderer().AddVolume(volume)
        return view

    def _ask(self, name: str) -> None:
        asyncio.get_running_loop().call_soon(self._draw, name)

    def _draw(self, name: str) -> None:
        """What VTK tells when it draws."""
        if name == "slice":
            self.log.append((name, None))
            return
        renderer = self.views[name].renderer()
        renderer.InvokeEvent("StartEvent")
        (volume,) = renderer.GetVolumes()
        self.log.append((name, volume.GetMapper().GetImageSampleDistance()))
        if self.log[-1][1] == FINE:
            time.sleep(self.seconds)
        renderer.InvokeEvent("EndEvent")

    def change(self, name: str) -> None:
        self.views[name].schedule_render()

    def resize(self, *names: str) -> None:
        for name in names:
            self.views[name].render_window().InvokeEvent("WindowResizeEvent")


@pytest.fixture
def views(monkeypatch):
    monkeypatch.setattr(pace_module, "REST_S", 0.2)
    monkeypatch.setattr(pace_module, "PAUSE_S", 0.01)
    monkeypatch.setattr(pace_module, "SLICES_S", 0.05)
    return Views()


def test_nothing_is_drawn_before_a_browser_shows_it(views):
    async def main():
        for name in views.views:
            views.change(name)
        await asyncio.sleep(0.5)

    asyncio.run(main())
    assert views.log == []


def test_coarse_at_once_then_fine_one_after_the_other(views):
    async def main():
        views.resize("slice", "one", "two")
        for name in ("one", "two", "slice"):
            views.change(name)
        await asyncio.sleep(1)

    asyncio.run(main())
    assert views.log == [
        ("one", COARSE),
        ("two", COARSE),
        ("slice", None),
        ("one", FINE),
        ("two", FINE),
    ]


def test_what_the_user_does_comes_before_full_quality(views):
    """A slice that is moved between two renderings, and what changes in one that waits for it."""

    async def main():
        views.resize("slice", "one", "two")
        views.change("one")
        views.change("two")
        while ("one", FINE) not in views.log:
            await asyncio.sleep(0.001)
        for _ in range(5):  # no pause is long enough
            views.change("slice")
            await asyncio.sleep(0.02)
        assert ("two", FINE) not in views.log
        views.change("one")
        await asyncio.sleep(1)

    asyncio.run(main())
    assert views.log[2:4] == [("one", FINE), ("slice", None)]
    assert views.log[8:] == [("one", COARSE), ("one", FINE), ("two", FINE)]


def test_neither_hidden_nor_unchanged_renderings_are_drawn(views):
    async def main():
        views.resize("one", "two")
        views.visible["two"] = False
        views.change("one")
        views.change("two")
        await asyncio.sleep(1)
        views.renderings["one"].muted = True
        views.change("one")
        await asyncio.sleep(0.5)

    asyncio.run(main())
    assert views.log == [("one", COARSE), ("one", FINE)]


def test_what_is_drawn_fast_is_never_coarse_again(views):
    async def main():
        views.seconds = 0.0
        views.resize("one")
        views.change("one")
        await asyncio.sleep(0.5)
        views.change("one")
        await asyncio.sleep(0.5)

    asyncio.run(main())
    assert views.log == [("one", COARSE), ("one", FINE), ("one", FINE)]


def test_an_image_without_a_volume_tells_nothing_about_the_next_one(views):
    async def main():
        views.seconds = 0.0
        (volume,) = views.views["one"].renderer().GetVolumes()
        volume.VisibilityOff()
        views.resize("one")
        views.change("one")
        await asyncio.sleep(0.5)
        volume.VisibilityOn()
        views.change("one")
        await asyncio.sleep(0.05)

    asyncio.run(main())
    assert views.log == [("one", COARSE), ("one", FINE), ("one", COARSE)]


def test_several_requests_of_a_name_are_one(views):
    called = []

    async def main():
        for value in (1, 2, 3):
            views.pace.after_slices("a", lambda value=value: called.append(value))
        views.pace.after_slices("b", lambda: called.append("b"))
        assert called == []
        await asyncio.sleep(0.5)

    asyncio.run(main())
    assert called == [3, "b"]


def test_before_the_page_is_served_there_is_nothing_to_wait_for(views):
    called = []
    views.pace.after_slices("a", lambda: called.append(1))
    assert called == [1]
