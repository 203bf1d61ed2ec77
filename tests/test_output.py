"""Writing files, and a signal to end meanwhile."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from srcnn_np import InputError
from srcnn_np.output import claiming, writing
from srcnn_np.stopping import Stopped, stopped_at_once, stopped_when_asked


def write(path, *texts, **how):
    with writing(path, **how) as part, part.open("w") as file:
        for text in texts:
            file.write(text)


def test_threads_may_write_into_one_folder(tmp_path):
    paths = [tmp_path / f"{n}.txt" for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: write(path, path.name * 1000), paths))
    assert all(path.read_text() == path.name * 1000 for path in paths)
    assert len(list(tmp_path.iterdir())) == len(paths)


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("名" * 83 + ".txt")  # 253 bytes of at most 255
    write(path, "text")
    assert path.read_text() == "text"


def test_nothing_is_replaced_unasked_or_left_half(tmp_path):
    path = tmp_path / "f.txt"
    write(path, "mine")
    with pytest.raises(InputError, match="exists already"):
        write(path, "other")
    with pytest.raises(TypeError):
        write(path, "half", None, force=True)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["mine"]
    write(path, "other", force=True)
    assert path.read_text() == "other"


def left_over(folder, name):
    path = folder / name
    path.write_text("half")
    return path


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    code = """
import os, signal, sys
from srcnn_np.output import claiming, writing
with claiming([sys.argv[1]]), writing(sys.argv[1]) as part:
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "killed.txt"])
    assert {p.suffix for p in tmp_path.iterdir()} == {".lock", ".txt"}
    # A user's own files, whatever their names, are left alone.
    users = [".part", ".1234.5678.part.txt", ".srcnn-np-mine.part.txt", "srcnn-np.lock"]
    for name in users:
        left_over(tmp_path, name)
    write(tmp_path / "next.txt", "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["next.txt", *users])


def test_what_a_living_run_writes_is_left_alone(tmp_path):
    with writing(tmp_path / "slow.txt") as slow, claiming([tmp_path / "claimed.txt"]):
        slow.write_text("half")
        code = "import sys; from test_output import write; write(sys.argv[1], 'whole')"
        subprocess.run(
            [sys.executable, "-c", code, tmp_path / "quick.txt"],
            check=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        )
        assert slow.read_text() == "half"
        assert len(list(tmp_path.iterdir())) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["quick.txt", "slow.txt"]


def test_a_file_that_comes_while_another_is_written_is_not_replaced(tmp_path):
    path = tmp_path / "f.txt"

    def write_late():
        with writing(path) as part:
            part.write_text("late")
            path.write_text("first")

    with pytest.raises(InputError, match="exists already"):
        write_late()
    assert [p.read_text() for p in tmp_path.iterdir()] == ["first"]


def test_without_locks_and_links_files_are_written_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("srcnn_np.output.fcntl", None)
    monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "no")))
    left = left_over(tmp_path, ".srcnn-np-0123456789abcdef.part.txt")
    with claiming([tmp_path / "f.txt"]):
        write(tmp_path / "f.txt", "text")
    assert sorted(tmp_path.iterdir()) == [left, tmp_path / "f.txt"]
    with pytest.raises(InputError, match="exists already"):
        write(tmp_path / "f.txt", "other")


def refused_claim(*paths):
    with pytest.raises(InputError, match="is being written by another run"), claiming(paths):
        pass


def test_a_claim_is_for_one_alone(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    (tmp_path / "link").symlink_to(one)
    with claiming([one]):
        for path in (one, tmp_path / "." / "one", tmp_path / "link"):
            refused_claim(other, path)
        with claiming([other]):
            pass
    with claiming([one, other]):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["link"]


def test_a_claim_ends_with_its_process(tmp_path):
    code = """
import os, signal, sys
from srcnn_np.output import claiming
with claiming([sys.argv[1]]):
    print("claimed", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", code, tmp_path / "f"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"claimed\n"
        refused_claim(tmp_path / "f")
        process.kill()
    with claiming([tmp_path / "f"]):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
@pytest.mark.parametrize("name, code", [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_signals_are_exceptions_or_remembered(tmp_path, name, code):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped, stopped_at_once(), writing(tmp_path / "f"):
        signal.raise_signal(number)
    assert stopped.value.code == code
    assert list(tmp_path.iterdir()) == []
    with stopped_when_asked() as asked:
        assert asked() is None
        signal.raise_signal(number)
        assert asked() == number
        if name == "SIGINT":
            with pytest.raises(Stopped):
                signal.raise_signal(number)
        else:  # schedulers send them in rows
            signal.raise_signal(number)
            signal.raise_signal(signal.SIGTERM)
            assert asked() == number
    assert signal.getsignal(number) is before
    # Under `nohup` SIGHUP is ignored, in a shell's background SIGINT.
    signal.signal(number, signal.SIG_IGN)
    try:
        with stopped_at_once(), stopped_when_asked() as asked:
            signal.raise_signal(number)
            assert asked() is None
    finally:
        signal.signal(number, before)
