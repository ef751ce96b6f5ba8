"""DiffuX2CT after Liu et al. (ECCV 2024, arXiv:2407.13545): a conditional diffusion of voxels.

The paper's code is not public. Details that its text does not specify are our choice;
``Resources/Docs`` lists them.
"""

from axon_backend.methods.info import MethodInfo, StageInfo, TrainingInfo

INFO = MethodInfo(
    name="diffux2ct",
    label="DiffuX2CT",
    summary="a voxel diffusion conditioned by three feature planes made of the X-rays.",
    stages=(StageInfo("diffusion", "DiffuX2CT", "sampled volume"),),
    trainings=(
        TrainingInfo(
            "diffusion",
            "DiffuX2CT",
            "Planes, decoder and denoiser together. Needs nothing before it.",
        ),
    ),
    implementation="axon_backend.methods.diffux2ct.method:DIFFUX2CT",
    presets=("preview", "full"),
)
