"""The training loop, and the recipes it follows."""

import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .data import SubImages, cut_sub_images, shrink
from .errors import InputError
from .evaluation import as_measured
from .imaging import enlarge, psnr
from .loss import MeanOver
from .model import Model, save_model
from .network import INITS
from .optim import SGD, Adam, clip_gradients, constant, cosine


@dataclass(frozen=True)
class Recipe:
    """Everything about a training but the network, the pictures and the seed.

    Attributes
    ----------
    epochs : float
        How often every sub-image is seen.
    optimiser : "sgd" or "adam"
    rate : float
        Learning rate at the start.
    momentum : float
        Of SGD, in [0, 1).
    nesterov : bool
        Of SGD.
    last_layer : float
        Factor on the rate for the last convolution.
    clip_norm : float, optional
        Limit on the gradient's norm.
    schedule : "constant" or "cosine"
        How the rate goes on: stays, or falls to 0.
    batch : int
        Sub-images in a mini-batch.
    init : str or None
        How the parameters are drawn at the start, see `Sequential.initialise`; None
        keeps those that the network has.
    mean_over : "values" or "pictures"
        See `srcnn_np.loss`.
    turns : bool
        Whether sub-images are flipped and rotated at random.
    size, stride : int
        Side of the sub-images, and the step from one to the next.
    """

    epochs: float = 1.0
    optimiser: str = "sgd"
    rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    last_layer: float = 0.1
    clip_norm: float | None = None
    schedule: str = "constant"
    batch: int = 128
    init: str | None = "he"
    mean_over: MeanOver = "values"
    turns: bool = True
    size: int = 33
    stride: int = 14

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise InputError(f"unknown {name} {value!r}: choose one of {choices}")
        for name in ("batch", "size", "stride"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} is {value!r}; give a whole number of at least 1")
        for name in ("epochs", "rate", "last_layer"):
            if not 0 < getattr(self, name) < 1e9:
                raise InputError(f"{name} is {getattr(self, name)}; give a number from 0 to 1e9")


_CHOICES = {
    "optimiser": ("sgd", "adam"),
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
    "fast": Recipe(
        epochs=10,
        rate=1.0,
        nesterov=True,
        clip_norm=0.05,
        schedule="cosine",
        batch=32,
    ),
}


@dataclass
class History:
    """What a training went through.

    Attributes
    ----------
    losses : list of (sub-images seen, loss)
        The mean over the mini-batches since the entry before.
    psnrs : list of (sub-images seen, dB)
        Mean PSNR of the held-out pictures.
    bicubic : float
        PSNR of plain bicubic interpolation on the same, in dB.
    best : dict of str to array
        The parameters at the highest PSNR.
    """

    bicubic: float
    losses: list[tuple[int, float]] = field(default_factory=list)
    psnrs: list[tuple[int, float]] = field(default_factory=list)
    best: dict[str, np.ndarray] = field(default_factory=dict)


def train(
    model: Model,
    pictures: list[np.ndarray],
    held_out: list[np.ndarray],
    recipe: Recipe,
    *,
    seed: int = 0,
    validations: int = 10,
    out: str | Path | None = None,
    show: bool = True,
) -> History:
    """Train a model's network on pictures, in place.

    Same seed, machine and number of threads give the same parameters to the bit.

    Parameters
    ----------
    model : Model
        What was done is noted in its `training`.
    pictures, held_out : lists of (H, W) or (H, W, 3) uint8 arrays
        To learn from, and to measure progress on; see `srcnn_np.data.to_channels`.
    recipe : Recipe
    seed : int
        Of the parameters at the start, the order of the sub-images, and how they are
        turned.
    validations : int
        How often, evenly spaced, the held-out pictures are measured.
    out : str or Path, optional
        A model file that gets the state of the highest PSNR so far; one beside it,
        named by `last_path`, gets the last. Files of these names are replaced.
    show : bool
        Show a progress bar.

    Returns
    -------
    history : History

    Raises
    ------
    InputError
        If the pictures give fewer sub-images than a mini-batch, there is none to measure
        on, the model has no scale, or the loss is no longer a finite number.
    """
    if not held_out:
        raise InputError("there is no held-out picture to measure progress on")
    if model.scale is None:
        raise InputError("the model has no scale to be trained for")
    network = model.network
    if recipe.init is not None:
        network.initialise(recipe.init, seed)
    sub_images = cut_sub_images(
        pictures,
        model.scale,
        size=recipe.size,
        stride=recipe.stride,
        margin=network.margin,
        enlargement=model.enlargement,
    )
    optimiser = _optimiser(recipe, network.params)
    schedule = {"constant": constant, "cosine": cosine}[recipe.schedule]
    if len(sub_images) < recipe.batch:
        raise InputError(
            f"the pictures give {len(sub_images)} sub-images, fewer than a mini-batch of "
            f"{recipe.batch}; give more or larger pictures, or a smaller batch"
        )
    updates = max(1, round(recipe.epochs * len(sub_images) / recipe.batch))
    measured_at = {round(updates * (k + 1) / validations) for k in range(validations)}
    targets, smalls = zip(*(shrink(picture, model.scale) for picture in held_out), strict=True)
    given = [enlarge(small, model.scale, model.enlargement) for small in smalls]
    plain = [enlarge(small, model.scale) for small in smalls]
    history = History(bicubic=_mean_psnr(plain, targets, model.scale))
    recent: list[float] = []
    start = time.monotonic()
    batches = _batches(sub_images, recipe, np.random.default_rng(seed))
    # None: a bar where standard error is a terminal; elsewhere a line for each validation.
    bar = tqdm(total=updates, unit=" updates", disable=None if show else True, dynamic_ncols=True)
    with bar, np.errstate(all="ignore"):  # a loss that overflows is reported below
        for update in range(1, updates + 1):
            x, target = next(batches)
            loss, grads = network.loss_and_gradients(x, target, recipe.mean_over)
            if not math.isfinite(loss):
                raise _diverged(update - 1)
            if recipe.clip_norm is not None:
                clip_gradients(grads, recipe.clip_norm)
            factor = schedule((update - 1) / updates)
            optimiser.step(network.params, grads, factor)
            recent.append(loss)
            bar.update()
            if update in measured_at:
                seen = update * recipe.batch
                results = [network.predict(x) for x in given]
                if not all(np.isfinite(result).all() for result in results):
                    raise _diverged(update)
                history.psnrs.append((seen, _mean_psnr(results, targets, model.scale)))
                if show and bar.disable:
                    print(
                        f"{update}/{updates} updates, loss {loss:.2e}, PSNR "
                        f"{history.psnrs[-1][1]:.2f} dB, {time.monotonic() - start:.0f} s",
                        file=sys.stderr,
                    )
                model.training.update(
                    recipe=asdict(recipe),
                    seed=seed,
                    sub_images_seen=seen,
                    seconds=round(time.monotonic() - start),
                    held_out={"bicubic": history.bicubic, "psnr": history.psnrs[-1][1]},
                )
                if history.psnrs[-1][1] == max(value for _, value in history.psnrs):
                    history.best = {name: p.copy() for name, p in network.params.items()}
                    if out is not None:
                        save_model(out, model, force=True)
                if out is not None:
                    save_model(last_path(out), model, force=True)
            if update % max(1, updates // 200) == 0 or update == updates:
                history.losses.append((update * recipe.batch, float(np.mean(recent))))
                recent.clear()
                shown = {
                    "loss": f"{history.losses[-1][1]:.2e}",
                    "rate": f"{recipe.rate * factor:.1e}",
                }
                if history.psnrs:
                    shown["PSNR"] = f"{history.psnrs[-1][1]:.2f} dB"
                bar.set_postfix(shown, refresh=False)
    return history


def _diverged(updates: int) -> InputError:
    return InputError(
        f"the loss is no longer a finite number after {updates} updates; "
        "choose a lower rate or clip the gradients"
    )


def _batches(
    sub_images: SubImages, recipe: Recipe, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Mini-batches without end; every sub-image once before any a second time."""
    queue = np.empty(0, int)
    while True:
        while len(queue) < recipe.batch:
            queue = np.concatenate([queue, rng.permutation(len(sub_images))])
        indices, queue = queue[: recipe.batch], queue[recipe.batch :]
        turns = rng.integers(0, 8, recipe.batch) if recipe.turns else None
        yield sub_images.batch(indices, turns)


def _optimiser(recipe: Recipe, params: dict[str, np.ndarray]) -> SGD | Adam:
    last = list(params)[-1].partition(".")[0]
    layer_rates = {last: recipe.last_layer}
    if recipe.optimiser == "adam":
        return Adam(recipe.rate, layer_rates=layer_rates)
    return SGD(recipe.rate, recipe.momentum, nesterov=recipe.nesterov, layer_rates=layer_rates)


def _mean_psnr(results: Sequence[np.ndarray], targets: Sequence[np.ndarray], scale: int) -> float:
    pairs = zip(results, targets, strict=True)
    return float(np.mean([psnr(as_measured(a, scale), as_measured(b, scale)) for a, b in pairs]))


def last_path(out: str | Path) -> Path:
    """Where `train` leaves the last state, beside the best in `out`."""
    return Path(out).with_name(f"{Path(out).stem}-last.npz")
