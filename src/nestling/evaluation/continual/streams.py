"""Streams of tasks that come one after the other, made of the datasets.

| stream    | tasks, in order                                                | judged by          |
|-----------|----------------------------------------------------------------|--------------------|
| domains   | novels, German, French, Spanish, fairy tales, political essays | loss of next tokens|
| clinc150  | 150 intents, 15 of one domain at a time                        | accuracy, all      |
| dbpedia   | 14 classes of Wikipedia articles, two at a time                | classes seen so far|
| languages | verses from English into Basque, then into Swahili             | loss of the verse  |

A class is one id of its own behind the words of the tokenizer; a passage of a class is a text, a
separator and that id. Of a passage of a book or a verse, what is judged is what follows the
beginning that is given.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from nestling.training.passages import Passages, passages_of
from nestling.training.text_task import find_file, read_rows, read_texts
from nestling.training.tokenizer import train_tokenizer

VOCABULARY = 2048
SEPARATOR, END = "<sep>", "<end>"
DOMAINS = {
    "novels": "domains/en_novels.jsonl.gz",
    "German": "domains/de_books.jsonl.gz",
    "French": "domains/fr_books.jsonl.gz",
    "Spanish": "domains/es_books.jsonl.gz",
    "fairy tales": "domains/en_fairy_tales.jsonl.gz",
    "politics": "domains/en_law_politics_federalist.jsonl.gz",
}
BASE = ("lm/wikitext2_train.txt.gz", "lm/wikitext2_valid.txt.gz")
# Of each text the tokenizer sees so many characters.
_SEEN = 400_000


@dataclass(frozen=True)
class StreamSize:
    """How much there is of everything.

    Args:
        length: tokens of a passage of a book, and of a verse with its translation at most.
        words: tokens of a text whose class is asked, at most.
        given: tokens of a passage of a book that are not judged.
        train: passages of a task at most; `labelled`: the same where classes are asked.
        test: passages of a task that are judged.
        base: passages of the text that a model is trained on first.
        base_test: passages that tell what is left of that.
        questions: of each kind that have several answers, for the same.
    """

    length: int = 128
    words: int = 64
    given: int = 16
    train: int = 640
    labelled: int = 1200
    test: int = 60
    base: int = 3000
    base_test: int = 48
    questions: int = 150


@dataclass(frozen=True)
class Task:
    """What is learned at a time; `classes` are ids, none where the loss is judged."""

    name: str
    train: Passages
    test: Passages
    classes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Choice:
    """Questions with several answers: what is likeliest tells what a model can do beside its text.

    Args:
        passages: every answer behind its question, which is given.
        question: [N], the number of the question of each.
        right: [N], whether it is the right answer.
    """

    name: str
    passages: Passages
    question: Tensor
    right: Tensor

    def accuracy(self, losses: Tensor) -> float:
        """Share of the questions whose right answer has the least mean loss [N] a token."""
        known = [
            bool(self.right[rows][losses[rows].argmin()])
            for rows in (self.question == i for i in self.question.unique())
        ]
        return sum(known) / len(known)


@dataclass(frozen=True)
class Stream:
    """Tasks in order, and the text that comes before them all."""

    name: str
    tasks: tuple[Task, ...]
    base: Passages
    base_test: Passages
    choices: tuple[Choice, ...]
    vocabulary: int


class Texts:
    """The tokenizer that all streams share, and the folder of the datasets.

    Args:
        data: folder that holds `domains/`, `intent/`, `parallel/` and `lm/`.
    """

    def __init__(self, data: Path, size: StreamSize) -> None:
        self.data, self.size = data, size
        seen = [self._read(f"{file}#train")[:_SEEN] for file in DOMAINS.values()]
        seen.append(self._read(BASE[0])[:_SEEN])
        verses = self.rows("parallel/bible_gospels_acts_en_eu_sw.jsonl.gz")
        seen += ["\n".join(row[key] for row in verses)[:_SEEN] for key in ("eu", "sw")]
        self.tokenizer: Tokenizer = train_tokenizer(seen, VOCABULARY, (SEPARATOR, END))
        self.separator, self.end = map(self.tokenizer.token_to_id, (SEPARATOR, END))

    def rows(self, file: str) -> list[dict[str, Any]]:
        """The rows of one of the datasets' files."""
        return read_rows(find_file(file, self.data))

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text).ids

    def windows(self, name: str, count: int, rng: random.Random, given: int) -> Passages:
        """Up to `count` windows of a text, one after the other from some place on."""
        size, text = self.size, self._read(name)
        # Four characters a token is more than any of the texts has.
        needed = 6 * count * size.length
        start = rng.randrange(max(1, len(text) - needed))
        ids = self.ids(text[start : start + needed])
        found = len(ids) // (size.length + 1)
        if not found:
            raise ValueError(f"{name} is too short for a window of {size.length} tokens")
        places = range(min(count, found))
        width = size.length + 1
        return passages_of([(ids[i * width : (i + 1) * width], given) for i in places])

    def _read(self, name: str) -> str:
        (text,) = read_texts([name], self.data)
        return text


def draw_domains(texts: Texts, seed: int) -> Stream:
    """Books of four languages and three kinds, a domain after the other."""
    rng, size = random.Random(f"domains {seed}"), texts.size
    tasks = [
        Task(
            name,
            texts.windows(f"{file}#train", size.train, rng, 1),
            texts.windows(f"{file}#test", size.test, rng, size.given),
        )
        for name, file in DOMAINS.items()
    ]
    return _stream("domains", texts, tasks, seed)


def draw_clinc150(texts: Texts, seed: int) -> Stream:
    """What people ask an assistant for, ten domains of 15 intents; domains in an order by seed."""
    rng = random.Random(f"clinc150 {seed}")
    rows = [
        (row["split"], row["text"], row["intent"], row["domain"])
        for row in texts.rows("intent/clinc150_full.jsonl.gz")
        if row["domain"] != "oos"
    ]
    domains = sorted({row[3] for row in rows})
    rng.shuffle(domains)
    groups = [(domain, sorted({row[2] for row in rows if row[3] == domain})) for domain in domains]
    train = [(text, intent) for split, text, intent, _ in rows if split == "train"]
    test = [(text, intent) for split, text, intent, _ in rows if split == "test"]
    return _classes("clinc150", texts, groups, train, test, seed)


def draw_dbpedia(texts: Texts, seed: int) -> Stream:
    """Articles by what they are about, two classes at a time, in an order by seed."""
    rng = random.Random(f"dbpedia {seed}")
    rows = texts.rows("intent/dbpedia14_10k.jsonl.gz")
    names = sorted({row["label_name"] for row in rows})
    rng.shuffle(names)
    groups = [
        (f"{one}, {two}", [one, two]) for one, two in zip(names[::2], names[1::2], strict=True)
    ]
    train = [(row["text"], row["label_name"]) for row in rows if row["split"] == "val"]
    test = [(row["text"], row["label_name"]) for row in rows if row["split"] == "test"]
    return _classes("dbpedia", texts, groups, train, test, seed)


def draw_languages(texts: Texts, seed: int) -> Stream:
    """Verses of the Bible from English into Basque and then into Swahili."""
    rng, size = random.Random(f"languages {seed}"), texts.size
    verses = texts.rows("parallel/bible_gospels_acts_en_eu_sw.jsonl.gz")
    rng.shuffle(verses)
    test, train = verses[: size.test], verses[size.test :][: size.train]

    def passages(some: Iterable[dict[str, Any]], key: str) -> Passages:
        rows = []
        for verse in some:
            given = texts.ids(verse["en"])[: size.length // 2 - 1]
            said = texts.ids(verse[key])[: size.length // 2 - 1]
            rows.append(([*given, texts.separator, *said, texts.end], len(given) + 1))
        return passages_of(rows)

    tasks = [
        Task(f"English to {name}", passages(train, key), passages(test, key))
        for name, key in (("Basque", "eu"), ("Swahili", "sw"))
    ]
    return _stream("languages", texts, tasks, seed)


STREAMS: dict[str, Callable[[Texts, int], Stream]] = {
    "domains": draw_domains,
    "clinc150": draw_clinc150,
    "dbpedia": draw_dbpedia,
    "languages": draw_languages,
}


def _classes(
    name: str,
    texts: Texts,
    groups: Sequence[tuple[str, Sequence[str]]],
    train: Sequence[tuple[str, str]],
    test: Sequence[tuple[str, str]],
    seed: int,
) -> Stream:
    rng = random.Random(f"{name} texts {seed}")
    size, labels = texts.size, [label for _, some in groups for label in some]
    ids = {label: VOCABULARY + place for place, label in enumerate(labels)}

    def passages(rows: Sequence[tuple[str, str]], some: Sequence[str], count: int) -> Passages:
        """As many of each class, `count` in all at most."""
        found = []
        for label in some:
            own = [text for text, said in rows if said == label]
            rng.shuffle(own)
            for text in own[: max(1, count // len(some))]:
                given = [*texts.ids(text)[: size.words], texts.separator]
                found.append(([*given, ids[label]], len(given)))
        rng.shuffle(found)
        return passages_of(found)

    tasks = [
        Task(
            title,
            passages(train, some, size.labelled),
            passages(test, some, size.test),
            tuple(ids[label] for label in some),
        )
        for title, some in groups
    ]
    return _stream(name, texts, tasks, seed, len(labels))


def _stream(name: str, texts: Texts, tasks: Sequence[Task], seed: int, classes: int = 0) -> Stream:
    # The same for all streams of a seed, so that one model can begin them all.
    size, rng = texts.size, random.Random(f"base {seed}")
    return Stream(
        name,
        tuple(tasks),
        texts.windows(BASE[0], size.base, rng, 1),
        texts.windows(BASE[1], size.base_test, rng, size.given),
        tuple(_choice(texts, name, rng) for name in CHOICES),
        VOCABULARY + classes,
    )


def _arc(row: dict[str, Any]) -> tuple[str, list[str], int]:
    choices = row["choices"]
    return row["question"], choices["text"], choices["label"].index(row["answerKey"])


def _piqa(row: dict[str, Any]) -> tuple[str, list[str], int]:
    return row["goal"], [row["sol1"], row["sol2"]], int(row["label"])


# Files of the datasets, and how a row of each is read: the question, the answers, the right one.
CHOICES = {"arc_easy": ("arc_easy_valid", _arc), "piqa": ("piqa_valid_half", _piqa)}


def _choice(texts: Texts, name: str, rng: random.Random) -> Choice:
    file, read = CHOICES[name]
    rows = texts.rows(f"choice/{file}.jsonl.gz")
    found, question, right = [], [], []
    for number, row in enumerate(rng.sample(rows, min(texts.size.questions, len(rows)))):
        asked, answers, best = read(row)
        given = texts.ids(asked)[-texts.size.words :]
        for place, answer in enumerate(answers):
            said = texts.ids(" " + answer)[: texts.size.length - len(given)]
            found.append(([*given, *said], len(given)))
            question.append(number)
            right.append(place == best)
    return Choice(name, passages_of(found), torch.tensor(question), torch.tensor(right))


def in_lots(passages: Passages, size: int, generator: torch.Generator) -> list[Tensor]:
    """Rows in a random order, so many at a time."""
    return list(torch.randperm(len(passages), generator=generator).split(size))
