"""Vocabularies: numbers for words, characters, bytes and parts of words."""

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwright.errors import DataError, ModelFileError, SettingError
from cellwright.text import Vocabulary

KINDS = ("words", "tokens", "characters", "bytes", "subwords")
TEXTS = ["The cat sat on the mat.\n", "the dog, the cat!\n\n", "", "naïve café\n"]


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    def test_reads_back_what_it_wrote(self, kind):
        made = Vocabulary.learn(TEXTS, kind=kind)
        again = Vocabulary.read(made.text)
        assert again == made
        assert (again.kind, again.lowercase, len(again)) == (kind, False, len(made))
        assert again.encode(TEXTS[0]) == made.encode(TEXTS[0])
        assert again != Vocabulary.learn(TEXTS, kind=kind, lowercase=True)

    def test_learns_the_same_each_time(self, kind):
        assert Vocabulary.learn(TEXTS, kind=kind).text == Vocabulary.learn(TEXTS, kind=kind).text

    def test_four_numbers_come_first_and_no_text_is_one_of_them(self, kind):
        made = Vocabulary.learn([*TEXTS, "< padding >", "< begin > < end >"], kind=kind)
        special = (made.padding, made.unknown, made.begin, made.end)
        assert special == (0, 1, 2, 3)
        assert made.tokens[:4] == ["< padding >", "\ufffd", "< begin >", "< end >"]
        found = made.encode("< padding >< begin >\ufffd< end > " + "".join(made.tokens[:4]))
        assert not {made.padding, made.begin, made.end} & set(found)
        assert {made.number(token) for token in made.tokens[:4]} == {made.unknown}

    def test_an_empty_text_has_no_numbers(self, kind):
        made = Vocabulary.learn(TEXTS, kind=kind)
        assert made.encode("") == []
        assert made.decode([]) == ""
        assert made.encode_all(["", "the"]) == [[], made.encode("the")]

    def test_normal_form_is_composed(self, kind):
        made = Vocabulary.learn(["cafe\u0301"], kind=kind)
        assert made.encode("caf\u00e9") == made.encode("cafe\u0301")
        assert made.unknown not in made.encode("caf\u00e9")
        assert made.decode(made.encode("cafe\u0301")) == "caf\u00e9"

    def test_lowercase(self, kind):
        made = Vocabulary.learn(["The CAT"], kind=kind, lowercase=True)
        assert made.encode("the cat") == made.encode("THE Cat")
        assert made.decode(made.encode("THE Cat")) == "the cat"

    def test_padding_begin_and_end_are_not_shown(self, kind):
        made = Vocabulary.learn(TEXTS, kind=kind)
        inside = made.encode("the cat")
        assert made.decode([2, *inside, 3, 0, 0]) == "the cat"
        with pytest.raises(DataError, match=rf"number {len(made)} at 1 is not in a vocabulary"):
            made.decode([4, len(made)])

    def test_bad_texts(self, kind):
        with pytest.raises(DataError, match=r"texts\[1\]: character 2 is half of a surrogate"):
            Vocabulary.learn(["good", "ba\ud800d"], kind=kind)
        with pytest.raises(DataError, match=r"texts\[0\]: expected text, got int"):
            Vocabulary.learn([3], kind=kind)
        with pytest.raises(DataError, match="put it into a list"):
            Vocabulary.learn("one text", kind=kind)
        for nothing in ([], [""], ["", ""]):
            with pytest.raises(DataError, match=f"there are no {kind} to learn in"):
                Vocabulary.learn(nothing, kind=kind)

    def test_size_is_never_exceeded(self, kind):
        size = 262 if kind in ("bytes", "subwords") else 6
        made = Vocabulary.learn(TEXTS * 3, kind=kind, size=size)
        assert len(made) == (260 if kind == "bytes" else size)


@pytest.mark.parametrize("kind", ["characters", "bytes", "subwords"])
@settings(max_examples=40)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_what_is_encoded_can_be_decoded(kind, text):
    import unicodedata

    made = Vocabulary.learn([text], kind=kind)
    assert made.decode(made.encode(text)) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("kind", ["bytes", "subwords"])
def test_bytes_and_subwords_know_every_text(kind):
    made = Vocabulary.learn(["abc"], kind=kind)
    strange = "\x00 日本語 🙂 \ufffd\r\n"
    assert made.unknown not in made.encode(strange)
    assert made.decode(made.encode(strange)) == strange


def test_words_are_split_at_punctuation_and_joined_without_extra_space():
    made = Vocabulary.learn(["Stop, he said. Now!"], kind="words")
    assert made.split("Stop, he said.Now!") == ["Stop", ",", "he", "said", ".", "Now", "!"]
    assert made.decode(made.encode("Stop, he said. Now!")) == "Stop, he said. Now!"
    assert made.decode(made.encode("he stopped.")) == "he \ufffd."


def test_an_accent_of_its_own_is_split_with_its_letter():
    for kind in ("words", "tokens"):
        made = Vocabulary.learn(["a caf\u00e9 here"], kind=kind)
        assert made.split("a cafe\u0301 here") == ["a", "caf\u00e9", "here"]


def test_tokens_are_split_at_white_space_alone():
    made = Vocabulary.learn(["a <unk> don't ."], kind="tokens")
    assert made.split("a <unk> don't .") == ["a", "<unk>", "don't", "."]
    assert made.decode(made.encode("a <unk> don't .")) == "a <unk> don't ."
    assert made.number("don't") == made.encode("don't")[0]
    assert made.number("do") == made.unknown


def test_the_most_frequent_come_first_and_rare_ones_are_left_out():
    made = Vocabulary.learn(["b b b a a c"], kind="words", least=2)
    assert made.tokens[4:] == ["b", "a"]
    assert made.encode("a b c") == [5, 4, 1]
    with pytest.raises(DataError, match="no words seen 9 times or more"):
        Vocabulary.learn(["a b c"], least=9)


def test_subwords_are_frequent_parts_of_words():
    made = Vocabulary.learn(["lower lowest newer newest"] * 9, kind="subwords", size=280)
    assert len(made) <= 280
    assert "est" in "".join(made.tokens[260:])
    assert len(made.encode("lower lowest")) < len("lower lowest")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "word"}, "Did you mean 'words'"),
        ({"size": 4}, "at least 5 tokens"),
        ({"kind": "subwords", "size": 259}, "at least 260 tokens"),
        ({"size": True}, "size=True"),
        ({"least": 0}, "least=0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(SettingError, match=message):
        Vocabulary.learn(["a"], **options)


class TestStored:
    def stored(self):
        return json.loads(Vocabulary.learn(TEXTS, kind="words").text)

    def test_no_json(self):
        for text in ("", "{", "[]", "{}", "null"):
            with pytest.raises(ModelFileError, match="this is no vocabulary"):
                Vocabulary.read(text)

    def test_a_foreign_splitting(self):
        stored = self.stored()
        pattern = {"Regex": "(x+x+)+y"}
        stored["pre_tokenizer"] = {
            "type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False
        }  # fmt: skip
        with pytest.raises(ModelFileError, match="none of ours"):
            Vocabulary.read(json.dumps(stored))

    def test_a_gap_between_numbers(self):
        stored = self.stored()
        stored["model"]["vocab"]["cat"] = 99
        with pytest.raises(ModelFileError, match="gaps"):
            Vocabulary.read(json.dumps(stored))

    def test_other_special_tokens(self):
        stored = self.stored()
        vocabulary = stored["model"]["vocab"]
        vocabulary["the"], vocabulary["< end >"] = 3, vocabulary["the"]
        stored["added_tokens"] = []
        with pytest.raises(ModelFileError, match="begin otherwise"):
            Vocabulary.read(json.dumps(stored))


def test_the_library_is_loaded_at_first_use_only():
    program = "import cellwright, cellwright.text, sys; print('tokenizers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_tokens_that_start_with_number_signs_keep_their_blanks():
    text = "see ##2 and # 3 ##"
    made = Vocabulary.learn([text], kind="tokens")
    assert made.decode(made.encode(text)) == text
    assert Vocabulary.read(made.text).decode(made.encode(text)) == text
