"""A report: one HTML file that lays a picture's enlargements over each other.

The page needs no other file and no internet. Its frame is report.html beside this module. The
frame's `$names` are filled in here.
"""

import base64
import io
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from string import Template

import numpy as np
from PIL import Image

from . import __version__, figures
from .data import to_channels
from .evaluation import evaluate_picture
from .imaging import Picture, imresize
from .imaging.files import to_8_bits
from .model import Model
from .upscaling import BICUBIC, upscale

# The page holds only the middle of larger results. Three photographs of this size take up to 8 MB.
SHOWN_H, SHOWN_W = 1080, 1440

_TRAINING = (
    "A sub-image is a small piece of a picture. Left: the loss (the mean squared error) of the "
    "sub-images that are learnt from. Right: the PSNR of whole pictures that are not learnt from. "
    "The held-out pictures decided which state was the best; others were only watched."
)
_FILTERS = (
    "The weights of the first layer's filters, each drawn on its own scale, and of the last "
    "layer's filter, channel by channel: red above 0, blue below. If the weights before training "
    "are known, what training added to them is drawn as well."
)


def report(
    picture: Picture,
    scale: int,
    model: Model,
    *,
    name: str = "a picture",
    model_name: str = "a model",
    rows: list[dict] | None = None,
    original: bool = True,
) -> str:
    """Return a page about a model's result for a picture.

    Parameters
    ----------
    picture : Picture
        Transparency is left out.
    scale : int
    model : Model
    name, model_name : str
        Their names on the page.
    rows : list of dict, optional
        The training's log, as `srcnn_np.checkpoint.read_log` reads it.
    original : bool
        Whether the picture is the original: it is shrunk first, and results are compared with
        it. If not, it is the small picture, and is enlarged.

    Returns
    -------
    html : str
        To be written as UTF-8.

    Raises
    ------
    InputError
        If the model was trained for another scale, its result is not finite, or the original
        is too small to measure.
    """
    model.check_scale(scale)
    pixels = to_8_bits(picture.pixels)
    H, W = (n // scale * scale if original else n * scale for n in pixels.shape[:2])
    measures = (
        evaluate_picture(to_channels(picture, model.colour, grey_is_luma=True), scale, model)
        if original
        else {}
    )
    factor = 1 if original else scale
    shown = figures.middle(pixels, SHOWN_H // factor, SHOWN_W // factor)
    pictures = enlargements(shown, scale, model, original=original)
    h, w = pictures["model"].shape[:2]
    start = figures.starting_params(model)
    network = model.network
    count = sum(p.size for p in network.params.values())
    plots = []
    if rows:
        plots.append(
            _plot("The training", _TRAINING, partial(figures.loss_curve, rows, _bicubic(model)))
        )
    plots.append(_plot("The filters", _FILTERS, partial(figures.filters, model, start)))
    fill = {
        "name": escape(name),
        "what": f"{'shrunk and restored' if original else 'enlarged'} x{scale}",
        "model": escape(model_name),
        "structure": f"{network.structure}, {count:,} parameters",
        "size": f"{w} x {h}" if (h, w) == (H, W) else f"the middle {w} x {h} of {W} x {H}",
        "width": w,
        "height": h,
        "pictures": "\n".join(
            _picture(method, found, picture.metadata.get("icc_profile"))
            for method, found in pictures.items()
        ),
        "left": "\n".join(_option(method, "bicubic") for method in pictures),
        "right": "\n".join(_option(method, "model") for method in pictures),
        "measures": _table(measures),
        "plots": "\n".join(plots),
        "version": __version__,
    }
    return Template((Path(__file__).parent / "report.html").read_text("utf-8")).substitute(fill)


def enlargements(
    pixels: np.ndarray, scale: int, model: Model, *, original: bool
) -> dict[str, np.ndarray]:
    """Return the pictures that a report lays over each other, all of one size.

    Parameters
    ----------
    pixels : (H, W) or (H, W, 3) uint8 array
    scale : int
    model : Model
    original : bool
        See `report`.

    Returns
    -------
    pictures : dict of str to uint8 array
        "bicubic", "model" and, where known, "original".
    """
    known = {}
    if original:
        h, w = (n // scale for n in pixels.shape[:2])
        known["original"] = pixels[: scale * h, : scale * w]
        pixels = imresize(known["original"], size=(h, w))
    small = Picture(pixels)
    return {
        "bicubic": upscale(small, scale, BICUBIC).pixels,
        "model": upscale(small, scale, model).pixels,
        **known,
    }


def _bicubic(model: Model) -> float | None:
    """Return bicubic interpolation's PSNR on the held-out pictures, if the model's card has it."""
    held_out = model.training.get("held_out")
    psnr = held_out.get("bicubic") if isinstance(held_out, dict) else None
    return float(psnr) if isinstance(psnr, (int, float)) and abs(psnr) < 1000 else None


def _picture(method: str, pixels: np.ndarray, profile: bytes | None) -> str:
    png = _png(pixels, profile)
    return f'<img data-method="{method}" alt="{method}" draggable="false" src="{png}">'


def _option(method: str, chosen: str) -> str:
    return f"<option{' selected' if method == chosen else ''}>{method}</option>"


def _table(measures: dict) -> str:
    """Return a table of each method's PSNR and SSIM; an empty text without an original."""
    if not measures:
        return ""
    rows = "\n".join(
        f'<tr><th scope="row">{method}</th><td>{m["psnr"]:.2f}</td><td>{m["ssim"]:.4f}</td></tr>'
        for method, m in measures.items()
    )
    return (
        '<section><h2>The measures</h2>\n<table><tr><th scope="col">against the original</th>'
        f'<th scope="col">PSNR in dB</th><th scope="col">SSIM</th></tr>\n{rows}</table>\n'
        "<p>For luma, by the paper's protocol: the whole picture is shrunk and enlarged without "
        "rounding, and a border of as many pixels as the scale is left out.</p></section>"
    )


def _plot(title: str, caption: str, draw: Callable[..., figures.Figure]) -> str:
    """Draw a figure twice: the second time with its panels stacked, for a narrow screen."""
    wide, narrow = io.BytesIO(), io.BytesIO()
    draw().savefig(wide, format="png", dpi=110)
    draw(stacked=True).savefig(narrow, format="png", dpi=80)
    image = (
        f'<picture><source media="(max-width: 700px)" srcset="{_data(narrow)}">'
        f'<img class="plot" alt="{title}" src="{_data(wide)}"></picture>'
    )
    return f"<section><h2>{title}</h2>\n{image}\n<p>{caption}</p></section>"


def _png(pixels: np.ndarray, profile: bytes | None) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", icc_profile=profile)
    return _data(buffer)


def _data(png: io.BytesIO) -> str:
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
