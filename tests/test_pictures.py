"""Pictures in one array, in memory or in a file that has no name."""

import os
import shutil
import tempfile
from collections import namedtuple

import numpy as np
import pytest
from PIL import Image

from srcnn_np import InputError, pictures
from srcnn_np.data import cut_sub_images, draw_pictures, hold_out, read_folder
from srcnn_np.pictures import Pictures

GREY, COLOUR = np.arange(12, dtype=np.uint8).reshape(3, 4), np.zeros((2, 5, 3), np.uint8)
COLOUR[..., 1] = 7


def test_pictures_are_a_sequence_of_views():
    some = Pictures.of([GREY, COLOUR, GREY.T])
    assert len(some) == 3
    for found, given in zip(some, (GREY, COLOUR, GREY.T), strict=True):
        np.testing.assert_array_equal(found, given)
        assert np.shares_memory(found, some.pixels)
    assert Pictures.of(some) is some
    np.testing.assert_array_equal(some[1:][0], COLOUR)
    np.testing.assert_array_equal(some[-1], GREY.T)
    with pytest.raises(IndexError):
        some[3]
    with pytest.raises(TypeError, match="float64; give uint8"):
        Pictures.of([GREY / 255])
    learnt, held_out = hold_out(Pictures.of(draw_pictures(11, size=40)), 2)
    assert (len(learnt), len(held_out)) == (9, 2)
    assert np.shares_memory(learnt.pixels, held_out.pixels)


def interrupted(*_):
    raise KeyboardInterrupt


def test_where_the_system_does_not_say_how_much_memory_is_free(monkeypatch):
    monkeypatch.setattr(pictures, "_free_memory", lambda: float("inf"))
    assert pictures.room_for([(10,)]).pixels.base is None


def test_what_a_control_group_still_gives(tmp_path):
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 300\n")
    assert pictures._free_in_group(tmp_path) == 400
    (tmp_path / "memory.max").write_text("max\n")
    assert pictures._free_in_group(tmp_path) == float("inf")


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="only POSIX forgets open files")
def test_what_memory_does_not_hold_lies_in_a_file_without_a_name(tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    photos.mkdir()
    drawn = draw_pictures(3, size=64)
    for n, picture in enumerate(drawn):
        Image.fromarray(picture).save(photos / f"{n}.png")
    held, _ = read_folder(photos, grey_is_luma=True)
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(room))
    monkeypatch.setattr(pictures, "_free_memory", lambda: 0)
    mapped, _ = read_folder(photos, grey_is_luma=True)
    assert list(room.iterdir()) == []
    assert held.pixels.base is None
    assert mapped.pixels.base is not None
    assert mapped.names == held.names == ["0.png", "1.png", "2.png"]
    for found, picture in zip(mapped, drawn, strict=True):
        np.testing.assert_array_equal(found, picture)
    for one, other in zip(
        cut_sub_images(mapped, 3).batch(np.arange(9)),
        cut_sub_images(drawn, 3).batch(np.arange(9)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    with monkeypatch.context() as patch:  # asked to end while the room is made
        patch.setattr(os, "posix_fallocate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read_folder(photos)
    assert list(room.iterdir()) == []
    usage = namedtuple("usage", "free")(2288)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr(pictures, "_one_after_the_other", lambda shapes: ([0], 3_000_002_288))
    with pytest.raises(InputError, match=r"take 3,000\.0 MB, .*room lacks 3,000\.0 .* TMPDIR"):
        read_folder(photos)
    assert list(room.iterdir()) == []
