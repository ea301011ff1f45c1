"""Finding a compiler: which one, what it can do, and that it is remembered."""

import dataclasses
import json
import shutil
import sys
import threading
from pathlib import Path

import pytest

from cellwright.errors import CellwrightError, CellwrightWarning, SettingError, ToolchainError
from cellwright.toolchain import compile_library, compiler, load, search
from cellwright.toolchain.features import features_of
from cellwright.toolchain.probe import BASE_FLAGS

SOURCE = 'extern "C" __attribute__((visibility("default"))) int add(int a) { return a + 1; }\n'


def remembered(folder):
    return sorted(folder.glob("compiler-*.json"))


def test_what_is_found_is_what_compiles(cache):
    found = compiler()
    assert shutil.which(found.command[0]) == found.command[0]
    assert found.kind in ("gcc", "clang", "zig")
    assert found.version
    assert load(SOURCE, name="add").add(1) == 2
    assert not [flag for flag in found.line() if "fast-math" in flag]
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.kind = "other"


def test_features_are_those_of_the_code_and_not_of_the_machine(cache, monkeypatch, forget):
    facts = Path("/proc/cpuinfo")
    if not facts.exists() or "avx2" not in facts.read_text():
        pytest.skip("this CPU has none to take away")
    native = compiler()
    assert {"avx2", "fma"} <= set(native.features)
    monkeypatch.setenv("CELLWRIGHT_CXXFLAGS", "-mno-avx -mno-avx512f")
    forget()
    less = compiler()
    assert "sse2" in less.features
    assert not {"avx", "avx2", "fma", "avx512f", "avx512_bf16"} & set(less.features)
    assert less.target != native.target


def test_features_have_the_names_that_people_know():
    macros = "#define __AVX512BF16__ 1\n#define __AVX512F__ 1\n#define __linux__ 1\n\n#undef\n"
    assert features_of(macros) == ("avx512f", "avx512_bf16")
    assert features_of("#define __ARM_NEON 1\n#define __ARM_FEATURE_FMA 1") == ("neon", "fma")
    assert features_of("#define __AVX2__X 1\n#define NOT__FMA__ 1\n#define A __AVX__") == ()


def test_the_users_choice_comes_first_and_may_have_arguments(cache, script, monkeypatch):
    mine = script("mine", '[ "$1" = -DMINE ] || exit 3', 'exec "$REAL" "$@"')
    monkeypatch.setenv("CXX", f"{mine} -DMINE '-DTEXT=a b'")
    assert compiler().command == (str(mine), "-DMINE", "-DTEXT=a b")
    source = SOURCE.replace("+ 1", "+ MINE + sizeof(TEXT_OF(TEXT))")
    source = "#define TEXT_OF2(x) #x\n#define TEXT_OF(x) TEXT_OF2(x)\n" + source
    assert load(source, name="add").add(0) == 1 + len("a b") + 1


def test_an_empty_choice_is_none(cache, monkeypatch):
    monkeypatch.setenv("CXX", " ")
    assert compiler().command


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["echo cannot cope >&2; exit 1"], "cannot cope"),
        (["exit 4"], "it ended with code 4"),
        (["kill -9 $$"], "it was ended by signal 9"),
        (["exit 0"], "it writes no file"),
        (['case "$*" in *-dM*) exit 1;; esac', 'exec "$REAL" "$@"'], "does not list its macros"),
        (
            [
                '"$REAL" "$@" || exit 1',
                "for file do :; done",
                'case "$file" in *.so) printf "\\377\\377" |'
                ' dd of="$file" bs=1 seek=18 conv=notrunc 2>/dev/null;; esac',
            ],
            "it compiles for another machine",
        ),
        (['exec "$REAL" -c "$@"'], "no shared library"),
        (['exec "$C" "$@"'], "undefined reference to"),
    ],
)
def test_a_compiler_that_does_not_work_is_passed_over_aloud(cache, script, monkeypatch, lines, why):
    monkeypatch.setenv("CXX", str(script("broken", *lines)))
    with pytest.warns(CellwrightWarning, match=why):
        found = compiler()
    assert "broken" not in found.command[0]
    assert compiler() is found  # and says so once
    assert load(SOURCE, name="add").add(1) == 2


@pytest.mark.parametrize("choice", ["no-such-program -x", "'unbalanced"])
def test_a_choice_that_is_not_there_is_passed_over_aloud(cache, monkeypatch, choice):
    monkeypatch.setenv("CXX", choice)
    with pytest.warns(CellwrightWarning, match="no program 'no-such-program'|No closing quotation"):
        compiler()


def test_a_path_with_spaces_is_to_be_quoted(cache, script, tmp_path, monkeypatch):
    (tmp_path / "with a space").mkdir()
    path = script("with a space/g++", 'exec "$REAL" "$@"')
    monkeypatch.setenv("CXX", f"{path} -DA")
    with pytest.warns(CellwrightWarning, match="no program '.*/with'; quote a path with spaces;"):
        compiler()
    monkeypatch.setenv("CXX", f"'{path}' -DA")
    assert compiler().command == (str(path), "-DA")


def test_the_next_compiler_is_taken_in_silence(cache, script, tmp_path, monkeypatch):
    script("c++", "exit 1")
    works = script("g++", 'exec "$REAL" "$@"')
    path = f"{tmp_path}:/usr/bin:/bin"
    monkeypatch.setenv("PATH", path)
    assert compiler().command == (str(works),)


def test_without_any_compiler_the_error_says_what_to_do(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "ziglang", None)
    monkeypatch.setattr(search.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError) as caught:
        compiler()
    message = str(caught.value)
    for words in ("c++: there is no", "g++: there is no", "clang++: there is no", "ziglang"):
        assert words in message
    assert "apt install g++" in message
    assert "pip install 'cellwright[compiler]'" in message
    assert isinstance(caught.value, CellwrightError)
    assert isinstance(caught.value, RuntimeError)
    with pytest.raises(ToolchainError, match="there is no working"):
        compile_library(SOURCE, name="add")
    assert not cache.exists()


def test_a_compiler_that_appears_later_is_found(cache, script, tmp_path, monkeypatch):
    before = "/usr/bin:/bin"
    monkeypatch.setattr(search.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(ToolchainError):
        compiler()
    script("g++", f"PATH={before}", 'exec "$REAL" "$@"')
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compiler().command == (str(tmp_path / "g++"),)


def test_flags_that_no_compiler_takes_are_named(cache, monkeypatch):
    monkeypatch.setenv("CELLWRIGHT_CXXFLAGS", "-fno-such-thing-at-all=1")
    with pytest.raises(ToolchainError, match="Tried with -fno-such-thing-at-all=1:"):
        compiler()


def test_flags_that_are_no_words_are_a_wrong_setting(cache, monkeypatch):
    monkeypatch.setenv("CELLWRIGHT_CXXFLAGS", "-DA='b")
    with pytest.raises(SettingError, match=r"CELLWRIGHT_CXXFLAGS=.*No closing quotation"):
        compiler()


def test_it_is_remembered_by_the_next_process(cache, counted, monkeypatch, forget):
    path, compiled = counted
    monkeypatch.setenv("CXX", str(path))
    found = compiler()
    runs = compiled.runs()
    assert runs
    assert compiler() is found
    forget()
    assert compiler() == found
    assert compiled.runs() == runs


@pytest.mark.parametrize("change", ["program", "cpu", "choice", "flags"])
def test_a_change_is_noticed(cache, counted, monkeypatch, forget, change):
    path, compiled = counted
    monkeypatch.setenv("CXX", str(path))
    compiler()
    runs = compiled.runs()
    forget()
    if change == "program":
        path.write_text(path.read_text() + "\n# the next version\n")
    elif change == "cpu":
        monkeypatch.setattr(search, "_processor", lambda: "flags : none")
    elif change == "choice":
        monkeypatch.setenv("CXX", f"{path} -DOTHER")
    else:
        monkeypatch.setenv("CELLWRIGHT_CXXFLAGS", "-DOTHER")
    compiler()
    assert compiled.runs() == 2 * runs


def test_a_compiler_behind_another_program_is_watched_too(cache, counted, monkeypatch, forget):
    path, compiled = counted
    monkeypatch.setenv("CXX", f"env {path}")
    compiler()
    runs = compiled.runs()
    path.write_text(path.read_text() + "\n# the next version\n")
    forget()
    compiler()
    assert compiled.runs() == 2 * runs


def test_a_memory_that_is_a_folder_is_made_anew(cache, forget):
    compiler()
    (path,) = remembered(cache)
    path.unlink()
    (path / "something").mkdir(parents=True)
    forget()
    compiler()  # in silence
    assert path.is_file()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"command": 3}', b"null"])
def test_a_memory_that_is_not_one_is_made_anew(cache, forget, content):
    found = compiler()
    (path,) = remembered(cache)
    sound = path.read_bytes()
    path.write_bytes(content)
    forget()
    assert compiler() == found
    assert path.read_bytes() == sound
    assert json.loads(sound)["version"] == found.version


def test_threads_find_the_same(cache, counted, monkeypatch):
    path, compiled = counted
    monkeypatch.setenv("CXX", str(path))
    found = []
    threads = [threading.Thread(target=lambda: found.append(compiler())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert compiled.runs() == 3  # a library, its macros, its version


def test_nothing_of_cells_or_torch_is_needed(process):
    code = "import sys, cellwright.toolchain; print([m for m in sys.modules if 'torch' in m])"
    output, errors = process(code).communicate()
    assert (output.strip(), errors) == (b"[]", b"")


def test_numbers_keep_their_meaning():
    assert not {"-ffast-math", "-Ofast", "-ffinite-math-only", "-funsafe-math-optimizations"} & {
        *BASE_FLAGS
    }
