"""``axon view``; see ``commands``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axon_backend.cli import shared_options, xray_options
from axon_backend.cli.stages import parse_stages, parse_steps
from axon_backend.errors import AxonInputError
from axon_backend.util.address import LOOPBACK, check_port_number
from axon_backend.util.input_file import exists

if TYPE_CHECKING:
    from axon_backend.imaging.ct import CTVolume
    from axon_backend.inference.case_files import CaseInputs
    from axon_backend.viewer.xray_case import XrayCase


def add_arguments(one: argparse.ArgumentParser) -> None:
    """All options of ``axon view``."""
    one.add_argument(
        "result", nargs="?", metavar="RESULT", help="a folder that axon reconstruct wrote"
    )
    one.add_argument("--frontal", metavar="FILE", help="PA or AP X-ray to start from instead")
    one.add_argument(
        "--ct", metavar="PATH", help="CT of the same patient, shown beside the reconstruction"
    )
    shared_options.add_views(one)
    shared_options.add_model(one)
    shared_options.add_sampling(one)
    shared_options.add_samples(one)
    one.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="listen on another address of this computer than 127.0.0.1",
    )
    one.add_argument("--port", type=int, default=0, metavar="N", help="default: a free one")
    one.add_argument(
        "--no-browser", action="store_true", help="print the address, and open no browser"
    )


def view(chosen: argparse.Namespace) -> int:
    """Run ``axon view``, until it is stopped."""
    steps, stages = parse_steps(chosen.steps), parse_stages(chosen.stages)
    stated = xray_options.stated(chosen)
    if (chosen.result is None) == (chosen.frontal is None):
        raise AxonInputError(
            "Give either the folder of a result, or --frontal with the X-ray to start from."
        )
    if chosen.lateral is not None and chosen.frontal is None:
        raise AxonInputError("--lateral needs the frontal X-ray too: give --frontal.")
    if chosen.samples < 1:
        raise AxonInputError(f"--samples is {chosen.samples}; it must be at least 1.")
    check_port_number(chosen.port)
    from axon_backend.viewer.finished_case import FinishedCase
    from axon_backend.viewer.serve import check_extra, serve
    from axon_backend.viewer.settings import RunSettings

    check_extra()  # before anything is read
    finished, xrays = None, None
    if chosen.result is not None:
        finished = FinishedCase.open(chosen.result)
        if chosen.ct is not None and not exists(chosen.ct):
            raise AxonInputError(f"{chosen.ct} does not exist. Check the path of the CT.")
    else:
        from axon_backend.imaging.view import parse_view
        from axon_backend.inference.case_files import read_case

        xrays = read_case(
            chosen.frontal,
            chosen.lateral,
            chosen.ct,
            frontal_view=parse_view(chosen.view),
            stated=stated,
        )

    def ct() -> CTVolume:
        from axon_backend.imaging.ct import read_ct

        return read_ct(chosen.ct, force=stated.get("ct", {}).get("force", False))

    def load(inputs: CaseInputs) -> XrayCase:
        from axon_backend.inference.session import InferenceSession
        from axon_backend.viewer.xray_case import XrayCase

        session = InferenceSession(chosen.bundle, chosen.device)
        session.stages(stages)
        session.steps(steps)
        return XrayCase(inputs, session)

    def announce(url: str) -> None:
        print(f"Open {url}")
        if chosen.host not in LOOPBACK:
            print(
                "Warning: other computers can reach this page, and it is not encrypted. Whoever "
                "has the address can see the case."
            )
        print("Stop with Ctrl-C.", flush=True)

    serve(
        finished=finished,
        xrays=xrays,
        ct=None if chosen.ct is None or finished is None else ct,
        load=load,
        settings=RunSettings(
            stages, None if steps is None else tuple(steps), chosen.seed, chosen.samples
        ),
        host=chosen.host,
        port=chosen.port,
        browser=not chosen.no_browser,
        announce=announce,
    )
    return 0
