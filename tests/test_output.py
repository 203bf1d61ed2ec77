"""Writing files."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from srcnn_np import InputError
from srcnn_np.output import writing


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
