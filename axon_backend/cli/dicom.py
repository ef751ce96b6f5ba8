"""``axon dicom serve``; see ``commands``."""

from __future__ import annotations

import argparse
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from axon_backend.errors import AxonInputError
from axon_backend.util.address import LOOPBACK, check_port_number

if TYPE_CHECKING:
    from axon_backend.cohort.dicom_service import Peer


def add_arguments(one: argparse.ArgumentParser) -> None:
    """Add the options of ``axon dicom serve`` other than those of the model."""
    one.add_argument(
        "--output",
        required=True,
        metavar="DIR",
        help="the folder for received X-rays and results, which are kept",
    )
    one.add_argument(
        "--ae-title", default="AXON", metavar="AET", help="AE title of this node (default AXON)"
    )
    one.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: 127.0.0.1")
    one.add_argument("--port", type=int, default=11112, metavar="N", help="default: 11112")
    one.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="AET",
        help="AE title that may send; repeat for more (default: any, from this computer only)",
    )
    one.add_argument(
        "--send-to",
        metavar="AET@HOST:PORT",
        help="node that the CT series are sent to (default: they are only stored)",
    )
    one.add_argument(
        "--settle",
        type=float,
        default=30.0,
        metavar="S",
        help="a study is complete when no image has arrived for S seconds (default 30)",
    )
    one.add_argument("--tls-certificate", metavar="PEM", help="serve and send over TLS")
    one.add_argument("--tls-key", metavar="PEM", help="private key of that certificate")
    one.add_argument(
        "--tls-ca",
        metavar="PEM",
        help="CA certificates that the certificates of other nodes are checked against",
    )
    one.add_argument(
        "--allow-poor", action="store_true", help="also reconstruct poorly registered studies"
    )
    one.add_argument("--seed", type=int, default=0, metavar="S", help="random seed (default 0)")


def serve(chosen: argparse.Namespace) -> int:
    """``axon dicom serve``: runs until it is stopped."""
    for title in (chosen.ae_title, *chosen.allow):
        _check_title(title)
    check_port_number(chosen.port)
    if not chosen.settle > 0:
        raise AxonInputError(f"--settle is {chosen.settle:g} s; it must be more than 0.")
    if chosen.host not in LOOPBACK and not chosen.allow:
        raise AxonInputError(
            f"--host {chosen.host} can be reached by other computers: name the AE titles that may "
            "send with --allow."
        )
    peer = None if chosen.send_to is None else parse_peer(chosen.send_to)
    server_tls, client_tls = tls_contexts(chosen)
    from axon_backend.cli.console import stop_on_signal
    from axon_backend.cohort.dicom_service import DicomService, ServiceSettings
    from axon_backend.cohort.settings import CohortSettings

    settings = ServiceSettings(
        ae_title=chosen.ae_title,
        host=chosen.host,
        port=chosen.port,
        allowed=tuple(chosen.allow),
        send_to=peer,
        settle_seconds=chosen.settle,
        tls=server_tls,
        send_tls=client_tls,
        cohort=CohortSettings(
            bundle=chosen.bundle,
            device=chosen.device,
            seed=chosen.seed,
            allow_poor=chosen.allow_poor,
            dicom="identified",
        ),
    )
    with stop_on_signal() as stop, DicomService(Path(chosen.output), settings) as service:
        print(
            f"{chosen.ae_title} listens on {chosen.host}, port {service.port}. Ctrl-C stops it.",
            flush=True,
        )
        service.run(stop.is_set)
    return 0


def parse_peer(text: str) -> Peer:
    """Parse ``AET@HOST:PORT``.

    Raises:
        AxonInputError: the text has another form.
    """
    from axon_backend.cohort.dicom_service import Peer

    title, _, address = text.partition("@")
    host, _, port = address.rpartition(":")
    if not (title and host and port.isdecimal() and 0 < int(port) <= 65535):
        raise AxonInputError(
            f"--send-to is {text!r}; give AET@HOST:PORT, for example PACS@10.0.0.5:104."
        )
    _check_title(title)
    return Peer(host.strip("[]"), int(port), title)


def tls_contexts(
    chosen: argparse.Namespace,
) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """TLS contexts for serving and for sending; both None without ``--tls-certificate``.

    With ``--tls-ca``, the other side must present a certificate too (DICOM PS3.15 B).

    Raises:
        AxonInputError: a file or option is missing, or a file cannot be used.
    """
    if chosen.tls_certificate is None:
        if chosen.tls_key or chosen.tls_ca:
            raise AxonInputError("--tls-key and --tls-ca need --tls-certificate.")
        return None, None
    try:
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=chosen.tls_ca)
        client = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=chosen.tls_ca)
        for context in (server, client):
            context.load_cert_chain(chosen.tls_certificate, chosen.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise AxonInputError(
            f"The TLS certificate, key or CA cannot be used: {error}. Give PEM files."
        ) from error
    if chosen.tls_ca is not None:
        server.verify_mode = ssl.CERT_REQUIRED
    return server, client


def _check_title(title: str) -> None:
    if not 0 < len(title.strip()) <= 16 or not title.isascii() or "\\" in title:
        raise AxonInputError(
            f"{title!r} is not a valid AE title; use 1 to 16 ASCII characters without backslashes."
        )
