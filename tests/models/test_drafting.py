import random

import pytest
import torch

from nestling.models import decoding
from nestling.models import restate as restating
from nestling.models.bundle import load_bundle
from nestling.models.dialogue import IS, NOTE, Dialogue, Note, Restatement
from nestling.models.drafting import LONGEST, draft, spaced_words
from nestling.models.grammar import Grammar, Line
from nestling.models.hope import Hope
from nestling.models.restate import restate

TURNS = (
    "my dog is called Pixel.",
    "I live in Porto and my cat is Mia.",
    "Zorvik's city: New Porto!",
    "Lovely weather today.",
    "?",
)


def lines_of(model, dialogue, texts, asking=None, most=40):
    grammar = Grammar(model, dialogue, asking)
    found = decoding.decode_lines(model, dialogue, texts, grammar, most)
    return [item.line.written for item in found], found


@pytest.fixture(params=["trained", "random"])
def model(request, tiny_bundle):
    if request.param == "trained":
        return tiny_bundle.model
    torch.manual_seed(3)
    return Hope(tiny_bundle.model.settings).eval()


@torch.inference_mode()
@pytest.mark.parametrize("text", TURNS)
@pytest.mark.parametrize("guesses", ["none", "random", "half right", "own"])
@pytest.mark.parametrize(("asking", "most"), [(None, 40), (True, 40), (False, 7)])
def test_whatever_is_drafted_the_same_is_written(
    tiny_bundle, model, text, guesses, asking, most, monkeypatch
):
    dialogue, rng = tiny_bundle.dialogue, random.Random(text)
    (alone, _), (first, _) = lines_of(model, dialogue, [text, text], asking, most)

    def drafted(line: Line, grammar: Grammar) -> list[int]:
        size = rng.randrange(8)
        if guesses == "random":
            return [rng.randrange(model.settings.vocab_size) for _ in range(size)]
        right = alone[len(line.written) :]
        return [] if guesses == "none" else [*right[:size], *right[size + 1 : size + 3]]

    if guesses != "own":
        monkeypatch.setattr(decoding, "draft", drafted)
    (written,), (found,) = lines_of(model, dialogue, [text], asking, most)
    assert written == alone
    assert found.least == pytest.approx(first.least, abs=1e-4)
    assert found.logprob == pytest.approx(first.logprob, abs=1e-3)
    assert found.logprob == pytest.approx(
        logprob_of(model, dialogue, text, written, asking), abs=1e-3
    )


def logprob_of(model, dialogue, text, written, asking):
    """Of a line, token by token, among what is allowed in the place of each."""
    grammar, line = Grammar(model, dialogue, asking), Line(dialogue, dialogue.words(text))
    whole = 0.0
    read = torch.tensor([[*dialogue.turn(text), *written]])
    scores = model(read, state=model.new_state(1)).logits[0, -len(written) - 1 :]
    for place, token in enumerate(written):
        allowed = scores[place].masked_fill(~grammar.mask(line), -torch.inf)
        whole += float(allowed.log_softmax(-1)[token])
        line.write(token)
    return whole


@torch.inference_mode()
def test_a_search_finds_what_is_likelier_than_what_is_known(tiny_bundle):
    torch.manual_seed(3)
    model, dialogue = Hope(tiny_bundle.model.settings).eval(), tiny_bundle.dialogue
    grammar, text = Grammar(model, dialogue, False), TURNS[1]
    alone = decoding.search(model, dialogue, text, grammar, 12, 8)[0]
    worse = decoding.Written(Line(dialogue, []), alone[0] - 1, -9.0)
    found = decoding.search(model, dialogue, text, grammar, 12, 8, known=worse)
    assert found[0][0] == alone[0] and found[0][1].written == alone[1].written
    better = decoding.Written(Line(dialogue, []), alone[0] + 1e-3, -9.0)
    assert decoding.search(model, dialogue, text, grammar, 12, 8, known=better) == [
        (better.logprob, better.line)
    ]


def test_what_is_likelier_than_not_is_not_searched_for(tiny_bundle, monkeypatch):
    model, dialogue = tiny_bundle.model, tiny_bundle.dialogue
    sought = []

    def written(logprob: float):
        line = Line(dialogue, dialogue.words(TURNS[0]))
        for token in dialogue.restatement(Restatement((Note("my dog", "Pixel"),))):
            line.write(token)
        return lambda *_: [decoding.Written(line, logprob, -2.0)]

    def search(*_, known, **__):
        sought.append(known)
        return [(known.logprob, known.line)]

    monkeypatch.setattr(restating, "search", search)
    for logprob, searches in ((-0.6, 0), (-0.8, 1)):
        monkeypatch.setattr(restating, "decode_lines", written(logprob))
        [found] = restate(model, dialogue, [TURNS[0]])
        assert found.notes == (Note("my dog", "Pixel"),) and len(sought) == searches


@torch.inference_mode()
def test_what_is_guessed_is_written_in_one_pass(tiny_bundle, monkeypatch):
    model, dialogue = tiny_bundle.model, tiny_bundle.dialogue
    text = "My dog is called Pixel."
    right = dialogue.restatement(Restatement((Note("my dog", "Pixel"),)))
    passes = []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda *a, **k: passes.append(1) or forward(*a, **k))
    monkeypatch.setattr(decoding, "draft", lambda line, _: right[len(line.written) :])
    assert lines_of(model, dialogue, [text])[0] == [right]
    assert len(passes) == 1
    monkeypatch.setattr(decoding, "draft", lambda line, _: [])
    assert lines_of(model, dialogue, [text])[0] == [right]
    assert len(passes) > 2


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("By the way, my dog is called Pixel.", "my dog", "Pixel"),
        ("Veikko's plate is EJ73 XLK, I think", "Veikko's licence plate", "EJ73 XLK"),
        ("The locker code I have is 6139.", "my locker code", "6139"),
        (
            "my grandmother finds no animal finer than Baku",
            "my grandmother's favourite animal",
            "Baku",
        ),
        ("17 is my stepfather's house number", "my stepfather's house number", "17"),
        ("the size on my shoe box is huge", "my shoe size", "huge"),
        ("My neighbour's eyes are pale hazel.", "my neighbour's eye colour", "pale hazel"),
        ("His locker code, Ana says, is 4417.", "Ana's locker code", "4417"),
        ("I hired a lawyer called Cliaskar.", "my lawyer", "Cliaskar"),
        ("I tell you, Kreela parks on Level 4", "Kreela's parking spot", "Level 4"),
        ("Ana's deadline: the 22nd of November", "Ana's project deadline", "the 22nd of November"),
        ("my colour: blue", "my colour", "blue"),
        ("Pavel is my uncle.", "my uncle", "Pavel"),
        ("My dog is called Pixel.", "my dog", "Pixel"),
        ("My thermostat: 21 degrees", "my thermostat", "21"),
        ("my code is 4711, I think", "my code", "4711"),
    ],
)
def test_a_draft_copies_the_turn(text, key, value):
    bundle = load_bundle()
    dialogue = bundle.dialogue
    grammar = Grammar(bundle.model, dialogue, asking=False)
    guess = draft(Line(dialogue, dialogue.words(text)), grammar)
    assert dialogue.parse(guess).notes == (Note(key, value),)
    assert guess[-1] == dialogue.end_id


def test_without_known_relations_a_draft_copies_the_word_behind_the_owner():
    bundle = load_bundle()
    dialogue = Dialogue(bundle.dialogue.tokenizer)
    guess = draft(
        Line(dialogue, dialogue.words("Veikko's plate: EJ73")),
        Grammar(bundle.model, dialogue, asking=False),
    )
    assert dialogue.parse(guess).notes == (Note("Veikko's plate", "EJ73"),)


def test_a_draft_goes_on_from_what_is_written(tiny_bundle):
    dialogue = tiny_bundle.dialogue
    line = Line(dialogue, dialogue.words("my dog answers to Pixel."))
    for token in [dialogue.ids[NOTE], *dialogue.words("my hound")]:
        line.write(token)
    written = list(line.written)
    grammar = Grammar(tiny_bundle.model, dialogue, asking=False)
    assert draft(line, grammar) == [dialogue.ids[IS], *dialogue.words("Pixel"), dialogue.end_id]
    assert line.written == written


def test_a_question_is_drafted_as_one():
    bundle = load_bundle()
    dialogue = bundle.dialogue
    grammar = Grammar(bundle.model, dialogue, asking=True)
    guess = draft(Line(dialogue, dialogue.words("What is my dog called?")), grammar)
    assert dialogue.parse(guess).asked == "my dog"


def test_a_draft_is_short_and_needs_no_words(tiny_bundle):
    dialogue = tiny_bundle.dialogue
    grammar = Grammar(tiny_bundle.model, dialogue, asking=None)
    assert draft(Line(dialogue, []), grammar) == [dialogue.ids[NOTE], dialogue.mine]
    long = "my " + "abracadabra" * 20
    assert len(draft(Line(dialogue, dialogue.words(long)), grammar)) == LONGEST


def test_words_leave_out_the_marks_behind_them():
    pieces = [" By", ",", " T", "-", "5", ".", " —", " end"]
    words = spaced_words(pieces)
    assert [(word.start, word.end) for word in words] == [(0, 1), (2, 5), (7, 8)]
    assert [word.text for word in words] == ["By", "T-5", "end"]
    assert all(word.last for word in words)
    assert not spaced_words([" a", " b"])[0].last
