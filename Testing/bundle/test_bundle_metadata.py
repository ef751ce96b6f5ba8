"""metadata.json is what MONAI's bundle specification asks for."""

import json
import socket

import pytest

from axon_backend.bundle import bundle_metadata, load_bundle, metadata_schema_path, model_card
from axon_backend.bundle.layout import SHIPPED
from axon_backend.errors import AxonInputError

FORMATS = {"image_size": 128, "grid": 64, "output_grid": 128, "hu_window": (-1000.0, 900.0)}


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
        name="n", version="1.2.3", description="d", networks=networks, **FORMATS
    )
    assert metadata["sr_data_format"]["outputs"]["volume"]["spatial_shape"] == [128] * 3
    assert metadata["encoder_data_format"]["inputs"]["frontal"]["spatial_shape"] == [128] * 2
    assert metadata["network_data_format"]["outputs"]["ct"]["value_range"] == [-1000, 900]
    assert {f"{name}_data_format" for name in networks} <= metadata.keys()


def test_a_network_without_description_is_refused():
    with pytest.raises(AxonInputError, match="'decoder'"):
        bundle_metadata(name="n", version="1.0.0", description="d", networks=["decoder"], **FORMATS)


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
    )
    assert "| method | PSNR |\n| --- | --- |\n| AXON | 20.1 |\n| atlas | 16.0 |\n" in card
    assert "not for diagnosis" in card
    assert "- Invents what the X-ray does not show." in card


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
