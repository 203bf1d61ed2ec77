"""How work divides among threads: how many pieces there are, and the share of the largest one.

With more threads than processors nothing gets faster, but the table shows whether each
thread has something to do.
"""

import math

from srcnn_np.conv.compiled import parts_of, pieces_of
from srcnn_np.fused.picture import TILE_WIDTH
from srcnn_np.fused.plan import tiles_of
from srcnn_np.fused.step import GROUP
from srcnn_np.kernels.convolution import Convolution
from srcnn_np.kernels.winograd import STEP

from .contestants import network_of
from .races import SIZES
from .tasks import TrainingStep

THREADS = (1, 2, 8, 32, 64)


def inference(H: int, W: int, threads: int) -> list[int]:
    """Return how many pixels each tile of a picture has."""
    tiles = tiles_of(H, W, TILE_WIDTH, threads, step=STEP)
    return [(bottom - top) * (right - left) for top, bottom, left, right in tiles]


def layer(N: int, H: int, W: int) -> list[int]:
    """Return how many results each piece of one layer has."""
    return [(p.last - p.first) * p.rows * p.columns for p in pieces_of(N, H, W)]


def step(samples: int, numbers: int) -> list[int]:
    """Return each part's number of samples in a training step with `numbers` gradient values."""
    parts = parts_of(-(-samples // GROUP), numbers)
    return [samples * (n + 1) // parts - samples * n // parts for n in range(parts)]


def main() -> None:
    """Print the table."""
    print("| pieces, and the largest one's share | " + " | ".join(map(str, THREADS)) + " threads |")
    print("| --- |" + " --- |" * len(THREADS))
    for name, size in SIZES.items():
        _row(f"a picture of {name}", [inference(*size, threads) for threads in THREADS])
    _row("a layer on 512 x 768", [layer(1, 512, 768)] * len(THREADS))
    _row("a layer on 128 x 25 x 25", [layer(128, 25, 25)] * len(THREADS))
    for samples in (128, 512):
        for structure in ("9-1-5", "9-5-5"):
            numbers = _numbers(structure)
            _row(f"a step, {structure}, {samples}", [step(samples, numbers)] * len(THREADS))


def _numbers(structure):
    network, side, numbers = network_of(TrainingStep(structure), "numba"), 33, 0
    for layer_ in network.layers.values():
        if layer_.params:
            w, b = layer_.params["w"], layer_.params["b"]
            side -= w.shape[2] - 1
            numbers += math.prod(Convolution(w, b, side, side).sums_shape)
    return numbers


def _row(what, pieces):
    cells = [f"{len(some)}, {max(some) / sum(some):.1%}" for some in pieces]
    print(f"| {what} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
