"""Measure what `upscale` does to pictures as people have them: JPEG, noise, other sizes.

Small pictures are first harmed by JPEG or noise. `upscale` then enlarges them with the model that
it chooses itself. The figures are gains: the luma's PSNR minus that of bicubic interpolation, both
against the original.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from srcnn_np import InputError, Model, load_model, paper, upscale
from srcnn_np.data import to_channels
from srcnn_np.degradation import through_jpeg, with_noise
from srcnn_np.imaging import Picture, imresize, list_pictures, psnr, read_picture, ssim
from srcnn_np.upscaling import SCALES

RESULT = Path(__file__).parent / "results" / "photographs.json"
QUALITIES = (95, 90, 75, 50, 30, 10)
NOISES = (5, 10, 20)
SIZES = (1.5, 2.5, 3.5)


def main() -> None:
    """Measure, and print the tables; without a folder print the last measurement."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.photographs", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("data", metavar="DIR", nargs="?", help="holds Set5 and Set14")
    parser.add_argument("--model", help="print what this model does instead of the chosen ones")
    options = parser.parse_args()
    if options.model is not None:
        if options.data is None:
            parser.error("--model needs DIR")
        model = load_model(options.model)
        gains = _gains(_originals(Path(options.data)), model.scale, model)
        for harm, gain in gains.items():
            print(f"{harm:16} {gain['psnr']:+.2f} dB, SSIM {gain['ssim']:+.4f}")
        return
    if options.data is not None:
        RESULT.write_text(json.dumps(measured(Path(options.data)), indent=1) + "\n")
    print(tables(json.loads(RESULT.read_text())))


def measured(data: Path) -> dict:
    """Return the mean gains in PSNR and SSIM over all pictures, by harm and scale."""
    originals = _originals(data)
    gains = {f"x{scale:g}": _gains(originals, scale, None) for scale in (*SCALES, *SIZES)}
    return gains | {"drawn": drawn()}


def _originals(data: Path) -> list[np.ndarray]:
    paths = [path for name in paper.SETS for path in list_pictures(data / name)[0]]
    return [read_picture(path).pixels for path in paths]


def _gains(originals: list[np.ndarray], scale: float, model: Model | None) -> dict[str, dict]:
    """Return the mean gains of a model, or of the model that `upscale` chooses, by harm."""
    gains = {}
    for name, harm in _harms(scale).items():
        print(f"x{scale:g}, {name} ...", file=sys.stderr, flush=True)
        gains[name] = _gain(originals, scale, model, harm)
    return gains


def _harms(scale: float) -> dict[str, Callable[[np.ndarray, int], Picture]]:
    """Return, by name, functions that harm a small picture; they take it and its number."""
    harms = {"none": lambda small, n: Picture(small)}
    if scale in SCALES:
        for quality in QUALITIES:
            for way in ("4:2:0", "4:4:4"):
                harms[f"JPEG {quality} {way}"] = lambda small, n, q=quality, w=way: Picture(
                    through_jpeg(small, q, w), quality=q
                )
        for sigma in NOISES:
            harms[f"noise {sigma}"] = lambda small, n, s=sigma: Picture(
                with_noise(small, s, np.random.default_rng(n))
            )
    return harms


def _gain(
    originals: list[np.ndarray],
    scale: float,
    model: Model | None,
    harm: Callable[[np.ndarray, int], Picture],
) -> dict[str, float]:
    gains = []
    for n, original in enumerate(originals):
        size = tuple(round(side / scale) for side in original.shape[:2])
        if scale in SCALES:  # as the protocol crops
            size = tuple(side // scale for side in original.shape[:2])
            original = original[: scale * size[0], : scale * size[1]]
        small = harm(imresize(original, size=size), n)
        target = _luma(original)
        edge = int(np.ceil(scale))
        inside = np.s_[edge:-edge, edge:-edge]
        values = []
        for one in (model, "bicubic"):
            result = _luma(upscale(small, model=one, size=original.shape[:2]).pixels)
            pair = result[inside], target[inside]
            values.append((psnr(*pair, peak=255), ssim(*pair, peak=255)))
        gains.append(np.subtract(*values))
    mean = np.mean(gains, axis=0)
    return {"psnr": round(float(mean[0]), 3), "ssim": round(float(mean[1]), 5)}


def drawn() -> dict[str, dict[str, float]]:
    """Return PSNR in dB of pixel art and text, enlarged three times; these are no photographs."""
    rng = np.random.default_rng(0)
    sprite = rng.integers(0, 256, (6, 3), np.uint8)[rng.integers(0, 6, (32, 32))]
    page = Image.new("RGB", (480, 240), "white")
    lines = "\n".join("Super-resolution of a page of text, 0123456789" for _ in range(8))
    ImageDraw.Draw(page).text((12, 12), lines, fill="black", font=ImageFont.load_default(18))
    page = np.asarray(page)
    pairs = {
        "pixel art": (sprite, sprite.repeat(3, axis=0).repeat(3, axis=1)),
        "text": (imresize(page, size=(80, 160)), page),
    }
    return {
        name: {
            way: round(float(psnr(_luma(upscale(small, 3, model)), _luma(large), peak=255)), 2)
            for way, model in (("bicubic", "bicubic"), ("upscale", None))
        }
        for name, (small, large) in pairs.items()
    }


def _luma(pixels: np.ndarray) -> np.ndarray:
    return to_channels(Picture(pixels)).astype(float)


def tables(found: dict) -> str:
    """Return the gains as tables of Markdown."""
    harms = list(found["x2"])
    lines = ["| the small picture | x2 | x3 | x4 |", "| --- | --- | --- | --- |"]
    for harm in harms:
        cells = (f"{found[f'x{s}'][harm]['psnr']:+.2f}" for s in SCALES)
        lines.append(f"| {harm} | {' | '.join(cells)} |")
    sizes = [f"x{scale:g}" for scale in SIZES]
    lines += ["", f"| | {' | '.join(sizes)} |", f"| --- |{' --- |' * len(sizes)}"]
    gains = (f"{found[size]['none']['psnr']:+.2f}" for size in sizes)
    lines.append(f"| none | {' | '.join(gains)} |")
    for name, figures in found["drawn"].items():
        lines += ["", f"{name} x3: " + ", ".join(f"{m} {v:.2f} dB" for m, v in figures.items())]
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        main()
    except (InputError, OSError) as error:
        sys.exit(f"photographs: error: {error}")
