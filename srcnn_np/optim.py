"""How gradients change parameters: SGD with momentum, Muon, Adam, schedules, clipping.

An optimiser takes parameters and gradients as float32 or float64 arrays by the same names,
and changes the parameters in place. It also keeps its memory by these names, so it serves
only one network. A layer's own learning rate is the optimiser's times a factor:
``layer_rates={"conv3": 0.1}`` sets this factor for every name that begins with "conv3.".

A schedule is a function. It takes the training's progress, in [0, 1], and returns the
factor on the learning rate.
"""

import math
from collections.abc import Callable, Mapping
from functools import cache
from threading import Lock

import numpy as np
from threadpoolctl import ThreadpoolController

from .errors import check_dtype
from .team import ALONE, Team

Arrays = Mapping[str, np.ndarray]
Schedule = Callable[[float], float]


class SGD:
    """Stochastic gradient descent with momentum.

    For each parameter p with gradient g it remembers a velocity v, at first 0::

        v <- momentum · v - rate · g
        p <- p + v                               plain (heavy ball)
        p <- p + momentum · v - rate · g         Nesterov: the step v will take next

    With a constant gradient g, steps approach -rate · g / (1 - momentum). So with momentum
    0.9, directions that persist get ten times the rate, and the others average out.

    Parameters
    ----------
    rate : float
        Learning rate, positive.
    momentum : float in [0, 1)
    nesterov : bool
    layer_rates : dict of str to float
        Factor on the rate by layer name, 0 or more.

    Attributes
    ----------
    memory : dict of str to array
        The velocities, "v.conv1.w" and so on. Another SGD with this memory goes on as this one
        would.

    References
    ----------
    Sutskever et al. 2013, "On the importance of initialization and momentum".
    """

    def __init__(
        self,
        rate: float,
        momentum: float = 0.9,
        *,
        nesterov: bool = False,
        layer_rates: dict[str, float] | None = None,
    ) -> None:
        _check_rates(rate, layer_rates)
        _require(0 <= momentum < 1, f"momentum is {momentum}: give one in [0, 1)")
        self.rate = rate
        self.momentum = momentum
        self.nesterov = nesterov
        self.layer_rates = layer_rates or {}
        self.memory: dict[str, np.ndarray] = {}

    def step(self, params: Arrays, grads: Arrays, factor: float = 1.0) -> None:
        """Change params in place; `factor` on the rate comes from a schedule."""
        for name, rate in _rates(self, params, grads, factor).items():
            p = params[name]
            momentum = p.dtype.type(self.momentum)
            push = p.dtype.type(rate) * grads[name]
            v = _remembered(self.memory, f"v.{name}", p)
            v *= momentum
            v -= push
            p += momentum * v - push if self.nesterov else v


class Adam:
    """Gradient descent that divides each value's step by the recent size of its gradient.

    For each parameter p with gradient g, at step t = 1, 2, ...::

        m <- β1 · m + (1 - β1) · g          mean of g
        s <- β2 · s + (1 - β2) · g²         mean of g²
        p <- p - rate · (m / (1 - β1^t)) / (sqrt(s / (1 - β2^t)) + ε)

    The two divisors correct the start of m and s at 0.

    Parameters
    ----------
    rate : float
        Learning rate, positive: about the size of a step.
    betas : (β1, β2), each in [0, 1)
    epsilon : float
    layer_rates : dict of str to float
        Factor on the rate by layer name, 0 or more.

    Attributes
    ----------
    memory : dict of str to array
        "t", "m.conv1.w", "s.conv1.w" and so on. Another Adam with this memory goes on as this
        one would.

    References
    ----------
    Kingma and Ba 2015, arXiv:1412.6980.
    """

    def __init__(
        self,
        rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        epsilon: float = 1e-8,
        layer_rates: dict[str, float] | None = None,
    ) -> None:
        _check_rates(rate, layer_rates)
        holds = len(betas) == 2 and all(0 <= beta < 1 for beta in betas)
        _require(holds, f"betas are {betas}: give two in [0, 1)")
        _require(0 < epsilon < math.inf, f"epsilon is {epsilon}: give a finite one above 0")
        self.rate = rate
        self.betas = betas
        self.epsilon = epsilon
        self.layer_rates = layer_rates or {}
        self.memory: dict[str, np.ndarray] = {}

    def step(self, params: Arrays, grads: Arrays, factor: float = 1.0) -> None:
        """Change params in place; `factor` on the rate comes from a schedule."""
        rates = _rates(self, params, grads, factor)
        t = self.memory.setdefault("t", np.zeros((), np.int64))
        t += 1
        beta1, beta2 = self.betas
        for name, rate in rates.items():
            p, g = params[name], grads[name]
            m = _remembered(self.memory, f"m.{name}", p)
            s = _remembered(self.memory, f"s.{name}", p)
            m += p.dtype.type(1 - beta1) * (g - m)
            s += p.dtype.type(1 - beta2) * (g * g - s)
            # Both divisors go into `size`; the one under the square root goes into `least` too.
            root = math.sqrt(1 - beta2 ** int(t))
            size = p.dtype.type(rate * root / (1 - beta1 ** int(t)))
            least = p.dtype.type(max(self.epsilon * root, np.finfo(p.dtype).tiny))  # never 0
            p -= size * m / (np.sqrt(s) + least)


class Muon:
    """SGD with momentum whose steps are orthogonal: equally long in every direction.

    For each parameter p with gradient g it remembers a velocity v, at first 0::

        v <- momentum · v + g
        p <- p - rate · orthogonal(g + momentum · v)

    Why: a matrix of filters learns at very different speeds in different directions. All
    pixels of a patch are nearly alike, so the gradient of the first layer is nearly a
    matrix of rank one, "brighter or darker everywhere". The details, which are what
    super-resolution is about, hardly move. A rate for each value (Adam) helps little,
    because each direction mixes many values. Here each direction gets the same step, except
    the very weakest, see `orthogonal`.

    `as_matrix` makes matrices of weights and biases. The step of an A x B matrix has the norm
    rate · sqrt(min(A, B)), however large the gradient is. So there is nothing to clip, and the rate
    is the same for both means of the loss. A single column c becomes c / |c|.

    During a step, the BLAS behind NumPy's matrix products has one thread, in the whole process.
    Steps in several threads wait for each other.

    Parameters
    ----------
    rate : float
        Learning rate, positive: how far each direction is moved.
    momentum : float in [0, 1)
    layer_rates : dict of str to float
        Factor on the rate by layer name, 0 or more.
    team : Team, optional
        Processes that make the same steps together, and divide the matrices among them.

    Attributes
    ----------
    memory : dict of str to array
        The velocities, "v.conv1.w" and so on. Another Muon with this memory goes on as this one
        would.

    References
    ----------
    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks",
    https://kellerjordan.github.io/posts/muon. There an iteration finds the orthogonal
    matrix, and Adam moves the first and last layers and the biases; here Muon moves all.
    """

    def __init__(
        self,
        rate: float,
        momentum: float = 0.9,
        *,
        layer_rates: dict[str, float] | None = None,
        team: Team = ALONE,
    ) -> None:
        _check_rates(rate, layer_rates)
        _require(0 <= momentum < 1, f"momentum is {momentum}: give one in [0, 1)")
        self.rate = rate
        self.momentum = momentum
        self.layer_rates = layer_rates or {}
        self.team = team
        self.memory: dict[str, np.ndarray] = {}

    def step(self, params: Arrays, grads: Arrays, factor: float = 1.0) -> None:
        """Change params in place; `factor` on the rate comes from a schedule."""
        rates = _rates(self, params, grads, factor)
        # Matrices this small gain nothing from BLAS's threads. For a while afterwards, those
        # threads look for more work, and take processors from the network's own threads. The limit
        # is for the whole process: of two steps at a time, the second would find 1, and restore 1.
        with _limiting, _blas().limit(limits=1):
            ahead = {}
            for name in rates:
                p = params[name]
                momentum = p.dtype.type(self.momentum)
                v = _remembered(self.memory, f"v.{name}", p)
                v *= momentum
                v += grads[name]
                ahead[name] = as_matrix(grads[name] + momentum * v)
            for name, step in self._orthogonal(ahead).items():
                p = params[name]
                p -= p.dtype.type(rates[name]) * step.reshape(p.shape)

    def _orthogonal(self, matrices: Arrays) -> Arrays:
        """Make matrices orthogonal; the processes of a team share them, and get the same bits."""
        if self.team.size == 1:
            return {name: orthogonal(m) for name, m in matrices.items()}
        owners = self.team.deal([m.size * min(m.shape) for m in matrices.values()])
        ends = np.cumsum([0, *(m.size for m in matrices.values())])
        flat = np.zeros(ends[-1], np.result_type(*matrices.values()))
        parts = {name: flat[ends[n] : ends[n + 1]] for n, name in enumerate(matrices)}
        for (name, m), owner in zip(matrices.items(), owners, strict=True):
            if owner == self.team.rank:
                parts[name][...] = orthogonal(m).ravel()
        self.team.add_up(flat)  # each number is 0 in all processes but one
        return {name: parts[name].reshape(m.shape) for name, m in matrices.items()}


_limiting = Lock()


@cache
def _blas() -> ThreadpoolController:
    """Return the library behind NumPy's matrix products, looked for once."""
    return ThreadpoolController().select(user_api="blas")


def as_matrix(p: np.ndarray) -> np.ndarray:
    """Return weights (K, C, kh, kw) as (K, C·kh·kw), or (C, kh·kw) if K is 1; biases as (K, 1).

    A single filter would be a single row, with only one direction. Split by its C feature maps, it
    has several. (A single number counts as one bias.)
    """
    p = np.atleast_1d(p)
    rows = p.shape[1] if p.ndim > 1 and p.shape[0] == 1 else p.shape[0]
    return p.reshape(rows, -1)


def orthogonal(m: np.ndarray, damping: float = 1e-9) -> np.ndarray:
    """Make all singular values of a matrix one: return U Vᵀ for M = U S Vᵀ.

    M Mᵀ = U S² Uᵀ, so U Vᵀ = U S⁻¹ Uᵀ M. This takes only the eigenvectors U of a small symmetric
    matrix. 1/s is replaced by 1/sqrt(s² + damping · max(s)²). So directions weaker than
    sqrt(damping) = 3e-5 of the strongest get a value below one: in them, a mini-batch's gradient is
    only noise.

    Parameters
    ----------
    m : (A, B) array
    damping : float
        At least 0; above 0 if M may have a lower rank than its shape allows.

    Returns
    -------
    o : (A, B) array
        0 if `m` is 0; not finite if `m` is not finite.

    Raises
    ------
    ValueError
        If `m` is not a matrix, or `damping` is below 0.
    TypeError
        If `m` is not float32 or float64.

    Examples
    --------
    >>> orthogonal(np.array([[3.0, 0.0, 0.0], [0.0, 0.0, -0.5]]), damping=0)
    array([[ 1.,  0.,  0.],
           [ 0.,  0., -1.]])
    """
    check_dtype(_DTYPES, m=m)
    _require(m.ndim == 2 and m.size > 0, f"m has shape {m.shape}: give a matrix")
    _require(0 <= damping < math.inf, f"damping is {damping}: give a finite one of at least 0")
    if m.shape[0] > m.shape[1]:
        return orthogonal(m.T, damping).T
    largest = np.abs(m).max()
    if largest == 0 or not np.isfinite(largest):
        return m * largest
    # Squares need twice the digits, and must not leave the range of numbers.
    scaled = m.astype(np.float64) / largest
    squares, u = np.linalg.eigh(scaled @ scaled.T)  # ascending
    squares = np.maximum(squares, 0) + damping * squares[-1]
    return (u / np.sqrt(squares) @ (u.T @ scaled)).astype(m.dtype)


def clip_gradients(grads: Arrays, max_norm: float) -> float:
    """Scale all gradients in place so that their common norm is at most `max_norm`.

    Parameters
    ----------
    grads : dict of str to array
    max_norm : float
        Limit on sqrt(Σ g²) over all values of all arrays.

    Returns
    -------
    norm : float
        The norm before. If it is not finite, nothing is scaled, so that the fault stays visible.

    Raises
    ------
    ValueError
        If `max_norm` is not above 0.
    TypeError
        If an array is not float32 or float64.

    References
    ----------
    Pascanu, Mikolov, Bengio 2013, arXiv:1211.5063.
    """
    _require(max_norm > 0, f"max_norm is {max_norm}: give one above 0")
    check_dtype(_DTYPES, **grads)
    norm = math.sqrt(sum(float(np.sum(np.square(g, dtype=np.float64))) for g in grads.values()))
    if max_norm < norm < math.inf:
        for g in grads.values():
            g *= g.dtype.type(max_norm / norm)
    return norm


def constant(progress: float) -> float:
    """Schedule: keep the full rate to the end."""
    return 1.0


def cosine(progress: float) -> float:
    """Schedule: fall from 1 to 0 along half a cosine."""
    _require(0 <= progress <= 1, f"progress is {progress}: give what share is done, in [0, 1]")
    return (1 + math.cos(math.pi * progress)) / 2


def steps(factor: float, at: tuple[float, ...]) -> Schedule:
    """Schedule: multiply the rate by `factor` at each progress listed in `at`, in [0, 1]."""
    _require(0 <= factor < math.inf, f"factor is {factor}: give a finite one of at least 0")
    _require(all(0 <= place <= 1 for place in at), f"at is {at}: give progress in [0, 1]")
    return lambda progress: factor ** sum(progress >= place for place in at)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _check_rates(rate: float, layer_rates: dict[str, float] | None) -> None:
    _require(0 < rate < math.inf, f"rate is {rate}: give a finite one above 0")
    for name, factor in (layer_rates or {}).items():
        holds = 0 <= factor < math.inf
        _require(holds, f"the rate of layer {name} is {factor}: give a finite one of at least 0")


_DTYPES = ("float32", "float64")


def _rates(
    optimiser: SGD | Adam | Muon, params: Arrays, grads: Arrays, factor: float
) -> dict[str, float]:
    """Check what a step is given, and return each parameter's rate by name."""
    _require(0 <= factor < math.inf, f"factor is {factor}: give a finite one of at least 0")
    alone = ", ".join(sorted(params.keys() ^ grads.keys()))
    _require(not alone, f"each parameter needs its gradient, but one of both lacks: {alone}")
    check_dtype(_DTYPES, **params)
    check_dtype(_DTYPES, **{f"the gradient of {name}": g for name, g in grads.items()})
    for name, p in params.items():
        g = grads[name]
        _require(g.shape == p.shape, f"{name} has shape {p.shape}, its gradient {g.shape}")
    layers = {name: name.partition(".")[0] for name in params}
    unknown = ", ".join(sorted(set(optimiser.layer_rates) - set(layers.values())))
    _require(not unknown, f"there are no layers named {unknown}")
    rate = optimiser.rate * factor
    return {name: rate * optimiser.layer_rates.get(layer, 1.0) for name, layer in layers.items()}


def _remembered(memory: dict[str, np.ndarray], name: str, p: np.ndarray) -> np.ndarray:
    """Return what is remembered of p by that name, 0 at first."""
    found = memory.setdefault(name, np.zeros_like(p))
    _require(
        (found.shape, found.dtype) == (p.shape, p.dtype),
        f"{name} in memory is {found.dtype} {found.shape}, but the parameter {p.dtype} {p.shape}",
    )
    return found
