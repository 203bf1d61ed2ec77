"""The recipes by which networks are trained: every number that a training depends on."""

from dataclasses import dataclass

from .degradation import Degradation
from .errors import InputError, brief
from .initialisation import INITS
from .loss import MeanOver


@dataclass(frozen=True)
class Recipe:
    """Everything about a training except the network, the pictures and the seed.

    Attributes
    ----------
    epochs : float
        How often every sub-image is seen.
    optimiser : "sgd", "adam" or "muon"
        See `srcnn_np.optim`.
    rate : float
        Learning rate at the start.
    momentum : float
        For SGD and Muon, in [0, 1).
    nesterov : bool
        For SGD.
    last_layer : float
        Factor on the rate for the last convolution.
    clip_norm : float, optional
        Limit on the gradient's norm, above 0.
    schedule : "constant" or "cosine"
        The rate stays, or falls to 0.
    average : float
        In [0, 1). The result is the running mean a of the parameters p,
        a <- average · a + (1 - average) · p. With 0, it is the last p.
    batch : int
        Sub-images in a mini-batch.
    init : str or None
        How the parameters are drawn at the start, see `srcnn_np.initialisation`; None
        keeps those that the network has.
    mean_over : "values" or "pictures"
        See `srcnn_np.loss`.
    turns : bool
        Whether sub-images are flipped and rotated at random.
    size, stride : int
        Side of the sub-images, and the step from one to the next.
    only_last : bool
        Whether only the last layer learns. The others keep what they have, such as the weights
        of a network for another scale.
    jpeg, noise : (low, high), optional
        Ranges of JPEG qualities, 1 to 100, and of noise's standard deviations, 0 to 255. The harm
        to the small pictures is drawn from these, anew in each epoch; see `srcnn_np.degradation`.

    Raises
    ------
    InputError
        If an attribute has a value that is not allowed.
    """

    epochs: float = 1.0
    optimiser: str = "sgd"
    rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    last_layer: float = 0.1
    clip_norm: float | None = None
    schedule: str = "constant"
    average: float = 0.0
    batch: int = 128
    init: str | None = "he"
    mean_over: MeanOver = "values"
    turns: bool = True
    size: int = 33
    stride: int = 14
    only_last: bool = False
    jpeg: tuple[int, int] | None = None
    noise: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if not isinstance(value, (str, type(None))) or value not in choices:
                raise InputError(f"unknown {name} {brief(value)}: choose one of {choices}")
        for name in ("nesterov", "turns", "only_last"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise InputError(f"{name} is {brief(value)}; give True or False")
        for name in ("batch", "size", "stride"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value < 1e9:
                raise InputError(
                    f"{name} is {brief(value)}; give a whole number of at least 1, below 1e9"
                )
        for name in ("epochs", "rate", "last_layer", "clip_norm"):
            value = getattr(self, name)
            if name == "clip_norm" and value is None:
                continue
            if not _is_number(value) or not 0 < value < 1e9:
                raise InputError(f"{name} is {brief(value)}; give one above 0 and below 1e9")
        for name in ("momentum", "average"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value < 1:
                raise InputError(f"{name} is {brief(value)}; give 0 or more, below 1")
        for name, (least, most) in {"jpeg": (1, 100), "noise": (0, 255)}.items():
            value = getattr(self, name)
            if value is None:
                continue
            numbers = list(value) if isinstance(value, (tuple, list)) else []
            right = all(type(n) is int or (name == "noise" and _is_number(n)) for n in numbers)
            if not (len(numbers) == 2 and right and least <= numbers[0] <= numbers[1] <= most):
                raise InputError(
                    f"{name} is {brief(value)}; give the lowest and the highest, from {least} to "
                    f"{most}"
                )
            object.__setattr__(self, name, tuple(numbers))

    @property
    def degradation(self) -> Degradation | None:
        """The harm that is done to the small pictures, or None."""
        return Degradation(self.jpeg, self.noise) if self.jpeg or self.noise else None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_CHOICES = {
    "optimiser": ("sgd", "adam", "muon"),
    "schedule": ("constant", "cosine"),
    "mean_over": ("values", "pictures"),
    "init": (*INITS, None),
}

RECIPES = {
    # As the paper gives it. Its 8e8 back-propagations took three days on a GPU.
    "paper": Recipe(
        epochs=8e8 / 21884,
        rate=1e-4,
        init="gaussian",
        mean_over="pictures",
        turns=False,
    ),
    # docs/training.md shows what each setting of the next recipes is worth.
    "sgd": Recipe(
        epochs=20,
        rate=1.0,
        nesterov=True,
        clip_norm=0.05,
        schedule="cosine",
        batch=32,
    ),
    "adam": Recipe(
        epochs=20,
        optimiser="adam",
        rate=1e-3,
        last_layer=0.3,
        schedule="cosine",
        batch=64,
    ),
    "fast": Recipe(
        epochs=20,
        optimiser="muon",
        rate=0.005,
        last_layer=0.3,
        schedule="cosine",
        batch=64,
        init="contrast",
    ),
    # "fast" for a network that takes the small picture, and looks far around each of its pixels.
    "fsrcnn": Recipe(
        epochs=20,
        optimiser="muon",
        rate=0.005,
        last_layer=0.3,
        schedule="cosine",
        batch=16,
        size=96,
        stride=24,
    ),
}
