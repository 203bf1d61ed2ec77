"""What is printed, whatever the streams, the file names and the environment variables are."""

import json
import os
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srcnn_np import SRCNN, Model, draw_pictures, load_model, save_model
from srcnn_np.cli import main
from srcnn_np.commands.terminal import printable

STEERING = "a$b$\x1b[31m\n\u202e"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("set").mkdir()
    for n, picture in enumerate(draw_pictures(3, size=48)):
        Image.fromarray(picture).save(f"set/{n}.png")
    save_model("model.npz", Model(SRCNN("3-1-1", filters=(2, 2)), 2))


def shell(line, **environment):
    """Run a line in the shell; srcnn-np in it is this package's command."""
    line = line.replace("srcnn-np", f"{shlex.quote(sys.executable)} -m srcnn_np")
    environment = {**os.environ, **environment}
    command = ["bash", "-o", "pipefail", "-c", line]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


TRAIN = "srcnn-np train set --scale 2 --arch 3-1-1 --filters 2-2 --epochs 1 --batch 4 --out m.npz"
EVALUATE = "srcnn-np evaluate set --scale 2 --model model.npz --json r.json"


@pytest.mark.parametrize("streams", ["| head -n 0", "2>&1 | head -n 1", ">&-", ">&- 2>&- <&-"])
def test_a_training_goes_on_when_nobody_reads(streams):
    done = shell(f"{TRAIN} {streams}")
    assert done.returncode == 0
    assert "Error" not in done.stderr
    assert load_model("m.npz").network.structure == "3-1-1"


@pytest.mark.parametrize("streams", ["| head -n 1", ">&-", "2>&-"])
def test_figures_are_written_when_nobody_reads(streams):
    done = shell(f"{EVALUATE} {streams}")
    assert done.returncode == 0
    assert done.stderr == ""
    assert len(json.loads(Path("r.json").read_text())["images"]) == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_output_that_cannot_be_written_is_said_once():
    for command in ("srcnn-np models", EVALUATE):
        done = shell(f"{command} > /dev/full")
        assert done.returncode == 1
        sentence = "srcnn-np: error: standard output cannot be written: No space left on device\n"
        assert done.stderr == sentence
    assert Path("r.json").exists()
    assert shell("srcnn-np models 2> /dev/full").returncode == 0
    assert shell("srcnn-np --help > /dev/full").returncode == 1


def test_a_picture_into_a_full_disk_or_a_closed_pipe():
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)).save("p.png")
    command = "srcnn-np upscale p.png --scale 2 --model bicubic -o -"
    done = shell(f"{command} > /dev/full")
    assert done.returncode == 1
    sentence = "srcnn-np: error: standard output cannot be written: No space left on device\n"
    assert done.stderr == sentence
    done = shell(f"set -o pipefail; {command} | head -c 1 > first")
    assert (done.returncode, done.stderr) == (0, "")


def test_help_into_a_closed_pipe_is_quiet():
    assert shell("srcnn-np --help | head -n 1").stderr == ""
    assert shell("srcnn-np upscale --help >&-").stderr == ""


def test_letters_that_the_terminal_does_not_know_are_written_otherwise():
    Image.new("L", (4, 4)).save("名.png")
    done = shell("srcnn-np upscale 名.png --scale 2 --model model.npz", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout == "\\u540d.png -> \\u540d_x2.png (8 x 8)\n"


def test_names_do_not_steer_the_terminal(capsys):
    Path(STEERING).mkdir()
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(f"{STEERING}/{STEERING}.png")
    Path(STEERING, f"{STEERING}.bad.png").write_bytes(b"")
    Path(STEERING, f"{STEERING}.txt").write_bytes(b"")
    save_model(f"{STEERING}.npz", Model(SRCNN("3-1-1", filters=(2, 2)), 2))
    picture, model = f"{STEERING}/{STEERING}.png", ["--model", f"{STEERING}.npz", "--scale", "2"]
    for words in (
        ["upscale", STEERING, *model],
        ["evaluate", STEERING, *model, "--json", f"{STEERING}.json"],
        ["show", "features", picture, *model],
        ["show", "compare", picture, *model],
        ["report", picture, *model],
        ["models", f"{STEERING}.npz"],
        ["models", f"{STEERING}\udcff"],
        ["train", STEERING, "--scale", "2", "--out", f"{STEERING}/{STEERING}/m.npz"],
        ["train", STEERING, "--scale", "2", "--out", f"{STEERING}.npz"],
        ["upscale", STEERING, STEERING, f"--{STEERING}"],
    ):
        with suppress(SystemExit):
            main(words)
        out, err = capsys.readouterr()
        assert out + err
        for line in (out + err).split("\n"):
            assert line.isprintable(), (words, line)
            assert line.count("Traceback") == 0
    assert Path(f"{STEERING}.json").exists()
    assert json.loads(Path(f"{STEERING}.json").read_text())["images"][0]["name"].startswith("a$b")


def test_printable_keeps_what_can_be_read():
    assert printable("Füße 名 – ok") == "Füße 名 – ok"
    assert printable("\x1b[31m\r\x00\x7f\x9b\udcff\u2028") == r"\x1b[31m\r\x00\x7f\x9b\udcff\u2028"


@pytest.mark.parametrize(
    "variable, command, words",
    [
        ("NUMBA_NUM_THREADS=0", EVALUATE, "Numba cannot be loaded, see the variables NUMBA_"),
        ("MPLBACKEND=none", "srcnn-np show filters --scale 3", "see the variable MPLBACKEND"),
    ],
)
def test_variables_that_make_no_sense_are_a_sentence(variable, command, words):
    done = shell(f"{variable} {command}")
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_warning_is_a_line():
    done = shell(f"NUMBA_OPT=fast {EVALUATE}")
    assert done.returncode == 0
    assert done.stderr.startswith("srcnn-np: Environment variable 'NUMBA_OPT' is defined but")
    assert all(line.startswith("srcnn-np: ") for line in done.stderr.splitlines())
