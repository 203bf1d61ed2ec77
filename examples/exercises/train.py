"""The reader's pieces put together: a small SRCNN that learns to sharpen pictures.

SRCNN is three convolutions with a ReLU after the first two. It is given a picture that bicubic
interpolation has enlarged, and answers a sharper one. The library draws the pictures, shrinks
them, limits the gradients' size and lowers the rate; all else is computed by the reader's pieces.
"""

import time
from collections.abc import Callable
from itertools import pairwise
from types import ModuleType, SimpleNamespace

import numpy as np
from PIL import Image, ImageDraw

from srcnn_np import InputError, draw_pictures
from srcnn_np.data import shrink
from srcnn_np.optim import clip_gradients, cosine

from .checks import EXERCISES

SCALE = 3
CHANNELS, FILTER_SIDES = (1, 16, 8, 1), (5, 1, 3)
MARGIN = 3  # pixels that the three filters take from each side: 2 + 0 + 1
UPDATES = 2000
BATCH, SIDE = 16, 24  # pieces of pictures in an update, and their side in pixels
RATE, MOMENTUM, LIMIT = 0.1, 0.9, 0.2
PATIENCE = 600  # seconds
ZOOM, GAP = 3, 16  # of the picture that is written; the gap in its pixels

Arrays = dict[str, np.ndarray]
Pairs = list[tuple[np.ndarray, np.ndarray]]  # a picture enlarged, and as it should be


def train(pieces: ModuleType, updates: int = UPDATES) -> tuple[float, float, Arrays]:
    """Train, and print the progress.

    Parameters
    ----------
    pieces : module
        With the eleven functions, all right.
    updates : int

    Returns
    -------
    bicubic, network : float
        Mean PSNR in dB on pictures that were not learnt from.
    panels : dict of str to (H, W) array
        The first of these: bicubic, by the network, and as it should be, by title.

    Raises
    ------
    InputError
        If the functions are so slow that it would take longer than ten minutes.
    """
    rng = np.random.default_rng(0)
    pairs = [
        prepare(picture, pieces.bicubic_kernel) for picture in draw_pictures(24, size=128, seed=0)
    ]
    held_out, pairs = pairs[:4], pairs[4:]
    params = initial_parameters(rng)
    _check_speed(pieces, params, pairs, updates)

    bicubic = mean_psnr(pieces, held_out)
    print(f"bicubic interpolation: {bicubic:.2f} dB on {len(held_out)} pictures held out")
    velocities = {name: np.zeros_like(p) for name, p in params.items()}
    start = time.monotonic()
    for done in range(updates):
        x, target = draw_batch(rng, pairs, BATCH)
        loss, grads = loss_and_gradients(pieces, params, x, target)
        clip_gradients(grads, LIMIT)
        rate = RATE * cosine(done / updates)
        for name in params:
            velocities[name], params[name] = pieces.sgd_step(
                velocities[name], params[name], grads[name], rate, MOMENTUM
            )
        if (done + 1) % max(1, updates // 10) == 0:
            network = mean_psnr(pieces, held_out, params)
            print(
                f"{done + 1:5} updates, {time.monotonic() - start:3.0f} s: loss {loss:.4f}, "
                f"{network:.2f} dB",
                flush=True,
            )
    return bicubic, network, _panels(pieces, params, *held_out[0])


def prepare(picture: np.ndarray, kernel: Callable) -> tuple[np.ndarray, np.ndarray]:
    """A picture, shrunk and enlarged again, and itself; (H, W) float32 arrays in [0, 1]."""
    target, small = shrink(picture, SCALE)
    return enlarge(small, SCALE, kernel).astype(np.float32), target.astype(np.float32)


def enlarge(small: np.ndarray, scale: int, kernel: Callable) -> np.ndarray:
    """Bicubic interpolation of a picture (H, W) by a whole factor: rows, then columns."""
    H, W = small.shape
    return _shares(H, scale, kernel) @ small @ _shares(W, scale, kernel).T


def _shares(length: int, scale: int, kernel: Callable) -> np.ndarray:
    """How much of each pixel is in each of the new ones, (scale · length, length)."""
    places = (np.arange(scale * length) + 0.5) / scale - 0.5  # of new pixels, among the old
    shares = kernel(places[:, None] - np.arange(-2, length + 2))
    # Outside, as far as the kernel reaches, the picture goes on as its mirror image.
    inside = shares[:, 2:-2].copy()
    inside[:, :2] += shares[:, 1::-1]
    inside[:, -2:] += shares[:, :-3:-1]
    return inside


def initial_parameters(rng: np.random.Generator) -> Arrays:
    """Weights w1 to w3 (K, C, kh, kw), drawn as He et al. say, and biases b1 to b3 (K,), 0.

    The first filters less their mean: they begin with 0 for what is flat, and see details.
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
    """Cut pieces at random: x (N, 1, SIDE, SIDE), and the middles of what it should be."""
    x = np.empty((count, 1, SIDE, SIDE), np.float32)
    target = np.empty((count, 1, SIDE - 2 * MARGIN, SIDE - 2 * MARGIN), np.float32)
    for n, which in enumerate(rng.integers(len(pairs), size=count)):
        enlarged, picture = pairs[which]
        i, j = (rng.integers(side - SIDE + 1) for side in picture.shape)
        piece = slice(i, i + SIDE), slice(j, j + SIDE)
        x[n, 0], target[n, 0] = enlarged[piece], _middle(picture[piece])
    return x, target


def loss_and_gradients(
    pieces: ModuleType, params: Arrays, x: np.ndarray, target: np.ndarray
) -> tuple[float, Arrays]:
    """Forward through the network, and back."""
    y, inputs = forward(pieces, params, x)
    loss, dy = pieces.mse(y, target)
    return loss, backward(pieces, params, inputs, dy)


def forward(pieces: ModuleType, params: Arrays, x: np.ndarray) -> tuple[np.ndarray, list]:
    """The network's output, and what each layer was given, which `backward` needs."""
    a1 = pieces.conv_forward(x, params["w1"], params["b1"])
    x2 = np.maximum(a1, 0)
    a2 = pieces.conv_forward(x2, params["w2"], params["b2"])
    x3 = np.maximum(a2, 0)
    return pieces.conv_forward(x3, params["w3"], params["b3"]), [x, a1, x2, a2, x3]


def backward(pieces: ModuleType, params: Arrays, inputs: list, dy: np.ndarray) -> Arrays:
    """The loss's gradient with respect to every parameter, from that with respect to y."""
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


def mean_psnr(pieces: ModuleType, pairs: Pairs, params: Arrays | None = None) -> float:
    """PSNR in dB of the network's pictures or, without params, of the enlarged ones."""
    values = []
    for enlarged, picture in pairs:
        answer = _middle(enlarged)
        if params is not None:
            answer = forward(pieces, params, enlarged[None, None])[0][0, 0]
        values.append(pieces.psnr(answer, _middle(picture), 1.0))
    return float(np.mean(values))


def _middle(picture: np.ndarray) -> np.ndarray:
    return picture[MARGIN:-MARGIN, MARGIN:-MARGIN]


def _panels(
    pieces: ModuleType, params: Arrays, enlarged: np.ndarray, picture: np.ndarray
) -> Arrays:
    network = forward(pieces, params, enlarged[None, None])[0][0, 0]
    original = _middle(picture)
    panels = {"bicubic": _middle(enlarged), "your network": network}
    titled = {
        f"{name} {pieces.psnr(panel, original, 1.0):.2f} dB": panel
        for name, panel in panels.items()
    }
    return {**titled, "original": original}


def side_by_side(panels: Arrays) -> np.ndarray:
    """Pictures in [0, 1] on white, each under its title, with pixels large enough to be seen."""
    small = next(iter(panels.values()))
    height, width = (ZOOM * side for side in small.shape)
    page = Image.new("L", (len(panels) * (width + GAP) + GAP, height + 3 * GAP), "white")
    for n, (title, panel) in enumerate(panels.items()):
        left = GAP + n * (width + GAP)
        pixels = np.rint(255 * panel.clip(0, 1)).astype(np.uint8)
        ImageDraw.Draw(page).text((left, GAP / 2), title, font_size=GAP)
        page.paste(Image.fromarray(pixels.repeat(ZOOM, 0).repeat(ZOOM, 1)), (left, 2 * GAP))
    return np.asarray(page)


def _check_speed(pieces: ModuleType, params: Arrays, pairs: Pairs, updates: int) -> None:
    """Try one piece of a picture, and reckon how long the whole takes."""
    spent = dict.fromkeys(EXERCISES, 0.0)

    def timed(name: str) -> Callable:
        def function(*arguments):
            start = time.thread_time()  # which does not depend on what else the machine does
            result = getattr(pieces, name)(*arguments)
            spent[name] += time.thread_time() - start
            return result

        return function

    watched = SimpleNamespace(**{name: timed(name) for name in EXERCISES})
    loss_and_gradients(watched, params, *draw_batch(np.random.default_rng(0), pairs, 1))
    seconds = updates * BATCH * sum(spent.values())
    if seconds > PATIENCE:
        slow = [name for name in EXERCISES if spent[name] > sum(spent.values()) / 10]
        raise InputError(
            f"this training would take about {seconds / 60:.0f} minutes, most of them in "
            f"{', '.join(slow)}; write matrix products in place of loops (see the hints)"
        )
