"""metadata.json is what MONAI's bundle specification asks for."""

import json
import socket

import pytest

from axon_backend.bundle import bundle_metadata, load_bundle, metadata_schema_path, model_card
from axon_backend.bundle.layout import SHIPPED
from axon_backend.methods.axon.config import AxonConfig
from axon_backend.methods.axon.method import AXON
from axon_backend.methods.formats import views_format


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the test reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_monai_verifies_the_metadata_offline(bundle, no_network):
    from monai.bundle import verify_metadata

    verify_metadata(
        meta_file=str(bundle.path / "configs" / "metadata.json"),
        filepath=str(metadata_schema_path()),
    )


@pytest.mark.parametrize("key", ["version", "task", "network_data_format", "coarse_data_format"])
def test_monai_finds_faults_in_the_metadata(bundle, tmp_path, no_network, key):
    from monai.bundle import verify_metadata

    (tmp_path / "metadata.json").write_text(json.dumps({**bundle.metadata, key: 3}))
    with pytest.raises(ValueError, match="Failed validating"):
        verify_metadata(
            meta_file=str(tmp_path / "metadata.json"), filepath=str(metadata_schema_path())
        )


def test_monai_reads_our_configuration_as_plain_values(bundle):
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(bundle.path / "configs" / "axon.json")
    parser.read_meta(bundle.path / "configs" / "metadata.json")
    parser.parse()
    assert parser["hu_window"] == [-1000, 900]
    assert parser["_meta_#network_data_format#outputs#ct#spatial_shape"] == [32, 32, 32]


def test_every_network_of_the_bundle_is_described():
    networks = ["encoder", "coarse", "prior", "controlnet", "sr"]
    metadata = bundle_metadata(
        name="n",
        version="1.2.3",
        description="d",
        inputs=views_format(1024),
        output_grid=128,
        hu_window=(-1000.0, 900.0),
        networks=AXON.network_formats(AxonConfig()),
        references=AXON.references,
    )
    assert metadata["sr_data_format"]["outputs"]["volume"]["spatial_shape"] == [128] * 3
    assert metadata["encoder_data_format"]["inputs"]["frontal"]["spatial_shape"] == [128] * 2
    # The bridge sees the volume, two back-projected views and their residuals.
    assert metadata["coarse_data_format"]["inputs"]["condition"]["num_channels"] == 5
    assert metadata["network_data_format"]["inputs"]["frontal"]["spatial_shape"] == [1024] * 2
    assert metadata["network_data_format"]["outputs"]["ct"]["value_range"] == [-1000, 900]
    assert {f"{name}_data_format" for name in networks} <= metadata.keys()
    assert "2603.26509" in metadata["references"][0]


def test_a_bundle_without_a_prior_describes_its_second_bridge():
    formats = AXON.network_formats(AxonConfig(fine_diff="bridge", condition_on_views=False))
    assert list(formats) == ["encoder", "coarse", "controlnet", "sr"]
    assert formats["controlnet"] == formats["coarse"]
    assert formats["controlnet"]["inputs"]["condition"]["num_channels"] == 1


def test_model_card_holds_the_figures_as_a_table():
    card = model_card(
        name="axon-preview",
        version="0.1.0",
        summary="Small.",
        inputs="X-ray",
        outputs="CT",
        training_data="13 patients",
        figures=[{"method": "AXON", "PSNR": "20.1"}, {"method": "atlas", "PSNR": "16.0"}],
        figures_note="2 test patients.",
        limits=["Invents what the X-ray does not show."],
        method="AXON, after a paper",
    )
    assert "| method | PSNR |\n| --- | --- |\n| AXON | 20.1 |\n| atlas | 16.0 |\n" in card
    assert "not for diagnosis" in card
    assert "- Invents what the X-ray does not show." in card
    assert "## Method\n\nAXON, after a paper\n" in card


@pytest.mark.skipif(not SHIPPED.is_dir(), reason="no bundle ships with this checkout")
def test_the_shipped_bundle_is_sound(no_network):
    from monai.bundle import verify_metadata

    shipped = load_bundle()
    verify_metadata(
        meta_file=str(shipped.path / "configs" / "metadata.json"),
        filepath=str(metadata_schema_path()),
    )
    for network in shipped.networks:
        assert shipped.state_dict(network)
    hu, size_mm = shipped.atlas()
    assert -1100 < hu.min() < -700 and 200 < min(size_mm) < max(size_mm) < 600
