"""Compiling: once, whole, by whoever comes first; and what happens when it cannot be kept."""

import ctypes
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cellwright.errors import CellwrightWarning, ToolchainError
from cellwright.toolchain import compile_library, compiler, load, open_library
from cellwright.toolchain import folder as folder_module
from cellwright.toolchain import library as library_module

SOURCE = 'extern "C" __attribute__((visibility("default"))) int add(int a) { return a + 1; }\n'
SUMS = """\
#include <cmath>
#include <thread>
#include <vector>
typedef float vector __attribute__((vector_size(32)));
extern "C" __attribute__((visibility("default"))) float squares(const float* x, int n) {
    vector sum = {};
    for (int i = 0; i + 8 <= n; i += 8) {
        vector part;
        __builtin_memcpy(&part, x + i, sizeof part);
        sum += part * part;
    }
    std::vector<float> total(1);
    std::thread([&] { for (int i = 0; i < 8; i++) total[0] += sum[i]; }).join();
    return std::sqrt(total[0]);
}
"""
LOAD = f"from cellwright.toolchain import load; print(load({SOURCE!r}, name='add').add(1))"


def names(folder):
    return sorted(path.suffix for path in folder.iterdir() if path.name.startswith("add-"))


def squares(library):
    library.squares.restype = ctypes.c_float
    return library.squares((ctypes.c_float * 16)(*range(16)), 16)


def test_a_source_becomes_functions(cache):
    path = compile_library(SUMS, name="sums")
    assert path.parent == cache
    assert path.name.startswith("sums-")
    assert squares(open_library(path)) == pytest.approx(1240**0.5)
    assert path.with_suffix(".cpp").read_text() == SUMS
    assert not [one for one in cache.iterdir() if one.name.startswith(".")]


def test_a_library_is_on_the_disk_before_it_has_its_name(cache, monkeypatch):
    synced = set()
    monkeypatch.setattr(os, "fsync", lambda file: synced.add(os.fstat(file).st_ino))
    assert compile_library(SOURCE, name="add").stat().st_ino in synced


def test_only_what_is_marked_can_be_called(cache):
    library = load(SOURCE + "int hidden() { return 1; }\n", name="add")
    with pytest.raises(AttributeError):
        _ = library._Z6hiddenv


@pytest.mark.parametrize("name", ["add", "größe", "a/../b", "x" * 500, ".", "with space"])
def test_any_name_will_do(cache, name):
    assert load(SOURCE, name=name).add(2) == 3
    assert len(list(cache.glob("*.so"))) == 1


def test_it_is_compiled_once(cache, counted, monkeypatch, forget):
    path, compiled = counted
    monkeypatch.setenv("CXX", str(path))
    first = compile_library(SOURCE, name="add")
    assert compile_library(SOURCE, name="add") == first
    forget()
    assert compile_library(SOURCE, name="add") == first
    assert len(compiled()) == 1


def test_whatever_decides_the_code_is_in_the_key(cache, monkeypatch, forget, script):
    found = {compile_library(SOURCE, name="add")}
    found.add(compile_library(SOURCE + " ", name="add"))
    found.add(compile_library(SOURCE, name="add", flags=("-DA",)))
    monkeypatch.setenv("CELLWRIGHT_CXXFLAGS", "-DB")
    forget()
    found.add(compile_library(SOURCE, name="add"))
    mine = script("mine", '[ "$1" = --version ] && echo "mine 2.0" && exit', 'exec "$REAL" "$@"')
    monkeypatch.setenv("CXX", str(mine))
    forget()
    found.add(compile_library(SOURCE, name="add"))
    mine.write_text(mine.read_text().replace("2.0", "2.1"))
    forget()
    found.add(compile_library(SOURCE, name="add"))
    mine.write_text(mine.read_text().replace('"$REAL"', '"$REAL" -DTARGET'))
    forget()
    found.add(compile_library(SOURCE, name="add"))
    assert len(found) == 7
    assert len(list(cache.glob("add-*.so"))) == 7


def test_flags_reach_the_compiler_and_the_users_win(cache, monkeypatch, forget):
    source = SOURCE.replace("+ 1", "+ WORTH")
    assert load(source, name="add", flags=("-DWORTH=5",)).add(0) == 5
    monkeypatch.setenv("CELLWRIGHT_CXXFLAGS", "-UWORTH -DWORTH='3 + 4'")
    forget()
    assert load(source, name="add", flags=("-DWORTH=5",)).add(0) == 7


def test_many_processes_and_only_one_compiles(cache, counted, monkeypatch, process):
    path, compiled = counted
    monkeypatch.setenv("CXX", str(path))
    results = [one.communicate(timeout=120) for one in [process(LOAD) for _ in range(8)]]
    assert results == [(b"2\n", b"")] * 8
    assert len(compiled()) == 1
    assert compiled.runs() == 4


def test_many_threads_and_only_one_compiles(cache, counted, monkeypatch):
    path, compiled = counted
    monkeypatch.setenv("CXX", str(path))
    results = []
    call = lambda: results.append(load(SOURCE, name="add").add(1))  # noqa: E731
    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [2] * 8
    assert len(compiled()) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_goes_on(cache):
    compiler()
    child = os.fork()
    if child == 0:
        os._exit(load(SOURCE, name="add").add(40))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 41


def test_a_kill_in_the_middle_breaks_nothing(cache, script, monkeypatch, process, tmp_path):
    gate = tmp_path / "gate"
    slow = script(
        "slow",
        'case "$*" in *add-*) if [ ! -e ' + f"{gate} ]; then echo $$ > {gate}.pid;",
        'for file do :; done; printf half > "$file"; exec sleep 60; fi;; esac',
        'exec "$REAL" "$@"',
    )
    monkeypatch.setenv("CXX", str(slow))
    victim = process(LOAD)
    pid = Path(f"{gate}.pid")
    while not pid.exists() or not pid.read_text():
        assert victim.poll() is None
        time.sleep(0.02)
    waiting = process(LOAD)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    os.kill(int(pid.read_text()), signal.SIGKILL)
    assert not list(cache.glob("add-*.so"))
    gate.touch()
    if waiting.poll() is None and waiting.wait(60) != 0:
        raise AssertionError(waiting.communicate())
    assert names(cache) == [".cpp", ".sha256", ".so"]
    assert not [path for path in cache.iterdir() if path.name.startswith(".")]
    assert load(SOURCE, name="add").add(1) == 2


@pytest.mark.parametrize("content", [b"", b"not a library", None, "half", "flipped"])
def test_a_damaged_library_is_compiled_again(cache, counted, monkeypatch, content):
    compiler_path, compiled = counted
    monkeypatch.setenv("CXX", str(compiler_path))
    path = compile_library(SOURCE, name="add")
    sound = path.read_bytes()
    path.unlink()
    if content == "half":
        content = sound[: len(sound) // 2]
    elif content == "flipped":
        content = sound[:-1] + bytes([sound[-1] ^ 1])
    if content is not None:
        path.write_bytes(content)
    assert load(SOURCE, name="add").add(1) == 2
    assert len(compiled()) == 2


def test_the_library_of_another_is_compiled_again(cache):
    path = compile_library(SOURCE, name="add")
    other = compile_library(SOURCE.replace("+ 1", "+ 2"), name="add")
    for end in (".so", ".so.sha256"):
        path.with_name(path.stem + end).write_bytes(other.with_name(other.stem + end).read_bytes())
    assert load(SOURCE, name="add").add(1) == 2


def test_a_library_that_lacks_a_function_is_made_anew_and_an_error(cache, counted, monkeypatch):
    path, compiled = counted
    monkeypatch.setenv("CXX", str(path))
    assert load(SOURCE, name="add", functions=("add",)).add(1) == 2
    with pytest.raises(ToolchainError, match="no function 'subtract': .*add-"):
        load(SOURCE, name="add", functions=("add", "subtract"))
    assert len(compiled()) == 2


@pytest.mark.parametrize("content", [None, b"", b"\xff"])
def test_a_library_without_its_checksum_is_compiled_again(cache, content):
    path = compile_library(SOURCE, name="add")
    checksum = path.with_name(path.name + ".sha256")
    sound = checksum.read_bytes()
    checksum.unlink()
    if content is not None:
        checksum.write_bytes(content)
    assert load(SOURCE, name="add").add(1) == 2
    assert checksum.read_bytes() == sound


@pytest.mark.parametrize("end", [".so", ".so.sha256", ".cpp", ".lock"])
@pytest.mark.parametrize("link", [True, False])
def test_a_folder_in_place_of_a_file_is_removed(cache, tmp_path, end, link):
    kept = compile_library(SOURCE, name="add").with_suffix("")
    for ending in (".so", end):
        place = (
            cache / "locks" / f"{kept.name}.lock" if ending == ".lock" else Path(f"{kept}{ending}")
        )
        place.unlink(missing_ok=True)
    (tmp_path / "elsewhere" / "mine").mkdir(parents=True)
    if link:
        place.symlink_to(tmp_path / "elsewhere")
    else:
        (place / "something").mkdir(parents=True)
    assert load(SOURCE, name="add").add(1) == 2  # in silence
    assert place.is_file()
    assert (tmp_path / "elsewhere" / "mine").exists()


def test_a_compiler_that_writes_nothing_is_a_failing_one(cache, script, monkeypatch):
    lazy = script("lazy", 'case "$*" in */add-*) exit 0;; esac', 'exec "$REAL" "$@"')
    monkeypatch.setenv("CXX", str(lazy))
    with pytest.raises(ToolchainError, match=r"lazy (.|\n)*wrote no file"):
        load(SOURCE, name="add")


def test_what_cannot_be_loaded_is_tried_once_more(cache, monkeypatch):
    path = compile_library(SOURCE, name="add")
    path.write_bytes(b"not a library")
    # As if it were damaged after it was checked.
    looks = iter([True])
    whole = library_module._is_whole
    monkeypatch.setattr(library_module, "_is_whole", lambda path: next(looks, whole(path)))
    assert load(SOURCE, name="add").add(1) == 2


def test_what_cannot_be_loaded_is_deleted(cache):
    path = compile_library(SOURCE, name="add")
    path.write_bytes(b"not a library")
    with pytest.raises(ToolchainError, match="cannot be loaded: (?!.*noexec)"):
        open_library(path)
    assert names(cache) == [".cpp"]


def test_what_can_never_be_loaded_is_an_error(cache, counted, monkeypatch):
    compiler_path, compiled = counted
    monkeypatch.setenv("CXX", str(compiler_path))
    source = 'extern "C" int nowhere(int); int (*pointer)(int) = nowhere;\n' + SOURCE
    for _ in range(2):
        with pytest.raises(ToolchainError, match="nowhere"):
            load(source, name="add")
    assert len(compiled()) == 2


def test_a_source_that_fails_shows_everything(cache):
    source = "".join(f"int x{i} = missing{i};\n" for i in range(200))
    with pytest.raises(ToolchainError) as caught:
        compile_library(source, name="add")
    message = str(caught.value)
    lines = message.splitlines()
    assert lines[0] == "the C++ compiler failed."
    assert lines[1].startswith(f"$ {compiler().command[0]} -std=c++17")
    assert "missing0" in message
    assert 30 < len(lines) < 40
    assert "lines more" in message
    (kept,) = cache.glob("add-*.cpp")
    assert lines[-1] == f"The source is kept in {kept}"
    assert kept.read_text() == source
    assert names(cache) == [".cpp"]
    with pytest.raises(ToolchainError, match="missing0"):
        load(source, name="add")


def test_a_failure_is_remembered_and_its_words_are_the_same(cache, counted, monkeypatch, forget):
    path, compiled = counted
    path.write_text(
        path.read_text().replace("exec", 'case "$*" in *add-*) echo $* >&2; exit 1;; esac; exec')
    )
    monkeypatch.setenv("CXX", str(path))
    said = set()
    for call in (load, compile_library):
        with pytest.raises(ToolchainError) as caught:
            call(SOURCE, name="add")
        said.add(str(caught.value))
    assert len(compiled()) == 1
    forget()
    with pytest.raises(ToolchainError) as caught:
        load(SOURCE, name="add")
    assert said == {str(caught.value)}
    assert len(compiled()) == 2
    (kept,) = cache.glob("add-*.cpp")
    assert f"-o {kept.with_suffix('.so')}\n" in str(caught.value)


def test_threads_fail_once(cache, counted, monkeypatch):
    path, compiled = counted
    monkeypatch.setenv("CXX", str(path))
    failed = []

    def work():
        with pytest.raises(ToolchainError) as caught:
            compile_library("what?", name="add")
        failed.append(str(caught.value))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 4
    assert len(set(failed)) == len(compiled()) == 1


def test_a_compiler_that_goes_away_is_an_error(cache, counted, monkeypatch):
    path, _ = counted
    monkeypatch.setenv("CXX", str(path))
    compiler()
    path.write_text("#!/no/such/shell\n")
    with pytest.raises(ToolchainError, match="it cannot be started: No such file"):
        compile_library(SOURCE, name="add")


@pytest.mark.parametrize("where", ["a file", "/proc/cellwright"])
def test_a_folder_that_cannot_be_is_replaced_by_a_private_one(
    cache, monkeypatch, forget, tmp_path, where
):
    if where == "a file":
        where = tmp_path / "file"
        where.touch()
    elif not Path("/proc/self").exists():
        pytest.skip("this system has no /proc")
    monkeypatch.setenv("CELLWRIGHT_CACHE_DIR", str(where))
    forget()
    with pytest.warns(CellwrightWarning, match="set CELLWRIGHT_CACHE_DIR") as warned:
        assert load(SOURCE, name="add").add(1) == 2
    assert len(warned) == 1
    assert str(where) in str(warned[0].message)
    path = compile_library(SOURCE, name="add")  # in silence
    assert path.parent.name.startswith("cellwright-")
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert compile_library(SOURCE, name="add") == path


def test_the_private_folder_goes_with_its_process(cache, monkeypatch, tmp_path):
    (tmp_path / "temporary").mkdir()
    (tmp_path / "file").touch()
    code = (
        "import multiprocessing, os, warnings; warnings.simplefilter('ignore')\n"
        "from cellwright.toolchain import compile_library, load\n"
        f"SOURCE = {SOURCE!r}\n"
        "def use(): print(load(SOURCE, name='add').add(1), flush=True)\n"
        "context = multiprocessing.get_context('fork')\n"
        "def child(): one = context.Process(target=use); one.start(); one.join()\n"
        "child(); use(); child()\n"
        "print(compile_library(SOURCE, name='add').exists())\n"
    )
    environment = os.environ | {
        "TMPDIR": str(tmp_path / "temporary"),
        "CELLWRIGHT_CACHE_DIR": str(tmp_path / "file"),
    }
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("2\n2\n2\nTrue\n", "")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_full_disk_is_noticed_in_what_the_compiler_says(cache, script, monkeypatch):
    full = script(
        "full",
        f'case "$*" in *{cache}/add-*)',
        'echo "ld: final link failed: No space left on device" >&2; exit 1;; esac',
        'exec "$REAL" "$@"',
    )
    monkeypatch.setenv("CXX", str(full))
    with pytest.warns(CellwrightWarning, match="No space left on device"):
        assert load(SOURCE, name="add").add(1) == 2
    assert not list(cache.glob("add-*.so"))


@pytest.mark.parametrize("room", [library_module, folder_module.tempfile, os])
def test_a_full_disk_anywhere_is_survived(cache, monkeypatch, room):
    compiler()
    name = next(n for n in ("replace_file", "mkdtemp", "fsync") if hasattr(room, n))
    real = getattr(room, name)

    def full(*arguments, **named):
        place = str(arguments[0] if arguments else named.get("dir"))
        if name == "fsync" and not used:
            used.append(1)
            raise OSError(errno.ENOSPC, "No space left on device")
        if str(cache) in place:
            raise OSError(errno.ENOSPC, "No space left on device", place)
        return real(*arguments, **named)

    used = []
    monkeypatch.setattr(room, name, full)
    with pytest.warns(CellwrightWarning, match="No space left on device"):
        assert load(SOURCE, name="add").add(1) == 2
    # Of the next one nothing is said any more.
    assert load(SOURCE.replace("+", "-"), name="less").add(1) == 0


def test_a_lock_that_cannot_be_had_is_survived(cache, monkeypatch, capsys):
    compiler()
    stem = compile_library(SOURCE, name="add").stem
    for path in cache.glob("add-*"):
        path.unlink()
    monkeypatch.setattr(folder_module.locked.__wrapped__, "__defaults__", (0.3,))
    monkeypatch.setattr(folder_module, "_PATIENCE", 0.1, raising=False)
    monkeypatch.setattr(folder_module, "_LOOK_SECONDS", 0.05)
    wanted = f"the lock {cache / 'locks' / stem}.lock all the time; .* end it"
    with folder_module.locked(cache, stem), pytest.warns(CellwrightWarning, match=wanted):
        assert load(SOURCE, name="add").add(1) == 2
    said = f"waiting for another process or thread that compiles {stem}, for 0.3 s at most"
    assert capsys.readouterr().err == f"cellwright: {said}\n"


def test_nowhere_to_write_at_all_is_an_error(cache, monkeypatch):
    compiler()

    def full(*arguments, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder_module.tempfile, "mkdtemp", full)
    with (
        pytest.warns(CellwrightWarning),
        pytest.raises(ToolchainError, match="there is nowhere to put compiled code"),
    ):
        load(SOURCE, name="add")


def test_a_folder_that_cannot_be_written_to_can_be_read(cache, monkeypatch, forget):
    path = compile_library(SOURCE, name="add")
    forget()

    def read_only(*arguments, **named):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(folder_module.Path, "mkdir", read_only)
    assert compile_library(SOURCE, name="add") == path  # without a warning


def test_a_relative_folder_is_made_absolute(cache, monkeypatch, forget, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CELLWRIGHT_CACHE_DIR", "here")
    forget()
    assert load(SOURCE, name="add").add(1) == 2
    assert compile_library(SOURCE, name="add").parent == tmp_path / "here"


def test_the_warm_path_starts_no_process_and_is_quick(cache, counted, monkeypatch, process):
    path, compiled = counted
    monkeypatch.setenv("CXX", str(path))
    load(SOURCE, name="add")
    runs = compiled.runs()
    code = (
        "import time; from cellwright.toolchain import load; start = time.process_time()\n"
        f"load({SOURCE!r}, name='add'); print(time.process_time() - start)"
    )
    seconds = min(float(process(code).communicate()[0]) for _ in range(3))
    assert compiled.runs() == runs
    assert seconds < 0.015


def test_the_command_is_shown_on_request(cache, monkeypatch, forget, capsys):
    monkeypatch.setenv("CELLWRIGHT_DEBUG", "3")
    compile_library(SOURCE, name="add")
    shown = capsys.readouterr().err
    assert "-std=c++17" in shown
    assert "# took" in shown
    compile_library(SOURCE, name="add")
    assert capsys.readouterr().err == ""


def test_the_zig_of_pip_compiles_too(cache, monkeypatch, tmp_path):
    pytest.importorskip("ziglang")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compiler().kind == "zig"
    assert compiler().version.startswith("zig 0.")
    assert squares(load(SUMS, name="sums")) == pytest.approx(1240**0.5)
