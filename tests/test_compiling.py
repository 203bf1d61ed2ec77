"""Compiled code is kept, and whatever happens to the kept files stops nothing."""

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from numba import njit
from numba.core import event
from numba.core.caching import IndexDataCacheFile

from srcnn_np import compiling
from srcnn_np.conv.threads import share

SCRIPT = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s")
from srcnn_np import compiling
from srcnn_np.compiling import kernel

@kernel
def twice(x):
    return 2 * x

assert twice(21) == 42
print(compiling.FOLDER, sum(twice.stats.cache_hits.values()), twice.stats.cache_path)
"""


@pytest.fixture
def run(tmp_path):
    """Run a small kernel in a new process; return the folder, and how often it was found there."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    home = tmp_path / "home"

    def run(**environment):
        variables = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
        variables |= {"XDG_CACHE_HOME": str(home), **environment}
        command = [sys.executable, script]
        done = subprocess.run(command, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        folder, hits, path = done.stdout.split()
        assert folder == path
        return (None if folder == "None" else Path(folder)), int(hits)

    return run


def hits():
    """Define a small kernel anew, like a new process; return how often the folder had it."""

    @compiling.kernel
    def twice(x):
        return 2 * x

    assert twice(21) == 42
    return sum(twice.stats.cache_hits.values())


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """A folder with the machine code of the kernel in `hits`."""
    folder = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "FOLDER", folder)
        assert hits() == 0
    return folder


@pytest.fixture
def folder(compiled, tmp_path, monkeypatch):
    """A copy of the folder `compiled`, in use by the package."""
    folder = tmp_path / compiled.name
    shutil.copytree(compiled, folder)
    monkeypatch.setattr(compiling, "FOLDER", folder)
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user's cache with nothing in it."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_machine_code_is_kept_in_the_users_cache(run, tmp_path):
    folder, hits = run()
    assert hits == 0
    assert folder.is_relative_to(tmp_path / "home/srcnn_np")
    assert run() == (folder, 1)


def test_a_variable_names_another_place(home, tmp_path, monkeypatch):
    usual = compiling._folder()
    assert usual.is_relative_to(home / "srcnn_np")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "other"))
    assert compiling._folder() == tmp_path / "other/srcnn_np" / usual.name


@pytest.mark.parametrize("changed", ["compiling.py", "conv/shifted.py", "kernels/product.py"])
def test_another_source_is_kept_elsewhere(home, tmp_path, monkeypatch, changed):
    package = tmp_path / "package"
    shutil.copytree(Path(compiling.__file__).parent, package)
    usual = compiling._folder()
    monkeypatch.setattr(compiling, "__file__", str(package / "compiling.py"))
    assert compiling._folder() == usual
    with open(package / changed, "a") as file:
        file.write("\n")
    assert compiling._folder() != usual


@pytest.mark.parametrize("name", compiling.SWITCHES)
def test_another_switch_is_kept_elsewhere(home, monkeypatch, name):
    usual = compiling._folder()
    other = "1" if compiling.SWITCHES[name] == "0" else "0"
    monkeypatch.setenv(name, other)
    monkeypatch.setattr(compiling, "SWITCHES", compiling._switches())
    assert compiling.SWITCHES[name] == other
    assert compiling._folder() != usual


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", ["half", "zeros", "folder"])
def test_what_is_damaged_is_compiled_anew(folder, ending, damage):
    assert hits() == 1
    (path,) = folder.glob(f"*{ending}")
    whole = path.read_bytes()
    path.unlink()
    middle = len(whole) // 2
    if damage == "folder":
        path.mkdir()
        assert hits() == 0
        return
    damaged = {
        "half": whole[:middle],
        "zeros": whole[:middle] + bytes(64) + whole[middle + 64 :],
    }
    path.write_bytes(damaged[damage])
    assert hits() == 0
    assert hits() == 1


def test_where_nothing_can_be_kept_all_works_without(run):
    assert run(XDG_CACHE_HOME="/dev/null", HOME="/dev/null") == (None, 0)


@pytest.mark.parametrize("place", ["/dev/null", "relative", "file"])
def test_where_nothing_can_be_kept(home, tmp_path, monkeypatch, place):
    (tmp_path / "file").write_text("")
    places = {"relative": "", "file": str(tmp_path / "file")}
    monkeypatch.setenv("XDG_CACHE_HOME", places.get(place, place))
    monkeypatch.setenv("HOME", "/dev/null")
    assert compiling._folder() is None


def test_a_full_disk_stops_nothing(folder, monkeypatch):
    def no(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    for path in folder.iterdir():
        path.unlink()
    monkeypatch.setattr(IndexDataCacheFile, "_open_for_write", no)
    assert hits() == 0
    assert list(folder.iterdir()) == []


def test_folders_of_older_sources_go(home):
    for n in range(12):
        old = home / f"srcnn_np/kernels-{n:016}"
        old.mkdir(parents=True)
        os.utime(old, (n, n))
    mine = home / "srcnn_np/kernels-of-mine"
    mine.mkdir()
    folder = compiling._folder()
    kept = {path.name for path in folder.parent.iterdir()} - {folder.name}
    assert kept == {"kernels-of-mine", *(f"kernels-{n:016}" for n in range(4, 12))}


def test_only_what_compiles_long_is_called_compiling(monkeypatch, caplog):
    """A slow machine or a slow first call is not called compiling, if all was compiled before."""
    caplog.set_level("INFO", "srcnn_np")
    monkeypatch.setattr(compiling._announcer, "_patience", 0.1)
    share(lambda number: time.sleep(0.2), 2)
    assert caplog.messages == []
    for seconds in (0.04, 0.04, 0.09):  # short each, but long together
        with event.trigger_event("numba:compile"), event.trigger_event("numba:compile"):
            time.sleep(seconds)
    assert caplog.messages == ["compiling for this processor, which is done once and kept ..."]
    with event.trigger_event("numba:compile"):
        time.sleep(0.2)
    assert len(caplog.messages) == 1
    monkeypatch.setattr(compiling, "FOLDER", None)
    monkeypatch.setattr(compiling._announcer, "_patience", 0.001)
    njit(lambda x: x + 1)(1)
    assert len(caplog.messages) == 2
    assert "it cannot be kept for the next time" in caplog.messages[1]


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("SRCNN_NP_WINOGRAD", "first", "'first'; unset it, or give one of 1, 0"),
        ("SRCNN_NP_WINOGRAD", "x" * 9999, "'xxx"),
        ("SRCNN_NP_CHECK_BOUNDS", "yes", "'yes'; unset it, or give one of 0, 1"),
    ],
)
def test_a_variable_that_says_something_unknown_is_refused(name, value, words):
    done = subprocess.run(
        [sys.executable, "-m", "srcnn_np", "gradcheck"],
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f"srcnn-np: error: the environment variable {name} is {words}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 200
