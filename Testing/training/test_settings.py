"""Settings: one tree, read from YAML and key=value, refused with the way out."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from axon_backend.bundle import load_bundle
from axon_backend.errors import AxonInputError
from axon_backend.methods import registry
from axon_backend.methods.axon import INFO
from axon_backend.training.plan import notes, resolve, window_warning
from axon_backend.training.presets import preset
from axon_backend.training.settings import (
    all_keys,
    apply,
    apply_pairs,
    as_plain,
    convert,
    differences,
    full_key,
    to_yaml,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", INFO.presets)
@pytest.mark.parametrize("stage", INFO.training_names)
def test_a_preset_survives_yaml(name, stage):
    config = preset(name, stage).check()
    again = apply(preset("preview", "coarse"), yaml.safe_load(to_yaml(config)))
    assert again == config
    assert set(config.trains) | set(config.needs) <= set(config.model.networks)


def test_the_paper_preset_has_the_papers_settings():
    coarse, sr = preset("paper", "coarse"), preset("paper", "sr")
    assert (coarse.optimiser.name, coarse.optimiser.lr) == ("adam", 1e-4)
    assert coarse.optimiser.schedule == "constant" and coarse.micro_batch == 2
    assert coarse.batch > coarse.micro_batch and coarse.epochs == 90
    assert coarse.trains == ("encoder", "coarse") and coarse.loss.end_point == 0
    assert coarse.model.encoder.size == 128 and coarse.model.encoder.view_size == 1024
    assert (sr.optimiser.lr, sr.optimiser.schedule, sr.epochs) == (2e-4, "exponential", 56)
    assert [preset("paper", s).epochs for s in ("prior", "controlnet")] == [320, 150]
    assert coarse.total_steps(983) == -(-90 * 983 // 8)


@pytest.mark.parametrize(
    ("name", "single", "complete"), [("paper", 1, False), ("paper_biplanar", 0, True)]
)
def test_the_two_models_of_the_paper_differ_in_their_inputs_alone(name, single, complete):
    config = preset(name, "controlnet").check()
    assert (config.data.single_view, config.data.complete_pairs) == (single, complete)
    assert not config.data.deformed and config.data.blended == 0
    look = config.data.appearance
    assert (look.clean, look.physical) == (0, 1), "poly-energetic"
    assert not any(getattr(look.p, p) for p in ("misregistration", "letters", "collimation"))
    assert config.loss.sampled_condition and config.loss.conditioning_augmentation == 0
    assert config.model.sampling.fine_clamp == 0 and not config.loss.clamp
    other = preset("paper" if complete else "paper_biplanar", "controlnet")
    assert set(differences(as_plain(config), as_plain(other))) == {
        "preset", "data.single_view", "data.complete_pairs",
    }  # fmt: skip


def test_a_window_that_hides_the_lungs_is_said():
    config = preset("paper", "coarse")
    assert "lungs and air" in str(window_warning(config)) and notes(config)[0].startswith("The HU")
    changed = apply_pairs(config, ["model.window.low=-1000"])
    assert window_warning(changed) is None
    assert notes(changed) == list(config.of_method.deviations("paper")) != []
    assert notes(preset("preview", "coarse")) == []


def test_the_documentation_lists_where_the_paper_s_presets_deviate():
    page = (ROOT / "Resources" / "Docs" / "training.md").read_text("utf-8")
    sentences = preset("paper", "coarse").of_method.deviations("paper")
    assert [line[2:] for line in page.splitlines() if line[2:] in sentences] == list(sentences)


def test_pairs_set_what_they_say():
    changed = {
        "joint=false": ("loss.joint", False),
        "lr=1e-4": ("optimiser.lr", 1e-4),
        "model.encoder.channels=[8,16]": ("model.encoder.channels", (8, 16)),
        "data.real=null": ("data.real", None),
        "data.real=0.25": ("data.real", 0.25),
        "lifting=repeat": ("model.encoder.lifting", "repeat"),
        "cache_folder=/a b": ("data.cache_folder", "/a b"),
    }
    before = preset("preview", "coarse")
    for pair, (key, value) in changed.items():
        found = apply_pairs(before, [pair])
        for part in key.split("."):
            found = getattr(found, part)
        assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("jont=true", r"'jont'. Did you mean loss\.joint"),
        ("optimiser.lrr=1", r"Did you mean optimiser\.lr"),
        ("channels=1", "is ambiguous: .*model.coarse.channels"),
        ("zzzz=1", "--show"),
        ("steps=abc", "'steps' is 'abc'; expected a whole number"),
        ("batch=1.5", "expected a whole number"),
        ("joint=maybe", "expected true or false"),
        ("data.deformation.ap=0.5", "no setting 'data.deformation.ap'"),
        ("joint", "expected key=value"),
        ("optimiser=3", "group of settings"),
        ("model.bridge.objective=foo", "objective must be one of"),
        ("lr=[", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_with_the_way_out(pair, says):
    with pytest.raises(AxonInputError, match=says):
        apply_pairs(preset("preview", "coarse"), [pair])


def test_a_tuple_of_fixed_length_takes_that_many_values():
    assert convert(tuple[float, float], "0.9, 1", "betas") == (0.9, 1.0)
    with pytest.raises(AxonInputError, match="'betas' needs 2 values; found 1"):
        convert(tuple[float, float], 1, "betas")


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("blended=1.5", "must be between 0 and 1"),
        ("optimiser.name=sgd", "one of adam, adamw, muon"),
        ("batch=0", "greater than 0"),
        ("validation.cases=0", "greater than 0"),
        ("data.workers=-1", "at least 0"),
        ("precision=16", "one of auto, bf16-mixed, 32"),
        ("repeat_after=5", "the training coarse does not support repeated samples"),
    ],
)
def test_values_without_sense_are_refused(pair, says):
    with pytest.raises(AxonInputError, match=says):
        resolve("coarse", pairs=[pair])


def test_unknown_keys_of_a_file_are_refused_by_their_full_name(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("optimiser: {warmup: 1}\n")
    with pytest.raises(AxonInputError, match=r"'optimiser\.warmup'. Did you mean warm_up"):
        resolve("coarse", file=file)
    file.write_text("- 1\n")
    with pytest.raises(AxonInputError, match="expected key: value"):
        resolve("coarse", file=file)
    file.write_text("a: [1\n")
    with pytest.raises(AxonInputError, match="is not YAML"):
        resolve("coarse", file=file)
    with pytest.raises(AxonInputError, match="cannot be read"):
        resolve("coarse", file=tmp_path / "none.yaml")


def test_the_budget_named_last_counts(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("epochs: 3\n")
    assert resolve("coarse").minutes == 60
    config = resolve("coarse", file=file)
    assert (config.steps, config.minutes, config.epochs) == (None, None, 3)
    config = resolve("coarse", file=file, pairs=["steps=7"])
    assert (config.steps, config.minutes, config.epochs) == (7, None, None)
    config = resolve("coarse", file=file, pairs=["steps=7"], minutes=2.0)
    assert (config.steps, config.minutes, config.epochs) == (None, 2.0, None)


def test_another_method_has_its_own_trainings_presets_and_settings(tmp_path):
    config = resolve("mean", method="atlas_mean", pairs=["model.grid=16"])
    assert (config.method, config.trains, config.model.grid) == ("atlas_mean", ("mean",), 16)
    file = tmp_path / "config.yaml"
    file.write_text(to_yaml(config))
    assert resolve("mean", file=file) == config  # a run's own file names its method
    for words, says in (
        ({"stage": "coarse", "method": "atlas_mean"}, "'coarse'; Mean chest has mean"),
        ({"stage": "mean"}, "'mean'; AXON has encoder, coarse"),
        ({"stage": "mean", "method": "atlas_mean", "preset_name": "paper"}, "Mean chest has prev"),
        ({"stage": "mean", "method": "mean_atlas"}, "no method 'mean_atlas'"),
        ({"stage": "mean", "method": "atlas_mean", "start": load_bundle()}, "of the method 'axon'"),
        ({"stage": "coarse", "pairs": ["method=atlas_mean"]}, "chosen by --method"),
    ):
        with pytest.raises(AxonInputError, match=says):
            resolve(words.pop("stage"), **words)


def test_every_setting_is_documented():
    """Each name stands in the docstring of its dataclass."""

    def walk(settings):
        text = type(settings).__doc__ or ""
        module = sys.modules[type(settings).__module__]
        for key in settings.__dataclass_fields__:
            value = getattr(settings, key)
            if hasattr(value, "__dataclass_fields__"):
                if "training" in type(value).__module__:
                    yield from walk(value)
            elif "training.config" in module.__name__ and key not in text:
                yield key

    missing = set(walk(preset("preview", "coarse")))
    assert missing <= {"stage", "preset", "seed"}


def test_every_setting_is_used_by_a_preset_or_documented():
    """A setting that no preset, no ablation row and no page names is one to remove."""
    pages = [*(ROOT / "Resources" / "Docs").glob("*.md"), ROOT / "Testing/benchmarks/README.md"]
    text = " ".join(page.read_text("utf-8") for page in pages)
    code = " ".join(re.findall(r"`([^`\n]+)`", text))
    named = set(re.findall(r"[\w.*]+", code))
    presets = [
        as_plain(preset(name, training, method))
        for method, info in registry.available().items()
        for name in info.presets
        for training in info.training_names
    ]
    first = as_plain(preset("preview", "coarse"))
    vary = {key for other in presets for key in differences(first, other)}
    unused = [
        key
        for key in all_keys(preset("preview", "coarse"))
        if key not in vary
        and not any(fnmatch(key, word) for word in named if word.strip("*."))
        and f"{key.rpartition('.')[2]}=" not in code
    ]
    assert unused == []


def test_differences_name_what_changed():
    a = as_plain(preset("preview", "coarse"))
    b = as_plain(apply_pairs(preset("preview", "coarse"), ["lr=0.5", "seed=3"]))
    assert differences(a, b) == {"optimiser.lr": (1.5e-3, 0.5), "seed": (0, 3)}
    assert full_key(preset("preview", "coarse"), "seed") == "seed"
    assert "loss.joint" in all_keys(preset("preview", "coarse"))


@pytest.mark.slow
def test_show_prints_what_a_run_would_use():
    run = subprocess.run(
        [sys.executable, "-m", "axon_backend", "train", "sr", "--preset", "paper", "--show"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert yaml.safe_load(run.stdout)["optimiser"]["lr"] == 2e-4
