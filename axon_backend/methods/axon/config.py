"""Configuration of an AXON model, settings of its losses, and presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from axon_backend.diffusion.bridge import BrownianBridge
from axon_backend.diffusion.estimate_error import EstimateError
from axon_backend.diffusion.gaussian import GaussianDiffusion
from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.typed_config import Gone, NewValues, Renamed, from_plain, with_new_names
from axon_backend.networks.encoder import EncoderConfig
from axon_backend.networks.srnet import SRConfig
from axon_backend.networks.unet import UNetConfig

FINE_DIFF = ("controlnet", "bridge")
# Former names of settings and values (``typed_config.with_new_names``).
RENAMED: Renamed = {
    "see_views": "condition_on_views",
    "fine_process": "fine_diff",
    "fine_diff": NewValues({"diffusion": "controlnet"}),
    "encoder.patch": Gone(2),
    "coarse.blocks": Gone(1),
    "prior.blocks": Gone(1),
    "sampling.coarse_places": "sampling.tta_shifts",
    "sampling.coarse_eta": Gone(1.0),
    # With one step, DPM-Solver++ and DDIM are identical; no bundle had more.
    "sampling.fine_sampler": Gone("ddim", ("dpm", "dpmpp_2m")),
    "sampling.fine_eta": Gone(0.0),
    "sampling.fine_scale": Gone(1.0),
    "sampling.fine_detail": Gone(1.0),
    "sr.slices": Gone(16),
}


@dataclass(frozen=True)
class Sampling:
    """Sampling of the stages; the defaults are stored in a bundle.

    Attributes:
        coarse_steps: steps of the bridge; 0 omits it, and stage 2 starts from F(x).
        tta_shifts: test-time augmentation: with 4, stage 1 is the mean over four small shifts of
            the X-rays (``methods.axon.test_time_augmentation``); with 1, or with ``coarse_steps``
            above 1, which draw samples, the X-rays are not shifted.
        coarse_draw_steps: steps of the bridge where several samples are asked for and no steps
            are; 0: ``coarse_steps``.
        fine_steps: steps of stage 2, of either class; it is deterministic after the start.
        fine_start: where on the prior's time axis stage 2 starts, in (0, 1]. 1 starts from pure
            noise (the paper); less starts from the coarse volume with the noise of that time. (A
            bridge in stage 2 always starts from the coarse volume.)
        fine_draws: stage 2 is the mean over this many draws of its noise, which keeps what the
            draws agree on and averages out the noise. More steps than
            ``fine_steps`` draw one sample.
        fine_clamp: clamp stage 2's estimates of the CT to [-fine_clamp, fine_clamp] at every
            sampling step, and its volume to [-1, 1]; 0 disables both (Table 4, without
            "+ clamping").
        sr_scale: side of a cell in output voxels, a divisor of the output's side. Local means over
            such cells are removed from what SR-Net adds to a trilinear interpolation, since earlier
            stages determine grey levels and the positions of organs. 0 keeps everything.
    """

    coarse_steps: int = 10
    coarse_draw_steps: int = 0
    tta_shifts: int = 1
    fine_steps: int = 15
    fine_start: float = 1.0
    fine_draws: int = 1
    fine_clamp: float = 1.2
    sr_scale: int = 0


@dataclass(frozen=True)
class CoarseError:
    """Errors of the bridge's estimates with the frontal view alone and with both
    (``axon bundle calibrate`` measures them)."""

    frontal: EstimateError = field(default_factory=EstimateError)
    both: EstimateError = field(default_factory=EstimateError)


@dataclass(frozen=True)
class AxonConfig:
    """Everything that defines an AXON model except its weights.

    Attributes:
        harmoniser: channels of the network that maps X-rays to the grey scale of DRRs before all
            others see them (``networks.harmoniser``); empty: there is none (the paper).
        condition_on_views: condition the bridge and the ControlNet not only on F(x) or X^ but also
            on the back-projected X-rays and the back-projected difference between the X-rays and
            the projections of F(x) or X^.
        coarse_error: see :class:`CoarseError`.
        fine_diff: one of :data:`FINE_DIFF`, the class of stage 2. ``controlnet``: prior and
            ControlNet (the paper). ``bridge``: a second bridge with the settings ``bridge``, from
            X^ to the CT (Table 4, "BBDM"); there is no prior, and the network "controlnet" is a
            U-Net with the settings ``prior``, which takes x_t and the condition.
        global_encoder: condition stage 2 also on a global embedding of the X-rays (Table 4,
            "+ global enc."); see ``networks.global_encoder``.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    coarse: UNetConfig = field(default_factory=UNetConfig)
    bridge: BrownianBridge = field(default_factory=BrownianBridge)
    coarse_error: CoarseError = field(default_factory=CoarseError)
    prior: UNetConfig = field(default_factory=UNetConfig)
    diffusion: GaussianDiffusion = field(default_factory=GaussianDiffusion)
    sr: SRConfig = field(default_factory=SRConfig)
    sampling: Sampling = field(default_factory=Sampling)
    window: HuWindow = field(default_factory=HuWindow)
    harmoniser: tuple[int, ...] = ()
    condition_on_views: bool = True
    fine_diff: str = "controlnet"
    global_encoder: bool = False

    def __post_init__(self) -> None:
        if self.fine_diff not in FINE_DIFF:
            raise ValueError(
                f"fine_diff must be one of {', '.join(FINE_DIFF)}, got {self.fine_diff!r}"
            )
        if self.sampling.fine_clamp < 0:
            raise ValueError(f"fine_clamp must be 0 or more, got {self.sampling.fine_clamp:g}")
        if self.sampling.tta_shifts not in (1, 4):
            raise ValueError(f"tta_shifts must be 1 or 4, got {self.sampling.tta_shifts}")
        scale, side = self.sampling.sr_scale, self.encoder.size * self.sr.gamma
        if scale < 0 or (scale and side % scale):
            raise ValueError(f"sr_scale must be 0 or a divisor of {side}, got {scale}")

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the model's networks."""
        prior = ("prior",) if self.fine_diff == "controlnet" else ()
        harmoniser = ("harmoniser",) if self.harmoniser else ()
        return "encoder", "coarse", *prior, "controlnet", "sr", *harmoniser

    @property
    def view_size(self) -> int:
        """Side in pixels of the views that the encoder takes."""
        return self.encoder.view_size

    @property
    def grid(self) -> int:
        """Side h of the coarse and the fine volume in voxels."""
        return self.encoder.size

    @property
    def output_grid(self) -> int:
        """Side of the volume after super-resolution."""
        return self.encoder.size * self.sr.gamma

    @property
    def condition_channels(self) -> int:
        """Channels of a stage's condition: the volume, and with ``condition_on_views`` two
        back-projected views and two back-projected residuals."""
        return 5 if self.condition_on_views else 1

    def as_dict(self) -> dict:
        """Plain types, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> AxonConfig:
        """The inverse of :meth:`as_dict`; accepts the names of earlier versions.

        Raises:
            TypeError, ValueError: a key is unknown, or a value invalid.
        """
        return from_plain(cls, with_new_names(values, RENAMED))


@dataclass(frozen=True)
class AxonLoss:
    """Settings of the losses, including the paper's ablations.

    Attributes:
        joint: training ``coarse`` trains the encoder jointly with the bridge; false uses a trained
            encoder and freezes it.
        end_point: weight of F(x)'s own loss in joint training (the paper: 0).
        t_power, p_t_end: a bridge's times are ``(T - 1) u^(1 / t_power)``, and exactly T - 1 with
            probability ``p_t_end``; 1 and 0 are uniform. Near t = 0, x_t is almost the target, and
            with few patients there is little to learn.
        t_geometric: draw a bridge's times instead with the logarithm of 1 - alpha_t uniform, over
            the range that ``model.bridge.geometric_to`` gives the sampler: x_t tells about Y from
            early on.
        prior_t_power: the prior's times are ``T u^prior_t_power``; 1 is uniform.
        conditioning_augmentation: largest strength of the errors added to an earlier stage's output
            (Ho et al. 2022; ``methods.axon.losses.corrupt_condition``).
        sampled_condition: training ``controlnet`` draws X^ with as many bridge steps as at
            inference (the paper); false uses the bridge's one-step estimate, which is cheaper and
            more blurred.
        edge: weight of the edge loss in training ``coarse`` (Table 4, "L2 + Ledge").
        bone: additional weight of bone and its surroundings in trainings ``encoder`` and
            ``coarse``; every voxel has weight 1 (Testing/benchmarks/README.md).
        bone_contrast: weight of the error of the contrast of bone in training ``coarse``
            (``methods.axon.losses.bone_contrast_loss``).
        clamp: clamp stage 2's estimate to [-1, 1] in the loss (Table 4, "+ clamping").
        synthesised: share of SR-Net's inputs that are reconstructions (0: SR "w/o Syn").
    """

    joint: bool = True
    end_point: float = 1.0
    t_power: float = 2.0
    p_t_end: float = 0.5
    t_geometric: bool = False
    prior_t_power: float = 2.0
    conditioning_augmentation: float = 0.3
    sampled_condition: bool = False
    edge: float = 0.0
    bone: float = 0.0
    bone_contrast: float = 0.0
    clamp: bool = False
    synthesised: float = 0.75

    def __post_init__(self) -> None:
        for name in ("p_t_end", "synthesised"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be between 0 and 1")
        if not self.t_power > 0:
            raise ValueError(f"t_power is {self.t_power:g}; it must be greater than 0")


def preview() -> AxonConfig:
    """The shipped model: 64^3 -> 128^3, designed for CPUs."""
    # ysubx: an untrained bridge returns F(x) for any number of steps, so that a short training can
    # only improve on it; grad must first learn to remove the bridge's own noise.
    return AxonConfig(
        bridge=BrownianBridge(variance=0.1, objective="ysubx"),
        sampling=Sampling(
            coarse_steps=1,
            tta_shifts=4,
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
        sampling=Sampling(fine_steps=50, fine_clamp=0.0),
        window=HuWindow(-100.0, 900.0),
        condition_on_views=False,
    )


# The paper's two models share an architecture and differ in the inputs they are trained on.
PRESETS = {"preview": preview, "paper": paper, "paper_biplanar": paper}
