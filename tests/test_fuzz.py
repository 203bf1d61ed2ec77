"""Commands with damaged pictures, models, logs and states: each gives a sentence or a result.

This takes a minute in all, or as long as is asked for. Another seed gives other cases:

    python -m pytest tests/test_fuzz.py --fuzz-seconds 3600 --fuzz-seed 7
"""

import io
import json
import os
import shutil
import signal
import time
import traceback
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srcnn_np import SRCNN, Model, draw_pictures, save_model
from srcnn_np.cli import main

KINDS = ("picture", "model", "log", "state")
LONGEST = 30  # seconds for one case; a usual one takes a few hundredths


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with sound files of every kind, to be damaged."""
    folder = tmp_path_factory.mktemp("sound")
    before = Path.cwd()
    os.chdir(folder)
    try:
        Image.fromarray(draw_pictures(1, size=40)[0]).save("p.png")
        save_model("model.npz", Model(SRCNN("3-1-3", filters=(3, 2)), 2, training={"by": "hand"}))
        Path("set").mkdir()
        for n, picture in enumerate(draw_pictures(3, size=40)):
            Image.fromarray(picture).save(f"set/{n}.png")
        assert main([*TRAIN, "--out", "t.npz"]) == 0
    finally:
        os.chdir(before)
    return folder


TRAIN = [
    *[
        "train",
        "set",
        "--scale",
        "2",
        "--arch",
        "3-1-3",
        "--filters",
        "3-2",
        "--epochs",
        "2",
        "--batch",
        "2",
    ]
]
TRAIN += ["--validations", "2"]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(kind, sound, request, tmp_path, monkeypatch, capfd):
    seconds = request.config.getoption("--fuzz-seconds") / len(KINDS)
    seed = request.config.getoption("--fuzz-seed")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    end, case = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        rng = np.random.default_rng([seed, KINDS.index(kind), case])
        words, output = globals()[f"damaged_{kind}"](rng, sound)
        words = [str(word) for word in words]
        check(words, output, capfd, f"case {case} of {kind}s, seed {seed}: {' '.join(words)}")
        case += 1
    assert case > 10
    print(f"{case} {kind}s")


def check(words, output, capfd, name):
    """Run a command: it ends with a result or with sentences, and leaves nothing else."""
    for path in output:
        path.unlink(missing_ok=True)
    before = contents(output)

    def hangs(*_):
        raise TimeoutError("it hangs")

    signal.signal(signal.SIGALRM, hangs)
    signal.alarm(LONGEST)
    try:
        code = main(words)
    except BaseException:
        pytest.fail(f"{name}\n{traceback.format_exc()}")
    finally:
        signal.alarm(0)
    out, err = capfd.readouterr()
    assert code in (0, 1), name
    assert contents(output) == before, name
    for line in err.splitlines():
        known = line.startswith("srcnn-np: ") or "updates, loss" in line
        assert known, f"{name}: {line}"
        assert line.isprintable(), f"{name}: {line}"
        assert len(line) < 400, f"{name}: {line}"
    for words_of_python in ("Errno", "Traceback", "Error(", "object at 0x", "<class"):
        assert words_of_python not in out + err, f"{name}: {err}"
    if code == 1:
        assert "srcnn-np: error: " in err, name
        assert not any(path.exists() for path in output), name
    else:
        assert all(path.exists() for path in output), name


def contents(output):
    """The files in this folder, except the results."""
    left_out = {str(path) for path in output} | {"t.npz", "t-last.npz", "t-log.csv"}
    paths = (path for path in Path().rglob("*") if path.is_file() and str(path) not in left_out)
    return {str(path): path.stat().st_mtime_ns for path in paths}


# --- what is damaged ---------------------------------------------------------------------------


def damaged_picture(rng, sound):
    """A file of any format and mode, written by Pillow and then damaged."""
    pixels = rng.integers(0, 256, (*rng.integers(1, 24, 2), 4), np.uint8)
    image = Image.fromarray(pixels).convert(str(rng.choice(MODES)))
    format_ = str(rng.choice(FORMATS))
    content = io.BytesIO()
    with suppress(OSError, ValueError, KeyError):  # not every format holds every mode
        options = {"exif": EXIF} if rng.random() < 0.5 else {}
        if format_ == "TIFF" and rng.random() < 0.7:
            options["compression"] = str(rng.choice(["tiff_deflate", "tiff_lzw", "packbits"]))
        image.save(content, format_, **options)
    path = Path("damaged.png")
    path.write_bytes(damaged(rng, content.getvalue()))
    ending = rng.choice(["png", "jpg", "tif", "webp"])
    output = Path(f"result.{ending}")
    words = ["upscale", path, "--scale", "2", "--model", "model.npz", "-o", output]
    if rng.random() < 0.05:
        words = ["show", "compare", path, "--model", "model.npz", "-o", output.with_suffix(".png")]
        output = output.with_suffix(".png")
    return words, [output]


MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr")
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "ICO", "JPEG2000", "PPM", "TGA", "DDS")
FORMATS += ("PCX", "SGI", "AVIF", "ICNS", "DIB", "QOI")
EXIF = Image.Exif()
EXIF[0x0112], EXIF[0x010F] = 6, "camera"
EXIF = EXIF.tobytes()


def damaged(rng, content):
    """Return the bytes with some of them changed, lost, doubled, or set to zero."""
    content = bytearray(content or b"?")
    for _ in range(rng.integers(1, 4)):
        how, at = rng.integers(6), int(rng.integers(len(content) + 1))
        # Formats have their say at the beginning.
        at = min(at, int(rng.integers(1, 200))) if rng.random() < 0.6 else at
        size = int(rng.integers(1, 9))
        if how == 0:
            content[at : at + size] = rng.bytes(size)
        elif how == 1:
            del content[at:]
        elif how == 2:
            del content[at : at + size]
        elif how == 3:
            content[at:at] = content[at : at + 10 * size]
        elif how == 4:
            content[at : at + size] = b"\0" * size
        else:
            content[at : at + size] = b"\xff" * size
        content = content or bytearray(b"?")
    return bytes(content)


def damaged_model(rng, sound):
    """A model whose bytes, arrays or card are damaged."""
    _damage_npz(rng, sound / "model.npz", Path("damaged.npz"))
    if rng.random() < 0.5:
        output = Path("result.png")
        words = ["upscale", "p.png", "--scale", "2", "--model", "damaged.npz", "-o", output]
        return words, [output]
    words = ["evaluate", "set", "--scale", "2", "--model", "damaged.npz", "--json", "r.json"]
    return words, [Path("r.json")]


def damaged_state(rng, sound):
    """The last state of a training, from which it is to go on."""
    for name in ("t.npz", "t-last.npz", "t-log.csv"):
        shutil.copy(sound / name, name)
    _damage_npz(rng, sound / "t-last.npz", Path("t-last.npz"))
    return [*TRAIN, "--out", "t.npz", "--resume"], []


def damaged_log(rng, sound):
    """A training's log with damaged bytes or odd numbers."""
    content = (sound / "t-log.csv").read_bytes()
    if rng.random() < 0.5:
        lines = [line.split(b",") for line in content.split(b"\n")]
        row = lines[int(rng.integers(len(lines)))]
        row[int(rng.integers(len(row)))] = str(_odd(rng)).encode("utf-8", "surrogateescape")
        content = b"\n".join(b",".join(row) for row in lines)
    else:
        content = damaged(rng, content)
    Path("damaged.csv").write_bytes(content)
    output = Path("result.html")
    words = ["report", "p.png", "--model", "model.npz", "--log", "damaged.csv", "-o", output]
    return words, [output]


def _damage_npz(rng, source, target):
    how = rng.integers(3)
    if how == 0:
        target.write_bytes(damaged(rng, source.read_bytes()))
        return
    with np.load(source) as file:
        arrays = dict(file)
    text = str(rng.choice([name for name in arrays if arrays[name].dtype.kind == "U"]))
    if how == 1:
        value = json.loads(str(arrays[text]))
        for _ in range(rng.integers(1, 3)):
            value = _oddly_changed(rng, value)
        arrays[text] = np.array(json.dumps(value))
    else:
        name = str(rng.choice(list(arrays)))
        arrays[name] = _odd_array(rng, arrays[name])
        if rng.random() < 0.2:
            del arrays[name]
        elif rng.random() < 0.2:
            arrays[f"{name}.x"] = arrays.pop(name)
    with zipfile.ZipFile(target, "w") as file:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asanyarray(array), allow_pickle=True)
            file.writestr(f"{name}.npy", content.getvalue())


def _oddly_changed(rng, value):
    """JSON in which one value is odd, or missing."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = str(rng.choice(list(value)))
        if rng.random() < 0.15:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: _oddly_changed(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = int(rng.integers(len(value)))
        return [*value[:place], _oddly_changed(rng, value[place]), *value[place + 1 :]]
    return _odd(rng)


def _odd(rng):
    odd = [None, True, False, 0, -1, 1, 2, 7.5, 1e308, -1e308, float("nan"), float("inf"), 10**30]
    odd += ["", "x", "\x1b[2J", "9" * 5000, [], {}, [[]], [None], {"a": 1}, "nan", "1e400", 10**9]
    odd += [[3, 3], [0, 3], "Conv2D", "ReLU", "replicate", "muon", 2**63, 0.1, "é", "\udcff"]
    return odd[int(rng.integers(len(odd)))]


def _odd_array(rng, array):
    changes = [
        lambda a: a.astype(np.float64) * np.nan,
        lambda a: a.astype(np.float64) * 1e300,
        lambda a: a.astype(np.complex128),
        lambda a: a.astype(object),
        lambda a: np.zeros(0, np.float32),
        lambda a: a[None],
        lambda a: a.ravel()[:1],
        lambda a: np.array("text"),
        lambda a: np.zeros((2, 2), "S3"),
        lambda a: np.array(2**62),
        lambda a: np.array(-5),
        lambda a: np.asfortranarray(a.astype(">f8")),
        lambda a: np.zeros((300, 300)),
    ]
    with suppress(Exception):
        return changes[int(rng.integers(len(changes)))](array)
    return np.array([object()] if rng.random() < 0.5 else 3.0, dtype=object)
