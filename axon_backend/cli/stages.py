"""``--stages`` and ``--steps``, as several commands take them."""

from __future__ import annotations

from axon_backend.errors import AxonInputError


def parse_stages(text: str | None) -> tuple[str, ...] | None:
    """``a,b`` -> names; which ones exist is for the bundle's method to say."""
    if text is None:
        return None
    return tuple(part.strip() for part in text.split(",") if part.strip())


def parse_steps(text: str | None) -> list[int] | None:
    """``N`` or ``N,M`` -> steps, in the order of the stages that take steps.

    Raises:
        AxonInputError: not whole numbers of at least 1.
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
            "for each stage that takes steps, in their order."
        )
    return counts
