"""Check and time a step."""

import os
import subprocess
import sys
from collections.abc import Iterable
from types import ModuleType

import numpy as np

from srcnn_np.conv import naive

from ..contestants import ONE_THREAD, THREADS
from ..machine import fma, least_seconds

C, K, SIDE = 64, 32, 5  # of the layer that is timed


def arrays(N: int, C: int, H: int, W: int, K: int, side: int) -> tuple[np.ndarray, ...]:
    """Return x (N, C, H, W), w (K, C, side, side) and b (K,)."""
    rng, shapes = np.random.default_rng(0), ((N, C, H, W), (K, C, side, side), (K,))
    return tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)


def difference(step: ModuleType) -> float:
    """Return the largest error over the largest result; the sizes fill no whole vectors."""
    x, w, b = arrays(2, 9, 10, 11, 10, SIDE)
    y = naive.forward(x, w, b, (1, 1))
    return float(np.abs(step.prepare(x, w, b)() - y).max() / np.abs(y).max())


def gflops(step: ModuleType) -> float:
    """Return GFLOP/s, counting the operations of the direct sum."""
    N, H, W = step.SIZES
    run = step.prepare(*arrays(N, C, H, W, K, SIDE))
    flops = 2 * N * (H - SIDE + 1) * (W - SIDE + 1) * K * C * SIDE**2
    return flops / least_seconds(run) / 1e9


def main(steps: Iterable[ModuleType]) -> None:
    """Print a table of the steps, from a process that has one thread."""
    if THREADS > 1:
        command = [sys.executable, *sys.orig_argv[1:]]
        sys.exit(subprocess.run(command, env={**os.environ, **ONE_THREAD}).returncode)
    peak = fma()
    print("| step | idea | GFLOP/s | % of FMA | largest error |\n| --- | --- | --- | --- | --- |")
    for step in steps:
        error, rate = difference(step), gflops(step)
        if not error < 1e-5:
            sys.exit(f"{step.IDEA}: differs from the definition by {error:.1e}")
        name = step.__spec__.name.rpartition(".")[2].replace("_", " ")
        cells = name, step.IDEA, f"{rate:.3g}", f"{rate / peak:.1%}", f"{error:.0e}"
        print(f"| {' | '.join(cells)} |", flush=True)
