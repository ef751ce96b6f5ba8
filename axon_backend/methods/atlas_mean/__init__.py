"""The mean training volume, regardless of the X-rays: a baseline that a method must beat."""

from axon_backend.methods.info import MethodInfo, StageInfo, TrainingInfo

INFO = MethodInfo(
    name="atlas_mean",
    label="Mean chest",
    summary="the mean of the training volumes, the same for every patient.",
    stages=(StageInfo("mean", "Mean chest", "mean training volume", takes_steps=False),),
    trainings=(
        TrainingInfo(
            "mean",
            "Mean chest",
            "The mean of the training volumes; a minute is enough. Needs nothing before it.",
            takes_minutes=1,
        ),
    ),
    implementation="axon_backend.methods.atlas_mean.method:ATLAS_MEAN",
)
