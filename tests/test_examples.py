"""The example does what README says of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SHARED
from PIL import Image

from srcnn_np import evaluate, load_model

TOY = Path(__file__).parents[1] / "examples/train_toy.py"


def run_toy(*arguments):
    command = [sys.executable, TOY, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_toy_beats_bicubic_on_photographs_it_never_saw(tmp_path):
    out = tmp_path / "toy"
    done = run_toy("--out", out)
    assert done.returncode == 0, done.stderr
    result = json.loads((out / "result.json").read_text())
    assert len(result["images"]) == 5
    for image in result["images"]:
        assert image["model"]["psnr"] > image["bicubic"]["psnr"], image["name"]
    # As README says; another machine, which rounds otherwise, may be a little off.
    assert result["sub_images_seen"] == 49_536
    gain = result["mean"]["model"]["psnr"] - result["mean"]["bicubic"]["psnr"]
    assert gain == pytest.approx(0.6, abs=0.1)
    model = load_model(out / "model.npz")
    assert model.scale == 3
    if SHARED.is_dir():
        mean = evaluate(SHARED / "data/Set5", 3, model)["mean"]
        assert mean["model"]["psnr"] - mean["bicubic"]["psnr"] == pytest.approx(1.2, abs=0.1)
    for name in ("before_after.png", "loss.png", "filters.png"):
        assert (out / name).stat().st_size > 10_000

    again = run_toy("--out", out)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.mark.parametrize("photos", ["absent", "empty", "small"])
def test_the_toy_refuses_a_folder_without_photographs(tmp_path, photos):
    (tmp_path / "empty").mkdir()
    (tmp_path / "small").mkdir()
    Image.new("L", (12, 12)).save(tmp_path / "small/p.png")
    done = run_toy("--out", tmp_path / "toy", "--photos", tmp_path / photos)
    assert done.returncode == 1
    assert done.stderr.startswith("train_toy.py: error:")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "toy").exists()
