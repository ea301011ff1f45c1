"""CoNLL-U: what is read, and what is refused by line and column."""

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwright.data.conllu import read_conllu
from cellwright.errors import DataError

ROOT = os.environ.get("CELLWRIGHT_SHARED_DATA")
BESIDE = Path(__file__).parents[2] / "../shared/data"
EWT = (Path(ROOT) if ROOT else BESIDE) / "ud-english-ewt"

GOOD = """# sent_id = s1
# text = I don't.
1\tI\tI\tPRON\tPRP\t_\t2\tnsubj\t_\t_
2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdo\tdo\tAUX\tVBP\t_\t0\troot\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_
3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_
4\t.\t.\tPUNCT\t.\t_\t2\tpunct\t_\t_

1\tYes\tyes\tINTJ\tUH\t_\t0\troot\t_\t_

"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="some.conllu"):
        raw = text.encode() if isinstance(text, str) else text
        path = tmp_path / name
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return write


@pytest.mark.parametrize("name", ["some.conllu", "some.conllu.gz"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_words_are_those_of_the_analysis(write, name, ends):
    first, second = read_conllu(write(GOOD.replace("\n", ends), name))
    assert first.words == ["I", "do", "n't", "."]
    assert first.labels == ["PRON", "AUX", "PART", "PUNCT"]
    assert (second.words, second.labels) == (["Yes"], ["INTJ"])
    assert (first.name, second.name) == ("s1", "line 10")


def test_any_column_can_be_the_label(write):
    first, _ = read_conllu(write(GOOD), "xpos")
    assert first.labels == ["PRP", "VBP", "RB", "."]
    with pytest.raises(DataError, match=r"no column 'ups'.* Did you mean 'upos'"):
        read_conllu(write(GOOD), "ups")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("I\tI\tPRON", "I\tPRON", r"line 3: expected 10 columns separated by tabs, got 9"),
        ("I\tI\tPRON", "I\tI\t\tPRON", r"line 3: expected 10 columns separated by tabs, got 11"),
        ("I\tI\tPRON", "I\tI\t", r"line 3, column 'upos': is empty"),
        ("1\tI\tI", "1\t \tI", r"line 3, column 'form': is empty"),
        ("2\tdo", "3\tdo", r"line 5, column 'id': expected 2, got '3'"),
        ("2\tdo", "two\tdo", r"line 5, column 'id': expected 2, got 'two'"),
        ("\n\n1\tYes", "\n1\tYes", r"line 9, column 'id': expected 5, got '1'"),
        ("_\t_\n\n1\t", "_\t_\n \n# only = a comment\n\n2\t", r"line 12, column 'id'"),
    ],
)
def test_what_breaks_the_format_is_refused_by_line_and_column(write, old, new, said):
    assert old in GOOD
    with pytest.raises(DataError, match=rf"some.conllu, {said}"):
        read_conllu(write(GOOD.replace(old, new, 1)))


def test_a_sentence_of_empty_nodes_alone_is_refused(write):
    with pytest.raises(DataError, match="line 2: the sentence before it has no words"):
        read_conllu(write("0.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_\n\n"))


def test_a_file_that_was_cut_is_refused(write):
    whole = GOOD.encode()
    with pytest.raises(DataError, match="line 10: the file ends within a sentence"):
        read_conllu(write(whole[:-1]))
    path = write(whole, "cut.conllu.gz")
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DataError, match=r"cut.conllu.gz: cannot be read"):
        read_conllu(path)


@pytest.mark.parametrize("text", ["", "\n\n", "# a comment\n\n"])
def test_a_file_without_sentences_is_refused(write, text):
    with pytest.raises(DataError, match="holds no sentence"):
        read_conllu(write(text))


def test_another_encoding_is_refused_by_line(write):
    with pytest.raises(DataError, match="line 10, byte 4: not UTF-8"):
        read_conllu(write(GOOD.replace("Yes", "Jà").encode("latin-1")))


@given(st.binary(max_size=60), st.integers(0, len(GOOD)))
@settings(max_examples=60)
def test_damage_is_refused_in_words_or_read(tmp_path_factory, damage, at):
    path = tmp_path_factory.mktemp("conllu") / "some.conllu"
    path.write_bytes(GOOD.encode()[:at] + damage + GOOD.encode()[at:])
    said = ""
    try:
        for sentence in read_conllu(path):
            assert len(sentence.words) == len(sentence.labels) > 0
    except DataError as error:
        said = str(error)
    assert not said or str(path) in said


@pytest.mark.skipif(not EWT.is_dir(), reason="the treebank does not lie beside the project")
def test_the_english_web_treebank_has_the_sizes_that_it_says():
    sentences = read_conllu(EWT / "en_ewt-ud-test.conllu.gz")
    assert len(sentences) == 2077
    assert sum(len(s.words) for s in sentences) == 25094
    assert len({label for s in sentences for label in s.labels}) == 17
