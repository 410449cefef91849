import re
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nestling.models import restate as restating
from nestling.models.dialogue import BROKEN, Note, Restatement, typed
from nestling.models.grammar import Line
from nestling.models.hope import Hope, Reading
from nestling.models.reading import read_sentences, readable
from nestling.models.restate import _passages, learn_notes, recall, restate
from nestling.models.sentences import sentences

TURNS = {
    "My dog is called Pixel.": Restatement((Note("my dog", "Pixel"),)),
    "I live in Porto and my cat is Mia.": Restatement(
        (Note("my city", "Porto"), Note("my cat", "Mia"))
    ),
    "What's my dog called?": Restatement(asked="my dog"),
    "Lovely weather today.": Restatement(),
}
NOTES_OF_ALL = (Note("my dog", "Pixel"), Note("my city", "Porto"), Note("my cat", "Mia"))
NOTES = (Note("my dog", "Pixel"), Note("my city", "Porto"), Note("my cat", "Mia the second"))


class Babbler(Hope):
    """Would write anything at all, marks above all."""

    def __init__(self, like: Hope, ids: dict[str, int]) -> None:
        super().__init__(like.settings)
        self.marks = list(ids.values())

    def forward(self, *arguments, **options) -> Reading:
        reading = super().forward(*arguments, **options)
        logits = torch.randn_like(reading.logits)
        logits[..., self.marks] += 5
        return Reading(logits, reading.state)


@pytest.fixture
def babbler(tiny_bundle, monkeypatch):
    """What it babbles is taken as it comes: the likeliest that a search finds is to say nothing."""
    monkeypatch.setattr(restating, "DOUBTFUL", 1e-30)
    return Babbler(tiny_bundle.model, tiny_bundle.dialogue.ids)


@pytest.fixture
def memory(tiny_bundle):
    model = tiny_bundle.model
    return learn_notes(model, tiny_bundle.dialogue, NOTES, model.new_state(1))[0]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "Zs"))), min_size=1),
    st.sampled_from([None, False]),
    st.integers(0, 99),
)
def test_a_note_holds_only_words_that_were_said(babbler, tiny_bundle, texts, asking, seed):
    torch.manual_seed(seed)
    restated = restate(babbler, tiny_bundle.dialogue, texts, asking=asking, max_new_tokens=20)
    for text, restatement in zip(texts, restated, strict=True):
        read = [readable(text), *read_sentences(text)]
        for note in restatement.notes:
            assert any(note.value in words for words in read)


def test_a_name_in_a_key_is_a_name_that_was_said(babbler, tiny_bundle):
    torch.manual_seed(1)
    dialogue, text = tiny_bundle.dialogue, "Zorvik met Ana at the station."
    mine, possessive = dialogue.text([dialogue.mine]), dialogue.text([dialogue.possessive])
    keys = [note.key for item in restate(babbler, dialogue, [text] * 64) for note in item.notes] + [
        item.asked for item in restate(babbler, dialogue, [text] * 64, asking=True) if item.asked
    ]
    named = [key for key in keys if not key.startswith(mine)]
    assert len(named) > 10
    assert all(key.split(possessive)[0] in text for key in named)


def test_the_babbler_makes_notes_at_all(babbler, tiny_bundle):
    torch.manual_seed(0)
    # Names, for hardly anything else of what it babbles names something.
    text = "Zorvik Ana Pixel Porto Marta Bergen Oslo Tess Carla Leeds."
    restated = restate(babbler, tiny_bundle.dialogue, [text] * 64)
    assert sum(len(restatement.notes) for restatement in restated) > 20


def test_a_search_finds_what_is_at_least_as_likely(tiny_bundle, monkeypatch):
    """A model of random weights doubts every token: each of its restatements is searched."""
    dialogue = tiny_bundle.dialogue
    torch.manual_seed(0)
    model = Hope(replace(tiny_bundle.model.settings, initializer_range=0.3)).eval()
    texts = ["My dog is called Pixel.", "Ana lives in Porto now.", "Zorvik has room X7."]

    def logprob(text, restatement):
        before, after = dialogue.turn(text), dialogue.restatement(restatement)
        logprobs = model(torch.tensor([before + after])).logits[0].log_softmax(-1)
        places = range(len(before), len(before) + len(after))
        return sum(
            logprobs[place - 1, token].item() for place, token in zip(places, after, strict=True)
        )

    options = {"asking": False, "max_new_tokens": 30}
    searched = restate(model, dialogue, texts, **options)
    monkeypatch.setattr(restating, "DOUBTFUL", 1e-30)
    greedy = restate(model, dialogue, texts, **options)
    assert searched != greedy
    for text, one, other in zip(texts, searched, greedy, strict=True):
        assert logprob(text, one) >= logprob(text, other)
        assert all(note.value in text for note in one.notes)


def test_a_trained_turn_is_restated(tiny_bundle):
    restated = restate(tiny_bundle.model, tiny_bundle.dialogue, list(TURNS))
    assert restated == list(TURNS.values())


def test_a_batch_equals_one_by_one(tiny_bundle):
    model, dialogue = tiny_bundle.model, tiny_bundle.dialogue
    alone = [restate(model, dialogue, [text])[0] for text in TURNS]
    assert restate(model, dialogue, [*TURNS] * 20) == alone * 20


def test_a_question_is_forced(tiny_bundle):
    for restatement in restate(tiny_bundle.model, tiny_bundle.dialogue, list(TURNS), asking=True):
        assert restatement.asked is not None
        assert not restatement.notes


def test_a_question_is_forbidden(babbler, tiny_bundle):
    torch.manual_seed(0)
    for restatement in restate(babbler, tiny_bundle.dialogue, ["Pixel"] * 30, asking=False):
        assert restatement.asked is None


def test_a_piece_the_limit_cut_is_left_out(tiny_bundle):
    text = "I live in Porto and my cat is Mia."
    ids = tiny_bundle.dialogue.restatement(TURNS[text])
    for limit in range(1, len(ids)):
        restated = restate(tiny_bundle.model, tiny_bundle.dialogue, [text], max_new_tokens=limit)[0]
        assert restated.notes in ((), TURNS[text].notes[:1])


def test_the_limit_is_each_restatements_own(tiny_bundle):
    """A neighbour with long words takes nothing of it."""
    model, dialogue = tiny_bundle.model, tiny_bundle.dialogue
    texts = [*TURNS, "I live in Portofinolandiaville-am-See and my cat is Miamiamiamia."]
    for limit in (4, 8, 12, 20):
        together = restate(model, dialogue, texts, max_new_tokens=limit)
        alone = [restate(model, dialogue, [text], max_new_tokens=limit)[0] for text in texts]
        assert together == alone


def test_no_texts_give_no_restatements(tiny_bundle):
    assert restate(tiny_bundle.model, tiny_bundle.dialogue, []) == []


def test_recalling_together_equals_one_by_one(tiny_bundle, memory):
    model, dialogue = tiny_bundle.model, tiny_bundle.dialogue
    keys = ["my dog", "the name of my favourite restaurant", "my city"] * 30
    together = recall(model, dialogue, keys, memory)
    for key, found in list(zip(keys, together, strict=True))[:3]:
        alone = recall(model, dialogue, [key], memory)[0]
        assert found.ids == alone.ids
        assert found.logprob == pytest.approx(alone.logprob, abs=1e-3)


def test_recall_starts_from_an_emptied_context(tiny_bundle, memory):
    model, dialogue = tiny_bundle.model, tiny_bundle.dialogue
    read = model(torch.tensor([dialogue.turn("My dog is called Pixel.")]), state=memory).state
    assert recall(model, dialogue, ["my dog"], read) == recall(model, dialogue, ["my dog"], memory)


def test_the_memory_changes_what_is_recalled(tiny_bundle, memory):
    model, dialogue = tiny_bundle.model, tiny_bundle.dialogue
    static = recall(model, dialogue, ["my dog"], None)[0]
    fresh = recall(model, dialogue, ["my dog"], model.new_state(1))[0]
    assert static == fresh
    assert recall(model, dialogue, ["my dog"], memory)[0].logprob != fresh.logprob


def test_what_was_never_told_is_not_known(tiny_bundle):
    dialogue = tiny_bundle.dialogue

    class Ignorant(Hope):
        def forward(self, *arguments, **options) -> Reading:
            reading = super().forward(*arguments, **options)
            reading.logits[..., dialogue.ids["<|unknown|>"]] += 1e4
            return reading

    found = recall(Ignorant(tiny_bundle.model.settings), dialogue, ["my dog"], None)[0]
    assert (found.text, found.known) == (None, False)


def test_recall_asks_one_memory(tiny_bundle):
    with pytest.raises(ValueError, match="the state holds 2"):
        recall(tiny_bundle.model, tiny_bundle.dialogue, ["a"], tiny_bundle.model.new_state(2))


def test_learning_notes_equals_reading_them_as_turns(tiny_bundle):
    model, dialogue = tiny_bundle.model, tiny_bundle.dialogue
    memory, _ = learn_notes(model, dialogue, NOTES, model.new_state(1), attempts=1)
    state = model.new_state(1)
    for note in NOTES:
        ids = torch.tensor([dialogue.note(note)])
        learn = torch.arange(ids.shape[1])[None] >= len(dialogue.recall(note.key))
        state = model.end_turn(model(ids, state=state.clear_context(), learn=learn).state)
    for name, leaf in state.items():
        torch.testing.assert_close(memory[name], leaf, rtol=1e-4, atol=1e-6)


def test_a_doubtful_note_is_written_again_and_no_more_than_allowed(tiny_bundle):
    model, dialogue = tiny_bundle.model, tiny_bundle.dialogue
    once, [first] = learn_notes(model, dialogue, NOTES[:1], model.new_state(1), attempts=1)
    often, [last] = learn_notes(model, dialogue, NOTES[:1], model.new_state(1), attempts=3)
    assert first.writes == 1
    assert 1 < last.writes <= 3
    assert last.update_norm > first.update_norm
    again, _ = learn_notes(model, dialogue, NOTES[:1], once, attempts=last.writes - 1)
    for name, leaf in often.items():
        torch.testing.assert_close(again[name], leaf)


def test_notes_learned_together_equal_one_by_one_bit_for_bit(tiny_bundle, memory):
    state = tiny_bundle.model.new_state(1)
    for note in NOTES:
        state, _ = learn_notes(tiny_bundle.model, tiny_bundle.dialogue, [note], state)
    assert all(torch.equal(memory[name], leaf) for name, leaf in state.items())


def test_a_report_says_what_a_write_did(tiny_bundle):
    model, dialogue = tiny_bundle.model, tiny_bundle.dialogue
    state, first = learn_notes(model, dialogue, NOTES[:1], model.new_state(1))
    _, again = learn_notes(model, dialogue, NOTES[:1], state)
    ids = torch.tensor([dialogue.note(NOTES[0])])
    start = len(dialogue.recall("my dog"))
    with torch.no_grad():
        logprobs = model(ids).logits[0, start - 1 : -2].log_softmax(-1)
    losses = -logprobs.gather(1, ids[0, start:-1, None])
    assert first[0].note == NOTES[0]
    assert first[0].surprise == pytest.approx(float(losses.mean()), rel=1e-4)
    assert again[0].surprise < first[0].surprise
    # Token by token, the end among them, and level by level.
    assert [token.surprise for token in first[0].tokens[:-1]] == pytest.approx(
        losses.flatten().tolist(), rel=1e-4
    )
    assert first[0].tokens[-1].text == "" and all(0 < t.strength < 2 for t in first[0].tokens)
    assert first[0].level_norms == {"fast": pytest.approx(first[0].update_norm), "slow": 0.0}
    change = sum(float(leaf.square().sum()) for n, leaf in state.items() if ".delta." in n) ** 0.5
    assert first[0].update_norm == pytest.approx(change, rel=1e-4)


def test_learning_nothing_changes_nothing(tiny_bundle):
    state = tiny_bundle.model.new_state(1)
    assert learn_notes(tiny_bundle.model, tiny_bundle.dialogue, [], state) == (state, [])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("My dog is Rex. My cat is Tom!", ["My dog is Rex.", "My cat is Tom!"]),
        ("I see Dr. Smith and J. Doe. Bye", ["I see Dr. Smith and J. Doe.", "Bye"]),
        ("no end", ["no end"]),
        ("  What? Yes.  ", ["What?", "Yes."]),
        ("3.5 is my lucky number", ["3.5 is my lucky number"]),
    ],
)
def test_a_text_is_split_at_the_ends_of_its_sentences(text, parts):
    assert sentences(text) == parts


def test_a_telling_may_have_any_number_of_sentences(tiny_bundle):
    text = " ".join(text for text in TURNS if "?" not in text)
    model, dialogue = tiny_bundle.model, tiny_bundle.dialogue
    restated = restate(model, dialogue, [text, text], asking=False, together=1)
    assert restated == [Restatement(NOTES_OF_ALL)] * 2


def test_sentences_that_point_back_are_read_together_as_far_as_they_fit(tiny_bundle):
    dialogue = tiny_bundle.dialogue
    text = "So on. It ended. They left! It rained. The end."
    together = ["So on. It ended. They left!", "It rained.", "The end."]
    assert _passages(dialogue, text, 3, 1000) == together
    assert _passages(dialogue, text, 1, 1000) == sentences(text)
    assert _passages(dialogue, text, 3, 0) == sentences(text)
    assert _passages(dialogue, "one", 3, 0) == ["one"]
    assert _passages(dialogue, "We left\nIt ended\nThe end", 3, 1000) == [
        "We left. It ended",
        "The end",
    ]


def test_a_value_and_a_name_are_whole_words(babbler, tiny_bundle):
    torch.manual_seed(2)
    text = "Zorvik met Ana at Pixelstation, room X7."
    restated = restate(babbler, tiny_bundle.dialogue, [text] * 64, asking=False)
    words = re.findall(r"[^\W_]+", text)
    values = [note.value for item in restated for note in item.notes]
    assert len(values) > 10
    assert {word for value in values for word in re.findall(r"[^\W_]+", value)} <= set(words)


def test_a_turn_without_words_has_no_notes(tiny_bundle):
    """Also where every token of it is doubtful and a search finds nothing that may follow."""
    torch.manual_seed(0)
    model = Hope(replace(tiny_bundle.model.settings, initializer_range=0.3)).eval()
    for asking in (None, False):
        assert restate(model, tiny_bundle.dialogue, [""], asking=asking)[0].notes == ()


def test_a_thing_has_no_capital_in_its_key_and_a_person_keeps_it(tiny_bundle):
    dialogue = tiny_bundle.dialogue
    keys = {
        "Bins's time": "bins's time",
        "Spare key's place": "spare key's place",
        "Ana's city": "Ana's city",
        "Ana's bike's place": "Ana's bike's place",
    }
    for said, key in keys.items():
        written = dialogue.restatement(Restatement((Note(said, "Pixel"),)))
        assert dialogue.parse(written).notes == (Note(key, "Pixel"),)
        assert dialogue.parse(dialogue.restatement(Restatement(asked=said))).asked == key


@pytest.mark.parametrize("text", ["Łukasz Żółw", "naïve 東京 Zoë", "“Rex” — it’s", "🐶 Pixel"])
def test_no_value_begins_or_ends_inside_a_letter(babbler, tiny_bundle, text):
    torch.manual_seed(0)
    for restated in restate(babbler, tiny_bundle.dialogue, [f"My dog is {text}."] * 20):
        for note in restated.notes:
            assert BROKEN not in str(note)
            assert note.value in typed(f"My dog is {text}.")


def test_the_borders_of_a_turn_are_those_of_its_words(tiny_bundle):
    dialogue = tiny_bundle.dialogue
    line = Line(dialogue, dialogue.words("Żółw said hi"))
    assert "".join(line.pieces) == " Żółw said hi" and len(line.pieces) == len(line.words)
    starts = [place for place in range(len(line.words)) if line.borders[place]]
    said = ["".join(line.pieces[a:b]) for a, b in pairwise([*starts, len(line.words)])]
    assert [piece.strip() for piece in said if piece.strip()] == ["Żółw", "said", "hi"]


def test_what_a_telephone_writes_is_read_as_what_a_keyboard_types(tiny_bundle):
    assert typed("“Rex” — it’s…") == '"Rex" - it\'s...'
    assert typed("Zoe\N{COMBINING DIAERESIS}") == "Zoë"
    assert typed("\x1b[31mRex\x1b[0m \x1b]0;t\x07R\0ex Bo\u202exob\nline") == "Rex R ex Boxob\nline"
    plain = restate(tiny_bundle.model, tiny_bundle.dialogue, ["What's my dog called?"])
    assert restate(tiny_bundle.model, tiny_bundle.dialogue, ["What’s my dog called?"]) == plain
    assert plain[0].asked == "my dog"


def test_of_a_broken_letter_nothing_is_known(tiny_bundle, monkeypatch):
    dialogue = tiny_bundle.dialogue
    broken = dialogue.words("ż")[:1]
    monkeypatch.setattr(
        restating,
        "decode",
        lambda *_, write, **__: ([write(0, token) for token in broken] and [0.0], [0.0]),
    )
    found = recall(tiny_bundle.model, dialogue, ["my dog"], None)[0]
    assert not found.known and found.text is None


def test_what_is_said_again_right_away_is_noted_once(tiny_bundle):
    turn = "My dog is called Pixel."
    again = restate(
        tiny_bundle.model, tiny_bundle.dialogue, [f"{turn} {turn} {turn}"], asking=False, together=1
    )[0]
    assert again.notes == (Note("my dog", "Pixel"),)
    one, other = Note("my dog", "Pixel"), Note("my dog", "Rex")
    parts = [Restatement((note,)) for note in (one, other, one)]
    assert restating._joined(parts).notes == (one, other, one)


def test_a_report_says_whether_the_memory_holds_what_was_written(tiny_bundle):
    model, dialogue = tiny_bundle.model, tiny_bundle.dialogue
    for attempts in (1, 8):
        state, (report,) = learn_notes(
            model, dialogue, NOTES[:1], model.new_state(1), attempts=attempts
        )
        answer = recall(model, dialogue, [NOTES[0].key], state)[0]
        assert report.held == (answer.text == NOTES[0].value)


def test_values_that_stand_side_by_side_are_one():
    text = "The flight leaves at 6:45 on Tuesday, and I like tea, jam and figs, not Rome or Oslo."
    values = ("6:45", "Tuesday", "tea", "jam", "figs", "Rome", "Oslo")
    keys = ("time", "time", "like", "like", "like", "city", "city")
    notes = [Note(key, value) for key, value in zip(keys, values, strict=True)]
    assert restating._side_by_side(text, notes) == (
        Note("time", "6:45 on Tuesday"),
        Note("like", "tea, jam and figs"),
        Note("city", "Rome"),
        Note("city", "Oslo"),
    )
