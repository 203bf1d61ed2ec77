"""The files of a training: the best model, the last state to go on from, and the log.

The last state alone is enough: the other two files are written again from it. So it does no harm
if a training is killed after it wrote one file and before it wrote the next.
"""

import csv
import hashlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import InputError, brief
from .model import Model, save_model
from .npz import NpzFile
from .optim import Arrays
from .output import writing

# The log's columns, and the least and the largest number allowed in each. A loss can grow to 1e77
# before float32 overflows; numbers beyond 1e300 cannot be drawn in a figure.
_COLUMNS = {
    "sub_images": (0, 1e18),
    "seconds": (0, 1e12),
    "rate": (0, 1e9),
    "loss": (0, 1e100),
    "psnr": (-1000, 1000),
    "watched": (-1000, 1000),
}
_LARGEST_LOG = 1 << 24  # bytes: more than 100,000 rows
_LONGEST_STATE = 1 << 25  # characters of JSON, for as many rows


def last_path(out: str | Path) -> Path:
    """Return the file for the last state of a training; it lies beside `out`, the best model."""
    return Path(out).with_name(f"{Path(out).stem}-last.npz")


def log_path(out: str | Path) -> Path:
    """Return the file for the history of a training: comma-separated, one line for each row."""
    return Path(out).with_name(f"{Path(out).stem}-log.csv")


def write_log(path: str | Path, rows: list[dict]) -> None:
    """Write the rows of a `History` as a table, in place of what is there."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(_COLUMNS), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    with writing(path, force=True) as part:
        part.write_text(text.getvalue(), "utf-8")


def read_log(path: str | Path) -> list[dict]:
    """Return the rows of a log that `train` left, as a `History` has them.

    Raises
    ------
    InputError
        If there is no such file, or it is not such a log.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{path} is no ordinary file; give the log of a training")
    try:
        if os.path.getsize(path) > _LARGEST_LOG:
            raise ValueError
        with open(path, newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            if not {*_COLUMNS} <= {*(table.fieldnames or ())}:
                raise ValueError
            rows = [
                {name: float(row[name]) if row[name] else None for name in _COLUMNS}
                for row in table
            ]
        if not all(map(_is_row, rows)):
            raise ValueError
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path} is not a log of srcnn-np train") from error
    return rows


def _is_row(row: object) -> bool:
    return (
        isinstance(row, dict)
        and row.keys() == _COLUMNS.keys()
        and row["sub_images"] is not None
        and row["loss"] is not None
        and all(
            row[name] is None or (_is_number(row[name]) and least <= row[name] <= most)
            for name, (least, most) in _COLUMNS.items()
        )
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass
class State:
    """A training under way: all that its next update depends on, and its results so far.

    Attributes
    ----------
    done : int
        The number of updates.
    seconds : float
        The time that the training has taken.
    rows : list of dict
        The rows of its `History`.
    losses : list of float
        The losses since the last row.
    about : dict
        What else the model's `training` says, such as which pictures it learns from.
    params, average, best : dict of str to array
        The parameters, their running mean, and that mean at the highest PSNR so far. Before the
        first PSNR, `best` is empty.
    memory : dict of str to array
        The optimiser's memory.
    """

    done: int
    seconds: float
    rows: list[dict]
    losses: list[float]
    about: dict
    params: Arrays
    average: Arrays
    best: Arrays
    memory: Arrays


def write_state(out: str | Path, model: Model, same: dict, state: State) -> None:
    """Write the last state beside `out`, in place of what is there.

    Parameters
    ----------
    out : str or Path
    model : Model
        Its parameters must be the running mean: the file is also a model file.
    same : dict
        All that must be the same in a run that goes on from here, in JSON's types.
    state : State
    """
    head = {name: getattr(state, name) for name in ("done", "seconds", "rows", "about")}
    head |= {"format": _FORMAT, "same": same}
    arrays = _by_key(state.params, state.best, state.memory)
    arrays["losses"] = np.array(state.losses, np.float64)
    digest = _digest(head, arrays | state.average)
    texts = {"state": np.array(json.dumps(head)), "digest": np.array(json.dumps(digest))}
    save_model(last_path(out), model, force=True, more=texts | arrays)


def read_state(
    out: str | Path,
    same: dict,
    marks: dict[int, bool],
    batch: int,
    params: Arrays,
    memory: Arrays,
) -> State:
    """Read the last state beside `out`, and check everything in it.

    Parameters
    ----------
    out : str or Path
    same : dict
        Equal to what `write_state` got, if it is the same training.
    marks : dict of int to bool
        The numbers of all updates that have a row, in order, and whether that row has a PSNR.
    batch : int
        Sub-images in an update.
    params, memory : dict of str to array
        Arrays with the names, shapes and dtypes to read.

    Returns
    -------
    state : State

    Raises
    ------
    InputError
        If there is no state, or it is damaged or belongs to another training.
    """
    with _opened(out) as file:
        head = _head(file)
        _compare(file.path, head["same"], same)
        done, rows = head["done"], head["rows"]
        places = [mark for mark in marks if mark <= done]
        if places[-1:] == [done] and len(rows) < len(places):  # this row is still to come
            places.pop()
        found = [(row["sub_images"], row["psnr"] is not None) for row in rows]
        if not 1 <= done <= max(marks) or found != [(batch * m, marks[m]) for m in places]:
            raise _damaged(file.path)
        best = params if any(marks[mark] for mark in places) else {}
        like = params | _by_key(params, best, memory)
        like["losses"] = np.empty(done - max(places, default=0), np.float64)
        arrays = {key: file.array(key, a.shape, (a.dtype.name,)) for key, a in like.items()}
        counts = [a for a in arrays.values() if a.dtype.kind == "i"]  # Adam's
        if file.json("digest") != _digest(head, arrays) or any(count != done for count in counts):
            raise _damaged(file.path)
    return State(
        done,
        head["seconds"],
        rows,
        arrays["losses"].tolist(),
        head["about"],
        params={name: arrays[f"params.{name}"] for name in params},
        average={name: arrays[name] for name in params},
        best={name: arrays[f"best.{name}"] for name in best},
        memory={name: arrays[f"memory.{name}"] for name in memory},
    )


def resumed_epochs(out: str | Path) -> float:
    """Return the number of epochs of the training whose last state lies beside `out`.

    Raises
    ------
    InputError
        If there is no state, or it is damaged.
    """
    with _opened(out) as file:
        epochs = _head(file)["same"].get("epochs")
        if not _is_number(epochs):
            raise _damaged(file.path)
        return epochs


_FORMAT = "srcnn_np state 1"


def _opened(out: str | Path) -> NpzFile:
    path = last_path(out)
    if not os.path.isfile(path):
        why = "is no ordinary file" if os.path.exists(path) else "does not exist"
        raise InputError(f"there is nothing to resume: {path} {why}")
    return NpzFile(path, "the last state of a training")


def _head(file: NpzFile) -> dict:
    """Return all of a state except its arrays."""
    if "state" not in file.names:
        raise InputError(f"{file.path} is a model, but not the last state of a training")
    head = file.json("state", _LONGEST_STATE)
    if not isinstance(head, dict) or head.get("format") != _FORMAT:
        raise InputError(f"{file.path} is no state of a format this version reads ({_FORMAT!r})")
    if (
        head.keys() == {"format", "same", "done", "seconds", "rows", "about"}
        and type(head["done"]) is int
        and _is_number(head["seconds"])
        and head["seconds"] >= 0
        and isinstance(head["same"], dict)
        and isinstance(head["about"], dict)
        and isinstance(head["rows"], list)
        and all(map(_is_row, head["rows"]))
    ):
        return head
    raise _damaged(file.path)


def _compare(path: Path, was: dict, now: dict) -> None:
    was = {name: was.get(name) for name in now} | was  # what an older state lacks counts as None
    for name, value in now.items():
        if was[name] != value:
            what = f"was {_plain(was[name])}, not {_plain(value)}"
            what = "were others" if name == "pictures" else what
            raise InputError(f"{path} cannot be resumed: its {name} {what}")
    if was.keys() != now.keys():
        raise _damaged(path)


def _plain(value: object) -> str:
    return brief(value).strip("'")


def _by_key(params: Arrays, best: Arrays, memory: Arrays) -> Arrays:
    parts = {"params": params, "best": best, "memory": memory}
    return {f"{kind}.{name}": a for kind, part in parts.items() for name, a in part.items()}


def _digest(head: dict, arrays: Arrays) -> str:
    """Return a digest of a whole state, which shows even one changed bit."""
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for key, array in sorted(arrays.items()):
        digest.update(key.encode() + array.tobytes())
    return digest.hexdigest()


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged: it is not as this version wrote it")
