"""Streams made of small files in the form of the datasets."""

import copy
import gzip
import json
import random

import pytest
import torch

from nestling.evaluation.continual.streams import (
    DOMAINS,
    STREAMS,
    VOCABULARY,
    StreamSize,
    Texts,
    in_lots,
)

SIZE = StreamSize(
    length=12, words=9, given=4, train=6, labelled=6, test=4, base=8, base_test=3, questions=5
)
WORDS = ("the", "a", "sea", "whale", "house", "king", "sun", "moon", "went", "saw", "old")


def sentence(rng, count=9):
    return " ".join(rng.choice(WORDS) for _ in range(count))


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("data"), random.Random(0)
    for name in DOMAINS.values():
        rows = [
            {"split": split, "text": sentence(rng, 60)}
            for split in ("train", "test")
            for _ in range(9)
        ]
        write_rows(folder / name, rows)
    for split in ("train", "valid"):
        path = folder / f"lm/wikitext2_{split}.txt.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(sentence(rng, 900).encode()))
    write_rows(
        folder / "intent/clinc150_full.jsonl.gz",
        [
            {
                "split": split,
                "text": sentence(rng, count),
                "intent": f"{domain} {i}",
                "domain": domain,
            }
            for domain in ("travel", "home", "oos")
            for i in range(2)
            for split in ("train", "test")
            for count in range(2, 7)
        ],
    )
    write_rows(
        folder / "intent/dbpedia14_10k.jsonl.gz",
        [
            {"split": split, "text": sentence(rng, 30), "label_name": f"class {i}", "label": i}
            for i in range(4)
            for split in ("val", "test")
            for _ in range(5)
        ],
    )
    write_rows(
        folder / "parallel/bible_gospels_acts_en_eu_sw.jsonl.gz",
        [{key: f"{key} {sentence(rng)}" for key in ("en", "eu", "sw")} for _ in range(12)],
    )
    write_rows(
        folder / "choice/arc_easy_valid.jsonl.gz",
        [
            {
                "question": sentence(rng),
                "choices": {"text": [sentence(rng, 2) for _ in range(3 + i % 2)], "label": "ABCD"},
                "answerKey": "ABC"[i % 3],
            }
            for i in range(6)
        ],
    )
    write_rows(
        folder / "choice/piqa_valid_half.jsonl.gz",
        [
            {"goal": sentence(rng), "sol1": sentence(rng), "sol2": sentence(rng), "label": i % 2}
            for i in range(6)
        ],
    )
    return Texts(folder, SIZE)


@pytest.mark.parametrize("name", STREAMS)
def test_every_stream_has_tasks_that_can_be_learned_and_judged(name, texts):
    stream = STREAMS[name](texts, 0)
    assert stream.name == name and len(stream.tasks) >= 2
    for task in stream.tasks:
        assert len(task.train) and len(task.test) <= SIZE.test
        for passages in (task.train, task.test):
            assert int(passages.asked.any(1).sum()) == len(passages)
            assert int(passages.ids.max()) < stream.vocabulary
            assert passages.ids.shape[1] <= SIZE.length
    assert len(stream.base_test) == SIZE.base_test and 1 < len(stream.base) <= SIZE.base


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_depends_on_its_seed_alone(name, texts):
    def drawn(seed):
        return [task.train.ids.tolist() for task in STREAMS[name](texts, seed).tasks]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


@pytest.mark.parametrize("name", ["clinc150", "dbpedia"])
def test_classes_are_ids_of_their_own_and_asked_at_the_end(name, texts):
    stream = STREAMS[name](texts, 0)
    classes = [i for task in stream.tasks for i in task.classes]
    assert classes == list(range(VOCABULARY, stream.vocabulary))
    for task in stream.tasks:
        for passages in (task.train, task.test):
            assert passages.asked.sum(1).tolist() == [1] * len(passages)
            asked = passages.targets[passages.asked].tolist()
            assert set(asked) == set(task.classes)
            assert all(passages.given(i)[-1] == texts.separator for i in range(len(passages)))


def test_of_a_book_the_beginning_is_given_in_tests_alone(texts):
    (task, *_) = STREAMS["domains"](texts, 0).tasks
    assert bool(task.train.asked.all())
    assert task.test.asked[0].tolist() == [False] * (SIZE.given - 1) + [True] * (
        SIZE.length - SIZE.given + 1
    )


def test_a_verse_is_asked_in_the_other_language_to_its_end(texts):
    (task, other) = STREAMS["languages"](texts, 0).tasks
    for passages, word in ((task.test, "eu"), (other.test, "sw")):
        for row in range(len(passages)):
            given, whole = passages.given(row), passages.whole(row)
            assert texts.tokenizer.decode(given[:-1]).startswith("en")
            assert given[-1] == texts.separator and whole[-1] == texts.end
            assert texts.tokenizer.decode(whole[len(given) :]).startswith(word)


def test_of_several_answers_the_likeliest_is_taken(texts):
    arc, piqa = STREAMS["domains"](texts, 0).choices
    assert (arc.name, piqa.name) == ("arc_easy", "piqa")
    for choice in (arc, piqa):
        assert int(choice.right.sum()) == len(choice.question.unique()) == 5
        assert choice.accuracy((~choice.right).float()) == 1.0
        assert choice.accuracy(choice.right.float()) == 0.0
    assert len(piqa.right) == 10


def test_lots_take_every_passage_once_and_whole(texts):
    (task, *_) = STREAMS["clinc150"](texts, 0).tasks
    lots = in_lots(task.train, 4, torch.Generator().manual_seed(0))
    assert sorted(torch.cat(lots).tolist()) == list(range(len(task.train)))
    for rows in lots:
        lot, wanted = task.train[rows], [task.train.whole(i) for i in rows.tolist()]
        assert [lot.whole(i) for i in range(len(lot))] == wanted


def test_short_passages_are_filled_up_with_what_a_model_can_read(texts):
    (task, *_) = STREAMS["clinc150"](texts, 0).tasks
    assert len({len(task.train.whole(i)) for i in range(len(task.train))}) > 1
    assert int(task.train.ids.min()) >= 0


def test_a_text_that_is_too_short_is_refused(texts):
    wide = copy.copy(texts)
    wide.size = StreamSize(length=5000)
    with pytest.raises(ValueError, match="too short for a window of 5000 tokens"):
        wide.windows("lm/wikitext2_valid.txt.gz", 1, random.Random(0), given=1)
