"""The training patient with the most similar X-rays: a baseline that a method must beat to show
that it does more than memorise."""

from axon_backend.methods.info import MethodInfo, StageInfo, TrainingInfo

INFO = MethodInfo(
    name="nearest_patient",
    label="Nearest patient",
    summary="the volume of the training patient whose X-rays are most similar.",
    stages=(StageInfo("nearest", "Nearest patient", "nearest patient", takes_steps=False),),
    trainings=(
        TrainingInfo(
            "library",
            "Library of patients",
            "Stores every training patient once, X-rays and volume. Needs nothing before it.",
            takes_minutes=2,
        ),
    ),
    implementation="axon_backend.methods.nearest_patient.method:NEAREST_PATIENT",
    presets=("preview", "full"),
)
