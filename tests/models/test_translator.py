"""The network of the translator: its parts are those that are written out here."""

import pytest
import torch

from cellwright.models.beam import beam_search
from cellwright.models.translator import TranslatorNetwork

close = torch.testing.assert_close
SOURCE = torch.tensor([[5, 6, 7, 8], [9, 4, 0, 0]])
LENGTHS = torch.tensor([4, 2])
TOKENS = torch.tensor([[1, 4, 5], [1, 6, 0]])


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


def make(**options):
    options = {"embedding": 6, "cell": "gru", "layers": [8], **options}
    return TranslatorNetwork(10, 9, **options).eval()


def test_sizes():
    network = make(layers=[8, 5])
    assert network.encoder.hidden_sizes == (4, 3)
    assert network.encoder.output_size == 6
    assert make(bidirectional=False).encoder.output_size == 8
    assert make(encoder_layers=[3]).encoder.output_size == 6
    assert network(SOURCE, LENGTHS, TOKENS).shape == (2, 3, 9)


def test_the_decoder_starts_from_the_last_of_both_directions():
    network = make()
    output, _ = network.encoder(network.embedding(SOURCE), lengths=LENGTHS)
    ends = torch.stack([output[0, 3, :4], output[1, 1, :4]])
    last = torch.cat([ends, output[:, 0, 4:]], 1)
    wanted = network.decoder.bridge["0_h"](last).tanh()
    close(network.encode(SOURCE, LENGTHS).state.recurrent[0]["h"], wanted)


@pytest.mark.parametrize("attention", ["general", "dot", "concat", "bahdanau", "none"])
@pytest.mark.parametrize("feeding", ["none", "output"])
def test_padding_changes_nothing(attention, feeding):
    network = make(attention=attention, feeding=feeding)
    whole = network(SOURCE, LENGTHS, TOKENS)
    alone = network(SOURCE[1:, :2], LENGTHS[1:], TOKENS[1:])
    close(alone[0], whole[1])
    changed = SOURCE.clone()
    changed[1, 2:] = 9
    close(network(changed, LENGTHS, TOKENS), whole)


def test_only_what_counts_is_read_out():
    network = make(tied=False)
    counted = torch.tensor([[True, True, True], [True, True, False]])
    close(network(SOURCE, LENGTHS, TOKENS, counted), network(SOURCE, LENGTHS, TOKENS)[counted])


def test_scheduled_sampling_reads_other_tokens():
    network = make()
    right = network(SOURCE, LENGTHS, TOKENS)
    own = network(SOURCE, LENGTHS, TOKENS, scheduled_sampling=0.999)
    close(own[:, 0], right[:, 0])
    assert not torch.allclose(own[:, 1], right[:, 1])


@pytest.mark.parametrize("feeding", ["none", "output", "context"])
def test_it_learns_to_turn_a_sequence_round(feeding):
    network = make(layers=[16], embedding=12, feeding=feeding).train()
    draw = torch.Generator().manual_seed(0)
    source = torch.randint(4, 9, (60, 3), generator=draw)
    lengths = torch.full((60,), 3)
    turned = source.flip(1)
    tokens = torch.cat([torch.ones(60, 1, dtype=torch.int64), turned], 1)
    wanted = torch.cat([turned, torch.full((60, 1), 2)], 1)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    for _ in range(40):
        scores = network(source, lengths, tokens)
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), wanted.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    memory, state = network.encode(source, lengths)
    found = beam_search(network.decoder, state, memory, begin=1, end=2, longest=6, width=3)
    right = sum(f.tokens == t for f, t in zip(found, turned.tolist(), strict=True))
    assert right > 54
