"""The reader's pieces put together: a small SRCNN that learns to sharpen pictures.

SRCNN is three convolutions with a ReLU after the first two. It is given a picture that bicubic
interpolation has enlarged, and answers with a sharper one. The library draws the pictures, shrinks
them, limits the gradients' size and lowers the rate. The reader's pieces compute all else.
"""

import time
from collections.abc import Callable
from functools import wraps
from itertools import pairwise
from types import ModuleType
from unittest.mock import patch

import numpy as np
from PIL import Image, ImageDraw

from srcnn_np import draw_pictures
from srcnn_np.data import shrink
from srcnn_np.optim import clip_gradients, cosine

from .checks import EXERCISES

NEEDED = list(EXERCISES)[:9]  # two of the others make these quicker, and three are for FSRCNN
SCALE = 3
CHANNELS, FILTER_SIDES = (1, 16, 8, 1), (5, 1, 3)
MARGIN = 3  # pixels that the three filters take from each side: 2 + 0 + 1
# Updates, pieces of pictures in an update, and a piece's side: so few that loops end soon, too.
UPDATES, BATCH, SIDE = 800, 2, 12
HELD_OUT = 4, 64  # pictures to measure on, and the side of each one's middle
RATE, MOMENTUM, LIMIT = 0.1, 0.9, 0.2
LONG = 20  # from so many seconds on, the time is said beforehand
ZOOM, GAP = 6, 16  # for the picture that is written; the gap is in its pixels

Arrays = dict[str, np.ndarray]
Pairs = list[tuple[np.ndarray, np.ndarray]]  # a picture enlarged, and as it should be


def train(pieces: ModuleType, updates: int = UPDATES) -> tuple[float, float, Arrays]:
    """Train, and print the progress.

    Parameters
    ----------
    pieces : module
        With the functions in `NEEDED`, all right.
    updates : int

    Returns
    -------
    bicubic, network : float
        Mean PSNR in dB on pictures that were not learnt from.
    panels : dict of str to (H, W) array
        The first of these pictures, by title: by bicubic interpolation, by the network, and the
        original.
    """
    rng = np.random.default_rng(0)
    count, side = HELD_OUT
    pictures = draw_pictures(20 + count, size=128, seed=0)
    middle = slice(64 - side // 2, 64 + side // 2)
    pairs = [prepare(picture, pieces.bicubic_kernel) for picture in pictures]
    held_out = [tuple(array[middle, middle] for array in pair) for pair in pairs[:count]]
    pairs = pairs[count:]
    params = initial_parameters(rng)
    _say_how_long(pieces, params, draw_batch(rng, pairs, BATCH), updates)

    velocities = {name: np.zeros_like(p) for name, p in params.items()}
    start, losses = time.monotonic(), []
    for done in range(1, updates + 1):
        x, target = draw_batch(rng, pairs, BATCH)
        loss, grads = loss_and_gradients(pieces, params, x, target)
        losses.append(loss)
        clip_gradients(grads, LIMIT)
        rate = RATE * cosine((done - 1) / updates)
        for name in params:
            velocities[name], params[name] = pieces.sgd_step(
                velocities[name], params[name], grads[name], rate, MOMENTUM
            )
        if done % max(1, updates // 10) == 0:
            print(
                f"{done:5} updates, {time.monotonic() - start:3.0f} s: mean loss "
                f"{np.mean(losses):.4f}",
                flush=True,
            )
            losses = []
    return measure(pieces, params, held_out)


def measure(pieces: ModuleType, params: Arrays, pairs: Pairs) -> tuple[float, float, Arrays]:
    """Return what `train` returns, for pairs of a picture enlarged and as it should be."""
    targets = [_inner(target) for _, target in pairs]
    answers = {
        "bicubic": [_inner(x) for x, _ in pairs],
        "your network": [forward(pieces, params, x[None, None])[0][0, 0] for x, _ in pairs],
    }
    panels, means = {}, []
    for title, pictures in answers.items():
        psnrs = [pieces.psnr(*pair, 1.0) for pair in zip(pictures, targets, strict=True)]
        panels[f"{title} {psnrs[0]:.2f} dB"] = pictures[0]
        means.append(float(np.mean(psnrs)))
    return *means, {**panels, "original": targets[0]}


def prepare(picture: np.ndarray, kernel: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture shrunk and enlarged again, and the original; (H, W) float32 in [0, 1]."""
    target, small = shrink(picture, SCALE)
    return enlarge(small, SCALE, kernel).astype(np.float32), target.astype(np.float32)


def enlarge(small: np.ndarray, scale: int, kernel: Callable) -> np.ndarray:
    """Enlarge a picture (H, W) by a whole factor, bicubically: rows, then columns."""
    H, W = small.shape
    return _shares(H, scale, kernel) @ small @ _shares(W, scale, kernel).T


def _shares(length: int, scale: int, kernel: Callable) -> np.ndarray:
    """Return how much each pixel counts in each new pixel, (scale · length, length)."""
    places = (np.arange(scale * length) + 0.5) / scale - 0.5  # of new pixels, among the old
    shares = kernel(places[:, None] - np.arange(-2, length + 2))
    # Outside, as far as the kernel reaches, the picture goes on as its mirror image.
    inside = shares[:, 2:-2].copy()
    inside[:, :2] += shares[:, 1::-1]
    inside[:, -2:] += shares[:, :-3:-1]
    return inside


def initial_parameters(rng: np.random.Generator) -> Arrays:
    """Draw weights w1 to w3 (K, C, kh, kw) as He et al. say; biases b1 to b3 (K,) are 0.

    At first, each filter of layer 1 has mean 0: it gives 0 where a picture is flat, and sees
    details.
    """
    params = {}
    layers = zip(pairwise(CHANNELS), FILTER_SIDES, strict=True)
    for n, ((C, K), side) in enumerate(layers, start=1):
        w = rng.normal(0, np.sqrt(2 / (C * side**2)), (K, C, side, side))
        params[f"w{n}"] = w.astype(np.float32)
        params[f"b{n}"] = np.zeros(K, np.float32)
    params["w1"] -= params["w1"].mean(axis=(1, 2, 3), keepdims=True)
    return params


def draw_batch(rng: np.random.Generator, pairs: Pairs, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut pieces at random: x (N, 1, SIDE, SIDE), and the middles of the right answers."""
    x = np.empty((count, 1, SIDE, SIDE), np.float32)
    target = np.empty((count, 1, SIDE - 2 * MARGIN, SIDE - 2 * MARGIN), np.float32)
    for n, which in enumerate(rng.integers(len(pairs), size=count)):
        enlarged, picture = pairs[which]
        i, j = (rng.integers(side - SIDE + 1) for side in picture.shape)
        piece = slice(i, i + SIDE), slice(j, j + SIDE)
        x[n, 0], target[n, 0] = enlarged[piece], _inner(picture[piece])
    return x, target


def loss_and_gradients(
    pieces: ModuleType, params: Arrays, x: np.ndarray, target: np.ndarray
) -> tuple[float, Arrays]:
    """Go forward through the network, and back."""
    y, inputs = forward(pieces, params, x)
    loss, dy = pieces.mse(y, target)
    return loss, backward(pieces, params, inputs, dy)


def forward(pieces: ModuleType, params: Arrays, x: np.ndarray) -> tuple[np.ndarray, list]:
    """Return the network's output, and what each layer was given, which `backward` needs."""
    a1 = pieces.conv_forward(x, params["w1"], params["b1"])
    x2 = np.maximum(a1, 0)
    a2 = pieces.conv_forward(x2, params["w2"], params["b2"])
    x3 = np.maximum(a2, 0)
    return pieces.conv_forward(x3, params["w3"], params["b3"]), [x, a1, x2, a2, x3]


def backward(pieces: ModuleType, params: Arrays, inputs: list, dy: np.ndarray) -> Arrays:
    """Return the loss's gradient with respect to every parameter, from that with respect to y."""
    x, a1, x2, a2, x3 = inputs
    w1, w2, w3 = params["w1"], params["w2"], params["w3"]
    da2 = pieces.relu_backward(pieces.conv_dx(dy, w3, x3.shape), a2)
    da1 = pieces.relu_backward(pieces.conv_dx(da2, w2, x2.shape), a1)
    return {
        "w3": pieces.conv_dw(dy, x3, *w3.shape[2:]),
        "b3": pieces.conv_db(dy),
        "w2": pieces.conv_dw(da2, x2, *w2.shape[2:]),
        "b2": pieces.conv_db(da2),
        "w1": pieces.conv_dw(da1, x, *w1.shape[2:]),
        "b1": pieces.conv_db(da1),
    }


def _inner(picture: np.ndarray) -> np.ndarray:
    return picture[MARGIN:-MARGIN, MARGIN:-MARGIN]


def side_by_side(panels: Arrays) -> np.ndarray:
    """Lay pictures in [0, 1] on white, under their titles, with pixels large enough to be seen."""
    small = next(iter(panels.values()))
    height, width = (ZOOM * side for side in small.shape)
    page = Image.new("L", (len(panels) * (width + GAP) + GAP, height + 3 * GAP), "white")
    for n, (title, panel) in enumerate(panels.items()):
        left = GAP + n * (width + GAP)
        pixels = np.rint(255 * panel.clip(0, 1)).astype(np.uint8)
        ImageDraw.Draw(page).text((left, GAP / 2), title, font_size=GAP)
        page.paste(Image.fromarray(pixels.repeat(ZOOM, 0).repeat(ZOOM, 1)), (left, 2 * GAP))
    return np.asarray(page)


def _say_how_long(pieces: ModuleType, params: Arrays, batch: tuple, updates: int) -> None:
    """Try one update, and print how long the training will take, and in which functions."""
    loss_and_gradients(pieces, params, *batch)  # what is done only once is not measured
    spent = time_spent(pieces, lambda: loss_and_gradients(pieces, params, *batch))
    seconds = updates * sum(spent.values())
    if seconds < LONG:
        return
    long = f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{seconds:.0f} seconds"
    shares = {name: updates * s / seconds for name, s in spent.items()}
    most = sorted((name for name in shares if shares[name] > 0.1), key=shares.get, reverse=True)
    where = ", ".join(f"{shares[name]:.0%} in {name}" for name in most)
    print(f"This takes about {long}: {where}. Ctrl-C ends it.")
    print("Products of matrices are much quicker than loops: part 3 of exercises.py.")


def time_spent(pieces: ModuleType, work: Callable[[], object]) -> dict[str, float]:
    """Return the seconds that each function works itself, without the others that it calls."""
    spent = {"": 0.0, **dict.fromkeys(EXERCISES, 0.0)}
    at_work, since = [""], time.thread_time()  # which other work of the machine does not change

    def change() -> None:
        nonlocal since
        now = time.thread_time()
        spent[at_work[-1]] += now - since
        since = now

    def timed(name: str, function: Callable) -> Callable:
        @wraps(function)
        def other(*arguments, **more):
            change()
            at_work.append(name)
            try:
                return function(*arguments, **more)
            finally:
                change()
                at_work.pop()

        return other

    own = {name: timed(name, vars(pieces)[name]) for name in EXERCISES if name in vars(pieces)}
    with patch.dict(vars(pieces), own):
        work()
    del spent[""]
    return spent
