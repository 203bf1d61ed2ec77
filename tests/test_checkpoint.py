"""What a training leaves in files: a kill loses nothing, and no damaged file is resumed from."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from srcnn_np import (
    RECIPES,
    SRCNN,
    Conv2D,
    InputError,
    LeakyReLU,
    Model,
    Sequential,
    checkpoint,
    draw_pictures,
    load_model,
    save_model,
    train,
    training,
)
from srcnn_np.checkpoint import last_path, log_path, read_log
from srcnn_np.stopping import Stopped

PICTURES = draw_pictures(2, size=48, seed=0)
QUICK = replace(RECIPES["adam"], epochs=3, batch=2, stride=5)  # 24 updates


def run(out=None, recipe=QUICK, model=None, **options):
    model = model or Model(SRCNN("3-1-3", filters=(4, 2)), 2)
    options = {"show": False, "validations": 3, **options}
    history = train(model, PICTURES[1:], PICTURES[:1], recipe, out=out, **options)
    return model, history


def files(out):
    return out, last_path(out), log_path(out)


def contents(out):
    """All that must not depend on how often a training was broken off."""
    with np.load(last_path(out)) as file:
        arrays = {name: file[name] for name in file.files}
    state = json.loads(str(arrays.pop("state")))
    for name in ("digest", "card"):
        arrays.pop(name)
    rows = [{**row, "seconds": 0} for row in state["rows"]]
    log = [{**row, "seconds": 0} for row in read_log(log_path(out))]
    best, last = load_model(out), load_model(last_path(out))
    cards = [{**model.training, "seconds": 0} for model in (best, last)]
    params = {f"best of {out.stem}"[:4] + name: p for name, p in best.network.params.items()}
    return {n: a.tolist() for n, a in (arrays | params).items()}, rows, log, cards


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training without a break."""
    out = tmp_path_factory.mktemp("whole") / "model.npz"
    run(out)
    return out


class Killed(BaseException):
    """As if the process ended here."""


@pytest.mark.parametrize("after", range(12))
def test_a_training_killed_between_any_two_files_goes_on(tmp_path, monkeypatch, whole, after):
    out, replaced, replace_file = tmp_path / "model.npz", [], os.replace

    def killed(part, path):
        if len(replaced) == after:
            raise Killed
        replace_file(part, path)
        replaced.append(path)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", killed)
        with suppress(Killed):
            run(out)
    assert len(replaced) == min(after, 9)  # three files at each of three validations
    if after == 0:
        assert list(tmp_path.iterdir()) == []
        run(out)  # nothing is there to be refused
    else:
        with monkeypatch.context() as patch:  # and killed again, on the way to the same point
            patch.setattr("os.replace", killed)
            with suppress(Killed):
                run(out, resume=True)
        run(out, resume=True)
    assert contents(out) == contents(whole)
    assert sorted(tmp_path.iterdir()) == sorted(files(out))


@pytest.mark.parametrize("missing", [0, 2])
def test_the_last_state_is_enough(tmp_path, whole, missing):
    out = tmp_path / "model.npz"
    for path in files(whole):
        shutil.copy(path, tmp_path)
    files(out)[missing].unlink()
    run(out, resume=True)
    assert contents(out) == contents(whole)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("after", [1, 3, 20])
def test_a_training_that_is_told_to_end_goes_on(tmp_path, monkeypatch, whole, name, after):
    out, update, number = tmp_path / "model.npz", training._Training.update, getattr(signal, name)

    def interrupted(self):
        update(self)
        if self.done == after:
            signal.raise_signal(number)

    with monkeypatch.context() as patch:
        patch.setattr(training._Training, "update", interrupted)
        with pytest.raises(Stopped, match=f"after {after} of .* --resume goes on") as stopped:
            run(out)
    assert stopped.value.code == 128 + number
    run(out, resume=True)
    assert contents(out) == contents(whole)


def command(*options):
    words = "train --drawn 3 --scale 3 --arch 3-1-3 --filters 4-4 --epochs 400 --out m.npz"
    return [sys.executable, "-m", "srcnn_np", *words.split(), *options]


@pytest.mark.parametrize(
    "name, start, code",
    [("SIGTERM", [], 143), ("SIGHUP", [], 129), ("SIGINT", [], 130), ("SIGHUP", ["nohup"], 143)],
)
def test_train_ends_by_a_signal_with_its_code(tmp_path, name, start, code):
    process = subprocess.Popen(
        [*start, *command()], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while process.poll() is None and not (tmp_path / "m-last.npz").exists():
        time.sleep(0.01)
    process.send_signal(getattr(signal, name))
    if start:  # what nohup ignores stays ignored
        time.sleep(1)
        assert process.poll() is None
        process.terminate()
    said = process.communicate(timeout=60)[1].decode().splitlines()[-1]
    assert process.returncode == code
    assert "the same command with --resume goes on from it" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m-last.npz", "m-log.csv", "m.npz"]


def test_one_name_is_for_one_training_at_a_time(tmp_path, monkeypatch):
    out, update, refused = tmp_path / "model.npz", training._Training.update, []

    def another_begins(self):
        if not refused:
            refused.append(None)
            # One of its files would be one of these.
            for other in (out, tmp_path / "model-last.npz"):
                for options in ({}, {"force": True}):
                    with pytest.raises(InputError, match="is being written by another run"):
                        run(other, **options)
            run(tmp_path / "other.npz")
        update(self)

    with monkeypatch.context() as patch:
        patch.setattr(training._Training, "update", another_begins)
        run(out)
    before = contents(out)
    with pytest.raises(InputError, match="exists already"):  # one that came a little later
        run(out, seed=1)
    assert contents(out) == before
    run(out, seed=1, force=True)
    assert contents(out) != before


# --- only the same training ----------------------------------------------------------------


def network(slope=0.1, border="valid", predict_border="replicate", backend="numba", filters=4):
    layers = [Conv2D(1, filters, 3, border=border, backend=backend), LeakyReLU(slope)]
    return Sequential([*layers, Conv2D(filters, 1, 3)], predict_border=predict_border)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"filters": 5}, "its conv1.out_channels was 4, not 5"),
        ({"border": "zero"}, "its conv1.border was valid, not zero"),
        ({"predict_border": "replicate-once"}, "its predict_border was replicate, not replicate-"),
        ({"slope": 0.2}, "its leakyrelu1.slope was 0.1, not 0.2"),
        ({"backend": "im2col"}, "its conv1.backend was numba, not im2col"),
    ],
)
def test_another_network_is_not_gone_on_with(tmp_path, change, words):
    out = tmp_path / "model.npz"
    run(out, model=Model(network(), 2))
    before = [path.read_bytes() for path in files(out)]
    with pytest.raises(InputError, match=words):
        run(out, model=Model(network(**change), 2), resume=True)
    assert [path.read_bytes() for path in files(out)] == before
    run(out, model=Model(network(), 2), resume=True)


@pytest.mark.parametrize(
    "recipe, model, options, words",
    [
        ({"rate": 0.5}, {}, {}, r"its rate was 0\.001, not 0\.5"),
        ({"epochs": 4}, {}, {}, "its epochs was 3, not 4"),
        ({}, {"enlargement": "nearest"}, {}, "its enlargement was bicubic, not nearest"),
        ({}, {"scale": 3}, {}, "its scale was 2, not 3"),
        ({}, {}, {"seed": 1}, "its seed was 0, not 1"),
        ({}, {}, {"validations": 4}, "its validations was 3, not 4"),
        ({}, {}, {"watched": PICTURES}, "its pictures were others"),
    ],
)
def test_another_training_is_not_gone_on_with(whole, recipe, model, options, words):
    before = [path.read_bytes() for path in files(whole)]
    model = Model(SRCNN("3-1-3", filters=(4, 2)), **{"scale": 2, **model})
    with pytest.raises(InputError, match=words):
        run(whole, replace(QUICK, **recipe), model, resume=True, **options)
    assert [path.read_bytes() for path in files(whole)] == before


def test_a_training_in_colour_is_another(tmp_path):
    out = tmp_path / "model.npz"
    colour = [np.dstack([picture] * 3) for picture in PICTURES]
    model = Model(SRCNN("3-1-3", filters=(4, 2), channels=3), 2, "ycbcr")
    train(model, colour[1:], colour[:1], QUICK, out=out, show=False, validations=3)
    with pytest.raises(InputError, match="its pictures were others"):
        run(out, resume=True)


# --- states that are damaged ---------------------------------------------------------------


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A training broken off half way, and the files it left."""
    out = tmp_path_factory.mktemp("half") / "model.npz"
    update = training._Training.update

    def interrupted(self):
        update(self)
        if self.done == 10:
            signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training._Training, "update", interrupted)
        with pytest.raises(Stopped):
            run(out)
    return {path.name: path.read_bytes() for path in files(out)}


def damaged_bytes(whole):
    rng = np.random.default_rng(0)
    for _ in range(100):
        flipped = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            flipped[place] ^= 1 << rng.integers(8)
        yield bytes(flipped)
    for length in rng.integers(0, len(whole), 25):
        yield whole[:length]
        yield whole[length:]
    yield from (b"", b"\0" * 1000, whole * 2, b"hello")


def damaged_arrays(arrays):
    """Changes that each damage one array."""
    for name, a in arrays.items():
        yield {name: None}
        yield {name: None, f"{name}x": a}
        if a.dtype.kind == "U":
            yield from ({name: np.array(text)} for text in ("", "{", "null", "[]", "7", "NaN"))
            yield from ({name: other} for other in (np.array([a, a]), np.array(3), a.astype("S")))
            continue
        yield {name: a[..., None]}
        yield {name: a.ravel()[:-1]}
        yield {name: a.astype(np.complex128)}
        yield {name: a.astype(str)}
        yield {name: np.array(["object"], object)}
        yield {name: a + 1}
        for value in (np.nan, -1e30, 1e38):
            changed = a.astype(np.float64)
            changed.flat[:1] = value
            yield {name: changed}
            with np.errstate(invalid="ignore"):
                yield {name: changed.astype(a.dtype)}


def damaged_heads(head):
    """Heads that each have one entry changed."""
    odd = [None, True, -1, 0, 1.5, 7, 10**9, 1e300, "x", [], {}, [None], {"a": 1}, [[]] * 9]
    for name in head:
        yield {key: value for key, value in head.items() if key != name}
        yield from ({**head, name: value} for value in odd)
    for name in head["same"]:
        yield {**head, "same": {k: value for k, value in head["same"].items() if k != name}}
        yield from ({**head, "same": {**head["same"], name: value}} for value in (None, 7, [[]]))
    rows = head["rows"]
    for name in rows[0]:
        for value in odd:
            yield {**head, "rows": [*rows[:-1], {**rows[-1], name: value}]}
    yield from ({**head, "rows": changed} for changed in (rows[1:], rows[:-1], rows * 2))
    yield from ({**head, "done": done} for done in (1, head["done"] - 1, head["done"] + 1))
    yield {**head, "unknown": 1}
    yield {**head, "same": {**head["same"], "unknown": 1}}


def split(path):
    """The head of a state, its other texts, and its arrays."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    head = json.loads(str(arrays["state"]))
    return head, {name: arrays.pop(name) for name in ("card", "state", "digest")}, arrays


@pytest.fixture
def resumes(tmp_path, half):
    """A function that writes a last state and resumes: it returns parameters, None if refused."""
    out = tmp_path / "model.npz"

    def resume(write):
        for name, data in half.items():
            (tmp_path / name).write_bytes(data)
        write(last_path(out))
        before = [path.read_bytes() for path in files(out)]
        try:
            return run(out, resume=True)[0].network.params
        except InputError as error:
            sentence = str(error).replace(str(tmp_path), "")
            assert sentence.isprintable(), sentence
            assert len(sentence) < 250, sentence
            if "no longer a finite number" not in sentence:  # of weights that are too large
                assert [path.read_bytes() for path in files(out)] == before
            return None

    return resume


def test_a_damaged_state_is_refused_or_does_no_harm(resumes, half, whole):
    expected = load_model(last_path(whole)).network.params
    last = half["model-last.npz"]
    (last_path(whole).parent / "half.npz").write_bytes(last)
    head, texts, arrays = split(last_path(whole).parent / "half.npz")
    cases = [
        lambda path, data=data: path.write_bytes(data) for data in (last, *damaged_bytes(last))
    ]
    changes = [*damaged_arrays(texts | arrays)]
    changes += [{"state": np.array(json.dumps(changed))} for changed in damaged_heads(head)]
    for change in changes:
        kept = {name: a for name, a in (texts | arrays | change).items() if a is not None}
        cases.append(lambda path, kept=kept: np.savez(path, **kept))
    gone_on = [params for params in map(resumes, cases) if params is not None]
    for params in gone_on:
        for name, p in params.items():
            np.testing.assert_array_equal(p, expected[name])
    assert len(cases) > 500
    assert 1 <= len(gone_on) < 0.1 * len(cases)  # damage to what is not needed does no harm


def test_a_state_with_its_digest_made_anew_is_no_traceback(resumes, half, tmp_path):
    """The digest is right, so that all other checks are reached."""
    (tmp_path / "half.npz").write_bytes(half["model-last.npz"])
    head, texts, arrays = split(tmp_path / "half.npz")
    cases = [(head, change) for change in damaged_arrays(arrays)]
    cases += [(changed, {}) for changed in damaged_heads(head)]
    gone_on = 0
    for changed, change in cases:
        kept = {name: a for name, a in (arrays | change).items() if a is not None}
        more = {"card": texts["card"], "state": np.array(json.dumps(changed))}
        more["digest"] = np.array(json.dumps(checkpoint._digest(changed, kept)))
        gone_on += resumes(lambda path: np.savez(path, **kept, **more)) is not None  # noqa: B023
    assert gone_on < 0.3 * len(cases)  # whose numbers were changed within reason


def test_a_state_from_before_there_was_an_option_goes_on(resumes, half, whole, tmp_path):
    (tmp_path / "half.npz").write_bytes(half["model-last.npz"])
    head, texts, arrays = split(tmp_path / "half.npz")
    assert head["same"].pop("jpeg") is head["same"].pop("noise") is None
    more = {"card": texts["card"], "state": np.array(json.dumps(head))}
    more["digest"] = np.array(json.dumps(checkpoint._digest(head, arrays)))
    params = resumes(lambda path: np.savez(path, **arrays, **more))
    for name, p in load_model(last_path(whole)).network.params.items():
        np.testing.assert_array_equal(params[name], p)


def test_what_is_no_state_is_said(tmp_path):
    out = tmp_path / "model.npz"
    for _ in range(2):
        with pytest.raises(InputError, match=r"nothing to resume: .*-last.npz does not exist"):
            run(out, resume=True)
        with pytest.raises(InputError, match=r"nothing to resume: .*-last.npz does not exist"):
            checkpoint.resumed_epochs(out)
    with pytest.raises(InputError, match="nothing to resume without"):
        run(resume=True)
    save_model(last_path(out), Model(SRCNN(), 2))
    with pytest.raises(InputError, match="not the last state of a training"):
        run(out, resume=True)
    last_path(out).unlink()
    os.mkfifo(last_path(out))
    with pytest.raises(InputError, match="is no ordinary file"):
        run(out, resume=True)


# --- logs ----------------------------------------------------------------------------------

HEADER = "sub_images,seconds,rate,loss,psnr,watched\n"


@pytest.mark.parametrize("column", range(6))
@pytest.mark.parametrize("value", ["1e308", "-1e308", "nan", "inf", "-1", "1e19", "x", "10" * 200])
def test_a_log_of_numbers_that_cannot_be_is_refused(tmp_path, column, value):
    path = tmp_path / "log.csv"
    row = ["64", "1.0", "0.1", "0.5", "30.0", ""]
    path.write_text(HEADER + ",".join(row) + "\n")
    assert read_log(path) == [
        dict(zip(HEADER.strip().split(","), [64, 1, 0.1, 0.5, 30, None], strict=True))
    ]
    row[column] = value
    path.write_text(HEADER + ",".join(row) + "\n")
    if (value, column) in {("-1", 4), ("-1", 5), ("1e19", 3)}:
        assert len(read_log(path)) == 1  # decibels may be below 0, and a loss be large
        return
    with pytest.raises(InputError, match="is not a log of srcnn-np train"):
        read_log(path)


def test_what_is_no_ordinary_file_is_no_log(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, "/dev/zero"):
        with pytest.raises(InputError, match="is no ordinary file"):
            read_log(path)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_log(tmp_path / "absent.csv")
    with (tmp_path / "huge.csv").open("w") as file:
        file.write(HEADER)
        file.truncate(10**11)  # a hole, no room on the disk
    with pytest.raises(InputError, match="is not a log"):
        read_log(tmp_path / "huge.csv")


def test_what_train_writes_is_a_log(tmp_path):
    """Also with a loss that is nearly infinite, and with pictures without any error."""
    flat = [np.full((40, 40), 90, np.uint8)] * 2
    out = tmp_path / "model.npz"
    recipe = replace(QUICK, optimiser="sgd", rate=1e-9)
    history = train(Model(network(), 2), flat[1:], flat[:1], recipe, out=out, show=False)
    assert history.bicubic["psnr"] == 100
    assert len(read_log(log_path(out))) == len(history.rows)
    assert load_model(out).training["held_out"]["bicubic"] == 100
