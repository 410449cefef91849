"""Turns written by hand, and how answers to them are judged."""

import random

import pytest

from nestling.evaluation.everyday import is_right, measure_everyday, plain, read_everyday
from nestling.evaluation.model_tables import everyday_table
from nestling.training.told_facts import FactSource
from nestling.training.told_facts.open_families import families


def test_every_answer_stands_in_its_telling():
    everyday = read_everyday()
    assert len(everyday["facts"]) >= 300
    for fact in everyday["facts"]:
        assert plain(fact["answer"][0]) in fact["tell"].casefold(), fact
    tellings = [fact["tell"] for fact in everyday["facts"]]
    assert len(tellings) == len(set(tellings))
    assert all(item["turn"] for item in everyday["small_talk"])
    assert all(item["ask"] for item in everyday["never_told"])


def test_an_answer_is_judged_without_what_makes_no_difference():
    assert is_right({"known": True, "text": "a Nurse"}, ["nurse"])
    assert is_right({"known": True, "text": "Dr. Moss"}, ["dr. moss."])
    assert not is_right({"known": True, "text": "nurse at night"}, ["nurse"])
    assert not is_right({"known": False, "text": None}, ["nurse"])


@pytest.mark.parametrize("together", [(1,), (1, 4)])
def test_rows_for_every_kind(together):
    rows = list(measure_everyday(together=together, limit=4))
    kinds = [row["kind"] for row in rows]
    assert kinds == [*["told"] * len(together), "small_talk", "never_told"]
    assert all(0 <= row["right"] <= 1 and 0 <= row["refused"] <= 1 for row in rows)
    assert all(row["turns"] == 4 for row in rows)
    assert everyday_table(rows).count("\n|") == 1 + len(together)


def test_no_template_of_training_is_one_of_the_turns():
    turns = {fact["tell"].casefold().strip(".!") for fact in read_everyday()["facts"]}
    plain_texts = {
        template.text.lstrip("!")
        for family in families()
        for template in (*family.tellings["train"], *family.updates["train"])
    }
    assert not turns & plain_texts
    source = FactSource(random.Random(0), open_facts=0.7)
    drawn = {source.telling([fact]).text.casefold() for fact in source.facts(2000)}
    assert len(drawn) > 1900
    assert not turns & {text.strip(".!") for text in drawn}
