"""X2CT-GAN and X2CT-CNN (Ying et al., CVPR 2019), reimplemented from the paper."""

from axon_backend.methods.info import MethodInfo, StageInfo, TrainingInfo

INFO = MethodInfo(
    name="x2ct",
    label="X2CT",
    summary="a 2-D encoder and a 3-D decoder for each view, joined by the connections of X2CT-GAN.",
    stages=(StageInfo("volume", "Volume", "volume", takes_steps=False),),
    trainings=(
        TrainingInfo(
            "cnn",
            "X2CT-CNN",
            "The generator without a discriminator. Needs nothing before it.",
            takes_minutes=40,
        ),
        TrainingInfo(
            "gan",
            "X2CT-GAN",
            "The generator against a discriminator. Needs nothing before it.",
            takes_minutes=60,
        ),
    ),
    implementation="axon_backend.methods.x2ct.method:X2CT",
    presets=("preview", "full"),
)
