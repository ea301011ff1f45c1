"""The embedded Reber grammar: its strings, checked against a regular expression and rewriting."""

import re
from collections import defaultdict

import numpy as np
import pytest
from task_sequences import letters, sequences

from cellwright.data import tasks

# The grammar as a regular expression, and the tails of its strings behind each of its places.
TAIL_4 = "(XT*VP)*(S|XT*VV)"
REBER = f"B(TS*X{TAIL_4}|PT*V(V|P{TAIL_4}))E"
EMBEDDED = re.compile(f"B(T{REBER}T|P{REBER}P)E")


def strings_up_to(longest):
    """All strings of the embedded grammar of at most that many symbols, by rewriting."""
    rules = {
        "1": ["T2", "P3"],
        "2": ["S2", "X4"],
        "3": ["T3", "V5"],
        "4": ["X3", "S"],
        "5": ["P4", "V"],
    }
    open_strings, done = ["1"], []
    while open_strings:
        string = open_strings.pop()
        if string[-1] not in rules:
            done += [f"B{frame}B{string}E{frame}E" for frame in "TP"]
        elif len(string) + 6 <= longest:
            open_strings += [string[:-1] + rest for rest in rules[string[-1]]]
    return [string for string in done if len(string) <= longest]


def reber_strings(data):
    for x, targets, counted in zip(sequences(data), data.targets, data.counted, strict=True):
        yield letters(x, "BTPSXVE"), "".join("BTPSXVE"[t] for t in targets[counted])


def test_embedded_reber_strings_are_of_the_grammar():
    data = tasks.embedded_reber().draw(2000, 0)
    found = set()
    for text, targets in reber_strings(data):
        assert text[1:] == targets[:-1]  # each answer is the symbol that the next step shows
        assert EMBEDDED.fullmatch(text + targets[-1])
        found.add(text + targets[-1])
    assert min(map(len, found)) == 9
    assert set(strings_up_to(11)) <= found


def test_how_far_back_the_frame_of_embedded_reber_was_opened():
    data = tasks.embedded_reber().draw(999, 0)
    strings = [text + targets[-1] for text, targets in reber_strings(data)]
    lags = {(len(string) - 2) - 1 for string in strings}  # from the second to the last but one
    assert all(string[1] == string[-2] for string in strings)
    words = " ".join(tasks.embedded_reber.__doc__.split())
    number = {5: "five", 6: "six", 7: "seven"}[min(lags)]
    assert f"{number} steps before it or more" in words


def test_what_may_come_next_in_embedded_reber():
    following = defaultdict(set)
    for string in strings_up_to(24):
        assert EMBEDDED.fullmatch(string)
        for at in range(len(string)):
            following[string[:at]].add(string[at])
    data = tasks.embedded_reber().draw(500, 0)
    compared = 0
    for (text, _), possible in zip(reber_strings(data), data.possible, strict=True):
        for at in range(1, min(len(text), 16) + 1):
            allowed = {"BTPSXVE"[symbol] for symbol in np.flatnonzero(possible[at - 1])}
            assert allowed == following[text[:at]], text[:at]
            compared += 1
    assert compared > 4000


def test_choices_of_the_grammar_are_equally_likely():
    counts = defaultdict(lambda: [0, 0])
    for text, targets in reber_strings(tasks.embedded_reber().draw(5000, 0)):
        string = text + targets[-1]
        counts["frame"][string[1] == "T"] += 1
        counts["first"][string[3] == "T"] += 1
        for at in re.finditer("(?<=BT)[SX]", string[2:]):
            counts["loop"][at.group() == "S"] += 1
    for other, one in counts.values():
        assert one / (one + other) == pytest.approx(0.5, abs=0.03)


def test_what_is_drawn_with_several_numbers_stays_what_it_was():
    # The results that are written down were learned from these.
    data = tasks.embedded_reber().draw(3, (1, 0, 0))
    assert [targets for _, targets in reber_strings(data)] == [
        "PBTSSSXSEPE",
        "TBPVVETE",
        "TBTSXSETE",
    ]
