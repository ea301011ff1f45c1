"""The folder of one process, where compiled code goes that cannot be kept."""

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
