"""Sentences hidden in books: exact lengths, honest questions, and pieces that change nothing."""

import gzip
import json
import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nestling.evaluation import babilong, long_context
from nestling.evaluation.babilong import FILES, SHORTCUTS, read_stories, shortcuts, stories
from nestling.evaluation.haystack import Haystack, Puzzle
from nestling.evaluation.long_context import (
    Course,
    Kinds,
    ask_together,
    measure_babilong,
    measure_long_context,
    stack_readings,
)
from nestling.evaluation.needles import MANY, NEEDLES
from nestling.evaluation.sequence_tasks import IGNORED
from nestling.models.hope import Hope
from nestling.training.tokenizer import train_tokenizer

torch.set_num_threads(1)

BOOK = [
    "It was the best of times. It was the worst of times! Was it? " * 5,
    'The whale rose, "slowly," said he.\n\nCall me what you like. A sea of ships. ' * 5,
]
TINY = Course(
    width=16,
    layers=1,
    heads=2,
    vocabulary=400,
    chunk_size=4,
    steps=2,
    tokens=256,
    trained=(96, 128),
    asked=(128, 200),
    asked_tokens=256,
    fewest=1,
    most=3,
    piece=48,
)


@pytest.fixture(scope="module")
def haystack():
    told = [sentence for draw in NEEDLES.values() for sentence in draw(random.Random(0)).hidden * 5]
    return Haystack(train_tokenizer([*BOOK, *told], 400), BOOK)


def text_of(haystack, ids):
    return haystack._tokenizer.decode(ids)


@settings(max_examples=40, deadline=None)
@given(kind=st.sampled_from(sorted(NEEDLES)), extra=st.integers(0, 300), seed=st.integers(0, 999))
def test_a_document_has_exactly_its_length_and_hides_all_in_their_order(
    haystack, kind, extra, seed
):
    rng = random.Random(seed)
    puzzle = NEEDLES[kind](rng)
    least = sum(len(haystack._tokenizer.encode(f" {told}").ids) for told in puzzle.hidden)
    reading = haystack.read(puzzle, least + extra, rng)
    assert len(reading.document) == least + extra
    text, place = text_of(haystack, reading.document), 0
    for sentence in puzzle.hidden:
        place = text.index(sentence, place) + len(sentence)


def test_a_document_too_short_for_what_is_hidden_is_refused(haystack):
    puzzle = NEEDLES["multi-key"](random.Random(0))
    with pytest.raises(ValueError, match="longer document"):
        haystack.read(puzzle, 10, random.Random(0))
    with pytest.raises(ValueError, match="no puzzle of this kind fits"):
        haystack.draw(NEEDLES["multi-key"], 10, random.Random(0))
    with pytest.raises(ValueError, match="no sentence"):
        Haystack(haystack._tokenizer, ["  "])


@pytest.mark.parametrize("kind", list(NEEDLES))
def test_every_answer_was_told_and_stands_where_it_is_scored(haystack, kind):
    for seed in range(20):
        rng = random.Random(seed)
        puzzle = NEEDLES[kind](rng)
        answers = [value for _, values in puzzle.asked for value in values]
        assert len(answers) == (1 if kind in ("single", "multi-key") else MANY)
        assert len(puzzle.hidden) == (1 if kind == "single" else MANY)
        for question, values in puzzle.asked:
            name = question.split()[-2]
            told = [text.split()[-1].rstrip(".") for text in puzzle.hidden if f" {name} " in text]
            assert told == list(values)
        reading = haystack.read(puzzle, 150, rng)
        shown = [
            text_of(haystack, reading.questions[answer.start : answer.stop]).strip()
            for answer in reading.answers
        ]
        assert shown == answers


def test_targets_are_the_tokens_of_the_answers_alone(haystack):
    readings = [
        haystack.read(NEEDLES[kind](random.Random(seed)), 120, random.Random(seed))
        for seed, kind in enumerate(NEEDLES)
    ]
    ids, mask, targets, places = stack_readings(readings)
    for row, (reading, answers) in enumerate(zip(readings, places, strict=True)):
        whole = reading.document + reading.questions
        scored = {place for answer in answers for place in answer}
        assert mask[row].sum() == len(whole) - 1
        assert ids[row, mask[row]].tolist() == whole[:-1]
        for place in range(ids.shape[1]):
            wanted = whole[place + 1] if place in scored else IGNORED
            assert targets[row, place] == wanted


@pytest.mark.parametrize("name", ["transformer", "hope-attention", "hope"])
def test_pieces_give_the_answers_of_reading_at_once(haystack, name):
    torch.manual_seed(0)
    model = Hope(TINY.settings(name, long_context.MODELS)).double().eval()
    readings = [
        haystack.read(NEEDLES["multi-value"](random.Random(seed)), 140, random.Random(seed))
        for seed in range(3)
    ]
    learn = name != "transformer"
    with torch.no_grad():
        # Answers that the model does give, so that some are right and some are not.
        ids, mask, _, places = stack_readings(readings)
        given_ids = model(ids, mask, learn=learn).logits.argmax(-1)
        for row, (reading, answers) in enumerate(zip(readings, places, strict=True)):
            first = reading.answers[0]
            reading.questions[first.start] = int(given_ids[row, answers[0].start])
        whole, piecewise = (
            ask_together(model, readings, piece, learn=learn) for piece in (1000, 32)
        )
    assert whole == piecewise
    assert len(whole) == 3 * MANY


def test_an_answer_is_right_when_all_its_tokens_are(haystack):
    """A model that answers as told is right everywhere; one wrong digit makes that answer wrong."""
    readings = [
        haystack.read(NEEDLES["multi-query"](random.Random(seed)), 140, random.Random(seed))
        for seed in range(2)
    ]

    class Told:
        def __init__(self, wrong):
            self.wrong = wrong

        def new_state(self, count):
            return None

        def __call__(self, ids, mask=None, *, state=None, learn=False):
            following = torch.zeros(*ids.shape, 400)
            if mask is not None:
                _, _, targets, places = stack_readings(
                    [replace(reading, document=reading.document[-1:]) for reading in readings]
                )
                following = torch.nn.functional.one_hot(targets.clamp(min=0), 400).float()
                if self.wrong:
                    place = places[1][2].stop - 1
                    following[1, place] = following[1, place].roll(1)
            return type("Reading", (), {"logits": following, "state": None})()

    assert ask_together(Told(False), readings, 64, learn=False) == [True] * 2 * MANY
    found = ask_together(Told(True), readings, 64, learn=False)
    assert [place for place, right in enumerate(found) if not right] == [MANY + 2]


def test_a_run_is_measured_once_and_goes_on_from_its_file(haystack, tmp_path):
    kinds = Kinds(NEEDLES, NEEDLES, {"train": haystack, "test": haystack})
    lines = []
    options = {"models": ("hope",), "seeds": (0,), "course": TINY, "run_file": tmp_path / "r.jsonl"}
    rows = list(measure_long_context(kinds, progress=lines.append, **options))
    assert {(row["kind"], row["length"]) for row in rows} == {
        (kind, length) for kind in NEEDLES for length in TINY.asked
    }
    assert [row["documents"] for row in rows[:2]] == [2, 1]
    assert all(0 <= row["accuracy"] <= 1 for row in rows) and lines
    lines.clear()
    assert list(measure_long_context(kinds, progress=lines.append, **options)) == rows
    assert not lines


def test_documents_grow_in_training_and_every_kind_is_asked_at_every_length(haystack, monkeypatch):
    course = replace(TINY, steps=40, trained=(96, 128, 200), tokens=200)
    lengths = [course.length_at(step) for step in range(course.steps)]
    assert lengths == [96] * 20 + [128] * 10 + [200] * 10
    seen = set()

    def draw(kind, length, rng):
        seen.add((kind, length))
        return NEEDLES["single"](rng)

    monkeypatch.setattr(haystack, "draw", draw)
    kinds = Kinds({kind: kind for kind in NEEDLES}, NEEDLES, {"train": haystack})
    model = Hope(course.settings("delta_net", long_context.VARIANTS))
    long_context.train(model, kinds, course, 0, lambda line: None)
    assert seen == {(kind, length) for kind in NEEDLES for length in course.trained}


@pytest.mark.parametrize("name", ["transformer", "hope-attention"])
def test_attention_keeps_more_where_it_is_asked_for_more(haystack, name):
    course = replace(TINY, trained=(32,))
    torch.manual_seed(0)
    model = Hope(course.settings(name, long_context.VARIANTS)).eval()
    longer = long_context.keeping(model, 300)
    state = longer.new_state()
    assert state["context.layers.0.keys"].shape[1] == 300
    ids = torch.randint(400, (1, 100))
    with torch.no_grad():
        torch.testing.assert_close(longer(ids).logits, model(ids).logits)


SPLITS = ("train", "test")


def story(task, split, place):
    """Mary goes somewhere else in every story; the second question comes after a second fact."""
    lines = [
        {"id": 1, "text": f"Mary went to the {place}."},
        {"id": 2, "question": "Where is Mary?", "answer": place, "supporting": [1]},
        {"id": 3, "text": "Mary went to the garden."},
        {"id": 4, "question": "Where is Mary?", "answer": "garden", "supporting": [3]},
    ]
    return {"task": task, "set": "en", "split": split, "lines": lines}


@pytest.fixture
def data(tmp_path):
    (tmp_path / "babi").mkdir()
    (tmp_path / "domains").mkdir()
    for name, places in zip(FILES, ("office", "kitchen"), strict=True):
        rows = [story("qa1", "train", "hall"), *(story("qa1", s, places) for s in SPLITS)]
        with gzip.open(tmp_path / name, "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    with gzip.open(tmp_path / long_context.BOOKS, "wt") as file:
        for split, text in zip(("train", "test"), BOOK, strict=True):
            file.write(json.dumps({"split": split, "text": text}) + "\n")
    return tmp_path


def test_a_question_knows_what_was_told_before_it(data):
    puzzles = read_stories(data, "test")["qa1"]
    assert len(puzzles) == 4
    assert puzzles[0] == Puzzle(("Mary went to the office.",), (("Where is Mary?", ("office",)),))
    assert puzzles[1].hidden == ("Mary went to the office.", "Mary went to the garden.")


def test_what_is_asked_is_never_trained_on(data):
    asked = set(read_stories(data, "test")["qa1"])
    drawn = {stories(data, "train")["qa1"](random.Random(seed)) for seed in range(30)}
    # A hall is in no story of the test, what stands before its garden neither.
    assert len(drawn) == 2 and not drawn & asked
    assert set(read_stories(data, "train")["qa1"]) > drawn


def test_stories_are_hidden_in_books_and_asked(data):
    models = ("delta_net", *SHORTCUTS)
    rows = list(measure_babilong(data, models=models, seeds=(0,), course=TINY))
    wanted = [(model, "qa1", length) for model in models for length in TINY.asked]
    assert [(row["model"], row["kind"], row["length"]) for row in rows] == wanted
    assert rows[0]["parameters"] > 0 and rows[-1]["accuracy"] == 1.0
    assert set(rows[0]) == set(rows[-1])
    # Of four questions two are answered with the garden; where Mary went last, there she is.
    shares = {"commonest answer": 0.5, "first answer told": 0.5, "last answer told": 1.0}
    assert shortcuts(data) == {name: {"qa1": share} for name, share in shares.items()}


def test_an_answer_that_the_question_names_is_none():
    puzzle = Puzzle(
        ("The hall is north of the yard.",), (("What is north of the yard?", ("hall",)),)
    )
    assert babilong._told(puzzle, {"hall", "yard"}) == ["hall"]
    assert babilong._told(puzzle, {"garden"}) == [""]


def test_missing_stories_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="NESTLING_DATA"):
        read_stories(tmp_path, "train")
