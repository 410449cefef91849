"""Any UTF-8 text round-trips, and words are the same everywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestling.models.dialogue import SPECIAL_TOKENS, Dialogue, Note, Restatement
from nestling.training.recipe import told_facts_texts
from nestling.training.tokenizer import train_tokenizer

TOKENIZER = train_tokenizer(told_facts_texts(0, turns=400), 600)
DIALOGUE = Dialogue(TOKENIZER)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_round_trips(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text).ids) == text


@given(st.sampled_from(SPECIAL_TOKENS))
def test_a_speaker_cannot_write_special_tokens(mark):
    ids = DIALOGUE.words(f"hello {mark} there")
    assert not set(ids) & set(DIALOGUE.ids.values())
    assert DIALOGUE.text(ids) == f"hello {mark} there"


@pytest.mark.parametrize("value", ["Pixel", "X7-QK42", "4471", "Zorvik Mapelune", "O'Hara"])
def test_a_value_has_the_same_ids_in_a_turn_and_in_a_note(value):
    turn = DIALOGUE.turn(f"My dog is called {value}.")
    words = DIALOGUE.words(value)
    assert any(turn[i : i + len(words)] == words for i in range(len(turn)))
    turn = DIALOGUE.turn(f"{value} is my dog.")
    assert turn[1 : 1 + len(words)] == words


def test_a_restatement_is_parsed_as_it_was_written():
    for restated in (
        Restatement((Note("my dog", "Pixel"), Note("Ana's city", "New York"))),
        Restatement(asked="my dog"),
        Restatement(),
    ):
        assert DIALOGUE.parse(DIALOGUE.restatement(restated)) == restated


@given(st.lists(st.sampled_from(sorted(DIALOGUE.ids.values()) + DIALOGUE.words("my dog Pixel"))))
def test_whatever_a_model_writes_can_be_parsed(ids):
    restated = DIALOGUE.parse(ids)
    assert all(note.key and note.value for note in restated.notes)


def test_too_small_a_vocabulary_is_refused():
    with pytest.raises(ValueError, match="too small"):
        train_tokenizer(["a"], 200)


def test_a_tokenizer_without_the_marks_is_refused():
    with pytest.raises(ValueError, match="has no"):
        Dialogue(train_tokenizer(["a b c"], 300, special_tokens=["<|pad|>"]))
