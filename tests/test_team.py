"""Processes under MPI: they train as one process does, share folders out, and may fail."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srcnn_np import InputError, load_model
from srcnn_np.checkpoint import last_path, log_path, read_log
from srcnn_np.data import draw_pictures
from srcnn_np.model import Model
from srcnn_np.network import SRCNN
from srcnn_np.recipe import Recipe
from srcnn_np.team import Team
from srcnn_np.training import train

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), "/bin"]))
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None
    or "MPICH"
    not in subprocess.run(
        [sys.executable, "-c", "from mpi4py import MPI; print(MPI.Get_library_version())"],
        capture_output=True,
        text=True,
    ).stdout,
    reason="mpi4py with MPICH, or mpiexec, is not installed",
)
# 64 sub-images a batch are 22, 21 and 21 for three.
TRAIN = (
    *("train", "--drawn", "12", "--scale", "2", "--arch", "5-1-3", "--filters", "8-4"),
    *("--batch", "64", "--validations", "2"),
)
PATIENCE = 120  # seconds: a hang is a failure


def command(ranks, *words, before=""):
    """A command line that runs the package in `ranks` processes, after the Python code `before`."""
    code = f"{before}\nimport sys\nfrom srcnn_np.cli import main\nsys.exit(main({list(words)!r}))"
    alone = [sys.executable, "-c", code]
    return alone if ranks == 1 else [MPIEXEC, "-n", str(ranks), *alone]


def run(ranks, *words, before="", cwd=None):
    """Exit code, standard output and error."""
    environment = os.environ | {"NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(
        command(ranks, *map(str, words), before=before),
        **{"capture_output": True, "text": True, "timeout": PATIENCE},
        **{"cwd": cwd, "env": environment},
    )
    return done.returncode, done.stdout, done.stderr


def params(path):
    return load_model(path).network.params


def assert_same(a, b, tolerance):
    for name, p in params(a).items():
        np.testing.assert_allclose(params(b)[name], p, rtol=0, atol=tolerance, err_msg=name)


@needs_mpi
def test_ranks_learn_what_one_process_learns(tmp_path):
    """After 200 updates; rounding has more effect with Muon than with SGD."""
    epochs = 200 * 64 / sub_images(tmp_path)
    results = {}
    for name, ranks in (("one", 1), ("two", 2), ("again", 2), ("three", 3)):
        results[name] = tmp_path / f"{name}.npz"
        code, said, why = run(ranks, *TRAIN, "--epochs", epochs, "--out", results[name])
        assert (code, said.count("held-out pictures")) == (0, 1), why
        assert why.count("200/200 updates") == 1
    for name, p in params(results["two"]).items():
        np.testing.assert_array_equal(params(results["again"])[name], p)
    assert_same(results["one"], results["two"], 1e-4)
    assert_same(results["one"], results["three"], 1e-4)
    assert any((params(results["one"])[n] != p).any() for n, p in params(results["two"]).items())


@needs_mpi
def test_ranks_learn_from_the_same_harmed_pictures(tmp_path):
    """Some of these mini-batches take from two epochs."""
    harm = ("--jpeg", "20-60", "--noise", "0-9", "--epochs", "2.3")
    for ranks in (1, 2, 3):
        code, _, why = run(ranks, *TRAIN, *harm, "--out", tmp_path / f"{ranks}.npz")
        assert code == 0, why
    assert_same(tmp_path / "1.npz", tmp_path / "2.npz", 1e-4)
    assert_same(tmp_path / "1.npz", tmp_path / "3.npz", 1e-4)


def sub_images(folder):
    """How many sub-images the drawn pictures of TRAIN give."""
    code, _, why = run(1, *TRAIN, "--epochs", "1e-9", "--out", folder / "count.npz")
    assert code == 0, why
    from srcnn_np.data import cut_sub_images, hold_out

    network = SRCNN("5-1-3", filters=(8, 4))
    learnt, _ = hold_out(draw_pictures(12), 2)
    return len(cut_sub_images(learnt, 2, margin=network.margin))


class Liar(Team):
    """One of two processes; the other always has something else."""

    size = 2

    def gather(self, thing):
        return [thing, b"something else" if isinstance(thing, bytes) else thing]


def test_processes_that_went_apart_are_found_out():
    model = Model(SRCNN("5-1-3", filters=(8, 4)), 2)
    pictures = draw_pictures(3, size=64)
    recipe = Recipe(epochs=0.1, batch=16)
    with pytest.raises(InputError, match="no longer the same after 1 updates"):
        train(model, pictures[1:], pictures[:1], recipe, show=False, team=Liar())


@needs_mpi
@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("", "the loss is no longer a finite number after"),
        (
            """
import os, srcnn_np.data as data
cut = data.SubImages.batch
def batch(self, *rest):
    if os.environ["PMI_RANK"] == "1" and len(rest[0]) == 32:
        raise MemoryError
    return cut(self, *rest)
data.SubImages.batch = batch
""",
            "there is not enough memory for a mini-batch of 64; choose a smaller --batch",
        ),
    ],
    ids=["diverged", "no memory on one"],
)
def test_a_fault_ends_all_with_one_sentence(tmp_path, before, words):
    rate = "0.004" if before else "1e8"
    out = tmp_path / "model.npz"
    code, said, why = run(2, *TRAIN, "--rate", rate, "--out", out, before=before)
    lines = [line for line in why.splitlines() if not re.match(r"\d+/\d+ updates", line)]
    assert (code, said) == (1, "")
    assert len(lines) == 1
    assert lines[0].startswith("srcnn-np: error: ")
    assert words in lines[0]


@needs_mpi
def test_what_nobody_foresaw_on_one_rank_ends_all(tmp_path):
    before = """
import os, srcnn_np.training as training
if os.environ["PMI_RANK"] == "1":
    del training._Training.update
"""
    code, _, why = run(2, *TRAIN, "--out", tmp_path / "model.npz", before=before)
    assert code == 1
    assert why.count("AttributeError: '_Training' object has no attribute 'update'") == 1


@needs_mpi
def test_one_damaged_picture_costs_one_picture(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for n, picture in enumerate(draw_pictures(6, size=96)):
        Image.fromarray(picture).save(photos / f"{n}.png")
    whole = (photos / "3.png").read_bytes()
    (photos / "3.png").write_bytes(whole[: len(whole) // 2])
    code, said, why = run(2, "upscale", photos, "--scale", "2", "-o", tmp_path / "results")
    assert code == 1
    assert sorted(p.name for p in (tmp_path / "results").iterdir()) == [
        f"{n}_x2.png" for n in (0, 1, 2, 4, 5)
    ]
    assert said.count(" -> ") == 5
    assert why.count("3.png is damaged") == 1
    assert why.count("5 enlarged, 0 skipped, 1 failed: ") == 1
    alone, shared = (run(n, "evaluate", photos, "--scale", "2") for n in (1, 2))
    assert alone == shared
    code, said, why = run(2, *TRAIN[:1], photos, *TRAIN[3:], "--out", tmp_path / "model.npz")
    assert code == 0, why
    assert said.count("3.png is damaged") == 1


def begin(ranks, out, *more):
    """A training in the background."""
    words = *TRAIN, *more, "--out", out
    environment = os.environ | {"NUMBA_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command(ranks, *map(str, words)),
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
        **{"env": environment, "start_new_session": True},
    )
    return process


LONG = "--epochs", "8", "--validations", "32"


@pytest.fixture(scope="module")
def psnr_of_one(tmp_path_factory):
    """The PSNR that one process reaches."""
    out = tmp_path_factory.mktemp("one") / "model.npz"
    assert run(1, *TRAIN, *LONG, "--out", out)[0] == 0
    return last_psnr(out)


def last_psnr(model):
    return float(read_log(log_path(model))[-1]["psnr"])


def wait_for(condition, process):
    until = time.monotonic() + PATIENCE
    while not condition() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)


def ranks_of(process):
    """The processes that run now, by rank."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            grandparent = int(
                Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1]
            )
        except OSError:
            continue
        rank = re.search(rb"(?:^|\0)PMI_RANK=(\d+)", environment)
        if rank and grandparent == process.pid:
            found[int(rank[1])] = int(entry.name)
    return found


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="only Linux says which processes there are"
)


@needs_mpi
@needs_proc
@pytest.mark.parametrize("whom", ["mpiexec", 0, 1])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_end_they_end_together_and_go_on(tmp_path, psnr_of_one, whom, number):
    if whom == "mpiexec" and number == signal.SIGHUP:
        pytest.skip("MPICH's mpiexec kills all ranks at once when its terminal is closed")
    out = tmp_path / "model.npz"
    process = begin(2, out, *LONG)
    wait_for(last_path(out).exists, process)
    target = process.pid if whom == "mpiexec" else ranks_of(process)[whom]
    os.kill(target, number)
    said, why = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number, why
    assert len(re.findall(r"interrupted after \d+ of \d+ updates", why)) == 1
    assert not [line for line in said.splitlines() if not line.startswith("[mpiexec@")]
    done = int(re.search(r"interrupted after (\d+)", why)[1])
    code, said, why = run(1, *TRAIN, *LONG, "--out", out, "--resume")
    assert code == 0, why
    assert done > 0
    # Rounding has grown by now, but makes no difference to what was learnt.
    assert last_psnr(out) == pytest.approx(psnr_of_one, abs=0.05)


@needs_mpi
@needs_proc
def test_killed_at_any_moment_they_end_and_go_on_to_the_same(tmp_path, pytestconfig):
    """They do not hang or damage files; the parameters are those of a training without a break."""
    kills, rng = pytestconfig.getoption("--kills"), np.random.default_rng(0)
    long = "--epochs", "4", "--validations", "12"
    whole, out = tmp_path / "whole.npz", tmp_path / "model.npz"
    code, _, why = run(2, *TRAIN, *long, "--out", whole)
    assert code == 0, why
    done, finished = 0, False
    while done < kills or not finished:
        resumed = ["--resume"] if last_path(out).exists() else []
        process = begin(2, out, *long, *resumed)
        if done < kills:
            time.sleep(rng.uniform(0.5, 4))
            if victims := list(ranks_of(process).values()):
                os.kill(victims[rng.integers(len(victims))], signal.SIGKILL)
                done += 1
        _, why = process.communicate(timeout=PATIENCE)
        finished = process.returncode == 0
        assert finished or process.returncode == 9, why
        if finished:
            assert_same(out, whole, 0)
            left = {path.name for path in tmp_path.iterdir() if path.name.startswith("model")}
            assert left == {"model.npz", "model-last.npz", "model-log.csv"}
            for name in left:
                (tmp_path / name).unlink()


@needs_mpi
def test_a_state_is_whole_before_all_end(tmp_path):
    """This is so however long rank 0 takes to write it."""
    before = """
import os, signal, time, srcnn_np.training as training
write, update = training.write_state, training._Training.update
def slow(*rest):
    time.sleep(3)
    write(*rest)
def asked(self):
    if self.done == 5 and self.team.rank == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    update(self)
training.write_state, training._Training.update = slow, asked
"""
    out = tmp_path / "model.npz"
    code, _, why = run(2, *TRAIN, "--epochs", "8", "--out", out, before=before)
    assert code == 143, why
    assert why.count("interrupted after") == 1
    assert last_path(out).exists()
    assert [path.name for path in tmp_path.iterdir() if path.suffix not in (".npz", ".csv")] == []


@needs_mpi
def test_ranks_with_other_pictures_are_found_out(tmp_path):
    before = """
import os, srcnn_np.data as data
draw = data.draw_pictures
data.draw_pictures = lambda count, seed: draw(count + int(os.environ["PMI_RANK"]), seed=seed)
"""
    code, _, why = run(2, *TRAIN, "--out", tmp_path / "model.npz", before=before)
    assert (code, why.count("the processes have different pictures, recipes")) == (1, 1), why


@needs_mpi
def test_a_program_that_fails_on_one_rank_ends_on_all():
    code = """
from srcnn_np.team import this_team
team = this_team()
if team.rank == 1:
    raise ValueError("mine")
team.wait()
"""
    done = subprocess.run(
        [MPIEXEC, "-n", "2", sys.executable, "-c", code],
        **{"capture_output": True, "text": True, "timeout": PATIENCE},
    )
    assert done.returncode == 1
    assert done.stderr.count("ValueError: mine") == 1


@needs_mpi
@pytest.mark.skipif(not Path("/dev/shm").exists(), reason="only Linux shows shared memory")
def test_an_error_of_all_leaves_no_shared_memory(tmp_path):
    before = set(Path("/dev/shm").iterdir())
    code, _, why = run(2, "evaluate", tmp_path / "nothing", "--scale", "2")
    assert (code, why.count("does not exist")) == (1, 1)
    left = {path for path in set(Path("/dev/shm").iterdir()) - before if "mpich" in path.name}
    assert left == set()


@needs_mpi
def test_standard_input_is_read_once(tmp_path):
    Image.fromarray(draw_pictures(1, size=40)[0]).save(tmp_path / "p.png")
    for ranks in (1, 2):
        out = tmp_path / f"{ranks}.png"
        words = command(ranks, "upscale", "-", "--scale", "2", "-o", str(out))
        with (tmp_path / "p.png").open("rb") as file:
            done = subprocess.run(words, stdin=file, capture_output=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_an_empty_variable_is_none():
    environment = os.environ | {"PMI_SIZE": "", "PMI_RANK": ""}
    done = subprocess.run(command(1, "models"), capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_mpi4py_it_says_what_to_install(tmp_path):
    (tmp_path / "mpi4py.py").write_text("raise ImportError")
    done = {}
    for rank in "01":
        environment = os.environ | {"PMI_SIZE": "2", "PMI_RANK": rank}
        before = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
        done[rank] = subprocess.run(
            command(1, "models", before=before), capture_output=True, text=True, env=environment
        )
        assert (done[rank].returncode, done[rank].stdout) == (1, "")
    assert done["0"].stderr == (
        "srcnn-np: error: 2 processes were started, which need mpi4py: pip install mpi4py mpich\n"
    )
    assert done["1"].stderr == ""
