"""Settings: what a variable means, and whom a folder belongs to."""

import pytest

from cellwright.errors import SettingError
from cellwright.settings import settings

FOLDERS = ("CACHE_DIR", "DATA_DIR")


@pytest.fixture
def no_home(monkeypatch, fresh_settings):
    """A user whom the system has never heard of."""
    import pwd

    def unknown(user):
        raise KeyError(user)

    for name in ("HOME", "XDG_CACHE_HOME", *(f"CELLWRIGHT_{folder}" for folder in FOLDERS)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.parametrize("given", FOLDERS)
def test_without_a_home_the_folder_that_is_given_serves(no_home, monkeypatch, tmp_path, given):
    monkeypatch.setenv(f"CELLWRIGHT_{given}", str(tmp_path))
    folders = {"CACHE_DIR": "cache_folder", "DATA_DIR": "data_folder"}
    assert getattr(settings(), folders.pop(given)) == tmp_path
    ((name, folder),) = folders.items()
    with pytest.raises(SettingError, match=f"no home directory; set CELLWRIGHT_{name} "):
        getattr(settings(), folder)


@pytest.mark.parametrize("name", FOLDERS)
def test_the_folder_of_a_user_who_is_not_there_is_a_wrong_setting(
    monkeypatch, fresh_settings, name
):
    monkeypatch.setenv(f"CELLWRIGHT_{name}", "~no-such-user/x")
    with pytest.raises(SettingError, match=f"CELLWRIGHT_{name}=.*home directory"):
        settings()


def test_a_wave_stands_for_the_home(monkeypatch, fresh_settings, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CELLWRIGHT_CACHE_DIR", "~/kernels")
    assert settings().cache_folder == tmp_path / "kernels"


def test_a_relative_folder_stays_where_it_is(monkeypatch, fresh_settings, tmp_path):
    monkeypatch.setenv("CELLWRIGHT_CACHE_DIR", "here")
    monkeypatch.chdir(tmp_path)
    found = settings().cache_folder
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert settings().cache_folder == found == tmp_path / "here"


@pytest.mark.parametrize("name", ["BACKEND", "CXXFLAGS", "DEBUG", *FOLDERS])
def test_an_empty_variable_is_none(monkeypatch, fresh_settings, name):
    monkeypatch.delenv(f"CELLWRIGHT_{name}", raising=False)
    usual = settings().model_dump()
    monkeypatch.setenv(f"CELLWRIGHT_{name}", "")
    settings.cache_clear()
    assert settings().model_dump() == usual
