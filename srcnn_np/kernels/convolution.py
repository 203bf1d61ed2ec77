"""One convolution: its filters, packed as the kernels need them, and its results on a piece.

The choice of kernels depends on the filters, and on how large a piece is:

==============  ==================================================================
method          for
==============  ==================================================================
"direct"        any filters: `srcnn_np.kernels.direct`
"few"           a handful of filters on many channels, such as the last layer's
"winograd"      3 x 3 and 5 x 5, where that needs less arithmetic
"first"         8 x 8 and 9 x 9 on one channel, such as the first layer's
==============  ==================================================================

Everything here runs in the thread that calls it.
"""

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..compiling import SWITCHES
from . import direct, first, winograd
from .activations import LEAKY, NONE, RELU
from .layouts import Piece, aligned, packed, padded, unit_of, whole_vectors
from .memory import buffer
from .vectors import LANES

GAIN = 1.6
LEAST = 8  # rows and columns of results: with fewer, the loss of digits outweighs the gain
_WINOGRAD = SWITCHES["SRCNN_NP_WINOGRAD"] == "1"


class Activation(NamedTuple):
    """A kind from `srcnn_np.kernels.activations`; for LEAKY, one slope or an array (K,)."""

    kind: int = NONE
    slope: float | np.ndarray = 0.0


LINEAR = Activation()


def slopes_of(activation: Activation, K: int) -> np.ndarray:
    """Return K filters' slopes for numbers below 0, repeated until whole pixels fill whole vectors.

    They are 1 for all activations except RELU and LEAKY.
    """
    slopes = np.ones(K, np.float32)
    if activation.kind in (RELU, LEAKY):
        slopes[:] = activation.slope
    return np.tile(slopes, LANES // math.gcd(K, LANES))


def method_for(shape: tuple[int, int, int, int], rows: int, columns: int) -> str:
    """Return the method for rows x columns results of filters (K, C, kh, kw)."""
    costs = costs_of(shape)
    if min(rows, columns) < LEAST:
        return next(iter(costs))
    for method in costs:
        if method in ("first", "winograd"):  # whole tiles, even at the edges
            costs[method] *= -(-rows // winograd.STEP) * -(-columns // winograd.STEP)
            costs[method] *= winograd.STEP**2 / (rows * columns)
    return min(costs, key=costs.get)


def costs_of(shape: tuple[int, int, int, int]) -> dict[str, float]:
    """Return each method's cost for filters (K, C, kh, kw), in vectors of multiply-adds per pixel.

    "direct" or "few" comes first. Winograd's way comes second, if the filters have one. For a tile
    of 4 x 4 results it takes, at each place, one vector of multiply-adds for each channel and
    vector of filters. As measured, evaluation takes some 9 more for each vector of channels, and
    interpolation takes 6 more for each vector of filters. GAIN allows for Winograd's use of the
    second-level cache.
    """
    K, C, kh, kw = shape
    if direct.few(K, C):
        return {"few": K * C * kh * kw / LANES}
    vectors = whole_vectors(K) // LANES
    costs = {"direct": kh * kw * C * vectors}
    if not _WINOGRAD or kh != kw:
        return costs
    if kh in winograd.TAPS and C >= LANES:
        method, factors = "winograd", C
        channels = whole_vectors(C) / LANES * (1 if C % LANES == 0 else 2)
    elif kh in first.TAPS and C == 1:
        method, factors = "first", first.PIECES**2
        channels = first.PIECES * winograd.STEP / LANES
    else:
        return costs
    places = len(_side_of(kh, C)) ** 2
    tile = places * (factors * vectors + 9 * channels + 6 * vectors)
    costs[method] = GAIN * tile / winograd.STEP**2
    return costs


def _side_of(taps: int, C: int) -> tuple[int, ...]:
    """Return a tuple as long as a tile's window is wide: kernels are compiled for this length."""
    return first.SIDE if C == 1 else tuple(range(taps + winograd.STEP - 1))


class Convolution:
    """Filters w (K, C, kh, kw) and biases b (K,), float32, at stride 1, for pieces of some size.

    Parameters
    ----------
    w, b : array
    rows, columns : int
        Size of a piece, by which the method is chosen.
    activation : Activation
        Applied by `forward`.
    exact : bool
        Whether a NaN or an infinity must stay out of values that do not depend on it. `forward`
        ensures this by itself; gradients by Winograd do not.
    """

    def __init__(
        self,
        w: np.ndarray,
        b: np.ndarray,
        rows: int,
        columns: int,
        activation: Activation = LINEAR,
        *,
        exact: bool = False,
    ) -> None:
        self.w, self.b = w, b
        self._kind, self._slopes = activation.kind, slopes_of(activation, len(w))
        K, C, kh, _ = w.shape
        self.method = method_for(w.shape, rows, columns)
        if exact and self.method != "few":
            self.method = "direct"
        # Tuples, because kernels are compiled for their lengths.
        self._side = _side_of(kh, C)
        self._taps = self._side[: 1 - winograd.STEP]
        self._unit, self._unit_back = unit_of(K), unit_of(C)

    def forward(
        self,
        x: np.ndarray,
        y: np.ndarray,
        piece: Piece,
        *,
        streamed: bool = False,
    ) -> None:
        """Write a piece of y (N, OH, OW, K) from x (N, H, W, C), both C-contiguous float32.

        A y that is `aligned` and far larger than the caches may be `streamed` past them.
        """
        kh, kw = self.w.shape[2:]
        if kh * kw == 1:
            x, y, piece = _in_one_row(x, y, piece)
        rest = tuple(piece), self._kind, self._slopes
        clean = False
        if self.method == "winograd":
            arrays = x, self._values, self._biases, y, self._scratch
            clean = winograd.forward(self._side, self._unit, *arrays, *rest)
        elif self.method == "first":
            arrays = x, self._values, self._biases, y, self._scratch
            clean = first.forward(self._unit, kh, *arrays, *rest)
        elif self.method == "few":
            group = range(direct.group_of(kw))
            window = range(direct.PIXELS + len(group) - 1)
            arrays = x, self._packed_few, self.b, y
            direct.forward_few(tuple(group), tuple(window), kh, kw, *arrays, *rest)
            clean = True
        if not clean:  # not computed yet, or a NaN or an infinity has spoilt its neighbours
            streamed = streamed and len(self.w) % LANES == 0 and self._kind == NONE
            arrays = x, self._packed, self._biases, y
            direct.forward(self._unit, kh, kw, *arrays, *rest, streamed)

    def backward(
        self,
        dy: np.ndarray,
        x: np.ndarray,
        piece: Piece,
        *,
        sums: np.ndarray | None = None,
        dx: np.ndarray | None = None,
    ) -> bool:
        """Add the share of a piece of dy (N, OH, OW, K) to dw's sums and to dx, if given.

        Parameters
        ----------
        dy : (N, OH, OW, K) array
        x : (N, H, W, C) array
            Without `sums`, only the shape of x counts.
        piece : Piece
        sums : array of `sums_shape`, optional
        dx : (N, H, W, C) array, optional
            Only for the method "winograd". For others dx is a convolution with turned filters.

        Returns
        -------
        bool
            Whether dx, if given, has neither a NaN nor an infinity, its own or a neighbour's.
        """
        if self.method == "winograd":
            nothing = np.empty((0, whole_vectors(self.w.shape[1]), len(self._biases)), np.float32)
            return winograd.backward(
                *(self._side, self._unit, self._unit_back, dy, x),
                self._biases if dx is None else self._values_back,
                nothing if sums is None else sums,
                x if dx is None else dx,
                *(self._scratch, tuple(piece), sums is not None, dx is not None),
            )
        if self.method == "first":
            arrays = dy, x, sums, self._scratch, tuple(piece)
            first.weight_gradient(self._unit, self.w.shape[2], *arrays)
        elif self.method == "few":
            direct.weight_gradient_few(dy, x, sums, tuple(piece))
        else:
            direct.weight_gradient(self._unit, dy, x, sums, tuple(piece))
        return True

    @property
    def sums_shape(self) -> tuple[int, ...]:
        """Shape of the sums that `backward` adds to."""
        K, C, kh, kw = self.w.shape
        if self.method == "first":
            return (len(self._side) ** 2, first.PIECES**2, whole_vectors(K))
        if self.method == "winograd":
            return (len(self._side) ** 2, whole_vectors(C), whole_vectors(K))
        if self.method == "few":
            return (K, kh, kw * C)
        return (kh, kw * C, whole_vectors(K))

    @property
    def compiled_for(self) -> tuple:
        """All that decides which kernels are called, and how they are compiled."""
        return self.method, self._side, self._unit, self._unit_back, self.w.shape[3]

    def weight_gradient(self, sums: np.ndarray) -> np.ndarray:
        """Return dw (K, C, kh, kw) from what `backward` added up."""
        K, C, kh, kw = self.w.shape
        if self.method == "few":
            return np.ascontiguousarray(sums.reshape(K, kh, kw, C).transpose(0, 3, 1, 2))
        if self.method == "direct":
            dw = sums.reshape(kh, kw, C, -1)[..., :K]
            return np.ascontiguousarray(dw.transpose(3, 2, 0, 1))
        dw = winograd.filter_gradients(self._side, self._taps, sums)[..., :K]  # (r, r, _, K)
        if self.method == "first":
            r, p = first.PIECE, first.PIECES
            dw = dw.reshape(r, r, p, p, K).transpose(2, 0, 3, 1, 4).reshape(r * p, r * p, 1, K)
        return np.ascontiguousarray(dw[:kh, :kw, :C].transpose(3, 2, 0, 1))

    @property
    def _scratch(self) -> np.ndarray:
        K, C, _, _ = self.w.shape
        if self.method == "first":
            return buffer("first", (first.scratch_for(whole_vectors(K)),))
        count = winograd.scratch_for(self._side, whole_vectors(C), whole_vectors(K))
        return buffer("winograd", (count,))

    @cached_property
    def _packed(self) -> np.ndarray:
        return packed(self.w)

    @cached_property
    def _packed_few(self) -> np.ndarray:
        return np.ascontiguousarray(self.w.transpose(0, 2, 3, 1))

    @cached_property
    def _biases(self) -> np.ndarray:
        return padded(self.b)

    @cached_property
    def _values(self) -> np.ndarray:
        K, C, kh, kw = self.w.shape
        w = self.w.transpose(2, 3, 1, 0)  # (kh, kw, C, K)
        if self.method == "first":
            r, p = first.PIECE, first.PIECES
            full = np.zeros((r * p, r * p, K), np.float32)
            full[:kh, :kw] = w[:, :, 0]
            w = full.reshape(p, r, p, r, K).transpose(1, 3, 0, 2, 4).reshape(r, r, p * p, K)
        return self._evaluated(w, self._unit)

    @cached_property
    def _values_back(self) -> np.ndarray:
        return self._evaluated(self.w.transpose(2, 3, 0, 1), self._unit_back)

    def _evaluated(self, w: np.ndarray, unit: tuple[int, ...]) -> np.ndarray:
        r, _, C, K = w.shape
        channels = C if self.method == "first" else whole_vectors(C)
        full = np.zeros((r, r, channels, whole_vectors(K)), np.float32)
        full[:, :, :C, :K] = w
        values = aligned((len(self._side) ** 2 * full.shape[2] * full.shape[3],))
        winograd.evaluate_filters(self._side, self._taps, unit, full, values)
        return values


def _in_one_row(x, y, piece):
    """Return x, y and piece, with all rows end to end if rows are whole; for 1 x 1 filters."""
    (_, H, W, C), (_, OH, OW, K) = x.shape, y.shape
    pictures = piece.last - piece.first
    if not piece.columns == W == OW or (pictures > 1 and not piece.rows == H == OH):
        return x, y, piece
    x_left, y_left = (piece.first * H + piece.x_top) * W, (piece.first * OH + piece.y_top) * W
    row = Piece(0, 1, 0, x_left, 0, y_left, 1, pictures * piece.rows * W)
    return x.reshape(1, 1, -1, C), y.reshape(1, 1, -1, K), row
