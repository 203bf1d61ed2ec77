"""Many pictures: which file each becomes, and what happens if one fails."""

import io
import json
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
from srcnn_np.upscaling import Goal, Way

COMPILING = "srcnn-np: compiling for this processor, which is done once and kept ...\n"
COLOUR = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def pictures(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(COLOUR).save(name)


def targets(inputs, output=None, **how):
    return [str(job.target) for job in plan(inputs, output, "x2", **how).jobs]


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
            plan(["a.jpg", "b.jpg"], output, "x2")
    with pytest.raises(InputError, match="names a file"):
        plan(["in"], "big.png", "x2")


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
        "left out: in/deeper/ (-r enters it), in/notes",
        "in/b.png is not a picture",
        "in/c.png is damaged",
        "in/d.jfif is not a picture",
        "File name too long",
        "absent.png does not exist",
        r"empty\n does not exist",
        "3 enlarged, 0 skipped, 6 failed: in/b.png, in/c.png, in/d.jfif",
    ):
        assert sum(words in sentence for sentence in sentences) == 1, words
    assert len(sentences) == 8
    assert "Errno" not in err
    assert out.count("->") == 3


def test_too_little_memory_for_one_costs_one(capsys, monkeypatch):
    pictures("a.png", "b.png")
    enlarge = Way.enlarge

    def greedy(*how):
        monkeypatch.setattr(Way, "enlarge", enlarge)
        raise MemoryError

    monkeypatch.setattr(Way, "enlarge", greedy)
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
    assert "2 enlarged, 1 skipped, 0 failed\n" in out
    assert Path("in_x2/a_x2.png").read_text() == "as it was"
    assert len(os.listdir("in_x2")) == 3
    assert upscale(capsys, "in", "--skip-existing", "--force")[0] == 2
    assert upscale(capsys, "in", "--force")[0] == 0
    assert read_picture("in_x2/a_x2.png").pixels.shape == (12, 16, 3)


def test_nothing_is_left_of_a_folder_that_nothing_came_into():
    Path("in").mkdir()
    Path("in/a.png").write_bytes(b"")
    results = list(enlarge_all(plan(["in"], None, "x2"), Goal(2)))
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


def test_folders_in_folders_keep_their_places(capsys):
    for name in ("in/a.png", "in/one/b.png", "in/one/two/c.jpg", "in/.hidden/d.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        pictures(name)
    Path("in/one/notes.txt").write_text("")
    Path("in/empty").mkdir()
    code, out, err = upscale(capsys, "in", "-r")
    assert code == 0
    assert err == "srcnn-np: left out: in/one/notes.txt\n"
    found = sorted(str(p) for p in Path("in_x2").rglob("*") if p.is_file())
    assert found == ["in_x2/a_x2.png", "in_x2/one/b_x2.png", "in_x2/one/two/c_x2.png"]
    assert not Path("in_x2/empty").exists()
    assert out.endswith("3 enlarged, 0 skipped, 0 failed\n")
    # Results that lie in the folder itself are no pictures to enlarge.
    for _ in range(2):
        assert upscale(capsys, "in", "-r", "-o", "in/big", "--skip-existing")[0] == 0
    assert len([p for p in Path("in/big").rglob("*") if p.is_file()]) == 3
    assert "and its folders hold no pictures" in upscale(capsys, "in/empty", "-r")[2]


def test_formats_and_qualities(capsys):
    pictures("in/a.jpg", "in/b.webp", "in/c.ppm", "in/d.tif")
    assert upscale(capsys, "in", "--format", "same")[0] == 0
    assert sorted(os.listdir("in_x2")) == ["a_x2.jpg", "b_x2.webp", "c_x2.png", "d_x2.tif"]
    pictures("e.png")
    for quality in ("5", "95"):
        words = ("e.png", "--format", "webp", "--quality", quality, "--force")
        assert upscale(capsys, *words)[0] == 0
        assert upscale(capsys, "e.png", "-o", f"{quality}.jpg", "--quality", quality)[0] == 0
    assert Path("5.jpg").stat().st_size < Path("95.jpg").stat().st_size
    assert read_picture("5.jpg").quality == 5
    err = upscale(capsys, "e.png", "-o", "f.png", "--quality", "80")[2]
    assert "f.png: PNG has no quality; give a name ending in .jpg or .webp" in err
    assert not Path("f.png").exists()
    assert upscale(capsys, "e.png", "--quality", "0")[0] == 2


@pytest.mark.parametrize(
    ("words", "size", "name"),
    [
        (["--scale", "1.5"], (12, 9), "a_x1.5.png"),
        (["--scale", "8"], (64, 48), "a_x8.png"),
        (["-s", "2", "-n", "bicubic"], (16, 12), "a_x2.png"),
        (["--width", "20"], (20, 15), "a_w20.png"),
        (["--height", "15"], (20, 15), "a_h15.png"),
        (["--fit", "100x15"], (20, 15), "a_100x15.png"),
        (["--fit", "4X400"], (4, 3), "a_4x400.png"),
        (["--model", "9-1-5-x3"], (24, 18), "a_x3.png"),
        (["--model", "9-1-5-x3", "--width", "40"], (40, 30), "a_w40.png"),
    ],
)
def test_any_size(capsys, words, size, name):
    pictures("a.png")
    assert main(["upscale", "a.png", *words]) == 0
    assert f"{name} ({size[0]} x {size[1]}" in capsys.readouterr().out
    assert Image.open(name).size == size


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "give --scale, --width, --height or --fit, or a model that has a scale"),
        (["--scale", "17"], "scale is 17.0; give a number above 0, up to 16"),
        (["--width", "900"], "8 x 6 pixels would become 900 x 675, more than 16 times"),
        (["--model", "9-1-5-x2", "--width", "40"], "more than two in turn reach"),
        (["--model", "9-1-5-x2", "--scale", "3"], "trained for scale 2, not 3"),
        (["--model", "bicubic"], "give --scale"),
        (["--scale", "2", "--json", "-o", "-"], "both go to standard output"),
        (["--scale", "2", "--repair", "much"], "--repair takes one of auto, off, jpeg95"),
        (["--scale", "2", "--repair", "off", "--model", "9-1-5-x2"], "leave out one of them"),
    ],
)
def test_sizes_that_cannot_be_are_a_sentence(capsys, words, why):
    pictures("a.png")
    assert main(["upscale", "a.png", *words]) == 1
    assert why in capsys.readouterr().err
    assert os.listdir() == ["a.png"]


def test_what_became_of_each_picture_as_json(capsys):
    pictures("in/a.png", "in/b.png", "in/c.png")
    Path("in/b.png").write_bytes(b"")
    assert upscale(capsys, "in/c.png", "-o", "in_x2/c_x2.png")[2] != ""  # there is no such folder
    code, out, err = upscale(capsys, "in", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [row["source"] for row in rows] == ["in/a.png", "in/b.png", "in/c.png"]
    assert (rows[0]["target"], rows[0]["width"], rows[0]["height"]) == ("in_x2/a_x2.png", 16, 12)
    assert "is not a picture" in rows[1]["error"]
    assert err.splitlines()[-1].endswith("2 enlarged, 0 skipped, 1 failed: in/b.png")
    rows = [
        json.loads(line)
        for line in upscale(capsys, "in", "--json", "--skip-existing")[1].splitlines()
    ]
    assert [row.get("skipped", False) for row in rows] == [True, True, False]


def test_quiet_is_quiet(capsys):
    pictures("a.png", "b.png")
    assert upscale(capsys, "a.png", "b.png", "--quiet") == (0, "", "")
    code, out, err = upscale(capsys, "a.png", "b.png", "-q")
    assert (code, out) == (1, "")
    assert "exist already" in err


def test_standard_output_gets_the_picture_and_nothing_else():
    pictures("a.png")
    words = [sys.executable, "-m", "srcnn_np", "upscale", "a.png", "-s", "2", "-o", "-"]
    done = subprocess.run(words, capture_output=True, check=True)
    assert done.stderr.replace(COMPILING.encode(), b"") == b""
    assert Image.open(io.BytesIO(done.stdout)).size == (16, 12)
    piped = subprocess.run(
        [*words[:4], "-", "-s", "2", "-o", "-", "--format", "jpg", "--quality", "40"],
        **{"capture_output": True, "check": True, "input": done.stdout},
    )
    assert Image.open(io.BytesIO(piped.stdout)).format == "JPEG"
    assert os.listdir() == ["a.png"]


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


def test_a_closed_folder_in_a_folder_costs_what_is_in_it(capsys, monkeypatch):
    pictures("in/a.png", "in/closed/b.png", "in/open/c.png")

    def closed(function):
        def look(path="."):
            if Path(path).name == "closed":
                raise PermissionError(13, "Permission denied", str(path))
            return function(path)

        return look

    monkeypatch.setattr(os, "scandir", closed(os.scandir))
    monkeypatch.setattr(os, "listdir", closed(os.listdir))
    code, out, err = upscale(capsys, "-r", "in", "--json")
    assert code == 1
    assert err == (
        "srcnn-np: error: in/closed cannot be read: Permission denied\n"
        "srcnn-np: error: 2 enlarged, 0 skipped, 1 failed: in/closed\n"
    )
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[0] == {
        "source": "in/closed",
        "error": "in/closed cannot be read: Permission denied",
    }
    assert [Path(line["target"]).exists() for line in lines[1:]] == [True, True]


def test_links_to_folders_are_named_and_not_entered(capsys):
    pictures("in/a.png", "far/b.png")
    Path("in/away").symlink_to(Path("far").absolute())
    Path("in/round").symlink_to(Path("in").absolute())
    code, _, err = upscale(capsys, "-r", "in")
    assert code == 0
    assert err == "srcnn-np: left out: in/away/ (a link), in/round/ (a link)\n"
    assert [path.name for path in Path("in_x2").iterdir()] == ["a_x2.png"]


def test_what_is_wrong_with_one_of_many_has_its_name(capsys):
    pictures("a.png", "b.png")
    Image.fromarray(COLOUR[:1]).save("thin.png")
    code = main(["upscale", "a.png", "thin.png", "--height", "90"])
    _, err = capsys.readouterr()
    assert code == 1
    assert "error: thin.png: 8 x 1 pixels would become 720 x 90, more than 16 times" in err


@pytest.mark.parametrize(("name", "format_"), [("a.jpg", "JPEG"), ("a.gif", "PNG")])
def test_standard_output_gets_the_pictures_own_format(name, format_):
    pictures(name)
    words = [sys.executable, "-m", "srcnn_np", "upscale", name, "-s", "2"]
    done = subprocess.run([*words, "--format", "same", "-o", "-"], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert Image.open(io.BytesIO(done.stdout)).format == format_


def test_a_standard_output_that_takes_no_bytes_is_a_sentence(monkeypatch, capsys):
    pictures("a.png")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert main(["upscale", "a.png", "-s", "2", "-o", "-"]) == 1
    assert "standard output takes text alone here; give a file's name" in capsys.readouterr().err


def test_without_r_folders_are_named_and_it_is_said_how_to_enter_them(capsys):
    pictures("in/a.png", "in/deep/b.png", "only/deep/c.png")
    code, _, err = upscale(capsys, "in")
    assert code == 0
    assert err == "srcnn-np: left out: in/deep/ (-r enters it)\n"
    code, _, err = upscale(capsys, "only")
    assert code == 1
    assert "only holds no pictures" in err
    assert "-r enters its folders" in err


def test_the_level_that_is_asked_for_is_named(capsys):
    pictures("a.jpg")
    _, out, _ = upscale(capsys, "a.jpg", "--repair", "jpeg30")
    assert out == "a.jpg -> a_x2.png (16 x 12; model fsrcnn-x2-jpeg30)\n"
