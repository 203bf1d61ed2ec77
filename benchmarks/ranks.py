"""Measure several processes under MPI: their speed beside one process, messages and memory."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import numpy as np
from PIL import Image

from srcnn_np.compiling import THREADS
from srcnn_np.data import draw_pictures

MPIEXEC = which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.defpath]))
STRUCTURES, BATCHES = ("9-1-5", "9-5-5"), (64, 128)
BATCHES_OF_ONE = 16, 256
NUMBERS = (1, 1_000, 10_000, 100_000, 1_000_000)  # how many an Allreduce adds up
DIV2K = 800, (1356, 2040)  # pictures, and their usual size

_STEP = """
import sys
from dataclasses import replace
from srcnn_np import SRCNN
from srcnn_np.data import cut_sub_images, draw_pictures
from srcnn_np.model import Model
from srcnn_np.recipe import RECIPES
from srcnn_np.team import this_team
from srcnn_np.training import epochs_in
team, network = this_team(), SRCNN(sys.argv[1])
recipe = replace(RECIPES["fast"], batch=int(sys.argv[2]))
pictures = draw_pictures(16)
epochs = epochs_in(1, Model(network, 3), pictures, recipe, team)
count = len(cut_sub_images(pictures, 3, size=recipe.size, margin=network.margin))
if team.rank == 0:
    print(60 / (epochs * count / recipe.batch))
"""

_ALLREDUCE = """
import sys, time
import numpy as np
from srcnn_np.team import this_team
team, numbers = this_team(), np.zeros(int(sys.argv[1]), np.float32)
seconds = []
for _ in range(300):
    team.wait()
    start = time.perf_counter()
    team.add_up(numbers)
    seconds.append(time.perf_counter() - start)
if team.rank == 0:
    print(np.median(seconds))
"""


def why_not() -> str:
    """Return why several processes cannot be measured; empty if they can."""
    if MPIEXEC is None or find_spec("mpi4py") is None:
        return 'without rows for ranks: they need pip install -e ".[mpi]"'
    return "without rows for ranks: they need two processors" if THREADS < 2 else ""


def figures(rounds: int) -> dict:
    """Return all measurements, by name.

    "ranks" has the seconds of a training step, and of enlarging 40 pictures: by one process and by
    two in turn, with the same number of threads in all. "one thread" has the seconds of a training
    step on one thread, by size of batch. "allreduce" has the seconds of one Allreduce between two
    processes, by how many values it adds. "memory" has the bytes that all ranks of a training take
    together, by the pictures of the training.
    """
    ways = {f"1 x {THREADS}": (1, THREADS), f"2 x {THREADS // 2}": (2, THREADS // 2)}
    rows: dict = {}
    for structure in STRUCTURES:
        for batch in BATCHES:
            words = ["-c", _STEP, structure, str(batch)]
            rows[f"training step, {structure}, batch {batch}"] = {way: [] for way in ways}
            for _ in range(rounds):
                for way, (ranks, threads) in ways.items():
                    seconds = float(_run(ranks, threads, words))
                    rows[f"training step, {structure}, batch {batch}"][way].append(seconds)
    with _folder(40, (256, 256)) as folder:
        row = rows["upscale of 40 pictures of 256 x 256"] = {way: [] for way in ways}
        words = ["-m", "srcnn_np", "upscale", str(folder), "--scale", "3", "--force"]
        for _ in range(rounds):
            for way, (ranks, threads) in ways.items():
                start = time.perf_counter()
                _run(ranks, threads, words)
                row[way].append(time.perf_counter() - start)
    one_thread = {
        structure: [
            min(float(_run(1, 1, ["-c", _STEP, structure, str(batch)])) for _ in range(rounds))
            for batch in BATCHES_OF_ONE
        ]
        for structure in STRUCTURES
    }
    allreduce = {n: float(_run(2, 1, ["-c", _ALLREDUCE, str(n)])) for n in NUMBERS}
    return {
        "ranks": rows,
        "one thread": one_thread,
        "allreduce": allreduce,
        "memory": _memory(),
    }


def _memory() -> dict[str, int]:
    found = {}
    for title, count, size in (
        ("91 pictures of 256 x 256", 91, (256, 256)),
        (f"{DIV2K[0]} pictures of {DIV2K[1][1]} x {DIV2K[1][0]}", *DIV2K),
    ):
        with _folder(count, size) as folder:
            for ranks in (1, 2):
                out = folder.parent / "model.npz"
                words = ["-m", "srcnn_np", "train", str(folder), "--scale", "2", "--epochs", "1e-4"]
                words += ["--validations", "1", "--out", str(out), "--force"]
                with _watched() as most:
                    _run(ranks, THREADS // ranks, words)
                found[f"{title}, {ranks} rank{'s' if ranks > 1 else ''}"] = max(most)
    return found


def _run(ranks: int, threads: int, words: list[str]) -> str:
    command = [sys.executable, *words]
    if ranks > 1:
        command = [MPIEXEC, "-n", str(ranks), *command]
    environment = os.environ | {"NUMBA_NUM_THREADS": str(threads)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return done.stdout


@contextmanager
def _folder(count: int, size: tuple[int, int]) -> Iterator[Path]:
    """Yield a folder of colour pictures, tiled from drawn ones; at most 40 are different."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "pictures")
        folder.mkdir()
        H, W = size
        drawn = draw_pictures(40)
        for n in range(count):
            path = folder / f"{n:04d}.png"
            if n >= len(drawn):
                os.link(folder / f"{n % len(drawn):04d}.png", path)
                continue
            tiles = np.tile(drawn[n], (-(-H // 256), -(-W // 256)))[:H, :W]
            Image.fromarray(np.dstack([tiles] * 3)).save(path)
        yield folder


@contextmanager
def _watched() -> Iterator[list[int]]:
    """Yield a list that grows: bytes of all processes begun meanwhile; shared bytes count once."""
    found, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.2):
            found.append(sum(map(_own_bytes, _descendants(os.getpid()))))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def _descendants(process: int) -> set[int]:
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    found, new = set(), {process}
    while new:
        new = {child for child, parent in parents.items() if parent in new}
        found |= new
    return found


def _own_bytes(process: int) -> int:
    """Return a process's memory in bytes; a byte that n processes share counts as 1/n."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def constants(found: dict, structure: str) -> tuple[float, float, float, float]:
    """Return a, c, α, β of the model in docs/scaling.md, in seconds.

    They are the seconds of a sample, of an update without its samples, of a message, and of a byte.
    """
    small, large = found["one thread"][structure]
    few, many = BATCHES_OF_ONE
    a = (large - small) / (many - few)
    message, array = (found["allreduce"][str(NUMBERS[n])] for n in (0, -1))
    return a, small - a * few, message / 2, array / (4 * NUMBERS[-1])


def seconds(
    a: float, c: float, alpha: float, beta: float, batch: float, parameters: int, ranks: int
) -> float:
    """Return the seconds of a training step by the model in docs/scaling.md."""
    told = 2 * alpha * np.log2(ranks) + 2 * beta * 4 * parameters * (ranks - 1) / ranks
    return a * batch / ranks + c + told


NETWORK = 30e-6, 1e-9  # seconds for a message, and for a byte, at a usual 10 Gbit/s
RANKS = (2, 4, 16, 64, 256, 1000)


def table(found: dict) -> list[str]:
    """Return the table of docs/scaling.md: how many times as fast several ranks are as one."""
    rows = [
        f"| times as fast as one rank | {' | '.join(f'{n:,} ranks' for n in RANKS)} |",
        "| --- |" + " --- |" * len(RANKS),
    ]
    for structure, parameters in (("9-1-5", 8129), ("9-5-5", 57281)):
        a, c, alpha, beta = constants(found, structure)
        for title, batch, link in (
            ("a batch of 128, as here", lambda n: 128, (alpha, beta)),
            ("a batch of 128, by a network", lambda n: 128, NETWORK),
            ("32 samples a rank, by a network", lambda n: 32 * n, NETWORK),
        ):
            cells = []
            for n in RANKS:
                one = seconds(a, c, *link, batch(n), parameters, 1)
                cells.append(f"{one / seconds(a, c, *link, batch(n), parameters, n):,.1f}")
            rows.append(f"| {structure}, {title} | {' | '.join(cells)} |")
    return rows


def lines(found: dict) -> list[str]:
    """Return the figures as lines, for `python -m benchmarks` and docs/scaling.md."""
    said = []
    for title, row in found["ranks"].items():
        (one, first), (two, second) = row.items()
        ratio = np.median(np.array(first) / np.array(second))
        said.append(
            f"{title}: {np.median(first) * 1e3:.1f} ms by {one}, {np.median(second) * 1e3:.1f} by "
            f"{two} (ranks x threads), {ratio:.2f} times as fast"
        )
    for structure, times in found["one thread"].items():
        few, many = (f"{1e3 * taken:.1f}" for taken in times)
        said.append(
            f"training step, {structure}, one thread: {few} ms at a batch of {BATCHES_OF_ONE[0]}, "
            f"{many} at {BATCHES_OF_ONE[1]}"
        )
    for numbers, taken in found["allreduce"].items():
        said.append(f"Allreduce of {int(numbers):,} numbers, two ranks: {taken * 1e3:.3f} ms")
    for title, used in found["memory"].items():
        said.append(f"training on {title}: {used / 1e9:.2f} GB in all")
    return said
