"""The decoder step by step and as a whole, and the search against one through everything."""

import itertools

import pytest
import torch

import cellwright as cw
from cellwright.errors import SettingError, ShapeError
from cellwright.models.beam import _Beams, _hypothesis, beam_search, greedy_search
from cellwright.models.decoder import Decoder

close = torch.testing.assert_close
BEGIN, END = 1, 2
FORMS = [
    {"attention": "none"},
    {"attention": "general"},
    {"attention": "bahdanau", "feeding": "context"},
    {"attention": "concat", "feeding": "output"},
    {"attention": "none", "feeding": "output"},
]


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


def make(vocabulary=9, **options):
    options = {"cell": "lstm", "layers": [6, 5], "memory_size": 4, "summary_size": 4, **options}
    decoder = Decoder(vocabulary, 7, **options)
    # Plain preferences, so that hypotheses differ in more than the last digits.
    torch.nn.init.normal_(decoder.embedding.weight, std=2.0)
    return decoder.eval()


def given(decoder, rows=3):
    memory = torch.randn(rows, 5, 4)
    lengths = torch.tensor([5, 3, 1, 4])[:rows]
    return decoder.remember(memory, lengths), decoder.start(rows, memory.mean(1))


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_steps_give_what_the_whole_gives(form, cell):
    decoder = make(cell=cell, **form)
    memory, state = given(decoder)
    tokens = torch.randint(3, 9, (3, 4))
    whole = decoder.decode(tokens, state, memory)
    scores = decoder(tokens, state, memory)
    for step in range(4):
        one = decoder.step(tokens[:, step : step + 1], state, memory)
        state = one.state
        close(one.scores[:, 0], scores[:, step])
        if memory is not None:
            close(one.weights[:, 0], whole.attended.weights[:, step])
    close(state.recurrent, whole.state.recurrent)
    assert (state.fed is None) == (whole.state.fed is None)
    if state.fed is not None:
        close(state.fed, whole.state.fed)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_weight_learns_and_no_step_sees_what_comes(form):
    decoder = make(**form).train()
    tokens = torch.randint(3, 9, (3, 4))
    memory, state = given(decoder)
    before = decoder(tokens, state, memory)
    before.square().sum().backward()
    assert all(bool(w.grad.abs().sum() > 0) for w in decoder.parameters())
    later = tokens.clone()
    later[:, 2:] = 8
    close(decoder(later, state, memory)[:, :2], before[:, :2])


def test_the_embedding_of_the_padding_stays_zero():
    decoder = Decoder(9, 7, layers=[6], tied=False, padding=3)
    assert (decoder.embedding.weight == 0).all(1).tolist() == [row == 3 for row in range(9)]
    decoder(torch.tensor([[1, 3]]), decoder.start(1)).square().sum().backward()
    assert not decoder.embedding.weight.grad[3].any()


def test_the_hidden_vector_is_luongs_formula():
    decoder = make(layers=[5])
    memory, state = given(decoder, rows=2)
    tokens = torch.randint(3, 9, (2, 3))
    s, _ = decoder.recurrent(decoder.embedding(tokens) * 7**0.5, state.recurrent)
    c = decoder.attention(s, memory).context
    h = (torch.cat([s, c], -1) @ decoder.combine.weight.T + decoder.combine.bias).tanh()
    close(decoder(tokens, state, memory), h @ decoder.embedding.weight.T + decoder.bias)


@pytest.mark.parametrize("feeding", ["output", "context"])
def test_what_is_fed_is_that_of_the_step_before(feeding):
    decoder = make(layers=[5], cell="gru", feeding=feeding)
    memory, state = given(decoder, rows=2)
    tokens = torch.randint(3, 9, (2, 3))
    h, fed, hidden = state.recurrent[0]["h"], torch.zeros(2, 7), []
    for step in range(3):
        if feeding == "context":
            fed = context = decoder.attention(h, memory).context
        x = torch.cat([decoder.embedding(tokens[:, step]) * 7**0.5, fed], 1)
        h = decoder.recurrent(x[:, None], [{"h": h}])[1][0]["h"]
        if feeding == "output":
            context = decoder.attention(h, memory).context
        fed = decoder.combine(torch.cat([h, context], 1)).tanh()
        hidden.append(fed)
    close(decoder.decode(tokens, state, memory).hidden, torch.stack(hidden, 1))


def test_signals_of_layers_and_attention_are_recorded():
    for form in ({"attention": "dot", "memory_size": 5}, FORMS[2]):
        decoder = make(summary_size=None, layers=[5], **form)
        size = form.get("memory_size", 4)
        memory = decoder.remember(torch.randn(2, 6, size), [6, 2])
        tokens = torch.randint(3, 9, (2, 3))
        tape = cw.record(decoder, tokens, memory=memory)
        assert tape[0]["f"].shape == (2, 3, 5)
        assert tape[1]["weights"].shape == (2, 3, 6)
        close(tape[1]["weights"], decoder.decode(tokens, decoder.start(2), memory).attended.weights)


@torch.no_grad()
def every_sequence(decoder, memory, state, longest, alpha):
    """The best of all sequences that end, of one row, by scoring each of them."""
    best = (-float("inf"), None)
    for length in range(longest):
        for tokens in itertools.product(range(3, decoder.vocabulary), repeat=length):
            row = torch.tensor([[BEGIN, *tokens]])
            logs = decoder(row, state, memory).log_softmax(-1)[0]
            wanted = torch.tensor([*tokens, END])
            total = float(logs.gather(1, wanted[:, None]).sum())
            best = max(best, (total / ((6 + length) / 6) ** alpha, list(tokens)))
    return best


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_a_wide_search_finds_the_best_of_all(form, alpha):
    decoder = make(vocabulary=6, **form)
    memory, state = given(decoder)
    options = {"begin": BEGIN, "end": END, "longest": 4, "forbidden": (0, BEGIN)}
    found = beam_search(decoder, state, memory, width=120, length_penalty=alpha, **options)
    for row, hypothesis in enumerate(found):
        at = torch.tensor([row])
        own = None if memory is None else memory.take(at)
        score, tokens = every_sequence(decoder, own, state.take(at), 4, alpha)
        assert hypothesis.tokens == tokens
        assert hypothesis.score == pytest.approx(score, abs=1e-4)
        assert hypothesis.complete
        if memory is not None:
            going_in = torch.tensor([[BEGIN, *tokens]])
            weights = decoder.decode(going_in, state.take(at), own).attended.weights[0]
            close(hypothesis.weights, weights[:-1])


def greedy(decoder, state, memory, longest):
    token, tokens = BEGIN, []
    while len(tokens) < longest:
        step = decoder.step(torch.tensor([[token]]), state, memory)
        token, state = int(step.scores.argmax()), step.state
        if token == END:
            return tokens, True
        tokens.append(token)
    return tokens, False


def test_width_one_is_greedy():
    ends = []
    for bias in range(7):
        decoder = make(vocabulary=12)
        with torch.no_grad():
            decoder.bias[END] = bias
        memory, state = given(decoder)
        found = beam_search(decoder, state, memory, begin=BEGIN, end=END, longest=12, width=1)
        for row, hypothesis in enumerate(found):
            at = torch.tensor([row])
            wanted = greedy(decoder, state.take(at), memory.take(at), 12)
            assert (hypothesis.tokens, hypothesis.complete) == wanted
            told = list(
                greedy_search(
                    decoder, state.take(at), memory.take(at), begin=BEGIN, end=END, longest=12
                )
            )
            assert [token for token, _ in told] == wanted[0]
            for step, (_, weights) in enumerate(told):
                close(weights, hypothesis.weights[step])
            assert hypothesis.weights.shape == (len(wanted[0]), 5)
            ends.append(wanted[1])
    assert len(set(ends)) == 2  # both kinds were there


def test_a_row_is_found_the_same_alone_and_among_others():
    decoder = make(vocabulary=40, feeding="output")
    memory, state = given(decoder, rows=4)
    options = {"begin": BEGIN, "end": END, "longest": 15, "width": 4}
    together = beam_search(decoder, state, memory, **options)
    for row, expected in enumerate(together):
        at = torch.tensor([row])
        (alone,) = beam_search(decoder, state.take(at), memory.take(at), **options)
        assert alone.tokens == expected.tokens
        assert alone.score == pytest.approx(expected.score, abs=1e-4)


def test_the_weights_are_those_of_the_path_that_was_found():
    ended = 0
    for bias in range(7):
        decoder = make(vocabulary=20)
        with torch.no_grad():
            decoder.bias[END] = bias
        memory, state = given(decoder)
        options = {"begin": BEGIN, "end": END, "longest": 8, "length_penalty": 3.0}
        found = beam_search(decoder, state, memory, width=5, **options)
        for row, hypothesis in enumerate(found):
            at, going_in = torch.tensor([row]), torch.tensor([[BEGIN, *hypothesis.tokens]])
            attended = decoder.decode(going_in, state.take(at), memory.take(at)).attended
            close(hypothesis.weights, attended.weights[0, :-1])
            ended += hypothesis.complete and len(hypothesis.tokens) > 1
    assert ended > 1


def test_tokens_and_weights_of_a_hypothesis_are_those_of_its_own_beam():
    tokens = torch.tensor([[[BEGIN, 4, END], [BEGIN, 5, END]]])
    weights = torch.arange(12.0).view(1, 2, 2, 3)
    beams = _Beams(torch.tensor([0]), torch.zeros(1, 2), tokens, None, None, weights)
    found = _hypothesis(beams, 0, 1, torch.tensor([-2.0]), complete=True)
    assert (found.tokens, found.score) == ([5], -2.0)
    close(found.weights, weights[0, 1, :1])


def test_forbidden_tokens_are_not_said_and_the_limit_holds():
    decoder = make()
    memory, state = given(decoder)
    options = {"begin": BEGIN, "end": END, "longest": 6, "width": 3}
    for hypothesis in beam_search(decoder, state, memory, forbidden=[END, 4, 5], **options):
        assert len(hypothesis.tokens) == 6
        assert not {END, 4, 5} & set(hypothesis.tokens)
        assert not hypothesis.complete


def test_scheduled_sampling_replaces_tokens_by_the_decoders_own():
    decoder = make()
    memory, state = given(decoder)
    tokens = torch.randint(3, 9, (3, 50))
    assert decoder.mixed(tokens, state, memory, 0.0) is tokens
    some = decoder.mixed(tokens, state, memory, 0.3) != tokens
    assert not some[:, 0].any()
    assert 0.05 < float(some.float().mean()) < 0.4
    with torch.no_grad():
        decoder.bias[7] = 1e4  # it says nothing else
    assert bool((decoder.mixed(tokens, state, memory, 0.999)[:, 1:] == 7).float().mean() > 0.95)


def test_refusals():
    with pytest.raises(SettingError, match="no feeding 'contxt'.*Did you mean 'context'"):
        make(feeding="contxt")
    with pytest.raises(SettingError, match="needs attention"):
        make(feeding="context", attention="none")
    with pytest.raises(SettingError, match="cannot read from the end"):
        make(bidirectional=True)
    decoder = make()
    memory, state = given(decoder)
    with pytest.raises(ShapeError, match="needs a memory"):
        decoder(torch.ones(3, 2, dtype=torch.int64), state)
    with pytest.raises(ShapeError, match="needs a summary"):
        decoder.start(3)
    with pytest.raises(ShapeError, match="takes no summary"):
        make(summary_size=None).start(3, torch.zeros(3, 4))
    with pytest.raises(SettingError, match="width=0: must be a number from 1"):
        beam_search(decoder, state, memory, begin=BEGIN, end=END, longest=3, width=0)
