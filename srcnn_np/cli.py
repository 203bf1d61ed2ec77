"""The command line. Commands parse, call the package and print; they compute nothing.

Modules are imported by the command that needs them, so that --help is quick.
"""

import argparse
import gc
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from . import __version__
from .errors import InputError
from .stopping import stopped_at_once

SCALES = (2, 3, 4)
_ORIGINAL = "a picture; it is made small and enlarged again"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0, 1 for bad input, 2 for a bad command line."""
    options = _parser().parse_args(arguments)
    # Loading makes a million objects that all stay: do not look through them every 700.
    gc.set_threshold(100_000)
    for stream in (sys.stdout, sys.stderr):  # file names may be no text at all
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    options.command = shlex.join(["srcnn-np", *(sys.argv[1:] if arguments is None else arguments)])
    try:
        with stopped_at_once():
            code = options.run(options) or 0
        sys.stdout.flush()
        return code
    except InputError as error:
        return _complain(str(error))
    except MemoryError:
        return _complain("there is not enough memory for that; use a smaller picture or batch")
    except KeyboardInterrupt as interrupt:
        _complain(str(interrupt) or "interrupted")
        return getattr(interrupt, "code", 130)
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}")


def upscale(options: argparse.Namespace) -> int:
    """Enlarge a picture, or every picture of a folder."""
    from .imaging import list_pictures
    from .model import default_model, load_model
    from .output import check_output

    _say_when_compiling()
    source = Path(options.input)
    if not source.exists():
        raise InputError(f"{source} does not exist; check the name")
    if source.is_dir() and options.compare is not None:
        raise InputError(f"--compare goes with one picture, but {source} is a folder")
    model = default_model(options.scale) if options.model is None else load_model(options.model)
    model.check_scale(options.scale)
    if not source.is_dir():
        target = _output(options, source.parent, f"{source.stem}_x{options.scale}.png")
        _upscale_one(source, target, model, options)
        return 0

    paths = list_pictures(source)
    folder = Path(
        f"{source.resolve()}_x{options.scale}" if options.output is None else options.output
    )
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):  # a.jpg and a.png must not end up as one file
        names = [path.name for path in paths]
    targets = [folder / f"{name}_x{options.scale}.png" for name in names]
    made = _make_folder(folder)
    check_output(targets[0], force=True)  # before each of them says that it cannot be written
    inputs = {os.path.realpath(path) for path in paths}
    for target in targets:
        if os.path.realpath(target) in inputs:
            raise InputError(f"{target} is one of the pictures to enlarge; give another folder")
    if not options.force and any(target.exists() for target in targets):
        there = next(target for target in targets if target.exists())
        raise InputError(f"{there} exists already; give another folder, or --force to replace it")
    failures = 0
    for path, target in zip(paths, targets, strict=True):
        try:
            _upscale_one(path, target, model, options)
        except InputError as error:
            failures += 1
            _complain(str(error))
    if failures == len(paths) and made:
        folder.rmdir()
    if failures:
        return _complain(f"{failures} of {len(paths)} pictures could not be enlarged")
    return 0


def _say_when_compiling() -> None:
    from .conv import threads

    threads.announce = lambda sentence: print(f"srcnn-np: {sentence}", file=sys.stderr)


def _upscale_one(source: Path, target: Path, model, options: argparse.Namespace) -> None:
    from .imaging import read_picture, write_picture
    from .imaging.files import check_format, picture_format
    from .output import check_output
    from .upscaling import beside, upscale

    outputs = [Path(path) for path in (target, options.compare) if path is not None]
    if len({os.path.realpath(path) for path in outputs}) < len(outputs):
        raise InputError(f"{target} cannot be both the result and the comparison")
    for path in outputs:
        _check_not_an_input(path, source, "the picture to enlarge")
        picture_format(path)
        check_output(path, force=options.force)
    picture = read_picture(source)
    for path in outputs:
        check_format(path, picture)
    result = upscale(picture, options.scale, model)
    write_picture(target, result, force=options.force)
    if options.compare is not None:
        plain = upscale(picture, options.scale)
        write_picture(options.compare, beside(plain, result), force=options.force)
    H, W = result.pixels.shape[:2]
    print(f"{source} -> {target} ({W} x {H})")


def evaluate(options: argparse.Namespace) -> None:
    """Print the paper's measures for every picture of a folder, and write them as JSON."""
    from .evaluation import evaluate
    from .model import default_name, load_model
    from .output import check_output

    _say_when_compiling()
    if options.json is not None:
        check_output(options.json, force=options.force)
    if options.paper:
        _evaluate_beside_the_paper(options)
        return
    if options.scale is None:
        raise InputError("give --scale 2, 3 or 4, or --paper")
    name = default_name(options.scale) if options.model is None else options.model
    model = load_model(name)
    report = evaluate(options.folder, options.scale, model, progress=_bar(" pictures"))
    report = {"scale": report["scale"], "model": name, **report}
    rows = [*report["images"], {"name": "mean", **report["mean"]}]
    width = max(len(row["name"]) for row in rows)
    print(f"x{options.scale}, model {name}; PSNR in dB, SSIM")
    print(f"{'':{width}}    bicubic            model")
    for row in rows:
        figures = "   ".join(
            f"{row[method]['psnr']:6.2f}  {row[method]['ssim']:.4f}"
            for method in ("bicubic", "model")
        )
        print(f"{row['name']:{width}}  {figures}")
    _write_report(options, report)


def _evaluate_beside_the_paper(options: argparse.Namespace) -> None:
    """The tables of the paper, with rows of ours."""
    from .evaluation import paper_report
    from .model import load_model, shipped_models
    from .paper import SETS

    if options.model is not None or options.scale is not None:
        raise InputError("--paper measures all models at all scales; leave out --model and --scale")
    for test_set in SETS:
        if not Path(options.folder, test_set).is_dir():
            raise InputError(
                f"{options.folder} holds no folder {test_set}; give the folder that holds "
                f"{' and '.join(SETS)}"
            )
    models: dict = {}
    for name in shipped_models():
        model = load_model(name)
        models.setdefault(name.removesuffix(f"-x{model.scale}"), {})[model.scale] = model
    report = paper_report(options.folder, models, progress=_bar(" scales"))
    columns = list(report)
    for measure, digits in (("psnr", 2), ("ssim", 4)):
        print(f"mean {measure.upper()}{' in dB' if measure == 'psnr' else ''}")
        print(f"{'':24}" + "".join(f"{column:>10}" for column in columns))
        for method in dict.fromkeys(method for column in columns for method in report[column]):
            values = [report[column].get(method, {}).get(measure) for column in columns]
            if any(value is not None for value in values):
                cells = (f"{'-':>10}" if v is None else f"{v:10.{digits}f}" for v in values)
                print(f"{method:24}" + "".join(cells))
        print()
    _write_report(options, report)


def _bar(unit: str) -> Callable[[Iterable], Iterable]:
    """A progress bar to wrap things in; none where standard error is no terminal."""
    from tqdm import tqdm

    return lambda things: tqdm(things, unit=unit, leave=False, disable=None)


def _write_report(options: argparse.Namespace, report: dict) -> None:
    import json

    from .output import writing

    if options.json is not None:
        with writing(options.json, force=options.force) as part:
            # Equal pictures have an infinite PSNR, for which JSON has no word.
            text = json.dumps(report, indent=1).replace(": Infinity", ": null")
            part.write_text(text + "\n")


def train(options: argparse.Namespace) -> None:
    """Train a network on a folder of photographs, or on drawn pictures."""
    from dataclasses import replace

    from .checkpoint import last_path, log_path, resumed_epochs
    from .data import draw_pictures, hold_out
    from .model import Model
    from .network import SRCNN
    from .output import check_output
    from .recipe import RECIPES
    from .training import epochs_in, train

    _say_when_compiling()
    if (options.folder is None) == (options.drawn is None):
        raise InputError("give either a folder of photographs or --drawn COUNT")
    if Path(options.out).suffix != ".npz":
        raise InputError(f"{options.out}: a model file's name ends in .npz")
    for path in (options.out, last_path(options.out), log_path(options.out)):
        check_output(path, force=options.force or options.resume)
    recipe = RECIPES[options.recipe]
    changes = {name: getattr(options, name) for name in ("epochs", "rate", "batch")}
    recipe = replace(recipe, **{name: value for name, value in changes.items() if value})
    network = SRCNN(options.arch, filters=options.filters)
    if options.folder is None:
        pictures = draw_pictures(options.drawn, seed=options.seed)
        source = f"{options.drawn} drawn pictures"
    else:
        pictures = _photographs(options.folder)
        source = f"{len(pictures)} pictures of {Path(options.folder).resolve().name}"
    watched = [] if options.watch is None else _photographs(options.watch)
    pictures, held_out = hold_out(pictures, options.scale, recipe.size)
    model = Model(network, options.scale, training={"pictures": source, "command": options.command})
    if options.minutes is not None:
        epochs = (
            resumed_epochs(options.out)
            if options.resume
            else epochs_in(options.minutes, model, pictures, recipe)
        )
        recipe = replace(recipe, epochs=epochs)
        print(f"{options.minutes:g} minutes are about {epochs:.4g} epochs here")
    history = train(
        model,
        pictures,
        held_out,
        recipe,
        seed=options.seed,
        watched=watched,
        validations=options.validations,
        out=options.out,
        resume=options.resume,
        force=options.force,
    )
    best = max(row["psnr"] for row in history.validations)
    bicubic = history.bicubic["psnr"]
    print(
        f"held-out pictures: {best:.2f} dB, bicubic {bicubic:.2f} dB; best state in "
        f"{options.out}, last in {last_path(options.out)}, log in {log_path(options.out)}"
    )
    if history.advice:
        print(f"that is worse than bicubic interpolation: {history.advice}")


def _photographs(folder: str) -> list:
    """The pictures of a folder; says how many files are none."""
    from .data import read_folder

    pictures, skipped = read_folder(folder)
    if skipped:
        names = ", ".join(skipped[:5]) + (", ..." if len(skipped) > 5 else "")
        count = "1 file that is" if len(skipped) == 1 else f"{len(skipped)} files that are"
        print(f"skipped {count} no picture, or damaged: {names}")
    return list(pictures.values())


def show(options: argparse.Namespace) -> None:
    """Write a figure of a model, or of what it makes of a picture."""
    from . import figures
    from .data import to_channels
    from .imaging import read_picture
    from .output import check_output

    _say_when_compiling()
    if options.figure == "filters":
        target = _output(options, Path(), "filters.png")
    else:
        source = Path(options.picture)
        target = _output(options, source.parent, f"{source.stem}_{options.figure}.png")
        _check_not_an_input(target, source, "the picture to enlarge")
    figures.check_png(target)
    if options.figure == "filters" and target.exists() and not options.force:
        raise InputError(
            f"{target} exists already, and would be replaced: the filters need no picture; give "
            "another name, or --force"
        )
    check_output(target, force=options.force)
    name, model = _chosen_model(options)
    title = f"model {Path(name).name}"
    if options.figure == "filters":
        figure = figures.filters(model)
    else:
        picture, scale = read_picture(source), _chosen_scale(options, model)
        title = f"{source.name}, x{scale}, {title}"
        draw = getattr(figures, options.figure)
        with _about(source):
            figure = draw(to_channels(picture, model.colour), scale, model)
    figures.save(target, figure, title=title, force=options.force)
    print(f"{options.figure} -> {target}")


def report(options: argparse.Namespace) -> None:
    """Write a page that lays a picture's enlargements over each other."""
    from .checkpoint import log_path, read_log
    from .imaging import read_picture
    from .model import shipped_models
    from .output import check_output, writing
    from .report import report

    _say_when_compiling()
    source = Path(options.picture)
    target = _output(options, source.parent, f"{source.stem}.html")
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{target}: a report is a page; give a name ending in .html")
    _check_not_an_input(target, source, "the picture to enlarge")
    if options.log is not None:
        _check_not_an_input(target, options.log, "the log")
    check_output(target, force=options.force)
    name, model = _chosen_model(options)
    scale = _chosen_scale(options, model)
    log, beside = options.log, log_path(shipped_models().get(name, name))
    if log is None and beside.is_file():
        log = beside
    rows = None if log is None else read_log(log)
    if options.log is not None and not rows:
        raise InputError(f"{log} holds no row yet; give the log of a training that has begun")
    picture = read_picture(source)
    with _about(source):
        html = report(
            picture,
            scale,
            model,
            name=source.name,
            model_name=Path(name).name,
            rows=rows,
            original=not options.enlarge,
        )
    with writing(target, force=options.force) as part:
        # A file name may hold bytes that are no text.
        part.write_text(html, "utf-8", "backslashreplace")
    print(f"{source} -> {target}")


def models(options: argparse.Namespace) -> None:
    """List the shipped models, or print one model's card."""
    import json

    from .model import default_name, load_model, shipped_models
    from .paper import SETS

    if options.name is not None:
        print(json.dumps(load_model(options.name).card(), indent=1))
        return
    defaults = {default_name(scale) for scale in SCALES}
    print(f"{'':14}scale  structure  parameters   Set5  Set14  trained on")
    for name in shipped_models():
        model = load_model(name)
        count = sum(p.size for p in model.network.params.values())
        psnrs = "".join(f"{model.figures[test_set]['psnr']:7.2f}" for test_set in SETS)
        print(
            f"{name + (' *' if name in defaults else ''):14}x{model.scale:<5} "
            f"{model.network.structure:10} {count:10,}{psnrs}  {model.training['pictures']}"
        )
    print(
        "Set5, Set14: mean PSNR in dB. * is used where no --model is given. `srcnn-np models NAME` "
        "says how it was trained."
    )


def gradcheck(options: argparse.Namespace) -> int:
    """Compare every hand-written gradient with numerical derivatives."""
    from .gradcheck import TOLERANCE, standard_checks

    _say_when_compiling()
    limits = ", ".join(f"{limit:g} by {method}" for method, limit in TOLERANCE.items())
    print(f"largest relative error; allowed: {limits}")
    print(f"{'':40}{'backend':9}{'gradient':10}{'values':>6}{'at kinks':>10}", end="")
    print("".join(f"{method:>15}" for method in TOLERANCE))
    failures = rows = 0
    for what, backend, gradient, checks in standard_checks(options.seed):
        rows += 1
        wrong = not all(check.passes(method) for method, check in checks.items())
        failures += wrong
        first = checks["differences"]
        errors = (f"{checks[m].error:.1e}" if m in checks else "-" for m in TOLERANCE)
        print(
            f"{what:40}{backend:9}{gradient:10}{first.compared:6}{first.skipped:10}"
            + "".join(f"{error:>15}" for error in errors)
            + ("  WRONG" if wrong else "")
        )
    print(
        f"{failures} of {rows} gradients are wrong" if failures else f"all {rows} gradients agree"
    )
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="srcnn-np",
        description="SRCNN super-resolution: three convolutions in NumPy and Numba.",
    )
    parser.add_argument("--version", action="version", version=f"srcnn_np {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(run, name, description):
        sub = commands.add_parser(name, help=description, description=description)
        sub.set_defaults(run=run)
        return sub

    sub = command(upscale, "upscale", "enlarge a picture, or every picture of a folder")
    sub.add_argument("input", metavar="IN", type=_name, help="a picture or a folder")
    sub.add_argument(
        "output",
        metavar="OUT",
        type=_name,
        nargs="?",
        help="a picture (its ending says the format) or a folder; default: IN_x3.png, or IN_x3/",
    )
    _add_scale_and_model(sub)
    sub.add_argument(
        "--compare",
        metavar="FILE",
        type=_name,
        help="also write bicubic enlargement and result side by side",
    )
    _add_force(sub)

    sub = command(evaluate, "evaluate", "measure a model by the paper's protocol")
    sub.add_argument("folder", metavar="DIR", type=_name, help="a folder of pictures")
    _add_scale_and_model(sub, required=False)
    sub.add_argument(
        "--paper",
        action="store_true",
        help="all shipped models beside the paper's tables; DIR holds the folders Set5 and Set14",
    )
    sub.add_argument("--json", metavar="FILE", type=_name, help="also write the figures to a file")
    _add_force(sub)

    sub = command(train, "train", "train a network on a folder of photographs")
    sub.add_argument("folder", metavar="DIR", type=_name, nargs="?", help="a folder of photographs")
    sub.add_argument(
        "--drawn", metavar="COUNT", type=_positive(int), help="draw so many pictures instead"
    )
    sub.add_argument("--scale", type=int, choices=SCALES, required=True, help="enlargement")
    sub.add_argument("--arch", metavar="F1-F2-F3", default="9-1-5", help="filter sizes (9-1-5)")
    sub.add_argument(
        "--filters", metavar="N1-N2", type=_counts, default=(64, 32), help="filter counts (64-32)"
    )
    sub.add_argument(
        "--out", metavar="MODEL.npz", type=_name, required=True, help="model file to write"
    )
    sub.add_argument(
        "--recipe",
        choices=("fast", "sgd", "adam", "paper"),
        default="fast",
        help="how to train (fast)",
    )
    length = sub.add_mutually_exclusive_group()
    length.add_argument(
        "--epochs",
        metavar="N",
        type=_positive(float),
        help="how often each sub-image is seen",
    )
    length.add_argument(
        "--minutes", metavar="M", type=_positive(float), help="train for about so long"
    )
    sub.add_argument(
        "--rate", metavar="R", type=_positive(float), help="learning rate (the recipe's)"
    )
    sub.add_argument("--batch", metavar="N", type=_positive(int), help="mini-batch (the recipe's)")
    sub.add_argument(
        "--seed", metavar="N", type=_not_negative, default=0, help="of all that is random (0)"
    )
    sub.add_argument(
        "--validations",
        metavar="N",
        type=_positive(int),
        default=20,
        help="how often held-out pictures are measured and the state saved (20)",
    )
    sub.add_argument(
        "--watch", metavar="DIR", type=_name, help="measure these as well, for the log only"
    )
    sub.add_argument(
        "--resume", action="store_true", help="go on from where the same command was interrupted"
    )
    _add_force(sub)

    sub = command(show, "show", "write a figure of a model, as PNG")
    kinds = sub.add_subparsers(metavar="FIGURE", dest="figure", required=True)
    for name, description in (
        ("filters", "the filters of the first layer and of the last"),
        ("features", "what each layer makes of the middle of a picture"),
        ("gradients", "the loss of the middle of a picture, and where its gradients go"),
        ("compare", "bicubic interpolation, the model and the original, and their errors"),
    ):
        kind = kinds.add_parser(name, help=description, description=description)
        if name != "filters":
            kind.add_argument("picture", metavar="PICTURE", type=_name, help=_ORIGINAL)
        default = "filters.png" if name == "filters" else f"PICTURE_{name}.png"
        kind.add_argument(
            "output", metavar="OUT", type=_name, nargs="?", help=f"a PNG; default: {default}"
        )
        _add_scale_and_model(kind, required=False)
        _add_force(kind)

    sub = command(
        report, "report", "write a page that lays a picture's enlargements over each other"
    )
    sub.add_argument("picture", metavar="PICTURE", type=_name, help=_ORIGINAL)
    sub.add_argument(
        "output", metavar="OUT", type=_name, nargs="?", help="an HTML file; default: PICTURE.html"
    )
    _add_scale_and_model(sub, required=False)
    sub.add_argument(
        "--enlarge",
        action="store_true",
        help="PICTURE is the small picture: enlarge it; there is no original to compare with",
    )
    sub.add_argument(
        "--log",
        metavar="CSV",
        type=_name,
        help="the model's training; default: MODEL-log.csv, where that is there",
    )
    _add_force(sub)

    sub = command(models, "models", "list the models that come with the package")
    sub.add_argument(
        "name", metavar="NAME-OR-PATH", type=_name, nargs="?", help="print this model's card"
    )

    sub = command(gradcheck, "gradcheck", "check every gradient against numerical derivatives")
    sub.add_argument("--seed", metavar="N", type=_not_negative, default=0, help="of the inputs (0)")
    return parser


class _Parser(argparse.ArgumentParser):
    """One sentence for a bad command line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="replace files that are there already")


def _add_scale_and_model(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument("--scale", type=int, choices=SCALES, required=required, help="enlargement")
    parser.add_argument(
        "--model",
        metavar="NAME-OR-PATH",
        type=_name,
        help="a name that `srcnn-np models` lists, or a .npz or .mat file",
    )


def _chosen_model(options: argparse.Namespace) -> tuple:
    """Name and model, where --model may say the scale, or --scale the model."""
    from .model import default_name, load_model

    if options.model is None and options.scale is None:
        raise InputError("give --scale 2, 3 or 4, or a model with --model")
    name = default_name(options.scale) if options.model is None else options.model
    model = load_model(name)
    if options.scale is not None:
        model.check_scale(options.scale)
    return name, model


def _chosen_scale(options: argparse.Namespace, model) -> int:
    scale = model.scale if options.scale is None else options.scale
    if scale is None:
        raise InputError(f"{options.model} does not say its scale; give --scale 2, 3 or 4")
    return scale


def _output(options: argparse.Namespace, folder: Path, name: str) -> Path:
    """OUT, where it may be a folder, or nothing."""
    target = folder if options.output is None else Path(options.output)
    return target / name if target.is_dir() else target


def _check_not_an_input(path: Path, source: str | Path, what: str) -> None:
    if os.path.realpath(path) == os.path.realpath(source):
        raise InputError(f"{path} is {what}; give another name for the result")


@contextmanager
def _about(source: Path) -> Iterator[None]:
    """Begin sentences about a picture with its name."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def _name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def _positive(kind: type):
    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            what = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"give a {what} above 0, not {text!r}")
        return value

    return parse


def _not_negative(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"give a whole number of at least 0, not {text!r}")
    return int(text)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(_positive(int)(part) for part in text.split("-"))


def _make_folder(folder: Path) -> bool:
    """Make a folder; whether it was not there."""
    if folder.is_dir():
        return False
    if folder.exists():
        raise InputError(f"{folder} is a file; give the name of a folder")
    try:
        folder.mkdir()
        return True
    except OSError as error:
        raise InputError(
            f"the folder {folder} cannot be made ({error.strerror}); give another name"
        ) from error


def _complain(sentence: str) -> int:
    print(f"srcnn-np: error: {sentence}", file=sys.stderr)
    return 1
