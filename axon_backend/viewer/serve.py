"""Serve the page of one case until it is stopped."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import webbrowser
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from axon_backend.errors import AxonInputError
from axon_backend.viewer.access import address, guard, new_token

if TYPE_CHECKING:
    from axon_backend.imaging.ct import CTVolume
    from axon_backend.inference.case_files import CaseInputs
    from axon_backend.viewer.finished_case import FinishedCase
    from axon_backend.viewer.settings import RunSettings
    from axon_backend.viewer.xray_case import XrayCase

NEEDED = ("trame", "trame_slicer", "trame_vuetify", "slicer", "slicer_core", "slicer_layer_dm")
# In a process of its own: without OpenGL, VTK does not raise an error but ends the process.
_DRAWS = """
import vtkmodules.vtkRenderingOpenGL2
from vtkmodules.vtkRenderingCore import vtkRenderWindow
window = vtkRenderWindow()
window.SetOffScreenRendering(1)
window.Render()
raise SystemExit(0 if window.SupportsOpenGL() else 1)
"""


def check_extra() -> None:
    """Raise AxonInputError where the extra ``view`` is not installed."""
    if any(find_spec(name) is None for name in NEEDED):
        raise AxonInputError(
            "axon view needs trame-slicer, which is not installed. Install it into an environment "
            "of its own: pip install 'axon-ct[view]'."
        )


def check_port(host: str, port: int) -> None:
    """Raise AxonInputError where a port cannot be listened on; 0 stands for any free one."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise AxonInputError(
            f"--host {host} is no address of this computer ({error.strerror or error}). Leave it "
            "out, or give an address that this computer has."
        ) from error
    try:
        with socket.socket(found[0], socket.SOCK_STREAM) as trial:
            if os.name != "nt":  # there it would allow a port that is in use
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(found[4])
    except OSError as error:
        raise AxonInputError(
            f"Cannot listen on port {port} of {host} ({error.strerror or error}). Give another "
            "--port, or leave it out for a free one."
        ) from error


def check_drawing() -> None:
    """Raise AxonInputError where VTK cannot draw."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _DRAWS], capture_output=True, timeout=120, check=False
        )
        draws = done.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        draws = False
    if not draws:
        raise AxonInputError(
            "VTK cannot draw on this machine: it finds no OpenGL. Install a software one (Debian "
            "and Ubuntu: apt install libegl1 libgl1 libosmesa6), or use axon reconstruct "
            "--interactive, whose page is drawn by the browser."
        )


def serve(
    *,
    finished: FinishedCase | None = None,
    xrays: CaseInputs | None = None,
    ct: Callable[[], CTVolume] | None = None,
    load: Callable[[CaseInputs], XrayCase] | None = None,
    settings: RunSettings | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    browser: bool = True,
    announce: Callable[[str], Any] = print,
) -> None:
    """Serve a case until Ctrl-C.

    Args:
        finished: a case that ``axon reconstruct`` wrote, or
        xrays: the X-rays to start from.
        ct: reads the CT that is shown beside a finished case.
        load: makes a case of ``xrays``, with the model.
        settings: how *Reconstruct* runs.
        host, port: where to listen; port 0 is any free one.
        browser: open the page in the user's browser.
        announce: told the address, with the token in it, when the page can be opened.

    Raises:
        AxonInputError: the extra ``view`` or OpenGL is missing, the port is taken, or the case
            cannot be used.
    """
    check_extra()
    check_port(host, port)
    os.environ["WSLINK_READY_MSG"] = ""  # no word of the library among ours
    with ThreadPoolExecutor(1) as meanwhile:
        drawing = meanwhile.submit(check_drawing)
        from aiohttp.web import GracefulExit
        from trame.app import get_server

        from axon_backend.viewer.page import Page

        drawing.result()
    server = get_server(f"axon-{os.getpid()}", client_type="vue3")
    token = new_token()

    def protect(backend: Any) -> None:
        backend.app.middlewares.append(guard(token))

    def ready(**_: Any) -> None:
        asyncio.get_running_loop().set_exception_handler(_without_closed_pages)
        url = address(host, server.port, token)
        announce(url)
        if browser:
            _open_browser(url, folder)
        page.start()

    server.controller.on_server_bind.add(protect)
    server.controller.on_server_ready.add(ready)
    with TemporaryDirectory(prefix="axon-view-") as scratch:
        folder = Path(scratch)
        page = Page(
            server,
            folder,
            finished=finished,
            xrays=xrays,
            ct=ct,
            load=load,
            settings=settings,
        )
        try:
            server.start(
                host=host,
                port=port,
                open_browser=False,
                show_connection_info=False,
                disable_logging=True,
                timeout=0,
            )
        except (GracefulExit, KeyboardInterrupt):
            pass  # how it is stopped
        finally:
            page.close()


def _open_browser(url: str, folder: Path) -> None:
    """Open the address by a file that only this user can read: the arguments of a program, in which
    the token would stand, are shown to everybody on the computer."""
    page = folder / "open.html"
    page.write_text(f'<meta http-equiv="refresh" content="0; url={url}">', "utf-8")
    webbrowser.open(page.as_uri())


def _without_closed_pages(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Images that were on their way to a page that has been closed are no error."""
    if not isinstance(context.get("exception"), ConnectionError):
        loop.default_exception_handler(context)
