"""The training loop."""

import hashlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .checkpoint import State, last_path, log_path, read_state, write_log, write_state
from .data import SubImages, check_channels, cut_sub_images, shrink, to_channels
from .degradation import Degradation, SmallPictures, in_rgb
from .errors import InputError, brief
from .evaluation import as_measured
from .imaging import Picture, enlarge, psnr
from .model import Model, check_name, save_model
from .optim import SGD, Adam, Arrays, Muon, clip_gradients, constant, cosine
from .output import check_output, claiming
from .pictures import Pictures
from .recipe import Recipe
from .stopping import Stopped, stopped_when_asked
from .team import ALONE, Team


@dataclass
class History:
    """The course of a training.

    Attributes
    ----------
    rows : list of dict
        A row for every 200th part of the training, and for every validation: "sub_images" seen so
        far, "seconds", "rate", and the mean "loss" since the row before. At validations, "psnr" and
        "watched" are the mean PSNRs in dB of the held-out and the watched pictures; None if they
        were not measured.
    bicubic : dict of str to float
        "psnr" and "watched" of plain bicubic interpolation, from the first validation on.
    best : dict of str to array
        The parameters at the highest PSNR on the held-out pictures.
    advice : str
        What to do if the best PSNR is below that of bicubic interpolation; otherwise empty.
    """

    rows: list[dict] = field(default_factory=list)
    bicubic: dict[str, float | None] = field(default_factory=dict)
    best: Arrays = field(default_factory=dict)
    advice: str = ""

    @property
    def validations(self) -> list[dict]:
        """The rows with a PSNR."""
        return [row for row in self.rows if row["psnr"] is not None]


def train(
    model: Model,
    pictures: Sequence[np.ndarray],
    held_out: Sequence[np.ndarray],
    recipe: Recipe,
    *,
    seed: int = 0,
    validations: int = 10,
    watched: Sequence[np.ndarray] = (),
    out: str | Path | None = None,
    force: bool = False,
    resume: bool = False,
    show: bool = True,
    team: Team = ALONE,
) -> History:
    """Train a model's network on pictures, in place.

    The same seed, machine and number of processes give the same parameters, bit for bit, with any
    number of threads, with or without a break. Another number of processes changes the rounding.

    Parameters
    ----------
    model : Model
        What was done is noted in its `training`.
    pictures, held_out : Pictures, or lists of (H, W) or (H, W, 3) uint8 arrays
        To learn from, and to measure progress on; see `srcnn_np.data.to_channels`. Lists are
        copied. A model for luma learns only the first of three channels; but JPEG and noise (see
        `Recipe`) change all three.
    recipe : Recipe
    seed : int
        For the parameters at the start, and the order and turns of the sub-images.
    validations : int
        How many times the held-out pictures are measured, at even intervals.
    watched : list of arrays
        These are measured at the same times, but nothing depends on them.
    out : str or Path, optional
        A model file that gets the state of the highest PSNR so far. Two files lie beside it: the
        last state (`last_path`), from which a training can go on, and the history as a table
        (`log_path`). No other training can write these files meanwhile.
    force : bool
        Replace files of these names that are there already.
    resume : bool
        Go on from the last state beside `out`; everything else must be as it was.
    show : bool
        Show a progress bar.
    team : Team, optional
        The processes that train together, which all call this with the same arguments. Each
        takes its share of every mini-batch, see `srcnn_np.team`; rank 0 writes files and messages.

    Returns
    -------
    history : History

    Raises
    ------
    InputError
        If the pictures give fewer sub-images than a mini-batch, or do not fit into memory; if no
        picture is held out; if the model has no scale; if the loss is no longer a finite number; if
        files are there already, or another training writes them; or if there is nothing to resume.
        In a team, one process may raise this error while the others wait for it: end them by
        `Team.give_up`, as the command does.
    Stopped
        After Ctrl-C, SIGTERM or SIGHUP; with `out`, the last state is saved. `Stopped` is a
        KeyboardInterrupt.
    """
    if not held_out:
        raise InputError("there is no held-out picture to measure progress on")
    if model.scale is None:
        raise InputError("the model has no scale to be trained for")
    if resume and out is None:
        raise InputError("there is nothing to resume without `out`")
    if type(seed) is not int or seed < 0:
        raise InputError(f"seed is {brief(seed)}; give a whole number of at least 0")
    if type(validations) is not int or not 1 <= validations <= 100_000:
        raise InputError(f"validations is {brief(validations)}; give 1 to 100,000")
    files = [] if out is None else [check_name(out), last_path(out), log_path(out)]
    with claiming(files if team.rank == 0 else []):
        team.by_first(lambda: [check_output(file, force=force or resume) for file in files])
        training = _Training(model, pictures, held_out, recipe, seed, validations, watched, team)
        if resume:
            training.load(out)
            training.save(out)  # the training may have been killed between one file and the next
        with (
            _enough_memory(f"a mini-batch of {recipe.batch}", "choose a smaller --batch"),
            stopped_when_asked() if files else nullcontext(lambda: None) as asked,
        ):
            _run(training, out, asked, show and team.rank == 0)
        training.finish()
    return training.history


def _run(
    training: "_Training", out: str | Path | None, asked: Callable[[], int | None], show: bool
) -> None:
    """Run a training to its end, or until it is asked to stop."""
    training.asked, saved = asked, time.monotonic()
    # With None, tqdm shows a bar only on a terminal. Elsewhere each validation prints a line.
    bar = tqdm(
        total=training.updates,
        initial=training.done,
        unit=" updates",
        disable=None if show else True,
        dynamic_ncols=True,
    )
    with bar, np.errstate(all="ignore"):
        while not training.finished:
            validated = False
            if training.row_is_due:
                validated = training.note()
                bar.set_postfix_str(_shown(training.history), refresh=False)
            else:
                training.update()
                bar.update()
            if out is not None:
                number = training.asked_to_end()
                if validated or time.monotonic() > saved + 60 or number:
                    training.save(out)
                    saved = time.monotonic()
                if number and not training.finished:
                    # Until rank 0 has saved: the first process that ends also ends the others.
                    training.team.wait()
                    raise Stopped(
                        number,
                        f"interrupted after {training.done} of {training.updates} updates; the "
                        f"state is kept in {last_path(out)}, and the same command with --resume "
                        "goes on from it",
                    )
            if show and bar.disable and validated:
                with suppress(OSError, ValueError):  # nobody reads standard error any more
                    shown = _shown(training.history)
                    print(f"{training.done}/{training.updates} updates, {shown}", file=sys.stderr)


def epochs_in(
    minutes: float,
    model: Model,
    pictures: Sequence[np.ndarray],
    recipe: Recipe,
    team: Team = ALONE,
) -> float:
    """Return how many epochs fit into `minutes` on this machine, by a trial of a few seconds.

    Parameters and errors are those of `train`; `model` stays as it is.
    """
    if not 0 < minutes < 1e6:
        raise InputError(f"minutes is {brief(minutes)}; give a number above 0 and below 1e6")
    # The recipe's own epochs must not end the trial.
    trial = _Training(deepcopy(model), pictures, [], replace(recipe, epochs=1e8), 0, 1, [], team)
    trial.update()  # may compile
    before, start = trial.done, time.monotonic()
    while team.told(time.monotonic() < start + _TRIAL):
        trial.update()
    seconds = (time.monotonic() - start) / (trial.done - before)
    share = recipe.batch / len(trial.sub_images)  # an update's part of an epoch
    if trial.batches.small:
        start = time.monotonic()
        trial.batches.small.of_epoch(2)
        seconds += share * (time.monotonic() - start)
    return max(1, team.told(round(60 * minutes / seconds))) * share


_TRIAL = 3  # seconds
_NOTED = 200  # rows in a history, besides validations


class _Training:
    """A training under way: all that the next update depends on."""

    def __init__(
        self,
        model: Model,
        pictures: Sequence[np.ndarray],
        held_out: Sequence[np.ndarray],
        recipe: Recipe,
        seed: int,
        validations: int,
        watched: Sequence[np.ndarray],
        team: Team,
    ) -> None:
        network = model.network
        if recipe.init is not None:
            network.initialise(recipe.init, seed)
        self.model, self.recipe, self.seed, self.team = model, recipe, seed, team
        values = sum(picture.size for some in (pictures, held_out, watched) for picture in some)
        with _enough_memory(
            f"{values / 1e6:,.0f} million pixels of pictures, about {values / 1e9:.1f} GB",
            "give fewer or smaller ones",
        ):
            self.everything = [Pictures.of(some) for some in (pictures, held_out, watched)]
            pictures, held_out, watched = self.everything
            for some in self.everything:
                check_channels(some, network.channels[0])
            self.sub_images = cut_sub_images(
                pictures,
                model.scale,
                size=recipe.size,
                stride=recipe.stride,
                margin=network.margin,
                enlargement=model.enlargement,
                channels=network.channels[0],
            )
            small = recipe.degradation and SmallPictures(
                self.sub_images.pictures,
                model.scale,
                model.colour,
                recipe.degradation,
                seed,
                team,
            )
            self.held_out = _Measure(held_out, model, recipe.degradation, team)
            self.watched = _Measure(watched, model, recipe.degradation, team)
        if len(self.sub_images) < recipe.batch:
            raise InputError(
                f"the pictures give {len(self.sub_images)} sub-images, fewer than a mini-batch of "
                f"{recipe.batch}; give more or larger pictures, or a smaller --batch"
            )
        self.batches = _Batches(self.sub_images, small, recipe, seed)
        self.updates = max(1, round(recipe.epochs * len(self.sub_images) / recipe.batch))
        measured, noted = (
            {round(self.updates * (k + 1) / count) for k in range(count)}
            for count in (validations, _NOTED)
        )
        # The updates after which the history gets a row, and whether that row has a PSNR.
        self.marks = {mark: mark in measured for mark in sorted(measured | noted) if mark > 0}
        self.done = 0
        self.asked: Callable[[], int | None] = lambda: None  # see `stopped_when_asked`
        self.agreed: int | None = None  # the signal on which all processes end
        self.started = time.monotonic()
        self.optimiser = _optimiser(recipe, network.params, team)
        self.schedule = {"constant": constant, "cosine": cosine}[recipe.schedule]
        self.average = {name: p.copy() for name, p in network.params.items()}
        self.losses: list[float] = []  # since the history's last row
        self.about = dict(model.training)
        self.history = History()
        self.validations = validations
        if team.size > 1 and len(set(team.gather(json.dumps(self._same())))) > 1:
            raise InputError(
                "the processes have different pictures, recipes or seeds; give all the same"
            )

    @property
    def row_is_due(self) -> bool:
        """Whether `note` comes before the next `update`."""
        return self.done in self.marks and bool(self.losses)

    @property
    def finished(self) -> bool:
        return self.done == self.updates and not self.row_is_due

    @cached_property
    def pictures(self) -> str:
        """A digest of all pictures."""
        digest = hashlib.sha256()
        for pictures in self.everything:
            for picture in pictures:
                digest.update(f"{picture.shape}".encode() + picture.tobytes())
        return digest.hexdigest()

    def asked_to_end(self) -> int | None:
        """Return the signal that asks this process, or all of them, to end."""
        return self.asked() if self.team.size == 1 else self.agreed

    def update(self) -> None:
        """Learn from one mini-batch."""
        recipe, network = self.recipe, self.model.network
        if self.team.size == 1:
            x, target = self.batches[self.done]
            loss, grads = network.loss_and_gradients(x, target, recipe.mean_over)
        else:
            loss, grads = self._by_all()
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

    def _by_all(self) -> tuple[float, Arrays]:
        """Return loss and gradients of one mini-batch; each process takes its share.

        The mean over N samples is a sum over the shares: a share of n_r samples gives n_r / N times
        its own mean.
        """
        network, share = self.model.network, self.team.share(self.recipe.batch)
        loss, grads = 0.0, {name: np.zeros_like(p) for name, p in network.params.items()}
        self.batches.prepare(self.done)
        part = (share.stop - share.start) / self.recipe.batch
        if part:
            x, target = self.batches.some(self.done, share)
            loss, grads = network.loss_and_gradients(x, target, self.recipe.mean_over)
        asked = self.asked()
        flat = [*(part * g.ravel() for g in grads.values()), [part * loss, asked is not None]]
        flat = np.concatenate(flat, dtype=next(iter(grads.values())).dtype)
        self.team.add_up(flat)
        if flat[-1]:
            self.agreed = next(n for n in self.team.gather(asked) if n)
        ends = np.cumsum([0, *(g.size for g in grads.values())])
        sums = {
            name: flat[ends[n] : ends[n + 1]].reshape(g.shape)
            for n, (name, g) in enumerate(grads.items())
        }
        return float(flat[-2]), sums

    def note(self) -> bool:
        """Add a row to the history; return whether it has PSNRs."""
        history, measured = self.history, self.marks[self.done]
        self._check_agreement()
        row = {
            "sub_images": self.done * self.recipe.batch,
            "seconds": round(time.monotonic() - self.started, 1),
            "rate": self.recipe.rate * self.schedule((self.done - 1) / self.updates),
            "loss": float(np.mean(self.losses)),
            "psnr": None,
            "watched": None,
        }
        if measured:
            self._measure_bicubic()
            with self.showing(self.average):
                row["psnr"], row["watched"] = self.held_out.psnr(), self.watched.psnr()
            if not math.isfinite(row["psnr"]):
                raise self._diverged()
            if row["psnr"] > max((r["psnr"] for r in history.validations), default=-math.inf):
                history.best = {name: p.copy() for name, p in self.average.items()}
        self.losses.clear()
        history.rows.append(row)
        return measured

    def _measure_bicubic(self) -> None:
        """Measure bicubic interpolation, if that is not done yet: large pictures take a while."""
        if not self.history.bicubic:
            values = self.held_out.bicubic(), self.watched.bicubic()
            self.history.bicubic = dict(zip(("psnr", "watched"), values, strict=True))

    def _check_agreement(self) -> None:
        """Check that all processes still have the same parameters: equal sums give equal steps."""
        digest = hashlib.sha256()
        for p in self.model.network.params.values():
            digest.update(p.tobytes())
        if len(set(self.team.gather(digest.digest()))) > 1:
            raise InputError(
                f"the processes' parameters are no longer the same after {self.done} updates; "
                "run all on processors of the same kind"
            )

    def save(self, out: str | Path) -> None:
        """Write the last state, then the files that follow from it: best model and log."""
        if self.team.rank != 0:
            return
        rows, validations = self.history.rows, self.history.validations
        state = State(
            self.done,
            time.monotonic() - self.started,
            rows,
            self.losses,
            self.about,
            params=self.model.network.params,
            average=self.average,
            best=self.history.best,
            memory=self.optimiser.memory,
        )
        with self.showing(self.average):
            write_state(out, self.model, self._same(), state)
        if validations:
            with self.showing(self.history.best, max(validations, key=lambda row: row["psnr"])):
                save_model(out, self.model, force=True)
        write_log(log_path(out), rows)

    def load(self, out: str | Path) -> None:
        """Go on from the files that `save` wrote."""
        state = self.team.by_first(lambda: self._state_in(out))
        self.done, self.losses, self.about = state.done, state.losses, state.about
        self.started = time.monotonic() - state.seconds
        self.history.rows, self.history.best = state.rows, state.best
        self.model.network.params, self.average = state.params, state.average
        self.optimiser.memory.update(state.memory)
        if self.history.validations:
            self._measure_bicubic()

    def _state_in(self, out: str | Path) -> State:
        params = deepcopy(dict(self.model.network.params))
        optimiser = _optimiser(self.recipe, params, ALONE)
        optimiser.step(params, {name: np.zeros_like(p) for name, p in params.items()})
        batch = self.recipe.batch
        return read_state(out, self._same(), self.marks, batch, params, optimiser.memory)

    @contextmanager
    def showing(self, params: Arrays, row: dict | None = None) -> Iterator[None]:
        """Give the model, for a block, these parameters and the `training` of a row, or of now."""
        network, live, said = self.model.network, self.model.network.params, self.model.training
        network.params, self.model.training = params, self._said(row)
        try:
            yield
        finally:
            network.params, self.model.training = live, said

    def finish(self) -> None:
        """Leave the running means in the network, and note in the model what was done."""
        history = self.history
        self.model.network.params = self.average
        self.model.training.update(self._said())
        if max(row["psnr"] for row in history.validations) < history.bicubic["psnr"]:
            batch = self.batches[self.done]
            _, grads = self.model.network.loss_and_gradients(*batch, self.recipe.mean_over)
            history.advice = _advice([row["loss"] for row in history.rows], grads)

    def _said(self, row: dict | None = None) -> dict:
        """Return the model's `training`, as it was at a row of the history, or is now."""
        psnrs = [r["psnr"] for r in self.history.validations]
        row = row or {
            "sub_images": self.done * self.recipe.batch,
            "seconds": time.monotonic() - self.started,
            "psnr": psnrs[-1] if psnrs else None,
        }
        said = {
            **self.about,
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "sub_images_seen": row["sub_images"],
            "seconds": round(row["seconds"]),
        }
        if row["psnr"] is not None:
            said["held_out"] = {"bicubic": self.history.bicubic["psnr"], "psnr": row["psnr"]}
        return said

    def _same(self) -> dict:
        """Return all that must be the same in a run that goes on from here, in JSON's types."""
        model, network = self.model, self.model.network
        same = {
            "seed": self.seed,
            **asdict(self.recipe),
            "pictures": self.pictures,
            **{name: getattr(model, name) for name in ("scale", "colour", "enlargement")},
            "structure": network.structure,
            "predict_border": network.predict_border,
            "layers": ", ".join(network.layers),
            "validations": self.validations,
        }
        for name, layer in network.layers.items():
            settings = {**layer.settings(), "backend": getattr(layer, "backend", None)}
            same |= {f"{name}.{key}": value for key, value in settings.items()}
        return json.loads(json.dumps(same))

    def _diverged(self) -> InputError:
        return InputError(
            f"the loss is no longer a finite number after {self.done} updates; choose a lower rate"
        )


class _Batches:
    """Mini-batches by their numbers; every sub-image comes once before any comes again."""

    def __init__(
        self, sub_images: SubImages, small: SmallPictures | None, recipe: Recipe, seed: int
    ) -> None:
        self.sub_images, self.small, self.recipe, self.seed = sub_images, small, recipe, seed

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return x and target of one mini-batch."""
        return self.some(number, slice(None))

    def some(self, number: int, which: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return x and target of some samples of a mini-batch."""
        epochs, places = (part[which] for part in self._places(number))
        parts = []
        for epoch in np.unique(epochs).tolist():
            order, turns = _shuffled(len(self.sub_images), self.seed, epoch)
            here = places[epochs == epoch]
            small = self.small and self.small.of_epoch(epoch)
            turned = turns[here] if self.recipe.turns else None
            parts.append(self.sub_images.batch(order[here], turned, small))
        return parts[0] if len(parts) == 1 else tuple(map(np.concatenate, zip(*parts, strict=True)))

    def prepare(self, number: int) -> None:
        """Make the small pictures of a mini-batch ready; all processes do this together."""
        if self.small:
            for epoch in np.unique(self._places(number)[0]).tolist():
                self.small.of_epoch(epoch)

    def _places(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the epoch of each sample of a mini-batch, and the sample's place in that epoch."""
        batch = self.recipe.batch
        return np.divmod(np.arange(number * batch, (number + 1) * batch), len(self.sub_images))


def _advice(losses: Sequence[float], grads: Mapping[str, np.ndarray]) -> str:
    """Say what to do about a result that is worse than bicubic interpolation's."""
    if {name for name, g in grads.items() if g.any()} <= {list(grads)[-1]}:  # the last bias
        return (
            "its ReLUs let nothing through any more, as after steps that were too long; choose "
            "a lower rate"
        )
    if losses[-1] > 2 * losses[0]:
        return f"the loss rose, from {losses[0]:.2g} to {losses[-1]:.2g}; choose a lower rate"
    quarter = len(losses) // 4
    if quarter > 4:  # with fewer, it may be chance
        early, late = np.mean(losses[quarter : 2 * quarter]), np.mean(losses[-quarter:])
        if late > 0.95 * early:
            return (
                f"the loss no longer falls from {early:.2g}; choose a lower rate if it jumps, "
                "a higher one if it hardly moves"
            )
    return "train longer, or on more pictures"


@contextmanager
def _enough_memory(what: str, advice: str) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise InputError(f"there is not enough memory for {what}; {advice}") from error


_PERFECT = 100.0  # dB, for a picture without any error, whose infinite PSNR would spoil the mean


class _Measure:
    """Pictures that processes share, to measure their mean PSNR again and again."""

    def __init__(
        self, pictures: Pictures, model: Model, degradation: Degradation | None, team: Team
    ) -> None:
        self.pictures, self.model, self.team = pictures, model, team
        self.degradation = degradation

    def bicubic(self) -> float | None:
        return self._mean(lambda small: enlarge(small, self.model.scale))

    def psnr(self) -> float | None:
        model = self.model
        return self._mean(
            lambda small: model.network.predict(enlarge(small, model.scale, model.enlargement))
        )

    def _mean(self, restored: Callable[[np.ndarray], np.ndarray]) -> float | None:
        scale = self.model.scale

        def measured(n: int) -> float:
            target, small = shrink(self.pictures[n], scale)
            if self.degradation is not None:
                rng = np.random.default_rng(n)  # the same in every training
                harmed = Picture(self.degradation.harm(in_rgb(small), rng))
                small = to_channels(harmed, self.model.colour) / 255
            elif self.model.colour == "luma" and small.ndim == 3:
                small = small[..., 0]
            result = as_measured(restored(small), scale)
            return psnr(result, as_measured(target, scale), peak=255)

        values = self.team.each(measured, len(self.pictures))
        return float(np.mean(np.minimum(values, _PERFECT))) if values else None


@lru_cache(maxsize=2)
def _shuffled(count: int, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an epoch's order of the sub-images, and how each is turned."""
    rng = np.random.default_rng([seed, epoch])
    # Small types, since a large set of pictures has many millions of sub-images.
    return rng.permutation(count).astype(np.uint32), rng.integers(0, 8, count).astype(np.uint8)


def _optimiser(recipe: Recipe, params: dict[str, np.ndarray], team: Team) -> SGD | Adam | Muon:
    last = list(params)[-1].partition(".")[0]
    layer_rates = {last: recipe.last_layer}
    if recipe.only_last:
        layer_rates |= {name.partition(".")[0]: 0.0 for name in params} | {last: recipe.last_layer}
    if recipe.optimiser == "adam":
        return Adam(recipe.rate, layer_rates=layer_rates)
    if recipe.optimiser == "muon":
        return Muon(recipe.rate, recipe.momentum, layer_rates=layer_rates, team=team)
    return SGD(recipe.rate, recipe.momentum, nesterov=recipe.nesterov, layer_rates=layer_rates)


def _shown(history: History) -> str:
    """Return the last row and the last PSNR as a text."""
    row = history.rows[-1]
    measured = [f"PSNR {history.validations[-1]['psnr']:.2f} dB"] if history.validations else []
    return ", ".join([f"loss {row['loss']:.2e}", f"rate {row['rate']:.1e}", *measured])
