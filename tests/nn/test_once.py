"""What is computed once a call."""

from threading import Thread

import torch

from cellwright.nn.once import Once, computed_once


def test_it_is_computed_once_while_entered_and_every_time_outside():
    module, counted = torch.nn.Linear(2, 2), iter(range(99))

    def found(name="w", of=module):
        return computed_once(of, name, lambda: next(counted))

    assert [found(), found()] == [0, 1]
    with Once() as once:
        assert [found(), found(), found("u"), found(of=torch.nn.Linear(2, 2))] == [2, 2, 3, 4]
        with Once():  # a call within a call
            assert [found(), found()] == [5, 5]
        assert found() == 2
    assert len(once.values) == 3
    assert found() == 6


def test_it_is_known_to_its_own_thread_alone():
    module, found = torch.nn.Linear(2, 2), []

    def use():
        found.append(computed_once(module, "w", lambda: "theirs"))

    with Once():
        assert computed_once(module, "w", lambda: "ours") == "ours"
        thread = Thread(target=use)
        thread.start()
        thread.join()
        assert computed_once(module, "w", lambda: "new") == "ours"
    assert found == ["theirs"]
