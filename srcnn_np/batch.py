"""Enlarge many pictures one by one, and name the results; a problem stops only one picture."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .errors import InputError, about
from .imaging import list_pictures, read_picture, write_picture
from .imaging.files import (
    STANDARD_INPUT,
    STANDARD_OUTPUT,
    check_format,
    check_readable,
    encoded,
    is_picture_name,
    is_written,
    picture_area,
    picture_format,
)
from .output import check_output
from .team import ALONE, Team
from .upscaling import BICUBIC, Goal, beside, caption_height


@dataclass(frozen=True)
class Job:
    """A picture, and the file that it becomes; "-" is standard input or output."""

    source: Path
    target: Path


@dataclass
class Plan:
    """The work on a batch of pictures.

    Attributes
    ----------
    jobs : list of Job
    problems : list of (Path, str)
        Each unusable input, or folder in it, and why it is unusable.
    others : list of str
        Whatever lies in the folders besides pictures.
    folders : list of Path
        The folders for results, in the order in which to make them if they are missing.
    existing : list of Job
        Jobs left out because their results exist.
    """

    jobs: list[Job] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    existing: list[Job] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """The outcome of a job: the size (H, W) of its result, or why there is none.

    Attributes
    ----------
    said : str
        The traces seen in the picture and the model chosen for them.
    lost : list of str
        The parts of the picture's file that the result lacks.
    """

    job: Job
    size: tuple[int, int] = (0, 0)
    said: str = ""
    lost: Sequence[str] = ()
    why: str = ""


def plan(
    inputs: Sequence[str | Path],
    output: str | Path | None,
    label: str,
    *,
    ending: str = ".png",
    recursive: bool = False,
    skip_existing: bool = False,
) -> Plan:
    """Plan which file each picture becomes.

    Parameters
    ----------
    inputs : list of str or Path
        Pictures, and folders, which stand for all pictures in them.
    output : str, Path or None
        The file that one picture becomes, or the folder for all results. By default a picture's
        result lies beside it, as ``NAME_x3.png``, and the results of a folder lie in ``FOLDER_x3``.
    label : str
        The label added to names, such as "x3".
    ending : str
        The ending of results' names, unless `output` names the file; "same" keeps the picture's
        ending, if such files can be written.
    recursive : bool
        Take the pictures of subfolders as well. Their results lie in subfolders of the same names.
    skip_existing : bool
        Leave out pictures that have a result, and results that are among the inputs.

    Returns
    -------
    plan : Plan
        No two jobs have the same target: names that clash get longer. No target is one of the
        pictures.

    Raises
    ------
    InputError
        If there are several pictures, and the output is a file or has a file's name.
    """
    found = Plan()
    a_folder = str(output).endswith(("/", os.sep))
    output = None if output is None else Path(output)
    places: dict[tuple[str, str], tuple[Path, Path]] = {}  # each picture once in each folder
    for path in map(Path, inputs):
        try:
            pictures = [(path, output or _home(path))]
            if path.is_dir():
                place = output or _labelled(path, label)
                pictures = _pictures_in(path, place, recursive, found)
        except InputError as error:
            found.problems.append((path, str(error)))
            continue
        except OSError as error:
            found.problems.append((path, f"{path} cannot be read: {error.strerror}"))
            continue
        for picture, place in pictures:
            places.setdefault((os.path.abspath(picture), os.path.abspath(place)), (picture, place))
    if output is not None and not output.is_dir():
        if len(inputs) == len(places) == 1 and not found.folders and not a_folder:
            found.jobs = [Job(Path(inputs[0]), output)]
            return _without_existing(found) if skip_existing else found
        if output.exists() or is_picture_name(output) or str(output) == STANDARD_OUTPUT:
            raise InputError(f"{output} names a file; for several pictures give a folder's name")
        found.folders = [output, *found.folders]
    found.folders = list(dict.fromkeys(found.folders))
    for folder in {folder for _, folder in places}:
        here = [pair for (_, other), pair in places.items() if other == folder]
        names = _distinct_names([picture for picture, _ in here])
        for (picture, place), name in zip(here, names, strict=True):
            result = f"{name}_{label}{_ending_for(picture, ending)}"
            found.jobs.append(Job(picture, place / result))
    order = {pair: n for n, pair in enumerate(places.values())}
    found.jobs.sort(key=lambda job: order[job.source, job.target.parent])
    if skip_existing:
        found = _without_existing(found)
    taken = {os.path.realpath(job.source) for job in found.jobs}
    for job in [job for job in found.jobs if os.path.realpath(job.target) in taken]:
        found.jobs.remove(job)
        why = f"{job.target} is one of the pictures to enlarge; give another folder"
        found.problems.append((job.source, f"{job.source} is not enlarged, as {why}"))
    return found


def _pictures_in(top: Path, place: Path, recursive: bool, found: Plan) -> list[tuple[Path, Path]]:
    """Return a folder's pictures, each with its result's folder; add other files to `found`."""
    pictures, before = [], len(found.problems)

    def unreadable(error: OSError) -> None:
        folder = Path(error.filename)
        found.problems.append((folder, f"{folder} cannot be read: {error.strerror}"))

    for name, inner, _ in os.walk(top, onerror=unreadable):
        folder, more = Path(name), "; -r enters its folders" * bool(inner and not recursive)
        inner[:] = sorted(
            name
            for name in inner
            if recursive
            and not name.startswith(".")
            and os.path.realpath(folder / name) != os.path.realpath(place)
        )
        try:
            here, others = list_pictures(folder, none_is_fine=recursive)
        except InputError as error:
            found.problems.append((folder, f"{error}{more}"))
            continue
        for name in others:
            linked = os.path.islink(folder / name.rstrip("/"))  # it may lead anywhere
            if linked or not (recursive and name.endswith("/")):
                what = " (a link)" if linked else " (-r enters it)" if name.endswith("/") else ""
                found.others.append(os.path.join(folder, name) + what)
        if here:
            found.folders += _made_before(place, folder.relative_to(top))
        pictures += [(picture, place / folder.relative_to(top)) for picture in here]
    if not pictures and len(found.problems) == before:
        raise InputError(f"{top} and its folders hold no pictures")
    return pictures


def _made_before(place: Path, inside: Path) -> list[Path]:
    """Return a folder for results and the folders around it, the outermost first."""
    return [place / Path(*inside.parts[:n]) for n in range(len(inside.parts) + 1)]


def _without_existing(found: Plan) -> Plan:
    """Return a plan without the jobs whose results exist."""
    results = {os.path.realpath(job.target) for job in found.jobs}
    jobs = [job for job in found.jobs if os.path.realpath(job.source) not in results]
    found.existing = [job for job in jobs if os.path.isfile(job.target)]
    found.jobs = [job for job in jobs if not os.path.isfile(job.target)]
    return found


def _ending_for(picture: Path, ending: str) -> str:
    """Return a result's ending; "same" keeps the picture's, if such files can be written."""
    if ending != "same":
        return ending
    return picture.suffix if is_written(picture.suffix) else ".png"


def _home(path: Path) -> Path:
    """Return the folder in which a picture lies."""
    return Path() if str(path) in STANDARD_INPUT else path.parent


def _labelled(folder: Path, label: str) -> Path:
    """Return a folder's path with a label after its name; a link keeps its own name."""
    named = folder if folder.name not in ("", "..") else Path(os.path.abspath(folder))
    if not named.name:
        raise InputError(f"{folder} has no name to make another of; say where results go by -o")
    return named.with_name(f"{named.name}_{label}")


def _distinct_names(sources: Sequence[Path]) -> list[str]:
    """Return names that differ: "a" for in/a.jpg; if two clash, "a.jpg", then "in_a.jpg" and so on.

    Capital and small letters count as equal: some file systems do not tell them apart.
    """

    def name(path: Path, length: int) -> str:
        if str(path) in STANDARD_INPUT:
            return "stdin"
        if length == 0:
            return path.stem
        return "_".join(Path(os.path.abspath(path)).parts[-length:])

    lengths = [0] * len(sources)
    most = max((len(Path(os.path.abspath(path)).parts) for path in sources), default=0)
    for _ in range(most):
        names = [name(path, n) for path, n in zip(sources, lengths, strict=True)]
        counts = Counter(n.casefold() for n in names)
        if max(counts.values()) == 1:
            break
        lengths = [
            length + (counts[n.casefold()] > 1) for length, n in zip(lengths, names, strict=True)
        ]
    seen: Counter[str] = Counter()
    for n, name_ in enumerate(names):  # a/b_c and a_b/c are both a_b_c
        seen[name_.casefold()] += 1
        if seen[name_.casefold()] > 1:
            names[n] = f"{name_}_{seen[name_.casefold()]}"
    return names


def enlarge_all(
    todo: Plan,
    goal: Goal,
    *,
    compare: str | Path | None = None,
    force: bool = False,
    quality: int | None = None,
    ending: str = ".png",
    max_pixels: int | None = None,
    team: Team = ALONE,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Iterator[Result]:
    """Enlarge one picture after the other; see `enlarge_file` for the parameters.

    In a team, each process enlarges its share.

    Yields
    ------
    result : Result
        One for each job of this process, in order.

    Raises
    ------
    InputError
        If none of the folders for results can be made or written into.
    """
    jobs, made, closed = shared_out(todo.jobs, team, max_pixels), [], {}
    for folder in todo.folders if team.rank == 0 else []:
        try:
            made += [folder] * _make_folder(folder)
        except InputError as error:
            closed[folder] = str(error)
    closed = team.told(closed)
    if closed and all(job.target.parent in closed for job in todo.jobs):
        raise InputError(next(iter(closed.values())))
    how = {"compare": compare, "force": force, "max_pixels": max_pixels}
    how |= {"quality": quality, "ending": ending, "progress": progress}
    try:
        for job in jobs:
            if job.target.parent in closed:
                yield Result(job, why=f"{job.source}: {closed[job.target.parent]}")
                continue
            try:
                yield Result(job, *enlarge_file(job, goal, **how))
            except InputError as error:
                yield Result(job, why=str(error))
            except OSError as error:
                yield Result(job, why=f"{job.source}: {error.strerror or error}")
            except MemoryError:
                yield Result(job, why=f"{job.source}: there is not enough memory to enlarge it")
        team.wait()  # another process may still write into these folders
    finally:
        for folder in reversed(made):
            with suppress(OSError):  # a folder with results stays
                folder.rmdir()


def shared_out(jobs: Sequence[Job], team: Team, max_pixels: int | None = None) -> list[Job]:
    """Return this process's share of the jobs, in order; all shares have about equally many pixels.

    Standard input goes to rank 0: no other process has it.
    """
    if team.size == 1:
        return list(jobs)

    def pixels(n: int) -> int:
        if str(jobs[n].source) in STANDARD_INPUT:
            return 1
        try:
            return picture_area(jobs[n].source, max_pixels=max_pixels)
        except (InputError, MemoryError):  # reported when its turn comes
            return 1

    owners = team.deal(team.each(pixels, len(jobs)))
    owners = [
        0 if str(job.source) in STANDARD_INPUT else owner
        for job, owner in zip(jobs, owners, strict=True)
    ]
    return [job for job, owner in zip(jobs, owners, strict=True) if owner == team.rank]


def _make_folder(folder: Path) -> bool:
    """Make a folder for results; return whether it was missing."""
    made = not folder.is_dir()
    if made:
        try:
            folder.mkdir()
        except FileExistsError as error:
            raise InputError(f"{folder} is a file; give the name of a folder") from error
        except OSError as error:
            raise InputError(f"the folder {folder} cannot be made: {error.strerror}") from error
    check_output(folder / "result", force=True)  # once, not for each picture
    return made


def enlarge_file(
    job: Job,
    goal: Goal,
    *,
    compare: str | Path | None = None,
    force: bool = False,
    quality: int | None = None,
    ending: str = ".png",
    max_pixels: int | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> tuple[tuple[int, int], str, list[str]]:
    """Enlarge one picture's file; first check that the result can be written.

    Parameters
    ----------
    job : Job
    goal : Goal
        The size wanted, and the model.
    compare : str or Path, optional
        A file for the bicubic enlargement and the result, side by side.
    force : bool
        Replace files that are there already.
    quality : int, optional
        See `write_picture`.
    ending : str
        The format for standard output, see `plan`.
    max_pixels : int, optional
        See `read_picture`.
    progress : function, optional
        Wraps the strips of a step, as `tqdm.tqdm` does, to show progress.

    Returns
    -------
    size : (H, W)
        The result's size.
    said : str
        The traces seen in the picture and the model chosen for them.
    lost : list of str
        The parts of the picture's file that the result lacks.

    Raises
    ------
    InputError
        If the picture cannot be read, or the result cannot be written or would replace the
        picture.
    """
    check_readable(job.source, "picture")
    piped = str(job.target) == STANDARD_OUTPUT
    outputs = [] if piped else [job.target]
    outputs += [] if compare is None else [Path(compare)]
    if len({os.path.realpath(path) for path in outputs}) < len(outputs):
        raise InputError(f"{job.target} cannot be both the result and the comparison")
    for path in outputs:
        if os.path.realpath(path) == os.path.realpath(job.source):
            raise InputError(f"{path} is the picture to enlarge; give another name for the result")
        picture_format(path)
        check_output(path, force=force)
    picture = read_picture(job.source, max_pixels=max_pixels)
    with about(job.source):
        way = goal.way(picture)
    H, W = way.size
    ending = _ending_for(job.source, ending)
    name = f"picture{ending}" if piped else job.target
    check_format(name, picture, (H, W), quality)
    if compare is not None:
        check_format(compare, picture, (H + caption_height(W), 2 * W))
    with about(job.source):
        result = way.enlarge(picture, progress)
    lost = list(picture.lost)
    if piped:
        sys.stdout.buffer.write(encoded(result, ending, quality))
    else:
        lost += write_picture(job.target, result, force=force, quality=quality)
    if compare is not None:
        plain = Goal(size=way.size, model=BICUBIC).way(picture).enlarge(picture)
        pair = {BICUBIC: plain, way.name: result}
        write_picture(compare, beside(pair), force=force)
    return way.size, way.said, lost
