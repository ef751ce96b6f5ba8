"""The process of a command imports MONAI without the packages that it does not use, and executes
parts of PyTorch when they are used."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(code: str, *folders: Path) -> str:
    path = [str(folder) for folder in (*folders, ROOT)]
    start = f"import sys; sys.path[:0] = {path!r}\n"
    start += "from axon_backend.cli import own_process; own_process.prepare()\n"
    done = subprocess.run(
        [sys.executable, "-c", start + code], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_monai_works_without_them_and_they_can_be_imported_later():
    said = run("""
import torch
from monai.networks.nets import DiffusionModelUNet
assert not {"scipy.signal", "scipy.stats", "matplotlib", "skimage"} & set(sys.modules)
net = DiffusionModelUNet(
    spatial_dims=2, in_channels=1, out_channels=1, channels=(8,), attention_levels=(False,),
    norm_num_groups=8, num_res_blocks=1,
)
print(*net(torch.zeros(1, 1, 8, 8), torch.zeros(1)).shape)
import scipy.signal
print(scipy.signal.convolve([1, 2], [3]))
""")
    assert said.split("\n")[:2] == ["1 1 8 8", "[3 6]"]


def test_a_monai_that_needs_one_of_them_gets_it(tmp_path):
    package = tmp_path / "monai"
    package.mkdir()
    (package / "part.py").write_text("import scipy.signal\nsides = 5\n")
    (package / "__init__.py").write_text("from monai.part import sides\n")
    assert run("import monai; print(monai.sides, 'scipy.signal' in sys.modules)", tmp_path) == (
        "5 True\n"
    )


def test_parts_of_pytorch_are_executed_when_they_are_used():
    said = run("""
import inspect
import torch, scipy.ndimage
parts = [sys.modules[name] for name in own_process.LATER]
def executed():
    inspect.getmodule(run_me)  # asks every module for its file
    return [type(part).__name__ == "module" for part in parts]
def run_me(): pass
print(sum(executed()))
print(torch.Generator().manual_seed(1).initial_seed())
print(torch.export.export.__name__, torch.distributions.Normal(0, 1).stddev.item())
import torch._meta_registrations
print(torch.empty(3, device="meta").roll(1).shape[0], torch.masked.sum(torch.ones(2)).item())
import numpy
print(callable(numpy.f2py.run_main), all(executed()[:5]))
""")
    assert said.split("\n")[:5] == ["0", "1", "export 1.0", "3 2.0", "True True"]


def test_pytorchs_compiler_can_be_imported_later():
    """Lightning imports it when a training starts."""
    said = run("""
import torch
import torch._dynamo
print(torch._dynamo.OptimizedModule.__name__, torch.zeros(2, device="meta").abs().shape[0])
""")
    assert said == "OptimizedModule 2\n"


def test_networks_are_built_whose_layers_need_such_a_part():
    """Without it, PyTorch does not know the meta device of every operation."""
    said = run("""
import torch
from types import SimpleNamespace
from axon_backend.inference import model_loading
class Rolled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(2, 3).roll(1, 0))
model_loading.bundle_model = lambda bundle: None
model_loading.bundle_method = lambda bundle: SimpleNamespace(build=lambda config: Rolled())
print(model_loading.parameter_count(SimpleNamespace(path="x")))
""")
    assert said == "6\n"


def test_of_another_pytorch_everything_is_executed():
    said = run("""
from importlib import metadata
real = metadata.version
metadata.version = lambda name: "2.99.0" if name == "torch" else real(name)
import torch
parts = [sys.modules[name] for name in own_process.LATER if name in sys.modules]
print(len(parts), {type(part).__name__ for part in parts})
""")
    assert int(said.split()[0]) > 3 and "{'module'}" in said
