"""The two exceptions a user of AXON meets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from axon_backend.result import Reconstruction


class AxonInputError(ValueError):
    """The input cannot be used. The message says what was wrong and what to do about it."""


class Cancelled(RuntimeError):
    """The user asked to stop; raised between two steps, before anything is written.

    Attributes:
        finished: the stages of a reconstruction that were done by then, or None.
    """

    finished: Reconstruction | None = None
