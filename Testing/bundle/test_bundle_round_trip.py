"""What is written into a bundle comes out again."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from axon_backend.bundle import load_bundle, seal_bundle, write_bundle
from axon_backend.bundle.layout import FORMAT_VERSION
from axon_backend.errors import AxonInputError


def test_name_version_config_and_networks_come_back(bundle, contents):
    assert (bundle.name, bundle.version) == ("axon-test", "0.1.0")
    assert bundle.config == {**contents["config"], "format_version": FORMAT_VERSION}
    assert bundle.networks == ("coarse", "sr")
    assert len(bundle.sha256) == 64


def test_weights_are_stored_in_half_precision_and_integers_exactly(bundle, contents):
    written = contents["state_dicts"]["coarse"]
    stored = bundle.state_dict("coarse")
    assert stored["conv.weight"].dtype == torch.float16
    assert torch.equal(stored["conv.weight"], written["conv.weight"].half())
    assert stored["steps"].item() == 1234567

    wide = bundle.state_dict("coarse", dtype=torch.float32)
    assert wide["conv.weight"].dtype == torch.float32
    assert torch.equal(wide["conv.weight"], written["conv.weight"].half().float())
    assert wide["steps"].dtype == torch.int64


def test_packed_weights_are_off_by_half_a_scale_at_most(tmp_path, contents):
    """max |W| / 127 / 2 in each output channel; small ones and buffers stay as they are."""
    source, target = torch.nn.Conv3d(32, 64, 3), torch.nn.Conv3d(32, 64, 3)
    source.weight.data[3] *= 100.0  # one loud channel must not cost the others their digits
    source.register_buffer("mean", torch.randn(1, 1, 16, 16, 16))
    target.register_buffer("mean", torch.zeros(1, 1, 16, 16, 16))
    made = contents | {"state_dicts": {"coarse": source.state_dict()}}
    plain = write_bundle(tmp_path / "plain", **made)
    packed = write_bundle(tmp_path / "packed", **made, dtype=torch.int8)
    stored = packed.state_dict("coarse")
    target.load_state_dict(stored)
    error = (target.weight - source.weight).abs().flatten(1).amax(1)
    half_a_step = source.weight.abs().flatten(1).amax(1) / 127 / 2
    assert (error <= half_a_step * 1.001).all() and (error > 0).all()
    assert torch.equal(stored["bias"], source.bias.half())
    assert torch.equal(stored["mean"], source.mean.half())
    size = [(b.path / "models/coarse.safetensors").stat().st_size for b in (plain, packed)]
    assert size[1] < 0.6 * size[0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_packing_refuses_what_is_not_finite(tmp_path, contents, bad):
    weight = torch.ones(32, 64)
    weight[2, 3] = bad
    made = contents | {"state_dicts": {"coarse": {"weight": weight}}}
    with pytest.raises(AxonInputError, match="not finite"):
        write_bundle(tmp_path / "bad", **made, dtype=torch.int8)


def test_a_module_is_restored(tmp_path, contents):
    source, target = torch.nn.Conv3d(2, 3, 3), torch.nn.Conv3d(2, 3, 3)
    made = contents | {"state_dicts": {"coarse": source.state_dict()}}
    bundle = write_bundle(tmp_path / "full", **made, dtype=torch.float32)
    target.load_state_dict(bundle.state_dict("coarse"))
    volume = torch.randn(1, 2, 5, 5, 5)
    assert torch.equal(source(volume), target(volume))


def test_tied_and_strided_weights_are_stored_apart(tmp_path, contents):
    weight = torch.arange(6.0).reshape(2, 3)
    made = contents | {"state_dicts": {"sr": {"a": weight, "b": weight, "c": weight.T}}}
    stored = write_bundle(tmp_path / "tied", **made).state_dict("sr")
    assert torch.equal(stored["a"], stored["b"])
    assert torch.equal(stored["c"], weight.T.half())


def test_atlas_comes_back_in_hu_and_millimetres(bundle, contents):
    hu, size_mm = bundle.atlas()
    assert size_mm == (320.0, 240.0, 280.0)
    assert hu.dtype == np.float32
    np.testing.assert_array_equal(hu, np.rint(contents["atlas_hu"]))


def test_atlas_is_centred_and_axis_aligned_for_other_programs(bundle):
    import nibabel

    image = nibabel.load(bundle.path / "atlas" / "atlas.nii.gz")
    assert image.get_data_dtype() == np.int16
    # NIfTI is RAS, AXON is LPS: x and y change sign. Voxels are 320/6, 240/5 and 280/4 mm.
    np.testing.assert_allclose(np.diag(image.affine), [-320 / 6, -48, 70, 1], rtol=1e-6)
    centre = image.affine @ [2.5, 2.0, 1.5, 1]
    np.testing.assert_allclose(centre[:3], 0, atol=1e-4)


def test_the_same_contents_have_the_same_hash_and_others_another(tmp_path, bundle, contents):
    assert write_bundle(tmp_path / "again", **contents).sha256 == bundle.sha256
    contents["state_dicts"]["sr"]["up.bias"][0] = 0.75
    assert write_bundle(tmp_path / "other", **contents).sha256 != bundle.sha256


def test_weights_that_half_precision_cannot_hold_are_refused(tmp_path, contents):
    made = contents | {"state_dicts": {"sr": {"big": torch.tensor([1e6])}}}
    with pytest.raises(AxonInputError, match=r"'sr'.*'big'.*1e\+06"):
        write_bundle(tmp_path / "big", **made)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_bundle_is_kept_unless_replacing_is_asked_for(tmp_path, bundle, contents):
    contents["metadata"]["version"] = "0.2.0"
    with pytest.raises(AxonInputError, match="already exists"):
        write_bundle(bundle.path, **contents)
    assert load_bundle(bundle.path).version == "0.1.0"

    assert write_bundle(bundle.path, **contents, replace=True).version == "0.2.0"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_failed_replacement_leaves_the_old_bundle(tmp_path, bundle, contents):
    broken = contents | {"atlas_hu": np.full((4, 4, 4), np.nan)}
    with pytest.raises(AxonInputError, match="atlas"):
        write_bundle(bundle.path, **broken, replace=True)
    assert load_bundle(bundle.path).sha256 == bundle.sha256
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path, contents):
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years of work")
    with pytest.raises(AxonInputError, match="not an AXON bundle"):
        write_bundle(home, **contents, replace=True)
    assert (home / "thesis.txt").read_text() == "years of work"


def test_sealing_accepts_an_edited_model_card(bundle):
    (bundle.path / "docs" / "README.md").write_text("# better words\n")
    with pytest.raises(AxonInputError, match="has changed"):
        load_bundle(bundle.path)
    assert seal_bundle(bundle.path) == load_bundle(bundle.path).sha256 != bundle.sha256


def test_a_bundle_opens_without_torch_and_monai(bundle):
    """Reading depends on no torch version: the format is safetensors, JSON and NIfTI."""
    program = (
        "import sys; sys.modules['torch'] = sys.modules['monai'] = None\n"
        "from safetensors.numpy import load_file\n"
        "from axon_backend.bundle import load_bundle\n"
        "bundle = load_bundle(sys.argv[1])\n"
        "weights = load_file(bundle.path / 'models' / 'sr.safetensors')\n"
        "print(bundle.sha256, weights['up.bias'].tolist(), bundle.atlas()[0].shape)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(bundle.path)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split(" ", 1) == [bundle.sha256, "[0.5, -0.25] (4, 5, 6)\n"]


def test_the_weights_file_is_readable_by_its_published_layout(bundle):
    """Eight bytes of header length, a JSON header, then the raw numbers."""
    raw = (bundle.path / "models" / "sr.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    entry = json.loads(raw[8 : 8 + length])["up.bias"]
    assert (entry["dtype"], entry["shape"]) == ("F16", [2])
    first, last = entry["data_offsets"]
    values = np.frombuffer(raw[8 + length :][first:last], "<f2")
    assert values.tolist() == [0.5, -0.25]
