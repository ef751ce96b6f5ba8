"""Everything that makes an AXON model besides its weights, and the two presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from axon_backend.diffusion.bridge import BrownianBridge
from axon_backend.diffusion.gaussian import GaussianDiffusion
from axon_backend.imaging.frame import HuWindow
from axon_backend.networks.encoder import EncoderConfig
from axon_backend.networks.srnet import SRConfig
from axon_backend.networks.unet import UNetConfig

FINE_PROCESSES = ("diffusion", "bridge")


@dataclass(frozen=True)
class Sampling:
    """How the two diffusion stages are sampled; the defaults travel with a bundle.

    Attributes:
        coarse_steps, coarse_eta: of the bridge; 0 steps leave it out, and stage 2 starts from F(x).
        coarse_places: 4 makes stage 1 the mean over four small movements of the X-rays (see
            ``methods.places``); 1 takes them as they lie, as do ``coarse_steps`` above 1, which
            draw samples.
        fine_steps, fine_eta: of stage 2, whichever its process.
        fine_sampler: of the prior.
        fine_start: where on the prior's time axis stage 2 starts, in (0, 1]. 1 starts from pure
            noise (the paper); less starts from the coarse volume with that much noise on it.
        fine_draws: stage 2 is the mean over that many draws of its noise: what the draws agree on
            stays, what is noise goes.
        fine_scale: factor on the ControlNet's residuals. (A bridge in stage 2 always starts from
            the coarse volume and has no residuals: fine_start, fine_sampler and fine_scale say
            nothing to it.)
        fine_clamp: largest absolute value of stage 2's estimates; 1 is the paper's "+ clamping".
        fine_detail: how much of what stage 2 changed is kept: ``X + detail (Y - X)``.
        sr_scale: side of a cell in output voxels, a divisor of the output's side: of what SR-Net
            adds to a trilinear enlargement, local means over such cells are left out, since grey
            levels and positions of organs are for the stages before to say. 0 keeps all.
    """

    coarse_steps: int = 10
    coarse_eta: float = 1.0
    coarse_places: int = 1
    fine_steps: int = 15
    fine_sampler: str = "ddim"
    fine_eta: float = 0.0
    fine_start: float = 1.0
    fine_draws: int = 1
    fine_scale: float = 1.0
    fine_detail: float = 1.0
    fine_clamp: float = 1.2
    sr_scale: int = 0


@dataclass(frozen=True)
class AxonConfig:
    """Everything that makes an AXON model besides its weights.

    Attributes:
        see_views: beside F(x) and X^, the bridge and the ControlNet see the back-projected X-rays
            and the back-projected difference between the X-rays and the projections of F(x) or X^.
        fine_process: one of :data:`FINE_PROCESSES`. ``diffusion``: prior and ControlNet (the
            paper). ``bridge``: the process of ``bridge`` again, from X^ to the CT (Table 4,
            "BBDM"); there is no prior, and the part "controlnet" is a U-Net built as ``prior``
            says, which sees x_t and the condition.
        global_encoder: the X-rays' summary conditions stage 2 beside the volume (Table 4,
            "+ global enc."); see ``networks.global_encoder``.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    coarse: UNetConfig = field(default_factory=UNetConfig)
    bridge: BrownianBridge = field(default_factory=BrownianBridge)
    prior: UNetConfig = field(default_factory=UNetConfig)
    diffusion: GaussianDiffusion = field(default_factory=GaussianDiffusion)
    sr: SRConfig = field(default_factory=SRConfig)
    sampling: Sampling = field(default_factory=Sampling)
    window: HuWindow = field(default_factory=HuWindow)
    see_views: bool = True
    fine_process: str = "diffusion"
    global_encoder: bool = False

    def __post_init__(self) -> None:
        if self.fine_process not in FINE_PROCESSES:
            raise ValueError(
                f"fine_process must be one of {', '.join(FINE_PROCESSES)}, "
                f"got {self.fine_process!r}"
            )
        if self.sampling.coarse_places not in (1, 4):
            raise ValueError(f"coarse_places must be 1 or 4, got {self.sampling.coarse_places}")
        scale, side = self.sampling.sr_scale, self.encoder.size * self.sr.gamma
        if scale < 0 or (scale and side % scale):
            raise ValueError(f"sr_scale must be 0 or a divisor of {side}, got {scale}")

    @property
    def parts(self) -> tuple[str, ...]:
        """The networks that there are."""
        prior = ("prior",) if self.fine_process == "diffusion" else ()
        return "encoder", "coarse", *prior, "controlnet", "sr"

    def as_dict(self) -> dict:
        """Plain types, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> AxonConfig:
        """The inverse of :meth:`as_dict`; unknown keys are an error."""
        parts = {
            "encoder": EncoderConfig,
            "coarse": UNetConfig,
            "bridge": BrownianBridge,
            "prior": UNetConfig,
            "diffusion": GaussianDiffusion,
            "sr": SRConfig,
            "sampling": Sampling,
            "window": HuWindow,
        }
        built = {}
        for key, value in values.items():
            if key in parts:
                fields = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
                built[key] = parts[key](**fields)
            else:
                built[key] = value
        return cls(**built)


def preview() -> AxonConfig:
    """The shipped model: 64^3 -> 128^3, made for CPUs."""
    # ysubx: an untrained bridge returns F(x) from any number of steps, so that a short training can
    # only add to it; grad has to learn to remove the bridge's own noise first.
    return AxonConfig(
        bridge=BrownianBridge(variance=0.1, objective="ysubx"),
        sampling=Sampling(
            coarse_steps=1,
            coarse_places=4,
            fine_steps=1,
            fine_start=0.03,
            fine_draws=3,
            sr_scale=2,
        ),
    )


def paper() -> AxonConfig:
    """The paper's model: 1024^2 -> 128^3 -> 256^3, 64 base channels, attention at 16^3 and 8^3."""
    unet = UNetConfig(
        channels=(64, 128, 192, 256, 256),
        attention=(False, False, False, True, True),
        blocks=1,
        patch=1,
        groups=32,
        head_channels=64,
    )
    return AxonConfig(
        encoder=EncoderConfig(
            size=128,
            view_size=1024,
            channels=(16, 32, 64, 128, 192, 256),
            features=1,
            lifting="reshape",
            trunk=(),
        ),
        coarse=unet,
        bridge=BrownianBridge(variance=1.0),
        prior=unet,
        diffusion=GaussianDiffusion(prediction="epsilon"),
        sr=SRConfig(gamma=2),
        sampling=Sampling(fine_steps=50),
        window=HuWindow(-100.0, 900.0),
        see_views=False,
    )


PRESETS = {"preview": preview, "paper": paper}
