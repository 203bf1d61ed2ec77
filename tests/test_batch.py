"""Many pictures: which file each becomes, and what one that fails costs."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srcnn_np import InputError, batch
from srcnn_np.batch import enlarge_all, plan
from srcnn_np.cli import main
from srcnn_np.imaging import read_picture

COMPILING = "srcnn-np: compiling for this processor, which is done once and kept ...\n"
COLOUR = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def pictures(*names):
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Image.fromarray(COLOUR).save(name)


def targets(inputs, output=None):
    return [str(job.target) for job in plan(inputs, output, 2).jobs]


def upscale(capsys, *words):
    try:
        code = main(["upscale", *words, "--scale", "2"])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err.replace(COMPILING, "")


def test_every_bare_name_is_a_picture_and_none_is_lost(capsys):
    pictures("a.jpg", "b.jpg")
    before = {name: Path(name).read_bytes() for name in ("a.jpg", "b.jpg")}
    code, _, err = upscale(capsys, "a.jpg", "b.jpg", "--force")
    assert (code, err) == (0, "")
    assert {name: Path(name).read_bytes() for name in before} == before
    assert read_picture("a_x2.png").pixels.shape == (12, 16, 3)
    assert read_picture("b_x2.png").pixels.shape == (12, 16, 3)


def test_where_results_go():
    pictures("a.jpg", "b.jpg", "in/c.png", "in/d.png")
    assert targets(["a.jpg", "in", "b.jpg"]) == [
        *("a_x2.png", "in_x2/c_x2.png", "in_x2/d_x2.png", "b_x2.png")
    ]
    assert targets(["in/c.png"]) == ["in/c_x2.png"]
    assert targets(["a.jpg"], "big.png") == ["big.png"]
    assert targets(["a.jpg"], "new/") == ["new/a_x2.png"]
    assert targets(["a.jpg"], "in") == ["in/a_x2.png"]
    assert targets(["a.jpg", "in"], "out") == ["out/a_x2.png", "out/c_x2.png", "out/d_x2.png"]
    assert targets(["."]) == [f"{os.getcwd()}_x2/{n}_x2.png" for n in "ab"]
    for output in ("big.png", "a.jpg"):
        with pytest.raises(InputError, match=f"{output} names a file; for several pictures"):
            plan(["a.jpg", "b.jpg"], output, 2)
    with pytest.raises(InputError, match="names a file"):
        plan(["in"], "big.png", 2)


def test_a_folder_that_is_a_link_has_its_results_beside_the_link():
    pictures("far/c.png")
    Path("near").mkdir()
    Path("near/link").symlink_to(Path("far").resolve())
    assert targets(["near/link"]) == ["near/link_x2/c_x2.png"]
    assert targets(["near/link/"]) == ["near/link_x2/c_x2.png"]


def test_a_picture_named_twice_is_enlarged_once():
    pictures("in/c.png")
    assert targets(["in/c.png", "./in/c.png"]) == ["in/c_x2.png"]
    assert targets(["in/c.png", "in"], "out") == ["out/c_x2.png"]


def test_only_names_that_clash_get_longer():
    pictures("a.png", "in/a.png", "in/a.jpg", "in/b.png", "other/a.png", "in/B.jpg", "x.png")
    found = targets(["in", "other", "a.png", "x.png"], "out")
    assert found == [
        "out/B.jpg_x2.png",
        "out/a.jpg_x2.png",
        "out/in_a.png_x2.png",
        "out/b.png_x2.png",
        "out/other_a.png_x2.png",
        f"out/{Path.cwd().name}_a.png_x2.png",
        "out/x_x2.png",
    ]
    assert len({name.casefold() for name in found}) == len(found)


def test_names_stay_apart_however_many_clash():
    pictures("b.jpg", "b.png", "b.jpg.png", "b.jpg.png.png")
    found = targets(["."], "out")
    assert len(set(found)) == 4


def test_one_problem_costs_one_picture(capsys):
    long = "n" * 250 + ".png"  # with _x2 before the ending it is longer than names may be
    pictures("in/a.png", "in/z.png", f"in/{long}")
    Path("in/b.png").write_bytes(b"no picture")
    Path("in/c.png").write_bytes(Path("in/a.png").read_bytes()[:90])
    Path("in/d.jfif").write_bytes(b"")
    Path("in/notes").write_text("")
    Path("in/deeper").mkdir()
    code, out, err = upscale(capsys, "in", "absent.png", "in/a.png", "empty\n")
    assert code == 1
    assert sorted(os.listdir("in_x2")) == ["a_x2.png", "z_x2.png"]
    assert Path("in/a_x2.png").is_file()
    sentences = err.splitlines()
    for words in (
        "left out, as no pictures: in/deeper/, in/notes",
        "in/b.png is not a picture",
        "in/c.png is damaged",
        "in/d.jfif is not a picture",
        "File name too long",
        "absent.png does not exist",
        r"empty\n does not exist",
        "6 of 9 pictures could not be enlarged",
    ):
        assert sum(words in sentence for sentence in sentences) == 1, words
    assert len(sentences) == 8
    assert "Errno" not in err
    assert out.count("->") == 3


def test_too_little_memory_for_one_costs_one(capsys, monkeypatch):
    pictures("a.png", "b.png")
    upscaled = batch.upscale

    def greedy(picture, *how):
        monkeypatch.setattr(batch, "upscale", upscaled)
        raise MemoryError

    monkeypatch.setattr(batch, "upscale", greedy)
    code, _, err = upscale(capsys, "a.png", "b.png")
    assert code == 1
    assert "a.png: there is not enough memory to enlarge it" in err
    assert Path("b_x2.png").exists()


def test_a_run_that_was_broken_off_goes_on(capsys, monkeypatch):
    pictures("in/a.png", "in/b.png", "in/c.png")
    read, count = batch.read_picture, 0

    def interrupted(*how, **more):
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return read(*how, **more)

    with monkeypatch.context() as patch:
        patch.setattr(batch, "read_picture", interrupted)
        code, _, err = upscale(capsys, "in")
    assert code == 130
    assert "interrupted after 1 of 3 pictures; the same command with --skip-existing" in err
    assert os.listdir("in_x2") == ["a_x2.png"]
    Path("in_x2/a_x2.png").write_text("as it was")
    code, _, err = upscale(capsys, "in")
    assert code == 1
    assert err.startswith("srcnn-np: error: in_x2/a_x2.png exists already; --skip-existing")
    assert len(os.listdir("in_x2")) == 1
    code, out, err = upscale(capsys, "in", "--skip-existing")
    assert (code, err) == (0, "")
    assert "1 of 3 left as before" in out
    assert Path("in_x2/a_x2.png").read_text() == "as it was"
    assert len(os.listdir("in_x2")) == 3
    assert upscale(capsys, "in", "--skip-existing", "--force")[0] == 2
    assert upscale(capsys, "in", "--force")[0] == 0
    assert read_picture("in_x2/a_x2.png").pixels.shape == (12, 16, 3)


def test_nothing_is_left_of_a_folder_that_nothing_came_into():
    Path("in").mkdir()
    Path("in/a.png").write_bytes(b"")
    results = list(enlarge_all(plan(["in"], None, 2), 2, None))
    assert [bool(result.why) for result in results] == [True]
    assert not Path("in_x2").exists()


def test_a_result_never_replaces_a_picture(capsys):
    pictures("a.png", "a_x2.png", "b.png")
    before = Path("a_x2.png").read_bytes()
    code, _, err = upscale(capsys, "a.png", "a_x2.png", "b.png", "--force")
    assert code == 1
    assert "a.png is not enlarged, as a_x2.png is one of the pictures to enlarge" in err
    assert Path("a_x2.png").read_bytes() == before
    assert Path("a_x2_x2.png").exists()
    assert Path("b_x2.png").exists()


def test_places_are_compared_however_they_are_spelled(capsys):
    pictures("a.png", "a.jpg", "A/b.png")
    here = Path.cwd()
    assert targets(["a.png", f"{here}/a.jpg"]) == ["a.png_x2.png", f"{here}/a.jpg_x2.png"]
    assert targets(["a.png", f"{here}/a.png"]) == ["a_x2.png"]
    assert targets(["A", f"{here}/A"]) == ["A_x2/b_x2.png"]


def test_names_that_are_alike_when_joined_stay_apart():
    for name in ("r/a/b_c.jpg", "r/z/b_c.jpg", "r/a_b/c.jpg", "r/y/c.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        pictures(name)
    found = targets(["r/a/b_c.jpg", "r/z/b_c.jpg", "r/a_b/c.jpg", "r/y/c.jpg"], "out")
    assert len(set(found)) == 4


def test_a_glob_that_now_holds_results_goes_on_as_before(capsys):
    pictures("a.jpg", "b.jpg")
    assert upscale(capsys, "a.jpg")[0] == 0
    code, out, err = upscale(capsys, "a.jpg", "a_x2.png", "b.jpg", "--skip-existing")
    assert (code, err) == (0, "")
    assert sorted(os.listdir()) == ["a.jpg", "a_x2.png", "b.jpg", "b_x2.png"]


def test_a_folder_without_a_name_is_a_sentence(capsys):
    assert "/ has no name to make another of" in upscale(capsys, "/")[2]


def test_one_closed_folder_costs_its_pictures(capsys):
    pictures("A/a.png", "B/b.png")
    Path("B_x2").write_text("mine")
    code, _, err = upscale(capsys, "A", "B")
    assert code == 1
    assert "B_x2 is a file" in err
    assert Path("A_x2/a_x2.png").exists()
    assert Path("B_x2").read_text() == "mine"


def test_what_is_lost_is_said(capsys):
    Image.fromarray(COLOUR).save("a.gif", save_all=True, append_images=[Image.new("RGB", (8, 6))])
    Image.fromarray(COLOUR).save("a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\10\0\0", comment=b"c")
    assert "; not kept: all but the first of 2 frames\n" in upscale(capsys, "a.gif")[1]
    assert "; not kept: comment\n" in upscale(capsys, "a.jpg", "-o", "b.webp")[1]
    assert "not kept" not in upscale(capsys, "a.jpg")[1]


def test_standard_input_is_read_by_its_name(capsys, monkeypatch):
    pictures("a.png")
    for words, name in ((["-"], "stdin_x2.png"), (["/dev/stdin", "-o", "b.png"], "b.png")):
        stdin = io.TextIOWrapper(io.BytesIO(Path("a.png").read_bytes()))
        monkeypatch.setattr("sys.stdin", stdin)
        assert upscale(capsys, *words)[0] == 0
        assert read_picture(name).pixels.shape == (12, 16, 3)
    monkeypatch.setattr("sys.stdin", None)
    assert "standard input is closed; give a file" in upscale(capsys, "-", "-o", "c.png")[2]


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="this system has no pipes of this kind")
def test_a_named_pipe_does_not_hang(tmp_path):
    os.mkfifo("p.png")
    command = [sys.executable, "-m", "srcnn_np", "upscale", "p.png", "--scale", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "no ordinary file" in done.stderr
