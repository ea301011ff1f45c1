"""The network that reads words and their letters."""

import pytest
import torch

from cellwright.data.words import WordIndex, WordSequences
from cellwright.errors import SettingError
from cellwright.models.tagger import UNKNOWN, TaggerNetwork

SENTENCES = [["a", "bc", "a"], ["bc"], ["cab", "a", "xyz", "bc", "bc"]]


def network(**options):
    torch.manual_seed(0)
    chosen = {"cell": "gru", "layers": [5], "embedding": 4, "spelling": 3, "character_embedding": 2}
    return TaggerNetwork(9, 9, 2, **{**chosen, **options}).double().eval()


def batch_of(sentences):
    given = WordSequences.of(sentences)
    index = WordIndex.learn(WordSequences.of([["a", "bc", "cab", "dd"]]))
    numbered = index.number(given)
    batch = numbered.batch(torch.arange(len(sentences)).numpy())
    return batch.words, batch.lengths, batch.letters, batch.letter_counts, batch.spelled


@pytest.mark.parametrize("options", [{}, {"spelling": None}, {"bidirectional": True}, {"delay": 2}])
def test_a_sentence_is_read_the_same_alone_and_in_a_batch(options):
    net = network(**options)
    together = net(*batch_of(SENTENCES))
    assert together.shape == (3, 5, 2)
    for row, sentence in enumerate(SENTENCES):
        alone = net(*batch_of([sentence]))[0]
        assert torch.allclose(together[row, : len(sentence)], alone, atol=1e-12)


def test_letters_are_read_from_both_ends():
    net = network(embedding=1)
    with torch.no_grad():
        net.embedding.weight.zero_()  # so that only the letters are left
    scores = {word: net(*batch_of([[word]]))[0, 0] for word in ("abc", "xbc", "abx", "ab")}
    for word in ("xbc", "abx", "ab"):
        assert (scores["abc"] - scores[word]).abs().max() > 1e-4
    without = network(embedding=1, spelling=None)
    assert torch.equal(without(*batch_of([["abc"]])), without(*batch_of([["xbc"]])))


def test_each_distinct_word_is_spelled_once():
    words, _, letters, counts, spelled = batch_of(SENTENCES)
    assert len(letters) == len(counts) == 4
    assert counts[spelled[2]].tolist() == [3, 1, 3, 2, 2]
    assert words[2].tolist()[2] == UNKNOWN


def test_dropped_words_are_read_as_unknown():
    net = network(spelling=None, word_dropout=0.5).train()
    given = batch_of([["a"] * 400])
    net.recurrent = torch.nn.Identity()  # the embedding is all that is looked at
    seen = []
    net.embedding.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with pytest.raises(TypeError):
        net(*given)
    known = given[0][0, 0].item()
    share = (seen[0] == UNKNOWN).double().mean()
    assert set(seen[0].flatten().tolist()) == {known, UNKNOWN}
    assert 0.4 < share < 0.6


def test_a_delay_and_reading_from_the_end_do_not_go_together():
    with pytest.raises(SettingError, match="not both"):
        network(delay=1, bidirectional=True)
