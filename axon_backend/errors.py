"""The two exceptions a user of AXON meets."""


class AxonInputError(ValueError):
    """The input cannot be used. The message says what was wrong and what to do about it."""


class Cancelled(RuntimeError):
    """The user asked to stop; raised between two steps, before anything is written."""
