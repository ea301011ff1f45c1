"""Files that are whole or not there."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from cellwright import storage
from cellwright.storage import check_replaceable, replace_file


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_whom_a_file_is_for_is_the_users_choice(tmp_path, umask):
    before = os.umask(umask)
    try:
        replace_file(tmp_path / "file", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask


def test_other_threads_keep_their_umask(tmp_path, monkeypatch):
    def set_it(mask):
        pytest.fail("every thread has it")

    monkeypatch.setattr(os, "umask", set_it)
    replace_file(tmp_path / "file", "new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_name_that_is_taken_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / ".file.taken").write_text("of another process")
    names = iter(["taken", "free"])
    monkeypatch.setattr(storage.secrets, "token_hex", lambda number: next(names))
    replace_file(tmp_path / "file", "new")
    assert (tmp_path / ".file.taken").read_text() == "of another process"
    assert (tmp_path / "file").read_text() == "new"


def test_what_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    def full(file):
        raise OSError(28, "No space left on device")

    (tmp_path / "file").write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/file'"):
        replace_file(tmp_path / "file", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_the_error_of_a_missing_folder_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="'.*/nowhere/file'"):
        replace_file(tmp_path / "nowhere" / "file", "new")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    # To replace it would be to take away /dev/null, for whoever may.
    pipe, found = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = Thread(target=lambda: found.append(pipe.read_text()), daemon=True)
    reader.start()
    check_replaceable(pipe)
    replace_file(pipe, "new")
    reader.join(10)
    assert found == ["new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="output has no name")
def test_what_output_is_led_into_is_added_to(tmp_path):
    program = (
        "from pathlib import Path; from cellwright.storage import check_replaceable, replace_file\n"
        "check_replaceable(Path('/dev/stdout')); replace_file(Path('/dev/stdout'), 'new')\n"
    )
    (tmp_path / "log").write_text("old ")
    with (tmp_path / "log").open("a") as log:
        subprocess.run([sys.executable, "-c", program], stdout=log, check=True, timeout=60)
    assert (tmp_path / "log").read_text() == "old new"
    piped = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, timeout=60
    )
    assert piped.stdout == b"new"


def test_behind_a_link_the_file_is_replaced_not_the_link(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "file")
    for content in ("new", "newer"):  # and there need not be one yet
        replace_file(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "folder" / "file").read_text() == content


def test_what_could_not_be_written_is_known_before(tmp_path):
    (tmp_path / "file").write_text("old")
    check_replaceable(tmp_path / "file")
    check_replaceable(tmp_path / "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
    for wrong, kind in (("nowhere/file", FileNotFoundError), ("file/in", NotADirectoryError)):
        for write in (check_replaceable, lambda path: replace_file(path, "new")):
            with pytest.raises(kind, match=f"'.*/{wrong}'"):
                write(tmp_path / wrong)
    for write in (check_replaceable, lambda path: replace_file(path, "new")):
        with pytest.raises(IsADirectoryError, match=str(tmp_path)):
            write(tmp_path)
