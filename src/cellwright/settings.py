"""Every setting and environment variable of cellwright, validated, in one place."""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path

from platformdirs import user_cache_path
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cellwright.errors import SettingError, in_words

__all__ = ["Settings", "settings"]


class Settings(BaseSettings):
    """Settings, each read from the environment variable ``CELLWRIGHT_{NAME}``."""

    # An empty variable is how many a script takes one back.
    model_config = SettingsConfigDict(
        env_prefix="CELLWRIGHT_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    debug: int = Field(
        default=0,
        ge=0,
        le=4,
        description="1 tells which backend runs a cell and by what plan, 2 its equations and their "
        "gradient too, 3 how it is compiled, 4 how long each call takes",
    )
    backend: str = Field(default="auto", description="what backend='auto' means")
    data_dir: Path | None = Field(
        default=None, description="where downloaded data sets are kept; see `data_folder`"
    )
    cache_dir: Path | None = Field(
        default=None, description="where compiled kernels are kept; see `cache_folder`"
    )
    cxxflags: str = Field(
        default="", description="further flags for the C++ compiler, as in a shell's command"
    )

    @field_validator("cxxflags")
    @classmethod
    def _splits_into_words(cls, text: str) -> str:
        shlex.split(text)
        return text

    @field_validator("data_dir", "cache_dir")
    @classmethod
    def _begins_at_the_root(cls, folder: Path | None) -> Path | None:
        if folder is None:
            return None
        try:
            return folder.expanduser().absolute()
        # No such user; the current folder is gone.
        except (RuntimeError, OSError) as error:
            raise ValueError(str(error)) from error

    @property
    def data_folder(self) -> Path:
        """Where downloaded data sets are kept: the user's cache unless ``data_dir`` says otherwise.

        Raises
        ------
        SettingError
            There is no home directory, and the variable is not set.
        """
        return self.data_dir or _user_cache("DATA_DIR") / "data"

    @property
    def cache_folder(self) -> Path:
        """Where compiled kernels are kept: the user's cache unless ``cache_dir`` says otherwise.

        Raises
        ------
        SettingError
            There is no home directory, and the variable is not set.
        """
        return self.cache_dir or _user_cache("CACHE_DIR") / "kernels"


def _user_cache(instead: str) -> Path:
    # Asked only when it is needed: a user in a container may have neither name nor home.
    try:
        return user_cache_path("cellwright").expanduser().absolute()
    except (RuntimeError, OSError) as error:
        raise SettingError(
            f"there is no home directory; set CELLWRIGHT_{instead} to a folder"
        ) from error


@cache
def settings() -> Settings:
    """The settings of this process, read once, at first use.

    Raises
    ------
    SettingError
        An environment variable has a value that is not allowed; the message names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "CELLWRIGHT_" + str(first["loc"][0]).upper()
        raise SettingError(f"{name}={first['input']!r}: {in_words(first)}") from error
