"""A run folder becomes a bundle that holds the run's weights and its mean volume."""

import numpy as np
import pytest
import torch

from axon_backend.bundle import load_bundle
from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.axon import Axon, AxonConfig
from axon_backend.model import load_model
from axon_backend.networks.encoder import EncoderConfig
from axon_backend.networks.srnet import SRConfig
from axon_backend.networks.unet import UNetConfig
from axon_backend.training.export import export_bundle

SMALL = UNetConfig(channels=(16, 16), attention=(False, False), groups=8, head_channels=8)
CONFIG = AxonConfig(
    encoder=EncoderConfig(size=16, view_size=32, channels=(16, 16, 16), features=1, trunk=(16, 16)),
    coarse=SMALL,
    prior=SMALL,
    sr=SRConfig(features=8, blocks=1, growth=4),
)


@pytest.fixture
def run(tmp_path):
    torch.manual_seed(0)
    model = Axon(CONFIG)
    for part in Axon.PARTS:
        (tmp_path / "run" / part).mkdir(parents=True)
        torch.save(getattr(model, part).state_dict(), tmp_path / "run" / part / "best.pt")
    mean = torch.linspace(-1, 1, 32).expand(1, 1, 32, 32, 32).clone()
    torch.save(mean, tmp_path / "run" / "mean.pt")
    return tmp_path / "run", model, mean


def export(folder, target):
    export_bundle(
        folder,
        target,
        CONFIG,
        name="tiny",
        version="0.0.1",
        atlas_size_mm=(300.0, 230.0, 270.0),
        model_card="# tiny\n",
        licence_text="Apache-2.0\n",
        data_source="none",
    )


def test_the_bundle_holds_the_weights_and_the_atlas(run, tmp_path):
    folder, model, mean = run
    export(folder, tmp_path / "bundle")
    bundle = load_bundle(tmp_path / "bundle")
    loaded = load_model(bundle)
    assert loaded.config == CONFIG
    for part in Axon.PARTS:
        for name, value in getattr(model, part).state_dict().items():
            stored = getattr(loaded, part).state_dict()[name]
            # Packed in eight bits: off by half of 1/127 of the largest weight of its channel.
            step = value.abs().amax() / 127
            assert torch.allclose(stored, value, rtol=1e-3, atol=0.51 * float(step)), name
    atlas, size_mm = bundle.atlas()
    assert size_mm == (300.0, 230.0, 270.0)
    # Kept in steps of 8 HU.
    assert np.abs(atlas - HuWindow().to_hu(mean)[0, 0].numpy()).max() <= 4.0


def test_a_stage_that_was_not_trained_is_missed(run, tmp_path):
    folder, _, _ = run
    (folder / "sr" / "best.pt").unlink()
    with pytest.raises(FileNotFoundError, match="sr"):
        export(folder, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
