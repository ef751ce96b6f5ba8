"""Repeat-and-Concatenate (Corona-Figueroa et al., CVPR Workshops 2024), reimplemented: X-rays
repeated along their rays, with the views as channels, and a 3-D network."""

from axon_backend.methods.info import MethodInfo, StageInfo, TrainingInfo

INFO = MethodInfo(
    name="repeat_concatenate",
    label="Repeat-and-Concatenate",
    summary="X-rays repeated along their rays, views as channels, through a 3-D network.",
    stages=(StageInfo("volume", "Volume", "volume", takes_steps=False),),
    trainings=(
        TrainingInfo(
            "regression",
            "Regression",
            "The network alone, with L2. Needs nothing before it.",
            takes_minutes=40,
        ),
        TrainingInfo(
            "critic",
            "Regression and critic",
            "The network with L2 against a critic (loss.critic). Needs nothing before it.",
            takes_minutes=60,
        ),
    ),
    implementation="axon_backend.methods.repeat_concatenate.method:REPEAT_CONCATENATE",
    presets=("preview", "full"),
)
