"""One convolution's filters, packed as its kernels want them, and what they make of a piece.

Which kernels these are depends on the filters, and on how large the pieces are:

=============  ===================================================================
method         for
=============  ===================================================================
`direct`       any filters
`direct`, few  a handful of filters on many channels, such as the last layer's
`winograd`     3 x 3 and 5 x 5, where it needs less arithmetic (see `by_winograd`)
=============  ===================================================================

Everything here runs in the thread that calls it.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..compiling import SWITCHES
from . import direct, winograd
from .activations import NONE
from .layouts import Piece, packed, padded, unit_of, unpacked, whole_vectors
from .vectors import LANES


_WINOGRAD = SWITCHES["SRCNN_NP_WINOGRAD"] == "1"


class Activation(NamedTuple):
    """One of `srcnn_np.kernels.activations`, and its slope below 0 if it has one."""

    kind: int = NONE
    slope: float = 0.0


LINEAR = Activation()


def by_winograd(shape: tuple[int, int, int, int], rows: int, columns: int) -> bool:
    """Whether Winograd needs less arithmetic for pieces of rows x columns by filters (K, C, kh, kw).

    Counted in vectors of multiply-adds for a tile of 4 x 4 results: at each of the s x s places one
    for each channel and vector of filters; and for the way there and back some 9 for each vector of
    channels and 6 for each vector of filters, as measured.
    """
    K, C, kh, kw = shape
    if kh != kw or kh not in winograd.TAPS or min(rows, columns) < 1:
        return False
    step, side = winograd.STEP, kh + winograd.STEP - 1
    vectors, whole = whole_vectors(K) // LANES, whole_vectors(C)
    tile = side**2 * (whole * vectors + 9 * whole // LANES + 6 * vectors)
    if whole > C:  # each window is copied first
        tile += 2 * side**2 * whole // LANES + side**2 * C // 2
    tiles = -(-rows // step) * -(-columns // step)
    return _WINOGRAD and tiles * tile < rows * columns * kh * kw * C * vectors


class Convolution:
    """Filters w (K, C, kh, kw) and biases b (K,), float32, at stride 1, for pieces of some size.

    Parameters
    ----------
    w, b : array
    rows, columns : int
        Of a piece, by which the method is chosen.
    exact : bool
        Whether a NaN or an infinity must reach no value that does not depend on it. `forward` sees
        to that by itself; gradients by Winograd do not.
    """

    def __init__(
        self, w: np.ndarray, b: np.ndarray, rows: int, columns: int, *, exact: bool = False
    ) -> None:
        self.w, self.b = w, b
        K, C, kh, kw = w.shape
        self.few = direct.few(K, C)
        self.winograd = not self.few and not exact and by_winograd(w.shape, rows, columns)
        # Tuples, as kernels are compiled for their lengths.
        self._side, self._taps = tuple(range(kh + winograd.STEP - 1)), tuple(range(kh))
        self._unit, self._unit_back = unit_of(K), unit_of(C)

    def forward(
        self, x: np.ndarray, y: np.ndarray, piece: Piece, activation: Activation = LINEAR
    ) -> None:
        """Write a piece of y (N, OH, OW, K) from x (N, H, W, C), both C-contiguous float32."""
        kh, kw = self.w.shape[2:]
        kind, slope = activation.kind, np.float32(activation.slope)
        if self.winograd and winograd.forward(
            self._side, self._unit, x, self._values, self._biases, y, tuple(piece), kind, slope
        ):
            return
        # So also where a NaN or an infinity has spoilt its neighbours.
        if self.few:
            direct.forward_few(x, self._packed_few, self.b, y, tuple(piece), kh, kw, kind, slope)
        else:
            w, b = self._packed, self._biases
            direct.forward(self._unit, x, w, b, y, tuple(piece), kh, kw, kind, slope)

    def backward(
        self,
        dy: np.ndarray,
        x: np.ndarray,
        piece: Piece,
        *,
        sums: np.ndarray | None = None,
        dx: np.ndarray | None = None,
    ) -> bool:
        """Add what a piece of dy (N, OH, OW, K) gives to dw's sums and to dx, if given.

        Parameters
        ----------
        dy : (N, OH, OW, K) array
        x : (N, H, W, C) array
            Without sums only its shape counts.
        piece : Piece
        sums : array of `sums_shape`, optional
        dx : (N, H, W, C) array, optional
            Only where `winograd` is set; else dx is a convolution of dy with turned filters.

        Returns
        -------
        bool
            Whether dx has none but its own NaNs and infinities.
        """
        if self.winograd:
            nothing = np.empty((0, whole_vectors(self.w.shape[1]), len(self._biases)), np.float32)
            return winograd.backward(
                *(self._side, self._unit, self._unit_back, dy, x),
                self._biases if dx is None else self._values_back,
                nothing if sums is None else sums,
                x if dx is None else dx,
                *(tuple(piece), sums is not None, dx is not None),
            )
        if self.few:
            direct.weight_gradient_few(dy, x, sums, tuple(piece))
        else:
            direct.weight_gradient(self._unit, dy, x, sums, tuple(piece), self.w.shape[3])
        return True

    @property
    def sums_shape(self) -> tuple[int, ...]:
        """Of the sums that `backward` adds to."""
        K, C, kh, kw = self.w.shape
        if self.winograd:
            return (len(self._side) ** 2, whole_vectors(C), whole_vectors(K))
        if self.few:
            return (K, kh, kw * C)
        width = len(self._unit) * LANES
        return (whole_vectors(K) // width, kh, kw * C, width)

    @property
    def compiled_for(self) -> tuple:
        """What decides which kernels are called, and how they are compiled."""
        return self.few, self.winograd, self._side, self._unit, self._unit_back

    def weight_gradient(self, sums: np.ndarray) -> np.ndarray:
        """dw (K, C, kh, kw) from what `backward` added up."""
        K, C, kh, kw = self.w.shape
        if self.winograd:
            dw = winograd.filter_gradients(self._side, self._taps, sums)[:, :, :C, :K]
            return np.ascontiguousarray(dw.transpose(3, 2, 0, 1))
        if self.few:
            return np.ascontiguousarray(sums.reshape(K, kh, kw, C).transpose(0, 3, 1, 2))
        return unpacked(sums, self.w.shape)

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
        return self._evaluated(self.w.transpose(2, 3, 1, 0), self._unit)

    @cached_property
    def _values_back(self) -> np.ndarray:
        return self._evaluated(self.w.transpose(2, 3, 0, 1), self._unit_back)

    def _evaluated(self, w: np.ndarray, unit: tuple[int, ...]) -> np.ndarray:
        r, _, C, K = w.shape
        full = np.zeros((r, r, whole_vectors(C), whole_vectors(K)), np.float32)
        full[:, :, :C, :K] = w
        return winograd.evaluate_filters(self._side, self._taps, unit, full)
