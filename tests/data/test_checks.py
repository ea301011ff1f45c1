"""What readers and generators ask of their own options."""

import numpy as np
import pytest

from cellwright.data.checks import check_choice, check_count, check_fraction, refuse_given
from cellwright.data.sines import two_tone_sines
from cellwright.errors import DataError, SettingError


@pytest.mark.parametrize("value", [0, 1, -0.5, 1.5, float("nan")])
def test_a_fraction_lies_between_nothing_and_all(value):
    with pytest.raises(DataError, match="test_fraction=.*: must lie between 0 and 1"):
        check_fraction(value)
    check_fraction(0.5)


@pytest.mark.parametrize("value", [0, -1, 2.5, 2.0, True, "2", None])
def test_a_count_is_a_whole_number_from_one(value):
    with pytest.raises(SettingError, match="samples=.*: must be a whole number from 1"):
        check_count(value, "samples")
    with pytest.raises(SettingError, match="samples="):
        two_tone_sines(value)
    check_count(np.int64(3), "samples")


def test_a_name_that_is_nearly_known_is_told():
    check_choice("last", "split", ("random", "last"))
    with pytest.raises(SettingError, match=r"split='lst': known are random, last\. Did you mean"):
        check_choice("lst", "split", ("random", "last"))


def test_what_means_nothing_may_keep_its_default():
    refuse_given("x.csv", {"stride": (1, 1, False), "window": (5, 1, True)})
    with pytest.raises(DataError, match="x.csv: stride=2 means nothing to these data"):
        refuse_given("x.csv", {"window": (5, 1, True), "stride": (2, 1, False)})
