"""The paper's protocol: shrink a picture, enlarge it again, measure what is lost.

1. Take the picture's luma, rounded to whole numbers. Crop its bottom and right so that
   both sides are multiples of the scale. This is the target.
2. Shrink and enlarge it by bicubic interpolation, in floating point, without rounding.
3. Put it through the network; clip it to [0, 1], multiply it by 255, and round it.
4. Cut as many pixels as the scale off each side; measure PSNR and SSIM of the rest.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from . import paper
from .data import is_large_enough, shrink, to_channels
from .errors import InputError
from .imaging import enlarge, list_pictures, psnr, read_picture, ssim
from .model import Model
from .team import ALONE, Team


def evaluate(
    folder: str | Path,
    scale: int,
    model: Model,
    *,
    progress: Callable[[Iterable], Iterable] = iter,
    team: Team = ALONE,
) -> dict:
    """Measure bicubic interpolation and a model on every picture of a folder.

    Parameters
    ----------
    folder : str or Path
    scale : int
    model : Model
    progress : function, optional
        Wraps this process's share of the files, as `tqdm.tqdm` does, to show progress.
    team : Team, optional
        The processes that share the pictures; all get the whole report.

    Returns
    -------
    report : dict
        ``{"scale", "images": [{"name", "bicubic": {"psnr", "ssim"}, "model": {...}}], "mean":
        {"bicubic": {...}, "model": {...}}, "failed": [{"name", "why"}], "others": [name]}``, PSNR
        in dB. "failed" has the pictures that are damaged or too small to measure, or give a result
        that is not finite; the means leave them out. "others" has the names of the files that are
        no pictures.

    Raises
    ------
    InputError
        If the folder holds no picture that can be measured, or the model was trained for
        another scale.
    """
    model.check_scale(scale)
    paths, others = team.by_first(lambda: list_pictures(folder))

    def measured(n: int) -> dict:
        path = paths[n]
        try:
            return {"name": path.name, **_evaluate_file(path, scale, model)}
        except InputError as error:
            return {"name": path.name, "why": str(error)}
        except MemoryError:
            return {"name": path.name, "why": f"{path}: there is not enough memory for it"}

    found = team.each(measured, len(paths), progress)
    images = [picture for picture in found if "why" not in picture]
    failed = [picture for picture in found if "why" in picture]
    if not images:
        raise InputError(failed[0]["why"])
    mean = {method: _mean(images, method) for method in ("bicubic", "model")}
    return {"scale": scale, "images": images, "mean": mean, "failed": failed, "others": others}


def _evaluate_file(path: Path, scale: int, model: Model) -> dict:
    picture = read_picture(path)
    try:
        channels = to_channels(picture, model.colour, grey_is_luma=True)
        return evaluate_picture(channels, scale, model)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def paper_report(
    folder: str | Path,
    models: dict[str, dict[int, Model]],
    *,
    progress: Callable[[Iterable], Iterable] = iter,
    team: Team = ALONE,
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Measure models on the paper's test sets, beside the figures that the paper gives.

    All pictures of a set must be measurable: a mean over fewer would not be the paper's.

    Parameters
    ----------
    folder : str or Path
        Holds the folders Set5 and Set14.
    models : dict of str to dict of int to Model
        The models by name and scale.
    progress, team
        See `evaluate`.

    Returns
    -------
    report : dict
        ``{"Set5 x2": {method: {"psnr", "ssim"}}, ...}``, the paper's methods first, then
        "bicubic, here" and the models; None where the paper has no figure.

    Raises
    ------
    InputError
        If a picture is damaged or too small, or a model's result is not finite.
    """
    report = {}
    for test_set in paper.SETS:
        paths, _ = team.by_first(partial(list_pictures, Path(folder, test_set)))
        pictures = [to_channels(read_picture(path), grey_is_luma=True) for path in paths]
        for scale in progress(sorted({scale for found in models.values() for scale in found})):
            rows = report[f"{test_set} x{scale}"] = paper.figures(test_set, scale)
            for name, found in models.items():
                if scale in found:
                    measures = team.each(
                        lambda n, pictures=pictures, model=found[scale], scale=scale: (
                            evaluate_picture(pictures[n], scale, model)
                        ),
                        len(pictures),
                    )
                    rows["bicubic, here"] = _mean(measures, "bicubic")
                    rows[name] = _mean(measures, "model")
    return report


def _mean(measures: list[dict], method: str) -> dict[str, float]:
    return {key: float(np.mean([m[method][key] for m in measures])) for key in ("psnr", "ssim")}


def evaluate_picture(picture: np.ndarray, scale: int, model: Model) -> dict:
    """Measure bicubic interpolation and a model on one picture.

    Parameters
    ----------
    picture : (H, W) or (H, W, 3) uint8 array
        Luma, or Y, Cb, Cr, as the model's colour asks.
    scale : int
    model : Model

    Returns
    -------
    measures : dict
        ``{"bicubic": {"psnr", "ssim"}, "model": {"psnr", "ssim"}}``, for luma.

    Raises
    ------
    InputError
        If the picture is too small to be measured, or the model's result is not finite.
    """
    check_measurable(picture, scale)
    target, small = shrink(picture, scale)
    result = model.predict(enlarge(small, scale, model.enlargement))
    return {
        "bicubic": measure(enlarge(small, scale), target, scale),
        "model": measure(result, target, scale),
    }


def check_measurable(picture: np.ndarray, scale: int) -> None:
    """Raise an InputError if a picture (H, W, ...) without border is smaller than SSIM's window."""
    if not is_large_enough(picture.shape, scale, 11 + 2 * scale):
        raise InputError(
            f"a picture of {picture.shape[1]} x {picture.shape[0]} is too small to be measured at "
            f"scale {scale}: without a border of {scale} pixels it must hold SSIM's 11 x 11 window"
        )


def measure(result: np.ndarray, target: np.ndarray, scale: int) -> dict[str, float]:
    """Return PSNR (in dB) and SSIM of a result; parameters as for `as_measured`."""
    a, b = as_measured(result, scale), as_measured(target, scale)
    return {"psnr": psnr(a, b, peak=255), "ssim": ssim(a, b, peak=255)}


def as_measured(x: np.ndarray, scale: int) -> np.ndarray:
    """Return the part of a result or target that is compared: steps 3 and 4 of the protocol.

    Parameters
    ----------
    x : (H, W) or (H, W, 3) array in [0, 1]
        Of three channels, only the first is taken: luma.
    scale : int

    Returns
    -------
    luma : (H - 2·scale, W - 2·scale) float64 array of whole numbers in [0, 255]
    """
    luma = x if x.ndim == 2 else x[..., 0]
    return np.rint(luma[scale:-scale, scale:-scale].astype(float).clip(0, 1) * 255)
