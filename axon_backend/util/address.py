"""Network addresses that a command listens on."""

from __future__ import annotations

from axon_backend.errors import AxonInputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts that only this computer can reach."""


def check_port_number(port: int) -> None:
    """Refuse a ``--port`` that does not exist; 0 stands for any free one.

    Raises:
        AxonInputError: the number is out of range.
    """
    if not 0 <= port <= 65535:
        raise AxonInputError(f"--port is {port}; it must be between 0 and 65535.")
