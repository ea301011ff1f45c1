"""Which of the known labels each label is."""

import numpy as np
import pytest

from cellwright.data.labels import as_labels, label_numbers
from cellwright.errors import DataError


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        (["b", "a", "b"], ["a", "b"], [1, 0, 1]),
        ([10, 9], ["10", "9", "x"], [0, 1]),
        (["10", "9"], [9, 10], [1, 0]),
        ([True, False], [False, True], [1, 0]),
        ([], [1, 2], []),
    ],
)
def test_a_label_is_found_whether_it_is_a_number_or_a_text(labels, classes, numbers):
    given = as_labels(np.array(labels, dtype=None if labels else int))
    assert label_numbers(given, as_labels(classes)).tolist() == numbers


def test_a_label_that_is_unknown_is_named_unless_it_was_not_asked_for():
    labels, classes = np.array([3, 99, 4]), np.arange(12)
    with pytest.raises(DataError, match=r"^y\[1\] is 99, .* known: 0, 1, 2, .*, 9, …$"):
        label_numbers(labels, classes)
    with pytest.raises(DataError, match=r"^step 1 of y is 99, "):
        label_numbers(labels, classes, place="step {} of y".format)
    found = label_numbers(labels, classes, asked=np.array([True, False, True]))
    assert found[[0, 2]].tolist() == [3, 4]
