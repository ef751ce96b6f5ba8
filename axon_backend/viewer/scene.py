"""Volumes in Slicer's slice and 3-D views, drawn here and sent to the browser as images.

The reconstruction fills one row of views; a CT on the same box fills a second one, whose slices
and cameras follow the first and the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from trame.widgets import html
from trame.widgets import vuetify3 as v3
from trame_rca.utils import RcaEncoder
from trame_server import Server
from trame_slicer.app.logic.slice_view_logic import connect_slice_view_slider_to_state
from trame_slicer.app.ui import create_vertical_view_gutter_ui
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.core.volume_window_level import VolumeWindowLevel
from trame_slicer.rca_view import RemoteViewFactory
from trame_slicer.views import (
    Layout,
    LayoutDirection,
    SliceView,
    ThreeDView,
    ViewLayoutDefinition,
    ViewProps,
    ViewType,
)
from trame_slicer.views.render_scheduler import NoScheduleRendering

from axon_backend.imaging.display import WINDOWS
from axon_backend.viewer.pace import Pace, Rendering

VOLUME, CT = 0, 1
# The first is the name of the volume in the state of the page.
TITLES = {VOLUME: "{{ volume }}", CT: "CT"}
ORIENTATIONS = ("Axial", "Coronal", "Sagittal")
# Names of the layouts.
ALONE, BESIDE = "alone", "beside"
# For each window: preset of Slicer's volume rendering, shift of its transfer functions in HU, and
# the margins of the thorax frame that are cut off, as (R, L), (P, A), (I, S) in millimetres, as in
# the views of the Slicer module.
LUNG_MARGINS_MM = ((10.0, 10.0), (24.0, 15.0), (7.0, 10.0))
RENDERING: Mapping[str, tuple[str, float, tuple[tuple[float, float], ...] | None]] = {
    "Lung": ("CT-Lung", -100.0, LUNG_MARGINS_MM),
    "Soft tissue": ("CT-Chest-Contrast-Enhanced", -40.0, None),
    "Bone": ("CT-Bone", 70.0, None),
}
JPEG_QUALITY = 90
# A larger 3-D view is drawn with so many pixels and enlarged by the browser: at full quality, an
# image then takes two CPU cores less than a second.
MOST_PIXELS_3D = 100_000
# A vtkMRMLViewNode's quality: along the rays, samples are as dense as the voxels.
NORMAL = 1


class Scene:
    """Slicer's scene with the views of a case.

    Args:
        server: of the page, in which :meth:`add_to` puts the views.
    """

    def __init__(self, server: Server) -> None:
        self._app = SlicerApp()
        # VTK warns of a missing X server and of its own deprecations; neither helps a user.
        self._app.scene.GlobalWarningDisplayOff()
        self._factories: dict[ViewType, RemoteViewFactory] = {}
        options: dict[str, Any] = {
            # JPEG of one quality: each frame is drawn once.
            "rca_encoder": RcaEncoder.JPEG,
            "interactive_quality": JPEG_QUALITY,
            "target_fps": 15.0,
            "blur_fps": 15.0,
        }
        for made, kind, tools in (
            (SliceView, ViewType.SLICE_VIEW, _slice_tools),
            (ThreeDView, ViewType.THREE_D_VIEW, _camera_tools),
        ):
            # By default a view draws at every step while it is being made.
            quiet = partial(made, scheduled_render_strategy=NoScheduleRendering())
            self._factories[kind] = RemoteViewFactory(
                server, quiet, kind, populate_view_ui_f=_titled(tools), **options
            )
            self._app.view_manager.register_factory(self._factories[kind])
        self._layouts = LayoutManager(self._app.scene, self._app.view_manager, server)
        self._nodes: dict[Path, Any] = {}
        self._shown: dict[int, Any] = {}
        self._rendered: dict[int, Any] = {}
        self._fitted_3d: set[int] = set()
        self._not_hu: set[str] = set()
        self._window = WINDOWS[0][0]
        self._following = False
        self._fitted: set[str] = set()
        self._pace = Pace()
        self._renderings: dict[int, Rendering] = {}

    def prepare(self, *, with_ct: bool) -> None:
        """Make the views: one row, and with ``with_ct`` a second one for the CT."""
        if self._layouts.has_layout(ALONE):
            return
        groups = (VOLUME, CT) if with_ct else (VOLUME,)
        axial, coronal, sagittal, rendering = _views(VOLUME)
        square = [[axial, rendering], [coronal, sagittal]]
        self._layouts.register_layout(ALONE, _rows(square))
        if with_ct:
            self._layouts.register_layout(BESIDE, _rows([_views(group) for group in groups]))
        for group in groups:
            for kind in ORIENTATIONS:
                self._first_fit(self._view(group, kind))
                self._pace.add_slice(
                    self._view(group, kind),
                    self._remote(group, kind).schedule_render,
                    partial(self._is_shown, group),
                )
            self._first_fit(self._view(group, "3-D"))
            self._three_d(group)
        if with_ct:
            self._link()

    def add_to(self, page: Any) -> None:
        """Put the views where the page is being built."""
        self._layouts.initialize_layout_grid(page)

    def arrange(self, name: str) -> None:
        """Show a layout, :data:`ALONE` or :data:`BESIDE`; its views fit their volumes again."""
        if name != self._layouts.layout_id:
            self._fitted.clear()
            self._layouts.set_layout(name)

    def show(
        self, file: Path, group: int = VOLUME, window: tuple[float, float] | None = None
    ) -> None:
        """Show a NIfTI file in a row of views.

        Args:
            file: the file.
            group: the row.
            window: lowest and highest displayed value instead of those of the present window, for a
                volume that is not HU; it has no 3-D rendering.

        Raises:
            RuntimeError: Slicer cannot read it.
        """
        node = self._nodes.get(file)
        if node is None:
            with self._muted(self._renderings):
                found = self._app.io_manager.load_volumes(str(file))
            if not found:
                raise RuntimeError(f"{file} could not be loaded")
            node = self._nodes[file] = found[0]
        first = group not in self._shown
        self._shown[group] = node
        if window is not None:
            self._not_hu.add(node.GetID())
        self._apply_window(node, window)
        for orientation in ORIENTATIONS:
            self._view(group, orientation).set_background_volume_id(node.GetID())
            if first:
                self._view(group, orientation).fit_view_to_content()
        self._render_later(group)

    def window(self, name: str) -> None:
        """Show all volumes in one of ``WINDOWS``, in slices and in 3-D."""
        self._window = name
        for node in self._shown.values():
            if node.GetID() not in self._not_hu:
                self._apply_window(node)
        for group in self._shown:
            self._render_later(group)

    def _apply_window(self, node: Any, window: tuple[float, float] | None = None) -> None:
        """Show the slices of a volume in a range of values, by default in the present window."""
        shown = window or next(limits for name, *limits in WINDOWS if name == self._window)
        VolumeWindowLevel.set_volume_node_display_min_max_range(node, *shown)

    def _render_later(self, group: int) -> None:
        self._pace.after_slices(f"rendering {group}", partial(self._render, group))

    def _render(self, group: int) -> None:
        """Show the volume of a row, and no other one, in its 3-D view."""
        node, view = self._shown[group], self._view(group, "3-D")
        rendering = self._app.volume_rendering
        before = self._rendered.get(group)
        if before not in (None, node):
            rendering.get_vr_display_node(before).SetVisibility(False)
            del self._rendered[group]
        if node.GetID() in self._not_hu:
            return
        self._rendered[group] = node
        with self._muted(self._renderings.keys() - {group}):
            display = rendering.create_display_node(node, RENDERING[self._window][0])
            display.SetViewNodeIDs([view.get_view_node_id()])
            display.SetVisibility(True)
            self._render_in_window(node)
        if group not in self._fitted_3d:
            self._fitted_3d.add(group)
            view.fit_view_to_content()

    @contextmanager
    def _muted(self, groups: Iterable[int]) -> Iterator[None]:
        """Do not draw the 3-D views of some rows again: Slicer tells every one of every new
        volume."""
        muted = [self._renderings[group] for group in groups]
        for one in muted:
            one.muted = True
        try:
            yield
        finally:
            for one in muted:
                one.muted = False

    def _render_in_window(self, node: Any) -> None:
        rendering = self._app.volume_rendering
        preset, shift_hu, margins = RENDERING[self._window]
        rendering.apply_preset(rendering.get_vr_display_node(node), preset)
        rendering.set_absolute_vr_shift_from_preset(node, preset, shift_hu)
        region = rendering.set_cropping_enabled(node, None, margins is not None)
        if margins is not None:
            bounds = [0.0] * 6
            node.GetRASBounds(bounds)
            ends = [
                (low + before, high - after)
                for low, high, (before, after) in zip(
                    bounds[::2], bounds[1::2], margins, strict=True
                )
            ]
            region.SetXYZ([(low + high) / 2 for low, high in ends])
            region.SetRadiusXYZ([(high - low) / 2 for low, high in ends])
            region.SetDisplayVisibility(False)

    def _view(self, group: int, kind: str) -> Any:
        return self._app.view_manager.get_view(_tag(group, kind))

    def _remote(self, group: int, kind: str) -> Any:
        """What sends the images of a view."""
        made = ViewType.THREE_D_VIEW if kind == "3-D" else ViewType.SLICE_VIEW
        return self._factories[made].get_factory_view(_tag(group, kind)).view_adapter

    def _is_shown(self, group: int) -> bool:
        return group == VOLUME or self._layouts.layout_id == BESIDE

    def _first_fit(self, view: Any) -> None:
        """Fit a view to its volume when the browser has told its size in a layout; later zooms
        stay."""

        def sized(*_: Any) -> None:
            tag, (width, height) = view.get_singleton_tag(), view.render_window().GetSize()
            if tag not in self._fitted and min(width, height) > 50 and self._shown:
                self._fitted.add(tag)
                view.fit_view_to_content()
                view.schedule_render()

        view.render_window().AddObserver("WindowResizeEvent", sized)

    def _three_d(self, group: int) -> None:
        """A 3-D view that a CPU can draw while it is turned."""
        view, remote = self._view(group, "3-D"), self._remote(group, "3-D")
        remote.max_pixel_count = MOST_PIXELS_3D
        view.render_window().SetMultiSamples(0)
        view.renderer().SetUseDepthPeeling(False)
        view.renderer().SetUseDepthPeelingForVolumes(False)
        view.get_view_node().SetVolumeRenderingOversamplingFactor(1.0)
        view.get_view_node().SetVolumeRenderingQuality(NORMAL)
        self._renderings[group] = self._pace.add_rendering(
            view, remote.schedule_render, partial(self._is_shown, group)
        )
        view.get_camera_node().AddObserver("ModifiedEvent", lambda *_: self._camera_moved(group))

    def _camera_moved(self, group: int) -> None:
        """Let the camera of the other row follow."""
        view = self._view(group, "3-D")
        other = CT if group == VOLUME else VOLUME
        partner = self._view(other, "3-D")
        if partner is not None and not self._following:
            self._following = True
            try:
                here, there = view.get_camera_node(), partner.get_camera_node()
                there.SetPosition(here.GetPosition())
                there.SetFocalPoint(here.GetFocalPoint())
                there.SetViewUp(here.GetViewUp())
                there.ResetClippingRange()
            finally:
                self._following = False

    def _link(self) -> None:
        """Let the slices of each row follow those of the other."""
        for group, other in ((VOLUME, CT), (CT, VOLUME)):
            for orientation in ORIENTATIONS:
                partner = self._view(other, orientation)
                self._view(group, orientation).modified.connect(self._follower(partner))

    def _follower(self, partner: Any) -> Callable[[Any], None]:
        def follow(view: Any) -> None:
            if self._following or len(self._shown) < 2:
                return
            self._following = True
            try:
                here, there = view.get_view_node(), partner.get_view_node()
                if view.get_slice_value() != partner.get_slice_value():
                    partner.set_slice_value(view.get_slice_value())
                there.SetFieldOfView(*here.GetFieldOfView())
                there.SetXYZOrigin(*here.GetXYZOrigin())
            finally:
                self._following = False

        return follow


def _tag(group: int, kind: str) -> str:
    return f"{'volume' if group == VOLUME else 'ct'}_{kind.lower().replace('-', '')}"


def _rows(rows: list[list[ViewLayoutDefinition]]) -> Layout:
    """Views in rows, from the top."""
    return Layout(LayoutDirection.Vertical, [Layout(LayoutDirection.Horizontal, r) for r in rows])


def _views(group: int) -> list[ViewLayoutDefinition]:
    """Axial, coronal, sagittal and 3-D."""
    slices = [
        ViewLayoutDefinition(
            _tag(group, kind),
            ViewType.SLICE_VIEW,
            ViewProps(orientation=kind, label=kind[0], group=group),
        )
        for kind in ORIENTATIONS
    ]
    rendering = ViewLayoutDefinition(
        _tag(group, "3-D"),
        ViewType.THREE_D_VIEW,
        ViewProps(label="3", group=group, background_color="#000000", box_visible=False),
    )
    return [*slices, rendering]


Tools = Callable[[Server, str, Any], None]
# What lies on the left and at the top of each slice.
EDGES = {"axial": ("R", "A"), "coronal": ("R", "S"), "sagittal": ("A", "S")}
LETTER = "position:absolute; color:#ddd; font-size:14px; text-shadow:0 0 3px black; "


def _titled(tools: Tools) -> Tools:
    """The tools of a view, with its title in the corner."""

    def build(server: Server, view_id: str, view: Any) -> None:
        group = CT if view_id.startswith("ct_") else VOLUME
        kind = "3-D" if view_id.endswith("_3d") else view_id.rpartition("_")[2]
        html.Div(
            f"{TITLES[group]}, {kind}",
            id=f"title-{view_id}",
            style="position:absolute; top:4px; right:8px; color:#ddd; font-size:12px; "
            "text-shadow:0 0 3px black; pointer-events:none",
        )
        for letter, place in zip(
            EDGES.get(kind, ()), ("left:6px; top:48%", "left:50%; top:24px"), strict=False
        ):
            html.Div(letter, style=f"{LETTER}{place}; pointer-events:none")
        tools(server, view_id, view)

    return build


def _slice_tools(server: Server, view_id: str, view: Any) -> None:
    """*Reset camera*, and a slider for the position."""
    create_vertical_view_gutter_ui(server, view_id, view)
    names = connect_slice_view_slider_to_state(server, view).name
    with html.Div(
        id=f"slice-{view_id}", style="position: absolute; bottom: 0; left: 8px; right: 8px"
    ):
        v3.VSlider(
            v_model=(names.value,),
            min=(names.min_value,),
            max=(names.max_value,),
            step=(names.step,),
            hide_details=True,
            density="compact",
            theme="dark",
        )


def _camera_tools(server: Server, view_id: str, view: Any) -> None:
    create_vertical_view_gutter_ui(server, view_id, view)
