"""What the doctor is told, and clearing the cache."""

from cellwright.toolchain import (
    clear_cache,
    compile_library,
    compiler,
    describe,
    load,
    search,
    survey,
)
from cellwright.toolchain import folder as folder_module

SOURCE = 'extern "C" __attribute__((visibility("default"))) int add(int a) { return a + 1; }\n'


def test_an_empty_cache(cache):
    found = describe()
    assert found.compiler == compiler()
    assert (found.problem, found.folder, found.libraries, found.unwritable) == ("", cache, 0, "")


def test_what_is_kept_is_counted(cache):
    paths = [compile_library(SOURCE, name=name) for name in ("one", "two")]
    (cache / "notes.txt").write_text("mine")
    found = describe()
    assert found.libraries == 2
    assert found.size > sum(path.stat().st_size for path in paths)
    assert found.size < 10**6


def test_what_another_process_deletes_meanwhile_is_not_counted(cache, monkeypatch):
    path = compile_library(SOURCE, name="add")
    is_file = type(path).is_file

    def deleted_when_it_was_seen(self):
        seen = is_file(self)
        if self == path:
            self.unlink(missing_ok=True)
        return seen

    entries = survey._entries
    monkeypatch.setattr(type(path), "is_file", deleted_when_it_was_seen)
    monkeypatch.setattr(survey, "_entries", lambda: {"gone": [cache / "gone.so"]} | entries())
    found = describe()
    assert found.libraries == path.exists()


def test_no_compiler_is_a_finding(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(search.importlib.util, "find_spec", lambda name: None)
    found = describe()
    assert found.compiler is None
    assert "there is no working C++ compiler" in found.problem


def test_a_folder_that_cannot_be_written_to_is_a_finding(cache, monkeypatch, forget, tmp_path):
    compiler()
    (tmp_path / "file").touch()
    monkeypatch.setattr("cellwright.toolchain.survey.cache_folder", lambda: tmp_path / "file")
    found = describe()
    assert "File exists" in found.unwritable
    assert (found.libraries, found.size) == (0, 0)


def test_clearing_deletes_what_is_ours(cache, forget):
    library = load(SOURCE, name="add")
    path = compile_library(SOURCE, name="add")
    (cache / "notes.txt").write_text("mine")
    (cache / f".{path.stem}-abc_12").mkdir()
    (cache / f".{path.stem}-abc_12" / "half").touch()
    (cache / f".{path.name}.sha256.abc_12").touch()
    assert clear_cache() == 1
    assert sorted(path.name for path in cache.iterdir()) == ["locks", "notes.txt"]
    assert library.add(1) == 2
    assert describe().libraries == 0
    assert load(SOURCE, name="add").add(1) == 2
    assert clear_cache() == 1
    assert clear_cache() == 0


def test_clearing_leaves_what_is_being_compiled(cache, process):
    path = compile_library(SOURCE, name="add")
    other = compile_library(SOURCE, name="other")
    with folder_module.locked(cache, path.stem):
        code = "from cellwright.toolchain import clear_cache; print(clear_cache())"
        assert process(code).communicate()[0] == b"1\n"
    assert path.exists()
    assert not other.exists()


def test_clearing_nothing(cache):
    assert clear_cache() == 0
    assert not cache.exists()
