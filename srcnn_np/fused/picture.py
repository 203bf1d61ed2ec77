"""Run a stack of layers over a whole picture, so that no feature map is ever whole in memory.

The picture is cut into tiles, which threads share. A tile is computed from top to bottom, in blocks
of rows. For a block of the last map, each earlier map is extended by the rows that the map after it
needs. Of its older rows, a map keeps only those that the next block needs again. The rows of a map
are up to three megabytes, which the processor's caches hold. Only what neighbouring tiles share is
computed twice.

All parts of a map begin at rows and columns that are multiples of STEP. So the places of Winograd's
tiles do not depend on how the picture is cut. If the picture's numbers are finite, no bit of the
result depends on the number of threads.
"""

from collections.abc import Sequence

import numpy as np

from ..conv.geometry import pad_forward
from ..conv.threads import THREADS, share
from ..kernels.convolution import Convolution
from ..kernels.layouts import Piece, channels_first, channels_last
from ..kernels.memory import buffer
from ..kernels.winograd import STEP
from . import narrow
from .plan import Stage, in_whole_vectors, sizes_of, tiles_of

TILE_WIDTH = 384
BLOCK_PIXELS = 6144  # of the last map, in a block of rows


def predict(
    stages: Sequence[Stage], picture: np.ndarray, zoom: tuple[int, int] = (1, 1)
) -> np.ndarray | None:
    """Return the map (H', W', K) that the stages make of a picture (H, W, C), float32.

    H' and W' are what the stages' borders leave. With a `zoom` (sh, sw), the last stage has the
    filters of sh·sw places for each pixel (`srcnn_np.conv.transposed.as_convolution`). The map then
    has these places side by side: its shape is (sh·H', sw·W', K / (sh·sw)). With a zoom, the result
    is None if the map is not finite everywhere: its filters have taps of 0, and NaN times 0 is NaN.
    """
    zooms, (_, W) = zoom != (1, 1), sizes_of(stages, *picture.shape[:2])[-1]
    if narrow.gains(stages, W, last=zooms):
        result, finite = narrow.predict(stages, picture, zoom)
    else:
        full = in_whole_vectors(stages, last=zooms)
        result = _predict(full, picture, zoom, len(stages[-1].w))
        if not zooms and all(a is b for a, b in zip(full, stages, strict=True)):
            return result
        finite = np.isfinite(result).all()
    if finite:
        return result
    # Filters of zeros, or pixels as lanes, make NaN of infinities that a ReLU would stop.
    return None if zooms else _predict(stages, picture, zoom, len(stages[-1].w))


def _predict(stages, picture, zoom, K):
    (sh, sw), sizes = zoom, sizes_of(stages, *picture.shape[:2])
    H, W = sizes[-1]
    result = np.empty((H, sh, W, sw, K // (sh * sw)), np.float32)
    rows = max(STEP, BLOCK_PIXELS // min(W, TILE_WIDTH) // STEP * STEP)
    size = min(rows, H), min(W, TILE_WIDTH)
    convolutions = [Convolution(s.w, s.b, *size, s.activation) for s in stages]
    x = channels_first(picture[None])
    bordered = channels_last(pad_forward(x, stages[0].pads, stages[0].fill))
    tiles = tiles_of(H, W, TILE_WIDTH, THREADS, step=STEP)

    def work(number: int) -> None:
        _compute_tile(stages, convolutions, sizes, tiles[number], rows, bordered, result)

    share(work, len(tiles))
    return result.reshape(sh * H, sw * W, -1)


def _down(place):
    return place // STEP * STEP


def _up(place):
    return -(-place // STEP) * STEP


def _compute_tile(stages, convolutions, sizes, tile, block, bordered, result):
    """Fill a tile of the result (H, sh, W, sw, K), `block` rows at a time."""
    top, bottom, left, right = tile
    _, sh, _, sw, K = result.shape
    as_they_are = result.reshape(1, len(result), -1, K) if sh * sw == 1 else None
    # For each stage's map: the next row to compute, and the columns [begin, end).
    nexts, spans = [top], [(left, right)]
    for stage, (_, W) in zip(stages[:0:-1], sizes[-2:0:-1], strict=True):
        before_row, _, before, _ = stage.pads
        begin, end = spans[0]
        end += stage.w.shape[3] - 1
        nexts.insert(0, _down(max(0, nexts[0] - before_row)))
        spans.insert(0, (_down(max(0, begin - before)), min(W, _up(end - before))))
    maps = []
    rows = block
    for n in range(len(stages) - 1, 0, -1):
        rows += stages[n].w.shape[2] - 1 + 2 * STEP
        of = stages[n], sizes[n], spans[n - 1 : n + 1], nexts[n - 1 : n + 1], rows
        maps.insert(0, _Map(f"map {n}", *of))
    for end in range(top + block, bottom + block, block):
        ends = [min(end, bottom)]
        for stage, (H, _) in zip(stages[:0:-1], sizes[-2:0:-1], strict=True):
            ends.insert(0, min(H, _up(ends[0] - stage.pads[0] + stage.w.shape[2] - 1)))
        for n in range(len(stages)):
            x, x_top, x_left = bordered, nexts[n], spans[n][0]
            if n > 0:
                x, x_top, x_left = maps[n - 1].place_of_window(nexts[n])
            count, columns = ends[n] - nexts[n], spans[n][1] - spans[n][0]
            y, y_top, y_left = as_they_are, nexts[n], left
            if n + 1 < len(stages):
                y, y_top, y_left = maps[n].place_of_row(nexts[n])
            elif y is None:
                y, y_top, y_left = buffer("places", (1, block, columns, len(stages[n].w))), 0, 0
            if count > 0:
                piece = Piece(0, 1, x_top, x_left, y_top, y_left, count, columns)
                convolutions[n].forward(x, y, piece)
            if n + 1 < len(stages):
                maps[n].fill_borders(nexts[n], ends[n])
            elif as_they_are is None:
                places = y[0, :count, :, : sh * sw * K].reshape(count, columns, sh, sw, K)
                result[nexts[n] : ends[n], :, left:right] = places.swapaxes(1, 2)
            nexts[n] = max(nexts[n], ends[n])
        for n, map_ in enumerate(maps, 1):
            map_.forget(nexts[n])


class _Map:
    """The rows of a map that a tile still needs, with the border that the next stage needs.

    Places are counted in the widened map: row i and column j of `rows` are its row base + i and
    its column begin + j.
    """

    def __init__(self, name, stage, size, spans, firsts, rows):
        (self.H, self.W), self.stage = size, stage
        self.top, self.bottom, left, _ = stage.pads
        (computed, computed_end), (window, window_end) = spans
        self.computed, self.computed_end = computed + left, computed_end + left
        self.window = window
        self.begin = min(self.computed, window)
        end = max(self.computed_end, window_end + stage.w.shape[3] - 1)
        self.base = self.end = min(firsts[0] + self.top, firsts[1])
        shape = (1, rows + self.top + self.bottom, end - self.begin, stage.w.shape[1])
        self.rows = buffer(name, shape)

    def place_of_window(self, row):
        """Return where the window of the next stage's first result in that row begins."""
        return self.rows, row - self.base, self.window - self.begin

    def place_of_row(self, row):
        """Return where the first computed pixel of the map's own row goes."""
        return self.rows, row + self.top - self.base, self.computed - self.begin

    def fill_borders(self, first, last):
        """Fill the border beside, above and below the map's rows [first, last)."""
        a, b = first + self.top - self.base, last + self.top - self.base
        rows, copies = self.rows[0], self.stage.fill == "replicate"
        left, right = self.computed - self.begin, self.computed_end - self.begin
        rows[a:b, :left] = rows[a:b, left : left + 1] if copies else 0
        rows[a:b, right:] = rows[a:b, right - 1 : right] if copies else 0
        if first == 0 and a > 0:
            rows[:a] = rows[a] if copies else 0
        self.end = b + self.base
        if last == self.H and self.bottom:
            rows[b : b + self.bottom] = rows[b - 1] if copies else 0
            self.end += self.bottom

    def forget(self, row):
        """Keep only the rows from `row` on."""
        kept = self.rows[0, row - self.base : self.end - self.base]
        self.rows[0, : len(kept)] = kept
        self.base = row
