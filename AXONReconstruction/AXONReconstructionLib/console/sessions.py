"""The backend's inference session of a logic: a model that stays loaded between runs."""

from __future__ import annotations

from AXONReconstructionLib.setup import backend


class Sessions:
    """Keeps the session of the model used last; called on the worker only.

    Each logic has its own, so two logics never share networks.
    """

    def __init__(self) -> None:
        self._key: tuple[str, str, str] | None = None
        self._session = None

    def get(self, bundle: str | None, device: str):
        """The `InferenceSession` for a model folder (None or "": the shipped one) and a device."""
        model = backend.load("bundle").load_bundle(bundle or None)
        key = (str(model.path), model.sha256, device)
        if self._key != key:
            self.release()
            self._session = backend.load("inference.session").InferenceSession(model, device)
            self._key = key
        return self._session

    def release(self) -> None:
        """Free the memory of the networks."""
        if self._session is not None:
            self._session.release()
        self._key = self._session = None
