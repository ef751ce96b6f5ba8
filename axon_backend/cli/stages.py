"""Parsing of ``--stages`` and ``--steps``, which several commands have."""

from __future__ import annotations

from axon_backend.errors import AxonInputError


def parse_stages(text: str | None) -> tuple[str, ...] | None:
    """``a,b`` -> names; the session checks that they exist, and knows what ``all`` is."""
    if text is None:
        return None
    return tuple(part.strip() for part in text.split(",") if part.strip())


def parse_steps(text: str | None) -> list[int] | None:
    """``N`` or ``N,M`` -> steps of each sampling stage, in the order of the stages.

    Raises:
        AxonInputError: the text is not a list of whole numbers of at least 1.
    """
    if text is None:
        return None
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise AxonInputError(
            f"--steps is {text!r}; give whole numbers of at least 1, for example 10 or 10,15: one "
            "for each sampling stage, in the order of the stages."
        )
    return counts
