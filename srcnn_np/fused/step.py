"""One training step: the mean squared error of a mini-batch, and all its gradients.

A group of a few samples goes forwards and backwards through the network while its feature maps are
still in the processor's cache. Threads share the groups. The parts of a gradient are kept apart,
and added in order at the end. So the result does not depend on the number of threads.
"""

import math
import threading
from collections.abc import Sequence

import numpy as np

from ..conv import pad_backward
from ..conv.compiled import added_up, parts_of
from ..conv.geometry import put_in
from ..conv.threads import share
from ..kernels.activations import CLIPPED, LEAKY, activated, back_through
from ..kernels.convolution import LINEAR, Convolution, slopes_of
from ..kernels.layouts import Piece, channels_first, channels_last, turned
from ..kernels.memory import buffer
from .plan import Stage, in_whole_vectors, sizes_of

GROUP = 4  # samples


def train_step(
    stages: Sequence[Stage], x: np.ndarray, target: np.ndarray, count: int
) -> tuple[float, list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Compute the loss, and its gradients with respect to each stage's w, b and slopes.

    Parameters
    ----------
    stages : sequence of Stage
    x, target : (N, C, H, W) and (N, K, H', W') array of float32
    count : int
        The divisor: the loss is the sum of (y - target)² / count.

    Notes
    -----
    If there is a NaN or an infinity in any gradient, all is computed again by plain sums. Then the
    NaN or infinity reaches only what depends on it.
    """
    loss, *grads = _train_step(in_whole_vectors(stages), x, target, count, exact=False)
    if all(np.isfinite(a).all() for some in grads for a in some):
        dws, dbs, das = grads
        shapes = [(slice(K), slice(C)) for K, C, _, _ in (stage.w.shape for stage in stages)]
        dws = [np.ascontiguousarray(dw[shape]) for dw, shape in zip(dws, shapes, strict=True)]
        dbs, das = ([d[K] for d, (K, _) in zip(some, shapes, strict=True)] for some in (dbs, das))
        return loss, dws, dbs, das
    return _train_step(stages, x, target, count, exact=True)


def _train_step(stages, x, target, count, *, exact):
    x, target = channels_last(x), channels_last(target)
    sizes = sizes_of(stages, *x.shape[1:3])
    layers = [
        _Layer(stage, size, exact, need_dx=n > 0)
        for n, (stage, size) in enumerate(zip(stages, sizes[1:], strict=True))
    ]
    shapes = [layer.convolution.sums_shape for layer in layers]
    parts = parts_of(-(-len(x) // GROUP), sum(map(math.prod, shapes)))
    dws = [buffer(f"layer {n} dw", (parts, *shape)) for n, shape in enumerate(shapes)]
    dbs, das = ([np.zeros((parts, len(s.b)), np.float32) for s in stages] for _ in range(2))
    losses = np.zeros(parts)
    own = threading.local()

    def work(part: int) -> None:
        if not hasattr(own, "passes"):
            named = enumerate(zip(layers, sizes[:-1], strict=True))
            own.passes = [_Pass(f"layer {n}", layer, size) for n, (layer, size) in named]
        passes = own.passes
        for layer, dw, db, da in zip(passes, dws, dbs, das, strict=True):
            layer.add_to(dw[part], db[part], da[part])
        begin, end = len(x) * part // parts, len(x) * (part + 1) // parts
        for n in range(begin, end, GROUP):
            group = slice(n, min(n + GROUP, end))
            losses[part] += _forwards_and_backwards(passes, x[group], target[group], count)

    share(work, parts)
    dws = [
        layer.convolution.weight_gradient(added_up(dw))
        for layer, dw in zip(layers, dws, strict=True)
    ]
    dbs, das = ([d.sum(0) for d in some] for some in (dbs, das))
    return float(losses.sum()) / count, dws, dbs, das


def _forwards_and_backwards(passes, x, target, count):
    """Add some samples' gradients to the sums; return their part of the loss."""
    y = x
    for layer in passes:
        y = layer.forward(y)
    error = y - target
    dy = error * np.float32(2 / count)
    for layer in reversed(passes):
        dy = layer.backward(dy)
    return float(np.vdot(error, error))


class _Layer:
    """A stage's kernels, for maps of some size; all threads share them."""

    def __init__(self, stage, size, exact, need_dx):
        self.stage, self.need_dx = stage, need_dx
        # A ReLU's output is above 0 exactly where its input is above 0, and the derivative needs
        # no more. The same holds for a leaky ReLU with a slope above 0 that is not learnt.
        kind, slope = stage.activation
        leaky = kind == LEAKY and (np.ndim(slope) > 0 or slope <= 0)
        self.keeps_z = kind == CLIPPED or leaky
        after = LINEAR if self.keeps_z else stage.activation
        self.convolution = Convolution(stage.w, stage.b, *size, after, exact=exact)
        self.slopes = slopes_of(stage.activation, len(stage.w))
        C, kh, kw = stage.w.shape[1:]
        self.reverse = None
        if need_dx and self.convolution.method != "winograd":
            # dx is dy, widened by zeros, convolved with turned filters.
            none, wide = np.zeros(C, np.float32), (size[0] + kh - 1, size[1] + kw - 1)
            self.reverse = Convolution(turned(stage.w), none, *wide, exact=exact)

    @property
    def compiled_for(self):
        """All that decides which kernels are called, and how they are compiled."""
        reverse = None if self.reverse is None else self.reverse.compiled_for
        return self.convolution.compiled_for, reverse, self.keeps_z


class _Pass:
    """A stage's way forwards and backwards for one group of samples after the other."""

    def __init__(self, name, layer, size):
        self.stage, self.layer = layer.stage, layer
        K, C, kh, kw = layer.stage.w.shape
        top, bottom, left, right = layer.stage.pads
        H, W = size[0] + top + bottom, size[1] + left + right
        OH, OW = H - kh + 1, W - kw + 1
        self.wide = buffer(f"{name} wide", (GROUP, H, W, C)) if any(layer.stage.pads) else None
        self.y = buffer(f"{name} y", (GROUP, OH, OW, K))
        self.z = buffer(f"{name} z", (GROUP, OH, OW, K)) if layer.keeps_z else self.y
        self.dx = self.dx_inside = None
        if layer.need_dx:
            self.dx = buffer(f"{name} dx", (GROUP, H, W, C))
            if self.wide is not None:
                self.dx_inside = buffer(f"{name} dx inside", (GROUP, *size, C))
        self.inside = slice(None), slice(kh - 1, H), slice(kw - 1, W)
        self.bordered = None
        if layer.reverse is not None and kh * kw > 1:
            self.bordered = buffer(f"{name} dy", (GROUP, H + kh - 1, W + kw - 1, K))
            self.bordered[...] = 0

    def add_to(self, dw, db, da):
        """Add gradients to these sums from now on; they begin at 0."""
        self.dw, self.db, self.da = dw, db, da
        dw.fill(0)

    def forward(self, x):
        """Compute y (N, H, W, K) from x (N, H, W, C), and remember both."""
        N = len(x)
        if self.wide is not None:
            wide = channels_first(self.wide[:N])
            put_in(wide, channels_first(x), self.stage.pads, self.stage.fill)
            x = self.wide[:N]
        self.x, y, z = x, self.y[:N], self.z[:N]
        whole = Piece(0, N, 0, 0, 0, 0, *y.shape[1:3])
        if self.layer.keeps_z:
            self.layer.convolution.forward(x, z, whole)
            activated(z, y, self.stage.activation.kind, self.layer.slopes)
        else:
            self.layer.convolution.forward(x, y, whole)
        return y

    def backward(self, dy):
        """Compute dx, if needed, from dy, and change dy; add to the sums of gradients."""
        N, kind = len(dy), self.stage.activation.kind
        back_through(dy, self.z[:N], self.db, self.da, kind, self.layer.slopes)
        x, convolution, need_dx = self.x, self.layer.convolution, self.layer.need_dx
        dx = self.dx[:N] if need_dx else None
        whole = Piece(0, N, 0, 0, 0, 0, *dy.shape[1:3])
        at_once = need_dx and self.layer.reverse is None
        if at_once:
            dx.fill(0)
        convolution.backward(dy, x, whole, sums=self.dw, dx=dx if at_once else None)
        if not need_dx:
            return None
        if not at_once:
            if self.bordered is not None:
                self.bordered[:N][self.inside] = dy
                dy = self.bordered[:N]
            self.layer.reverse.forward(dy, dx, Piece(0, N, 0, 0, 0, 0, *dx.shape[1:3]))
        if self.wide is None:
            return dx
        inside = self.dx_inside[:N]
        inside[...] = pad_backward(channels_first(dx), self.stage.pads, self.stage.fill).transpose(
            0, 2, 3, 1
        )
        return inside
