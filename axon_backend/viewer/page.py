"""The page of ``axon view`` and what its buttons do; see ``serve``."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from PIL import Image
from trame.app import TrameApp, asynchronous
from trame.decorators import change
from trame.widgets import html
from trame.widgets import vuetify3 as v3
from trame_server import Server
from trame_vuetify.ui.vuetify3 import SinglePageWithDrawerLayout

from axon_backend import DISCLAIMER
from axon_backend.errors import AxonInputError, Cancelled, reason_of
from axon_backend.evaluation.html import data_uri
from axon_backend.evaluation.report import describe_registration
from axon_backend.imaging.display import WINDOWS, grey
from axon_backend.viewer.finished_case import (
    DEVIATION,
    RECONSTRUCTION,
    FinishedCase,
    input_words,
)
from axon_backend.viewer.scene import ALONE, BESIDE, CT, VOLUME, Scene
from axon_backend.viewer.settings import Motion, RunSettings

if TYPE_CHECKING:
    from axon_backend.imaging.ct import CTVolume
    from axon_backend.imaging.radiograph import Radiograph
    from axon_backend.inference.case_files import CaseInputs
    from axon_backend.inference.result import Reconstruction
    from axon_backend.viewer.xray_case import XrayCase

T = TypeVar("T")

# How often the progress of a run is shown, and how long an X-ray must lie still to be judged.
TICK_S, SETTLED_S = 0.3, 0.6
# Name in the state, label, range and step of a slider of ``Motion``.
SLIDERS = (
    ("right_mm", "To the right (mm)", -100.0, 100.0, 1.0),
    ("up_mm", "Up (mm)", -100.0, 100.0, 1.0),
    ("rotation_deg", "Rotation, clockwise (degrees)", -20.0, 20.0, 0.5),
    ("scale_percent", "Size (%)", 60.0, 160.0, 1.0),
)
XRAYS, RESULT = "xrays", "result"
# In the browser: something is being computed, or the model is not there.
NOT_YET = f"!!busy || step === '{XRAYS}' && !ready"
CORNER = (
    "position: absolute; left: 12px; top: 8px; z-index: 1; color: #ddd; font-size: 20px; "
    "pointer-events: none"
)
# Range of a standard deviation in the slices.
DEVIATION_HU = (0.0, 300.0)


class Page(TrameApp):
    """One case in one page; its state is shared by all browsers that show it.

    Args:
        server: a fresh one.
        scratch: a folder for temporary files, which must outlive the page.
        finished: the case to open, or
        xrays: the X-rays to start from.
        ct: reads the CT that is shown beside a finished case.
        load: makes a case of ``xrays``, with the model.
        settings: of *Reconstruct*.
    """

    def __init__(
        self,
        server: Server,
        scratch: Path,
        *,
        finished: FinishedCase | None = None,
        xrays: CaseInputs | None = None,
        ct: Callable[[], CTVolume] | None = None,
        load: Callable[[CaseInputs], XrayCase] | None = None,
        settings: RunSettings | None = None,
    ) -> None:
        super().__init__(server=server)
        self._scratch, self._inputs, self._read_ct, self._load = scratch, xrays, ct, load
        self._xrays: XrayCase | None = None
        self._settings = settings or RunSettings()
        self._case: FinishedCase | None = None
        self._result: Reconstruction | None = None
        # One worker: no two calls compute at the same time.
        self._worker = ThreadPoolExecutor(1, "axon-view")
        self._stop = threading.Event()
        self._progress = (0.0, "")
        self._redraw = self._drawing = False
        self._settling: asyncio.TimerHandle | None = None
        self._scene = Scene(server)
        with_ct = ct is not None or (xrays is not None and xrays.ct is not None)
        self._scene.prepare(with_ct=with_ct)
        self._first_state(with_ct)
        self._build()
        if finished is not None:
            self._open(finished, None)
        elif xrays is not None:
            self._show_as_read(xrays)

    def start(self) -> None:
        """Read what the first image need not wait for, once the page is served."""
        case, inputs, ct, load = self._case, self._inputs, self._read_ct, self._load
        with self.state:  # else what changes back later would not be told to the browser
            if case is not None and ct is not None:
                self._begin(
                    "Reading the CT",
                    lambda: case.write_ct(ct(), self._scratch),
                    lambda truth: self._open(case, truth),
                )
            elif inputs is not None and load is not None:
                self._begin("Loading the model", lambda: load(inputs), self._loaded)

    def _loaded(self, xrays: XrayCase) -> None:
        self._xrays = xrays
        self._show_xrays(xrays)

    def close(self) -> None:
        """Stop what runs."""
        self._stop.set()
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _first_state(self, with_ct: bool) -> None:
        self.state.update(
            {
                "trame__title": "AXON",
                "step": XRAYS,
                "disclaimer": DISCLAIMER,
                "inputs": [],
                "warnings": [],
                "registration": [],
                "measures": [],
                "facts": [],
                "report": "",
                "report_open": False,
                "images": [],
                "image": "",
                "image_open": False,
                "volumes": [],
                "volume": "",
                "windows": [name for name, _, _ in WINDOWS],
                "window": WINDOWS[0][0],
                "has_ct": with_ct,
                "beside": with_ct,
                "roles": [],
                "role": "frontal",
                "ready": False,
                "styles": [],
                "style": "",
                "overlay": "",
                "verdict": "",
                "allow_poor": False,
                "error": "",
                "busy": "",
                "stops": False,
                "progress": 0.0,
                "progress_text": "",
                "can_save": False,
                "folder": "",
                "saved": "",
                **{name: getattr(Motion(), name) for name, *_ in SLIDERS},
            }
        )

    # What is shown

    def _open(self, case: FinishedCase, truth: Path | None) -> None:
        """Show a finished case."""
        self._case = case
        self._scene.show(case.volumes[RECONSTRUCTION])
        if truth is not None:
            self._scene.show(truth, CT)
        self._scene.arrange(BESIDE if truth is not None else ALONE)
        self.state.update(
            {
                "step": RESULT,
                "disclaimer": case.disclaimer,
                "inputs": case.inputs,
                "warnings": case.warnings,
                "registration": case.registration,
                "measures": case.measures,
                "facts": case.facts,
                "report": case.report,
                "images": [
                    {"title": role, "source": data_uri(file.read_bytes(), "image/jpeg")}
                    for role, file in case.xrays.items()
                ],
                "volumes": list(case.volumes),
                "volume": RECONSTRUCTION,
                "has_ct": truth is not None,
                "beside": truth is not None,
            }
        )

    def _show_as_read(self, inputs: CaseInputs) -> None:
        """Show the X-rays before the model is there."""
        xrays = {role: xray for role, xray in inputs.xrays.items() if xray is not None}
        words = [input_words(entry) for entry in inputs.describe(xrays)]
        self.state.update(
            {
                "inputs": words,
                "warnings": [w for xray in xrays.values() for w in xray.warnings],
                "roles": list(xrays),
                "overlay": _as_read(xrays["frontal"]),
                "verdict": "As read; the DRR follows.",
            }
        )

    def _show_xrays(self, xrays: XrayCase) -> None:
        style = self.state.style or xrays.styles[0]
        self.state.update(
            {
                "step": XRAYS,
                "ready": True,
                "styles": list(xrays.styles),
                "style": style,
                "inputs": [input_words(entry) for entry in xrays.inputs],
                "warnings": [w for xray in xrays.xrays.values() for w in xray.warnings],
                "roles": list(xrays.roles),
                "role": xrays.roles[0],
                "overlay": self._overlay(xrays.roles[0], style),
                "verdict": self._verdict(xrays.roles[0]),
            }
        )

    def _overlay(self, role: str, style: str) -> str:
        assert self._xrays is not None
        width, height = self._xrays.extent_mm(role)
        image = Image.fromarray(self._xrays.overlay(role, style))
        return _as_uri(image.resize((round(image.height * width / height), image.height)))

    def _verdict(self, role: str) -> str:
        assert self._xrays is not None
        placed = self._xrays.judge(role)
        words = describe_registration(placed.as_dict(role))
        note = f" – {words['note']}" if words["note"] else ""
        return f"Registration: {words['verdict']}{note}"

    # Volumes

    @change("volume")
    def _volume_chosen(self, volume: str, **_: Any) -> None:
        if self._case is not None and volume in self._case.volumes:
            window = DEVIATION_HU if volume == DEVIATION else None
            self._scene.show(self._case.volumes[volume], VOLUME, window)

    @change("window")
    def _window_chosen(self, window: str, **_: Any) -> None:
        if any(name == window for name, _, _ in WINDOWS):
            self._scene.window(window)

    @change("beside")
    def _beside_chosen(self, beside: bool, has_ct: bool, step: str, **_: Any) -> None:
        if step == RESULT:
            self._scene.arrange(BESIDE if beside and has_ct else ALONE)

    # X-rays

    @change("role", "style")
    def _role_or_style(self, **_: Any) -> None:
        role = self.state.role
        if self._xrays is not None and role in self._xrays.roles:
            self._show_motion()
            self._draw_soon()
        elif self._inputs is not None and (xray := self._inputs.xrays.get(role)) is not None:
            self.state.overlay = _as_read(xray)

    @change(*(name for name, *_ in SLIDERS))
    def _moved(self, **_: Any) -> None:
        xrays, role = self._xrays, self.state.role
        if xrays is None or self.state.busy or role not in xrays.roles:
            return
        try:
            motion = Motion(*(float(self.state[name]) for name, *_ in SLIDERS))
        except (TypeError, ValueError):  # a slider that is being edited
            return
        if motion != xrays.placed[role].motion:
            xrays.move(role, motion)
            self._draw_soon()

    def reset(self) -> None:
        """*Reset*: the X-ray as it was read."""
        if self._xrays is None or self.state.busy:
            return
        self._xrays.reset(self.state.role)
        self._show_motion()
        self._draw_soon()

    def _show_motion(self) -> None:
        assert self._xrays is not None
        motion = self._xrays.placed[self.state.role].motion
        self.state.update({name: getattr(motion, name) for name, *_ in SLIDERS})

    def _draw_soon(self) -> None:
        """Draw the overlay, once more if it is asked for while it is being drawn; judge it when
        nothing has moved for a while."""
        self._redraw = True
        if not self._drawing:
            self._drawing = True
            asynchronous.create_task(self._draw())
        if self._settling is not None:
            self._settling.cancel()
        loop = asyncio.get_event_loop()
        self._settling = loop.call_later(SETTLED_S, lambda: asynchronous.create_task(self._judge()))

    async def _draw(self) -> None:
        try:
            while self._redraw:
                self._redraw = False
                role, style = self.state.role, self.state.style
                await self._update("overlay", partial(self._overlay, role, style))
        finally:
            self._drawing = False

    async def _judge(self) -> None:
        await self._update("verdict", partial(self._verdict, self.state.role))

    async def _update(self, name: str, call: Callable[[], str]) -> None:
        """Set a state to what a call in the worker gives, or the error to why it cannot."""
        try:
            value = await self._work(call)
        except AxonInputError as error:
            name, value = "error", str(error)
        with self.state:
            self.state[name] = value

    # Long calls

    def auto_register(self) -> None:
        """*Auto-register*, in the worker."""
        xrays = self._xrays
        if xrays is not None:
            seed = self._settings.seed
            self._begin(
                "Registering",
                lambda: xrays.register(seed=seed, cancelled=self._stop.is_set),
                lambda _: self._registered(),
                stops=True,
            )

    def _registered(self) -> None:
        self._show_motion()
        self._draw_soon()

    def reconstruct(self, allow_poor: bool) -> None:
        """*Reconstruct*, in the worker."""
        xrays, settings = self._xrays, self._settings
        if xrays is None:
            return

        def work() -> tuple[Reconstruction, Path]:
            result = xrays.reconstruct(
                settings,
                allow_poor=bool(allow_poor),
                progress=self._tell,
                cancelled=self._stop.is_set,
            )
            self._tell("write", 0, 1, None)
            return result, self._keep(result)

        self._begin("Reconstructing", work, lambda found: self._reconstructed(*found), stops=True)

    def _keep(self, result: Reconstruction) -> Path:
        """The result as a finished case in the scratch folder, with its CT where there is one."""
        assert self._xrays is not None
        number = sum(1 for _ in self._scratch.glob("case*"))
        return self._xrays.keep(result, self._scratch / f"case{number}")

    def _reconstructed(self, result: Reconstruction, folder: Path) -> None:
        self._result = result
        truth = folder / "ct.nii.gz"
        self._open(FinishedCase.open(folder), truth if truth.is_file() else None)
        self.state.update({"can_save": True, "saved": ""})

    def save(self, folder: str) -> None:
        """*Save*, in the worker."""
        xrays, result, folder = self._xrays, self._result, str(folder or "").strip()
        if xrays is None or result is None:
            return
        if not folder:
            self.state.error = "Give the folder for the result."
            return
        self._begin(
            "Saving",
            lambda: xrays.save(result, Path(folder).expanduser()),
            lambda path: self.state.update({"saved": f"Saved in {path}."}),
        )

    def back(self) -> None:
        """*X-rays*: back from the result."""
        if self._xrays is not None:
            self._show_xrays(self._xrays)
            self._show_motion()
            self._draw_soon()

    def cancel(self) -> None:
        """*Cancel*: what runs stops at its next step."""
        self._stop.set()
        self.state.progress_text = "Stopping after this step ..."

    def _tell(self, stage: str, step: int, total: int, _preview: Any) -> None:
        """Progress, called by the worker."""
        self._progress = (100.0 * step / max(total, 1), f"{stage}: {step} of {total}")

    def _begin(
        self, title: str, work: Callable[[], T], done: Callable[[T], Any], *, stops: bool = False
    ) -> None:
        if self.state.busy:
            return
        self._stop.clear()
        self._progress = (0.0, "")
        self.state.update(
            {
                "busy": title,
                "stops": stops,
                "progress": 0.0,
                "progress_text": "",
                "error": "",
                "saved": "",
            }
        )
        asynchronous.create_task(self._follow(work, done))

    async def _follow(self, work: Callable[[], T], done: Callable[[T], Any]) -> None:
        """Show the progress of a call in the worker, then what came of it."""
        task = asyncio.ensure_future(self._work(work))
        shown = self._progress
        while not task.done():
            await asyncio.wait([task], timeout=TICK_S)
            if self._progress != shown and not self._stop.is_set():
                shown = self._progress
                with self.state:
                    self.state.progress, self.state.progress_text = shown
        with self.state:
            self.state.busy = ""
            try:
                done(task.result())
            except Cancelled:
                self.state.error = "Stopped as asked."
            except AxonInputError as error:
                self.state.error = str(error)
            except Exception as error:
                self.state.error = f"Failed with {reason_of(error)}"

    async def _work(self, call: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, call, *arguments)

    # Widgets

    def _build(self) -> None:
        with SinglePageWithDrawerLayout(self.server, width=380) as self.ui:
            self.ui.title.set_text("AXON")
            self.ui.title.style = "flex: none"
            self.ui.footer.clear()
            with self.ui.footer:
                html.Span(
                    "{{ disclaimer }}. The volume is an estimate by a neural network, not a "
                    "measurement: structures may be missing, moved or invented.",
                    classes="text-caption py-1",
                )
            with self.ui.toolbar:
                self._toolbar()
            with (
                self.ui.drawer,
                html.Div(classes="pa-3 text-body-2", style="overflow-wrap: anywhere"),
            ):
                self._messages()
                self._xray_controls()
                self._save_controls()
                self._words()
            with self.ui.content:
                with html.Div(v_show=(f"step === '{RESULT}'",), style="height: 100%"):
                    self._scene.add_to(self.ui)
                with html.Div(
                    v_show=(f"step === '{XRAYS}'",),
                    style="position: relative; height: 100%; background: black",
                ):
                    # Frontal images have the patient's right, lateral ones the front on the left.
                    html.Div("{{ role === 'frontal' ? 'R' : 'A' }}", style=CORNER)
                    html.Img(
                        id="overlay",
                        src=("overlay",),
                        alt="X-ray over the DRR of the reference",
                        style="position: absolute; inset: 0; width: 100%; height: 100%; "
                        "object-fit: contain",
                    )
            with (
                v3.VDialog(v_model=("report_open",), width="90%"),
                v3.VCard(),
            ):
                # Without scripts, whatever the file holds.
                html.Iframe(
                    srcdoc=("report",),
                    sandbox="",
                    title="Report",
                    style="width: 100%; height: 85vh; border: 0; background: white",
                )

            with v3.VDialog(v_model=("image_open",), width="auto"):
                html.Img(
                    id="image",
                    src=("image",),
                    click="image_open = false",
                    style="max-height: 90vh; max-width: 95vw; height: 90vh; object-fit: contain",
                )

    def _toolbar(self) -> None:
        result = f"step === '{RESULT}'"
        v3.VSelect(
            v_if=(result,),
            v_model=("volume",),
            items=("volumes",),
            label="Volume",
            density="compact",
            hide_details=True,
            style="max-width: 340px",
            classes="mx-3",
        )
        with v3.VBtnToggle(
            v_if=(result,), v_model=("window",), mandatory=True, density="compact", classes="mx-3"
        ):
            for name, _, _ in WINDOWS:
                v3.VBtn(name, value=name, id=f"window-{name.split()[0].lower()}")
        v3.VSwitch(
            v_if=(f"{result} && has_ct",),
            v_model=("beside",),
            id="beside",
            label="CT beside",
            hide_details=True,
            density="compact",
            color="primary",
            classes="mx-3",
            style="flex: none",
        )
        v3.VSpacer()
        v3.VBtn(
            "Report",
            v_if=(f"{result} && report",),
            click="report_open = true",
            id="report",
            variant="outlined",
            classes="mx-2",
        )
        v3.VBtn(
            "X-rays",
            v_if=(f"{result} && roles.length",),
            disabled=("!!busy",),
            click=self.back,
            id="back",
            variant="outlined",
            classes="mx-2",
        )

    def _messages(self) -> None:
        v3.VAlert(
            "{{ disclaimer }}.", type="info", density="compact", variant="tonal", classes="mb-2"
        )
        v3.VAlert(
            "{{ error }}",
            v_if=("error",),
            id="error",
            type="error",
            density="compact",
            closable=True,
            classes="mb-2",
            click_close="error = ''",
        )
        with html.Div(v_if=("busy",), classes="mb-3", id="busy"):
            html.Div("{{ busy }} … {{ progress_text }}")
            v3.VProgressLinear(
                model_value=("progress",), indeterminate=("!stops",), height=8, classes="my-1"
            )
            v3.VBtn(
                "Cancel",
                v_if=("stops",),
                click=self.cancel,
                id="cancel",
                size="small",
                variant="outlined",
            )

    def _xray_controls(self) -> None:
        with html.Div(v_if=(f"step === '{XRAYS}'",)):
            with v3.VBtnToggle(
                v_if=("roles.length > 1",),
                v_model=("role",),
                disabled=("!!busy && ready",),
                mandatory=True,
                density="compact",
            ):
                v3.VBtn("{{ one }}", v_for="one in roles", key="one", value=("one",))
            html.Div("{{ verdict }}", id="verdict", classes="my-2 font-weight-medium")
            v3.VSelect(
                v_model=("style",),
                items=("styles",),
                disabled=(NOT_YET,),
                label="Overlay (DRR red, X-ray cyan)",
                density="compact",
                hide_details=True,
                classes="my-2",
            )
            for name, label, low, high, step in SLIDERS:
                html.Div(label + ": {{ " + name + " }}", classes="text-caption")
                with html.Div(id=f"slider-{name}"):
                    v3.VSlider(
                        v_model=(name,),
                        min=low,
                        max=high,
                        step=step,
                        disabled=(NOT_YET,),
                        hide_details=True,
                        density="compact",
                    )
            with html.Div(classes="my-2"):
                _action("Auto-register", self.auto_register, "register", classes="mr-2")
                _action("Reset", self.reset, "reset", variant="outlined")
            v3.VCheckbox(
                v_model=("allow_poor",),
                label="Use a poor registration",
                density="compact",
                hide_details=True,
            )
            _action(
                "Reconstruct",
                (self.reconstruct, "[allow_poor]"),
                "reconstruct",
                color="primary",
                block=True,
                classes="my-3",
            )

    def _save_controls(self) -> None:
        with html.Div(v_if=(f"step === '{RESULT}' && can_save",), classes="mb-3"):
            v3.VTextField(
                v_model=("folder",),
                label="Folder on the computer that runs axon view",
                id="folder",
                density="compact",
                hide_details=True,
            )
            _action("Save", (self.save, "[folder]"), "save", color="primary", classes="my-2")
            html.Div("{{ saved }}", id="saved")

    def _words(self) -> None:
        """What was given, assumed and measured."""
        with html.Div(v_if=("warnings.length",)):
            html.H4("Warnings", classes="mt-2")
            html.P("{{ text }}", v_for="text, n in warnings", key="n", classes="text-warning")
        with html.Div(v_if=(f"step === '{RESULT}' && images.length",)):
            html.H4("X-rays as registered; overlay (DRR red, X-ray cyan)", classes="mt-2")
            html.Img(
                v_for="one in images",
                key="one.title",
                src=("one.source",),
                alt=("one.title",),
                title=("one.title",),
                click="image = one.source; image_open = true",
                classes="xray",
                style="width: 100%; cursor: zoom-in; display: block; margin-bottom: 2px",
            )
        with html.Div(v_if=("measures.length",)):
            html.H4("Against the CT", classes="mt-2")
            with html.Table(id="measures", style="width: 100%; text-align: left"):
                with html.Thead(), html.Tr():
                    html.Th("metric")
                    html.Th("result")
                    html.Th("atlas")
                with (
                    html.Tbody(),
                    html.Tr(v_for="row in measures", key="row.name", title=("row.note",)),
                ):
                    html.Td("{{ row.name }}")
                    html.Td("{{ row.value }}")
                    html.Td("{{ row.atlas }}")
            html.P("Atlas: the mean of the training volumes.", classes="text-caption")
        html.H4("Inputs and assumptions", classes="mt-2")
        with html.Div(v_for="one, n in inputs", key="n", classes="mb-2"):
            html.Strong("{{ one.title }}")
            html.Div("{{ line }}", v_for="line, k in one.lines", key="k")
            with html.Ul(classes="pl-4"):
                html.Li("{{ text }}", v_for="text, k in one.assumed", key="k")
        with html.Div(v_if=(f"step === '{RESULT}' && registration.length",)):
            html.H4("Registration", classes="mt-2")
            html.Div("{{ text }}", v_for="text, n in registration", key="n")
        with html.Div(v_if=("facts.length",)):
            html.H4("Run", classes="mt-2")
            html.Div("{{ one.name }}: {{ one.value }}", v_for="one, n in facts", key="n")


def _action(text: str, call: Any, name: str, **options: Any) -> None:
    """A button that cannot be clicked while something is being computed.

    Args:
        text: its label.
        call: what it does; with the fields of the page that it needs, a pair of the call and their
            names in the browser. A click may reach a slow server before what was typed just before
            it, so the call must not take them from the state.
        name: its id.
        options: of the button.
    """
    v3.VBtn(text, click=call, disabled=(NOT_YET,), id=name, **options)


def _as_read(xray: Radiograph) -> str:
    """An X-ray in true proportions, at most 512 pixels high, as a data URI."""
    down, across = xray.pixel_mm or (1.0, 1.0)
    rows, columns = xray.pixels.shape
    height = min(512, rows)
    size = (round(height * columns * across / (rows * down)), height)
    shown = (255 * grey(xray.pixels, xray.valid)).astype("uint8")
    return _as_uri(Image.fromarray(shown).resize(size, Image.Resampling.BOX))


def _as_uri(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return data_uri(file.getvalue(), "image/png")
