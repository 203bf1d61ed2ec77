"""The training loop, and the recipes it follows."""

import csv
import hashlib
import io
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .data import cut_sub_images, shrink
from .errors import InputError
from .evaluation import as_measured
from .imaging import enlarge, psnr
from .loss import MeanOver
from .model import Model, load_model, save_model
from .network import INITS
from .optim import SGD, Adam, Muon, clip_gradients, constant, cosine
from .output import writing


@dataclass(frozen=True)
class Recipe:
    """Everything about a training but the network, the pictures and the seed.

    Attributes
    ----------
    epochs : float
        How often every sub-image is seen.
    optimiser : "sgd", "adam" or "muon"
        See `srcnn_np.optim`.
    rate : float
        Learning rate at the start.
    momentum : float
        Of SGD and Muon, in [0, 1).
    nesterov : bool
        Of SGD.
    last_layer : float
        Factor on the rate for the last convolution.
    clip_norm : float, optional
        Limit on the gradient's norm.
    schedule : "constant" or "cosine"
        How the rate goes on: stays, or falls to 0.
    average : float
        In [0, 1). The result is not the last parameters but their running mean
        a <- average · a + (1 - average) · p; 0 is the last ones.
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
    average: float = 0.0
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
                raise InputError(f"{name} is {getattr(self, name)}; give one above 0 and below 1e9")
        for name in ("momentum", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 0 or more, below 1")


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
    # docs/training.md shows what each part of these is worth.
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
}


@dataclass
class History:
    """What a training went through.

    Attributes
    ----------
    rows : list of dict
        One each 200th part of the training and each validation: "sub_images" seen so far,
        "seconds", "rate", the mean "loss" since the row before; and at validations "psnr", the
        held-out pictures' mean in dB, and "watched", the watched pictures', None if none are.
    bicubic : dict of str to float
        The same measures of plain bicubic interpolation.
    best : dict of str to array
        The parameters at the highest PSNR on the held-out pictures.
    """

    bicubic: dict[str, float | None]
    rows: list[dict] = field(default_factory=list)
    best: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def validations(self) -> list[dict]:
        """The rows with a PSNR."""
        return [row for row in self.rows if row["psnr"] is not None]


def train(
    model: Model,
    pictures: list[np.ndarray],
    held_out: list[np.ndarray],
    recipe: Recipe,
    *,
    seed: int = 0,
    validations: int = 10,
    watched: Sequence[np.ndarray] = (),
    out: str | Path | None = None,
    resume: bool = False,
    show: bool = True,
) -> History:
    """Train a model's network on pictures, in place.

    Same seed and machine give the same parameters to the bit, for any number of threads, and
    with or without a break.

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
    watched : list of arrays
        Measured at the same times, but nothing depends on them.
    out : str or Path, optional
        A model file that gets the state of the highest PSNR so far. Beside it are kept the
        last state (`last_path`), from which a training can go on, and the history as a table
        (`log_path`). Files of these names are replaced.
    resume : bool
        Go on from the last state beside `out`; all else must be as it was.
    show : bool
        Show a progress bar.

    Returns
    -------
    history : History

    Raises
    ------
    InputError
        If the pictures give fewer sub-images than a mini-batch, there is none to measure
        on, the model has no scale, the loss is no longer a finite number, or there is
        nothing to resume.
    KeyboardInterrupt
        After Ctrl-C; the last state is saved.
    """
    if not held_out:
        raise InputError("there is no held-out picture to measure progress on")
    if model.scale is None:
        raise InputError("the model has no scale to be trained for")
    if resume and out is None:
        raise InputError("there is nothing to resume without `out`")
    training = _Training(model, pictures, held_out, recipe, seed, watched)
    if resume:
        training.load(out)
    updates, history = training.updates, training.history
    measured = {round(updates * (k + 1) / validations) for k in range(validations)}
    noted = {round(updates * (k + 1) / 200) for k in range(200)} | measured
    saved = time.monotonic()
    # None: a bar where standard error is a terminal; elsewhere a line for each validation.
    bar = tqdm(
        total=updates,
        initial=training.done,
        unit=" updates",
        disable=None if show else True,
        dynamic_ncols=True,
    )
    with bar, _interrupts(catch=out is not None) as interrupted, np.errstate(all="ignore"):
        while training.done < updates:
            training.update()
            bar.update()
            if training.done in noted:
                best = training.note(measure=training.done in measured)
                bar.set_postfix_str(_shown(history), refresh=False)
                if out is not None and best:
                    with training.averaged():
                        save_model(out, model, force=True)
                if show and bar.disable and training.done in measured:
                    print(f"{training.done}/{updates} updates, {_shown(history)}", file=sys.stderr)
            if out is None:
                continue
            if training.done in measured or time.monotonic() > saved + 60 or interrupted():
                training.save(out)
                saved = time.monotonic()
            if interrupted() and training.done < updates:
                raise KeyboardInterrupt(
                    f"interrupted after {training.done} of {updates} updates; the state is kept "
                    f"in {last_path(out)}, and the same command with --resume goes on from it"
                )
    training.finish()
    return history


def epochs_in(minutes: float, model: Model, pictures: list[np.ndarray], recipe: Recipe) -> float:
    """How many epochs a training of so many minutes has on this machine, by a trial of seconds.

    Parameters are as of `train`, which raises the same errors; `model` stays as it is.
    """
    trial = _Training(deepcopy(model), pictures, [], recipe, 0, [])
    trial.update()  # may compile
    before, start = trial.done, time.monotonic()
    while time.monotonic() < start + _TRIAL and trial.done < trial.updates:
        trial.update()
    rate = (trial.done - before) / (time.monotonic() - start)
    updates = max(1, round(60 * minutes * rate))
    return updates * recipe.batch / len(trial.sub_images)


_TRIAL = 3  # seconds


def last_path(out: str | Path) -> Path:
    """Where `train` leaves the last state, beside the best in `out`."""
    return Path(out).with_name(f"{Path(out).stem}-last.npz")


def log_path(out: str | Path) -> Path:
    """Where `train` leaves the history as a table: comma-separated, a line each row."""
    return Path(out).with_name(f"{Path(out).stem}-log.csv")


def read_log(path: str | Path) -> list[dict]:
    """The rows of a log that `train` left, as a `History` has them.

    Raises
    ------
    InputError
        If there is no such file, or it is no such log.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            if not {*_COLUMNS} <= {*(table.fieldnames or ())}:
                raise ValueError
            rows = [
                {name: float(row[name]) if row[name] else None for name in _COLUMNS}
                for row in table
            ]
        if any(row[name] is None for row in rows for name in ("sub_images", "loss")):
            raise ValueError
        if not all(math.isfinite(v) for row in rows for v in row.values() if v is not None):
            raise ValueError
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path} is not a log of srcnn-np train") from error
    return rows


class _Training:
    """A training under way: all that the next update depends on."""

    def __init__(
        self,
        model: Model,
        pictures: list[np.ndarray],
        held_out: list[np.ndarray],
        recipe: Recipe,
        seed: int,
        watched: Sequence[np.ndarray],
    ) -> None:
        network = model.network
        if recipe.init is not None:
            network.initialise(recipe.init, seed)
        self.model, self.recipe, self.seed = model, recipe, seed
        self.sub_images = cut_sub_images(
            pictures,
            model.scale,
            size=recipe.size,
            stride=recipe.stride,
            margin=network.margin,
            enlargement=model.enlargement,
        )
        if len(self.sub_images) < recipe.batch:
            raise InputError(
                f"the pictures give {len(self.sub_images)} sub-images, fewer than a mini-batch of "
                f"{recipe.batch}; give more or larger pictures, or a smaller --batch"
            )
        self.updates = max(1, round(recipe.epochs * len(self.sub_images) / recipe.batch))
        self.done = 0
        self.started = time.monotonic()
        self.optimiser = _optimiser(recipe, network.params)
        self.schedule = {"constant": constant, "cosine": cosine}[recipe.schedule]
        self.average = {name: p.copy() for name, p in network.params.items()}
        self.losses: list[float] = []  # since the history's last row
        self.held_out, self.watched = _Measure(held_out, model), _Measure(watched, model)
        self.history = History({"psnr": self.held_out.bicubic(), "watched": self.watched.bicubic()})
        digest = hashlib.sha256()
        for picture in (*pictures, *held_out, *watched):
            digest.update(f"{picture.shape}".encode() + picture.tobytes())
        self.pictures = digest.hexdigest()

    def update(self) -> None:
        """Learn from one mini-batch."""
        recipe, network = self.recipe, self.model.network
        x, target = self.sub_images.batch(*self._next_indices_and_turns())
        loss, grads = network.loss_and_gradients(x, target, recipe.mean_over)
        if not math.isfinite(loss):
            raise self._diverged()
        if recipe.clip_norm is not None:
            clip_gradients(grads, recipe.clip_norm)
        self.optimiser.step(network.params, grads, self.schedule(self.done / self.updates))
        for name, p in network.params.items():
            self.average[name] *= p.dtype.type(recipe.average)
            self.average[name] += p.dtype.type(1 - recipe.average) * p
        self.done += 1
        self.losses.append(loss)

    def note(self, *, measure: bool) -> bool:
        """Add a row to the history, with PSNRs if asked for; whether it is the best so far."""
        model, history = self.model, self.history
        best = False
        row = {
            "sub_images": self.done * self.recipe.batch,
            "seconds": round(time.monotonic() - self.started, 1),
            "rate": self.recipe.rate * self.schedule((self.done - 1) / self.updates),
            "loss": float(np.mean(self.losses)),
            "psnr": None,
            "watched": None,
        }
        self.losses.clear()
        if measure:
            with self.averaged():
                row["psnr"], row["watched"] = self.held_out.psnr(), self.watched.psnr()
                if not math.isfinite(row["psnr"]):
                    raise self._diverged()
                best = row["psnr"] > max([-math.inf, *(r["psnr"] for r in history.validations)])
                if best:
                    history.best = {n: p.copy() for n, p in model.network.params.items()}
        history.rows.append(row)
        model.training.update(
            recipe=asdict(self.recipe),
            seed=self.seed,
            sub_images_seen=row["sub_images"],
            seconds=round(row["seconds"]),
        )
        if measure:
            model.training["held_out"] = {"bicubic": history.bicubic["psnr"], "psnr": row["psnr"]}
        return best

    def save(self, out: str | Path) -> None:
        """Write the last state and the log."""
        state = {
            "done": self.done,
            "seconds": time.monotonic() - self.started,
            "pictures": self.pictures,
            "rows": self.history.rows,
        }
        more = {"state": np.array(json.dumps(state)), "losses": np.array(self.losses)}
        more |= {f"memory.{name}": a for name, a in self.optimiser.memory.items()}
        more |= {f"params.{name}": p for name, p in self.model.network.params.items()}
        with self.averaged():
            save_model(last_path(out), self.model, force=True, more=more)
        with writing(log_path(out), force=True) as part:
            text = io.StringIO()
            table = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(self.history.rows)
            part.write_text(text.getvalue())

    def load(self, out: str | Path) -> None:
        """Go on from what `save` wrote."""
        path, last, arrays = _read_last(out)
        state = json.loads(str(arrays["state"]))
        now = {"seed": self.seed, **asdict(self.recipe), "pictures": self.pictures}
        was = {"seed": last.training.get("seed"), **last.training.get("recipe", {})}
        was["pictures"] = state["pictures"]
        now |= {"scale": self.model.scale, "structure": self.model.network.structure}
        was |= {"scale": last.scale, "structure": last.network.structure}
        for name, value in now.items():
            if was.get(name) != value:
                what = f"was {was.get(name)}, not {value}"
                what = "were others" if name == "pictures" else what
                raise InputError(f"{path} cannot be resumed: its {name} {what}")
        self.done = state["done"]
        self.started = time.monotonic() - state["seconds"]
        self.history.rows = state["rows"]
        self.losses = arrays["losses"].tolist()
        network = self.model.network
        self.average = last.network.params
        network.params = {name: arrays[f"params.{name}"] for name in network.params}
        for name in arrays:
            kind, _, rest = name.partition(".")
            if kind == "memory":
                self.optimiser.memory[rest] = arrays[name]
        self.model.training.update(last.training)
        if self.history.validations:
            self.history.best = load_model(out).network.params

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Where the network has the running means of its parameters."""
        network = self.model.network
        params = network.params
        network.params = self.average
        yield
        network.params = params

    def finish(self) -> None:
        """Leave the running means in the network."""
        self.model.network.params = self.average

    def _next_indices_and_turns(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Of the next mini-batch; every sub-image comes once before any a second time."""
        count, batch = len(self.sub_images), self.recipe.batch
        epochs, places = np.divmod(np.arange(self.done * batch, (self.done + 1) * batch), count)
        indices, turns = np.empty(batch, int), np.empty(batch, int)
        for epoch in np.unique(epochs):
            order, how = _shuffled(count, self.seed, int(epoch))
            here = epochs == epoch
            indices[here], turns[here] = order[places[here]], how[places[here]]
        return indices, turns if self.recipe.turns else None

    def _diverged(self) -> InputError:
        return InputError(
            f"the loss is no longer a finite number after {self.done} updates; choose a lower rate"
        )


def resumed_epochs(out: str | Path) -> float:
    """How many epochs the training has whose last state is beside `out`."""
    return _read_last(out)[1].training["recipe"]["epochs"]


def _read_last(out: str | Path) -> tuple[Path, Model, dict[str, np.ndarray]]:
    path = last_path(out)
    if not path.is_file():
        raise InputError(f"there is nothing to resume: {path} does not exist")
    last = load_model(path)
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    if "state" not in arrays:
        raise InputError(f"{path} is a model, but not the last state of a training")
    return path, last, arrays


_COLUMNS = ("sub_images", "seconds", "rate", "loss", "psnr", "watched")


class _Measure:
    """Pictures whose mean PSNR is measured again and again."""

    def __init__(self, pictures: Sequence[np.ndarray], model: Model) -> None:
        self.model = model
        self.pairs = [shrink(picture, model.scale) for picture in pictures]
        self.given = [enlarge(small, model.scale, model.enlargement) for _, small in self.pairs]

    def bicubic(self) -> float | None:
        return self._mean([enlarge(small, self.model.scale) for _, small in self.pairs])

    def psnr(self) -> float | None:
        return self._mean([self.model.network.predict(x) for x in self.given])

    def _mean(self, results: Sequence[np.ndarray]) -> float | None:
        scale = self.model.scale
        values = [
            psnr(as_measured(result, scale), as_measured(target, scale), peak=255)
            for result, (target, _) in zip(results, self.pairs, strict=True)
        ]
        return float(np.mean(values)) if values else None


@lru_cache(maxsize=2)
def _shuffled(count: int, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """An epoch's order of the sub-images, and how each is turned."""
    rng = np.random.default_rng([seed, epoch])
    return rng.permutation(count), rng.integers(0, 8, count)


def _optimiser(recipe: Recipe, params: dict[str, np.ndarray]) -> SGD | Adam | Muon:
    last = list(params)[-1].partition(".")[0]
    layer_rates = {last: recipe.last_layer}
    if recipe.optimiser == "adam":
        return Adam(recipe.rate, layer_rates=layer_rates)
    if recipe.optimiser == "muon":
        return Muon(recipe.rate, recipe.momentum, layer_rates=layer_rates)
    return SGD(recipe.rate, recipe.momentum, nesterov=recipe.nesterov, layer_rates=layer_rates)


def _shown(history: History) -> str:
    """The last row, and the last PSNR."""
    row = history.rows[-1]
    measured = [f"PSNR {history.validations[-1]['psnr']:.2f} dB"] if history.validations else []
    return ", ".join([f"loss {row['loss']:.2e}", f"rate {row['rate']:.1e}", *measured])


@contextmanager
def _interrupts(*, catch: bool) -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether Ctrl-C was pressed; twice interrupts at once."""
    pressed = []

    def press(*_: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(True)

    if not catch or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
