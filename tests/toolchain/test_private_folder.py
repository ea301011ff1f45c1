"""The folder of one process, where compiled code goes that cannot be kept."""

import os
import subprocess
import sys

import pytest

from cellwright.errors import CellwrightWarning, ToolchainError
from cellwright.toolchain import compile_library, compiler, describe, load
from cellwright.toolchain import folder as folder_module

SOURCE = 'extern "C" __attribute__((visibility("default"))) int add(int a) { return a + 1; }\n'


@pytest.fixture
def no_home(cache, monkeypatch, forget):
    """A user whom the system has never heard of."""
    import pwd

    def unknown(user):
        raise KeyError(user)

    for name in ("HOME", "XDG_CACHE_HOME", "CELLWRIGHT_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    forget()


def test_without_a_home_it_serves(no_home):
    with pytest.warns(CellwrightWarning, match="no home directory; set CELLWRIGHT_CACHE_DIR"):
        compiler()
    assert load(SOURCE, name="add").add(1) == 2  # in silence
    assert compile_library(SOURCE, name="add").parent.name.startswith("cellwright-")
    assert describe().unwritable == ""


def test_without_a_home_and_a_place_for_it_the_error_says_so(no_home, monkeypatch):
    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module.tempfile, "mkdtemp", full)
    with (
        pytest.warns(CellwrightWarning),
        pytest.raises(ToolchainError, match="nowhere to put compiled code.*No space left"),
    ):
        compiler()


@pytest.fixture
def mounted_noexec(cache):
    """Run Python code where the cache folder has a mount of its own that forbids to load code."""
    alone = ["unshare", "--map-root-user", "--mount"]
    try:
        subprocess.run([*alone, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this system does not let its users mount")
    cache.mkdir(mode=0o700)

    def run(code):
        # What lies there stays to be seen.
        mount = 'mount --bind "$1" "$1" && mount -o remount,bind,noexec "$1" && exec "$2" -c "$3"'
        words = ["sh", "-c", mount, "sh", str(cache), sys.executable, code]
        done = subprocess.run([*alone, *words], capture_output=True, text=True)
        return done.stdout, done.stderr

    return run


def test_it_serves_where_code_cannot_be_loaded(mounted_noexec, cache, counted, monkeypatch):
    path, compiled = counted
    monkeypatch.setenv("CXX", str(path))
    code = f"""
from cellwright.toolchain import load, describe
print(load({SOURCE!r}, name="add").add(1))
print(load({SOURCE!r}, name="add").add(1))
print(describe().unloadable)
"""
    for _ in ("nothing is kept there", "it was put there from elsewhere"):
        output, errors = mounted_noexec(code)
        assert output.startswith("2\n2\ncode cannot be loaded from there")
        assert errors.count("Warning: ") == 1
        assert f"cannot be kept in {cache} (" in errors
        assert "mounted noexec" in errors
        assert len(compiled()) == 1
        compiled.clear()
        kept = load(SOURCE, name="add")
        compiled.clear()
    assert kept.add(1) == 2


def test_the_doctor_finds_out_whether_code_can_be_loaded(cache, monkeypatch):
    assert describe().unloadable == ""
    monkeypatch.setattr(folder_module, "_maps_as_code", lambda file: False)
    assert "code cannot be loaded from there" in describe().unloadable


USE = f"""
import warnings; warnings.simplefilter("ignore")
from cellwright.toolchain import load
load({SOURCE!r}, name="add"); print("ready", flush=True)"""


@pytest.fixture
def temporary(cache, tmp_path, monkeypatch, forget):
    """An empty folder for temporary files, and no cache folder."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    cache.touch()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(folder_module.tempfile, "tempdir", None)
    return folder


def test_what_a_killed_process_leaves_is_removed_by_the_next(temporary, process):
    killed, living = (process(f"{USE}; import time; time.sleep(60)") for _ in range(2))
    assert killed.stdout.readline() == living.stdout.readline() == b"ready\n"
    before = set(temporary.iterdir())
    assert len(before) == 2
    killed.kill()
    killed.communicate()
    (temporary / "cellwright-of-mine").mkdir()
    (temporary / "cellwright-link").symlink_to(temporary / "cellwright-of-mine")
    with pytest.warns(CellwrightWarning):
        assert load(SOURCE, name="add").add(1) == 2
    after = set(temporary.iterdir())
    assert len(after & before) == 1
    assert {"cellwright-of-mine", "cellwright-link"} <= {path.name for path in after}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_that_ends_takes_nothing_away(temporary, process):
    with pytest.warns(CellwrightWarning):
        path = compile_library(SOURCE, name="add")
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert process(USE).communicate()[0] == b"ready\n"
    assert path.exists()
