"""Quick 3-D images for the tests of this folder."""

import pytest


@pytest.fixture(autouse=True)
def _no_volume_rendering(monkeypatch):
    """Draw as on a machine without OpenGL: VTK's own process takes seconds for each image.

    The run that a module shares (a fixture of wider scope) still draws with VTK where it can.
    """
    from axon_backend.evaluation import render3d

    monkeypatch.setattr(render3d, "_render_in_subprocess", lambda *args: None)
