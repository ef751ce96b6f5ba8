"""Small chests on disk, and runs of them in processes of their own."""

import importlib.util
import multiprocessing
import os
import sys
from pathlib import Path

import pytest


def _load_tiny():
    """training_tiny.py, which tests import by its name whatever folder pytest was started in."""
    name = "training_tiny"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


tiny_module = _load_tiny()


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch):
    """Tests run as one process, wherever they are started."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "TORCHELASTIC_")) or name in ("RANK", "WORLD_SIZE"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def chest():
    """The made-up chest."""
    return tiny_module.make_chest()


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A data.json of made-up chests; the pairs and means drawn from them are kept beside it."""
    tiny_module.shared["cache"] = str(tmp_path_factory.mktemp("pairs"))
    return tiny_module.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def train(data, tmp_path):
    """Train in this process: train(config, name, **options) -> RunFolder."""
    from axon_backend.training.launch import train as run
    from axon_backend.training.run.run_folder import RunFolder

    def call(config, name="run", **options):
        run(config, options.pop("data", data), tmp_path / name, device="cpu", **options)
        return RunFolder(tmp_path / name)

    return call


@pytest.fixture
def forked():
    """Run a function in a fork of this process, where torch is imported already:
    forked(function, *arguments, env={}) -> the process, started."""
    if sys.platform in ("win32", "darwin"):
        pytest.skip("needs fork")
    context = multiprocessing.get_context("fork")
    started = []

    def start(function, *arguments, env=None):
        def child():
            import torch

            os.environ.update(env or {})
            torch.set_num_threads(1)
            function(*arguments)

        process = context.Process(target=child, daemon=True)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        if process.is_alive():
            process.kill()
        process.join()
