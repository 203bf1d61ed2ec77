"""srcnn-np evaluate: measure a model by the paper's protocol."""

import argparse
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from .options import (
    add_force,
    add_scale_and_model,
    check_not_an_input,
    chosen_model,
    chosen_scale,
    name,
)
from .terminal import bar, complain, listed, notice, say, silent

DESCRIPTION = "measure a model by the paper's protocol"


def add(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("folder", metavar="DIR", type=name, help="a folder of pictures")
    add_scale_and_model(parser)
    parser.add_argument(
        "--paper",
        action="store_true",
        help="print the paper's tables with all shipped models; DIR holds the folders Set5 and "
        "Set14",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        type=name,
        help="also write the figures to a file; - writes only the figures, to standard output",
    )
    add_force(parser)
    parser.set_defaults(shared=True)


def run(options: argparse.Namespace) -> int:
    """Print the paper's measures for every picture of a folder, and write them as JSON."""
    with silent(options.team.rank > 0):
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    if options.json not in (None, "-"):
        options.team.by_first(lambda: _check_json(options))
    return _beside_the_paper(options) if options.paper else _folder(options)


def _check_json(options: argparse.Namespace) -> None:
    from ..output import check_output

    check_output(options.json, force=options.force)
    folder = Path(options.folder)
    for path in (options.model, *folder.glob("*"), *folder.glob("*/*")):
        if path is not None:
            check_not_an_input(options.json, path, "what is measured")


def _folder(options: argparse.Namespace) -> int:
    from ..evaluation import evaluate

    if options.scale is None and options.model is None:
        raise InputError("give --scale 2, 3 or 4, or --paper, or a model")
    chosen, model = chosen_model(options)
    scale = chosen_scale(options, model)
    report = evaluate(options.folder, scale, model, progress=bar(" pictures"), team=options.team)
    report = {"scale": report["scale"], "model": chosen, **report}
    rows = [*report["images"], {"name": "mean", **report["mean"]}]
    width = max(len(row["name"]) for row in rows)
    tell = _teller(options)
    tell(f"x{scale}, model {chosen}; PSNR in dB, SSIM")
    tell(f"{'':{width}}    bicubic            model")
    for row in rows:
        figures = "   ".join(
            f"{row[method]['psnr']:6.2f}  {row[method]['ssim']:.4f}"
            for method in ("bicubic", "model")
        )
        tell(f"{row['name']:{width}}  {figures}")
    _write(options, report)
    if report["others"]:
        notice(f"left out, as no pictures: {listed(report['others'])}")
    failed = report["failed"]
    for picture in failed:
        complain(picture["why"])
    if failed:
        count = len(failed) + len(report["images"])
        return complain(f"{len(failed)} of {count} pictures could not be measured")
    return 0


def _beside_the_paper(options: argparse.Namespace) -> int:
    """Print the paper's tables, with rows for the shipped models."""
    from ..evaluation import paper_report
    from ..model import load_model, shipped_models
    from ..paper import SETS

    if options.model is not None or options.scale is not None:
        raise InputError("--paper measures all models at all scales; leave out --model and --scale")
    for test_set in SETS:
        if not Path(options.folder, test_set).is_dir():
            raise InputError(
                f"{options.folder} holds no folder {test_set}; give the folder that holds "
                f"{' and '.join(SETS)}"
            )
    models: dict = {}
    for found in shipped_models():
        model = load_model(found)
        structure, _, rest = found.rpartition("-x")
        if rest == str(model.scale):  # a model for clean pictures
            models.setdefault(structure, {})[model.scale] = model
    report = paper_report(options.folder, models, progress=bar(" scales"), team=options.team)
    columns, tell = list(report), _teller(options)
    for measure, digits in (("psnr", 2), ("ssim", 4)):
        tell(f"mean {measure.upper()}{' in dB' if measure == 'psnr' else ''}")
        tell(f"{'':24}" + "".join(f"{column:>10}" for column in columns))
        for method in dict.fromkeys(method for column in columns for method in report[column]):
            values = [report[column].get(method, {}).get(measure) for column in columns]
            if any(value is not None for value in values):
                cells = (f"{'-':>10}" if v is None else f"{v:10.{digits}f}" for v in values)
                tell(f"{method:24}" + "".join(cells))
        tell("")
    _write(options, report)
    return 0


def _write(options: argparse.Namespace, report: dict) -> None:
    import json

    from ..output import writing

    text = json.dumps(_without_infinity(report), indent=1, allow_nan=False)
    if options.json == "-":
        for line in text.splitlines():
            say(line)
    elif options.json is not None and options.team.rank == 0:
        with writing(options.json, force=options.force) as part:
            part.write_text(text + "\n")


def _teller(options: argparse.Namespace) -> Callable[[str], None]:
    """Return a function that prints a line of a table, or nothing with `--json -`."""
    return (lambda line: None) if options.json == "-" else say


def _without_infinity(value: object) -> object:
    """Replace infinite numbers (the PSNR of equal pictures) by null: JSON has no infinity."""
    if isinstance(value, dict):
        return {key: _without_infinity(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_infinity(item) for item in value]
    return None if value == float("inf") else value
