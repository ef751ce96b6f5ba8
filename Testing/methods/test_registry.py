"""Methods by name: what the built-in ones promise, and packages that bring others along."""

import json
import subprocess
import sys

import pytest
import torch

from axon_backend.errors import AxonInputError
from axon_backend.methods import registry
from axon_backend.methods.info import MethodInfo


def plug_in(folder, name: str, entry: str, code: str) -> None:
    """An installed package in a folder: a module, and metadata with one entry point."""
    (folder / f"{entry.partition(':')[0]}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.ENTRY_POINTS}]\n{name} = {entry}\n")


SOUND = """
from axon_backend.methods.info import MethodInfo, StageInfo
INFO = MethodInfo("{name}", "Other", "another one.", (StageInfo("one", "One"),), (), "m:M")
"""


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_a_method_has_what_its_description_promises(name):
    method = registry.load(name)
    info = method.info
    assert info is registry.info(name) and info.name == name
    assert tuple(method.presets) == info.presets
    assert tuple(method.objectives) == info.training_names
    needed = [stage.needs for stage in info.stages if stage.needs]
    assert set(needed) <= set(info.stage_names) and info.stages[0].needs is None
    loss = method.loss_settings()
    for preset in method.presets.values():
        config = preset()
        assert method.configure(json.loads(json.dumps(config.as_dict()))) == config
        assert tuple(method.network_formats(config)) == config.networks
        assert set(method.default_steps(config)) == set(info.stage_names)
        run = {n for stage in info.stage_names for n in method.networks_of(config, stage)}
        trained = {n for o in method.objectives.values() for n in o.trains(config, loss)}
        assert run == trained == set(config.networks)
        with torch.device("meta"):
            model = method.build(config)
        assert all(model.has_network(network) for network in config.networks)
        weights = {id(p) for n in config.networks for p in model.network(n).parameters()}
        assert weights == {id(p) for p in model.parameters()}


def test_an_unknown_method_is_named_with_the_known_ones():
    with pytest.raises(AxonInputError, match="no method 'axxon'; known: .*atlas_mean, axon"):
        registry.load("axxon")


def test_bundles_of_old_are_axon_s():
    assert registry.method_name({}) == "axon"
    assert registry.method_name({"method": "atlas_mean"}) == "atlas_mean"


def test_a_package_brings_its_method_along(tmp_path, monkeypatch):
    plug_in(tmp_path, "other", "other_method:INFO", SOUND.format(name="other"))
    monkeypatch.syspath_prepend(str(tmp_path))
    found = registry.available()
    assert tuple(found)[:-1] == registry.BUILT_IN and isinstance(found["other"], MethodInfo)
    assert registry.info("other").stage("one").label == "One"
    monkeypatch.undo()
    assert "other" not in registry.available()


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("INFO = 'broken'", "must be a MethodInfo named 'broken', got 'broken'"),
        (SOUND.format(name="else"), "must be a MethodInfo named 'broken'"),
    ],
)
def test_a_broken_package_hides_itself_only_and_says_why_when_asked(
    tmp_path, monkeypatch, code, why
):
    module = f"broken_{abs(hash(code))}"
    plug_in(tmp_path, "broken", f"{module}:INFO", code)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert tuple(registry.available()) == registry.BUILT_IN
    with pytest.raises(AxonInputError, match=f"'broken' could not be loaded.*{why}.*Repair"):
        registry.info("broken")


def test_no_package_takes_the_place_of_a_method_of_axon(tmp_path, monkeypatch):
    plug_in(tmp_path, "axon", "impostor:INFO", SOUND.format(name="axon"))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert registry.available()["axon"].label == registry.info("axon").label == "AXON"


def test_listing_imports_no_torch():
    """Dialogs and help are made from the listing: it must come at once."""
    code = (
        "import sys; from axon_backend.methods import registry; "
        "print(*registry.available()); sys.exit('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == list(registry.BUILT_IN)
