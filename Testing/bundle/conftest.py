"""A small bundle with known contents. Lets the tests of this folder import `bundle_archives`."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from axon_backend.bundle import Bundle, bundle_metadata, write_bundle
from axon_backend.methods.formats import views_format, volume_format

sys.path.insert(0, str(Path(__file__).parent))


def make_contents() -> dict:
    """Arguments of write_bundle: two small networks and a 4 x 5 x 6 atlas."""
    generator = torch.Generator().manual_seed(7)
    return {
        "config": {"hu_window": [-1000, 900], "networks": {"coarse": {"channels": [8, 16]}}},
        "metadata": bundle_metadata(
            name="axon-test",
            version="0.1.0",
            description="Two tiny networks.",
            inputs=views_format(64),
            output_grid=32,
            hu_window=(-1000, 900),
            networks={
                "coarse": {"inputs": views_format(64), "outputs": {"volume": volume_format(16)}},
                "sr": {
                    "inputs": {"volume": volume_format(16)},
                    "outputs": {"volume": volume_format(32)},
                },
            },
        ),
        "state_dicts": {
            "coarse": {
                "conv.weight": torch.randn(2, 1, 3, 3, 3, generator=generator),
                "steps": torch.tensor(1234567),
            },
            "sr": {"up.bias": torch.tensor([0.5, -0.25])},
        },
        "atlas_hu": np.linspace(-1000, 900, 120).reshape(4, 5, 6),
        "atlas_size_mm": (320.0, 240.0, 280.0),
        "model_card": "# axon-test\n",
        "licence_text": "Apache-2.0\n",
    }


@pytest.fixture
def contents() -> dict:
    return make_contents()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "bundle", **make_contents())


@pytest.fixture
def library(tmp_path: Path, monkeypatch) -> Path:
    """The folder of imported bundles of an empty home of its own; it does not exist yet."""
    monkeypatch.setenv("AXON_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "bundles"
