"""What was compiled is kept, and nothing that becomes of it stops anything."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from numba import njit
from numba.core import event

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
    """Run a small kernel in a process of its own: the folder, and how often it was found there."""
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


def test_machine_code_is_kept_in_the_users_cache(run, tmp_path):
    folder, hits = run()
    assert hits == 0
    assert folder.is_relative_to(tmp_path / "home/srcnn_np")
    assert run() == (folder, 1)
    assert run(NUMBA_CACHE_DIR=str(tmp_path / "other")) == (
        tmp_path / "other/srcnn_np" / folder.name,
        0,
    )


def test_another_source_or_switch_is_kept_elsewhere(run):
    assert run()[0] != run(SRCNN_NP_WINOGRAD="first")[0]


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", ["half", "zeros", "folder"])
def test_what_is_damaged_is_compiled_anew(run, ending, damage):
    folder, _ = run()
    (path,) = folder.glob(f"*{ending}")
    whole = path.read_bytes()
    path.unlink()
    middle = len(whole) // 2
    if damage == "folder":
        path.mkdir()
        assert run() == (folder, 0)
        return
    damaged = {
        "half": whole[:middle],
        "zeros": whole[:middle] + bytes(64) + whole[middle + 64 :],
    }
    path.write_bytes(damaged[damage])
    assert run() == (folder, 0)
    assert run() == (folder, 1)


@pytest.mark.parametrize("home", ["/dev/null", "relative", "file"])
def test_where_nothing_can_be_kept_all_works_without(run, tmp_path, home):
    if home == "file":
        (tmp_path / "file").write_text("")
        home = str(tmp_path / "file")
    elif home == "relative":
        home = ""
    folder, hits = run(XDG_CACHE_HOME=home, HOME="/dev/null")
    assert (folder, hits) == (None, 0)


def test_a_full_disk_stops_nothing(run, tmp_path, monkeypatch):
    folder, _ = run()
    for path in folder.iterdir():
        path.unlink()
    script = tmp_path / "script.py"
    full = "import builtins, errno\n"
    full += "from numba.core.caching import IndexDataCacheFile\n"
    full += "def no(*_): raise OSError(errno.ENOSPC, 'No space left on device')\n"
    full += "IndexDataCacheFile._open_for_write = no\n"
    script.write_text(full + SCRIPT)
    assert run()[1] == 0


def test_folders_of_older_sources_go(run, tmp_path):
    for n in range(12):
        old = tmp_path / f"home/srcnn_np/kernels-{n:016}"
        old.mkdir(parents=True)
        os.utime(old, (n, n))
    mine = tmp_path / "home/srcnn_np/kernels-of-mine"
    mine.mkdir()
    folder, _ = run()
    kept = {path.name for path in folder.parent.iterdir()} - {folder.name}
    assert kept == {"kernels-of-mine", *(f"kernels-{n:016}" for n in range(4, 12))}


def test_only_what_compiles_long_is_called_compiling(monkeypatch, caplog):
    """A slow machine, or a slow first call, compiles nothing where all was compiled before."""
    caplog.set_level("INFO", "srcnn_np")
    monkeypatch.setattr(compiling._announcer, "_patience", 0.1)
    share(lambda number: time.sleep(0.5), 2)
    assert caplog.messages == []
    for _ in range(3):  # short each, but long together
        with event.trigger_event("numba:compile"), event.trigger_event("numba:compile"):
            time.sleep(0.05)
        time.sleep(0.2)
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
        ("SRCNN_NP_WINOGRAD", "First", "'First'; unset it, or give one of both, first, none"),
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
