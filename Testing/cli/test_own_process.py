"""The process of a command imports MONAI without the packages that it does not use."""

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


def test_a_training_can_start():
    """Its libraries import parts of PyTorch that nothing else needs."""
    said = run("""
import torch
from axon_backend.training.run.fabric import launch
print(type(launch("cpu", "32").setup_module(torch.nn.Linear(1, 1))).__name__)
""")
    assert said == "_FabricModule\n"


def test_every_package_of_monai_is_there_when_it_is_used():
    said = run("""
import monai
assert not {"monai.losses", "monai.metrics", "scipy.optimize"} & set(sys.modules)
print(monai.losses.DiceLoss.__name__)
from monai.metrics.regression import compute_ssim_and_cs
from monai.networks.nets import AutoencoderKL, ControlNet, SwinUNETR
from monai.networks.schedulers import DDPMScheduler
print(hasattr(monai, "losses"), hasattr(monai, "nothing"))
""")
    assert said.split("\n")[:2] == ["DiceLoss", "True False"]


def test_numpy_s_fortran_compiler_is_loaded_when_it_is_used():
    said = run("""
import scipy.ndimage, numpy
print("numpy.f2py.crackfortran" in sys.modules, numpy.f2py.get_include()[-3:])
print("numpy.f2py.crackfortran" in sys.modules)
""")
    assert said == "False src\nTrue\n"
