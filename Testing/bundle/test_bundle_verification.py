"""A damaged, foreign or hostile folder is refused with a sentence that says why."""

import json
import os
import pickle
import shutil

import pytest

from axon_backend.bundle import load_bundle, seal_bundle, verify_bundle
from axon_backend.bundle.checksums import write_checksums
from axon_backend.bundle.layout import FORMAT_VERSION
from axon_backend.errors import AxonInputError


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_sound_bundle_lists_every_file(bundle):
    assert sorted(verify_bundle(bundle.path)) == [
        "LICENSE",
        "atlas/atlas.json",
        "atlas/atlas.nii.gz",
        "configs/axon.json",
        "configs/metadata.json",
        "docs/README.md",
        "models/coarse.safetensors",
        "models/sr.safetensors",
    ]


def test_the_list_is_one_that_sha256sum_accepts(bundle):
    import hashlib

    for line in (bundle.path / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((bundle.path / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize(
    "name", ["models/coarse.safetensors", "configs/axon.json", "atlas/atlas.nii.gz", "LICENSE"]
)
def test_one_changed_bit_is_found(bundle, name):
    path = bundle.path / name
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    with pytest.raises(AxonInputError, match=f"{path.name} (has changed|cannot be read)"):
        load_bundle(bundle.path)


@pytest.mark.parametrize("place", [0, 20, 63])
def test_every_digit_of_a_hash_counts(bundle, place):
    sums = bundle.path / "SHA256SUMS"
    first, *others = sums.read_text().splitlines()
    digit = "0" if first[place] != "0" else "1"
    first = first[:place] + digit + first[place + 1 :]
    sums.write_text("\n".join([first, *others]) + "\n")
    with pytest.raises(AxonInputError, match="has changed since the bundle was written"):
        verify_bundle(bundle.path)


@pytest.mark.parametrize("name", ["models/sr.safetensors", "atlas/atlas.json", "docs/README.md"])
def test_a_missing_file_is_named(bundle, name):
    (bundle.path / name).unlink()
    with pytest.raises(AxonInputError, match=f"lacks its file {name}"):
        load_bundle(bundle.path)


def test_weights_swapped_after_opening_are_not_read(bundle):
    shutil.copy(bundle.path / "models/sr.safetensors", bundle.path / "models/coarse.safetensors")
    with pytest.raises(AxonInputError, match="has changed"):
        bundle.state_dict("coarse")
    assert set(bundle.state_dict("sr")) == {"up.bias"}


def test_what_is_no_bundle_is_said_to_be_none(tmp_path, bundle):
    with pytest.raises(AxonInputError, match="There is no bundle at"):
        load_bundle(tmp_path / "nowhere")
    with pytest.raises(AxonInputError, match="is a file"):
        load_bundle(bundle.path / "LICENSE")
    with pytest.raises(AxonInputError, match="not an AXON bundle: it has no configs/axon.json"):
        load_bundle(tmp_path)


def test_a_bundle_without_checksums_is_refused(bundle):
    (bundle.path / "SHA256SUMS").unlink()
    with pytest.raises(AxonInputError, match="has no SHA256SUMS"):
        load_bundle(bundle.path)


def test_a_newer_format_asks_for_an_update(bundle):
    edit_json(bundle.path / "configs/axon.json", format_version=FORMAT_VERSION + 1)
    words = f"format {FORMAT_VERSION + 1}.*reads formats up to {FORMAT_VERSION}.*Update AXON"
    with pytest.raises(AxonInputError, match=words):
        load_bundle(bundle.path)


def test_an_unknown_network_lists_the_known_ones(bundle):
    with pytest.raises(AxonInputError, match="no network 'prior'; it has coarse, sr"):
        bundle.state_dict("prior")
    with pytest.raises(AxonInputError, match="not a valid network name"):
        bundle.state_dict("../../secret")


@pytest.mark.parametrize("name", ["models/model.pt", "extra/weights.PKL", ".hidden.ckpt"])
def test_pickles_are_refused_wherever_they_lie(bundle, name):
    path = bundle.path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(AxonInputError, match="can run code"):
        load_bundle(bundle.path)


def test_a_pickle_in_disguise_is_refused(bundle):
    (bundle.path / "models/sr.safetensors").write_bytes(pickle.dumps({"weight": [1, 2, 3]}))
    write_checksums(bundle.path)
    with pytest.raises(AxonInputError, match="not a readable safetensors file"):
        load_bundle(bundle.path)


@pytest.mark.parametrize(
    "name",
    ["../secret", "/etc/hostname", "models/../../secret", "C:/secret", "..\\secret", "models//x"],
)
def test_paths_that_leave_the_bundle_are_refused(bundle, name):
    (bundle.path.parent / "secret").write_text("secret")
    with (bundle.path / "SHA256SUMS").open("a") as stream:
        stream.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(AxonInputError, match="outside the bundle"):
        load_bundle(bundle.path)


@pytest.mark.skipif(os.name == "nt", reason="links need administrator rights on Windows")
@pytest.mark.parametrize("name", ["models/sr.safetensors", "configs/axon.json", "models"])
def test_links_that_leave_the_bundle_are_refused(bundle, name):
    inner, outer = bundle.path / name, bundle.path.parent / "elsewhere"
    inner.rename(outer)
    inner.symlink_to(outer)
    with pytest.raises(AxonInputError, match="outside the bundle"):
        load_bundle(bundle.path)


@pytest.mark.parametrize("value", ["$import os", {"_target_": "os.system"}, [{"a": "$1"}]])
@pytest.mark.parametrize("name", ["configs/axon.json", "configs/metadata.json"])
def test_monai_expressions_are_refused(bundle, name, value):
    edit_json(bundle.path / name, extra=value)
    with pytest.raises(AxonInputError, match="would run as code"):
        seal_bundle(bundle.path)


def test_a_broken_list_names_the_line(bundle):
    path = bundle.path / "SHA256SUMS"
    path.write_text(path.read_text() + "0123  LICENSE\n")
    with pytest.raises(AxonInputError, match="SHA256SUMS, line 9"):
        load_bundle(bundle.path)
