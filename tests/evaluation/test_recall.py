"""What is told and asked when recall is measured."""

import random

from nestling.evaluation.recall import SESSIONS, grade, make_life
from nestling.training.told_facts import FactSource


def life(facts=32):
    rng = random.Random(3)
    return make_life("a", FactSource(rng, values="held_out"), rng, facts)


def test_every_fact_is_asked_once_as_told_or_as_updated():
    one = life()
    keys = [fact.key for _, fact in one.told + one.updated]
    assert len(keys) == len(set(keys)) == 32
    assert len(one.updated) == 4


def test_told_values_are_said_in_some_session():
    one = life()
    said = "\n".join(text for session in one.sessions for text in session)
    assert len(one.sessions) == SESSIONS
    assert all(session for session in one.sessions)
    assert all(fact.value in said for _, fact in one.told + one.updated)


def test_changes_are_told_in_the_last_session():
    one = life()
    before = "\n".join(text for session in one.sessions[:-1] for text in session)
    last = "\n".join(one.sessions[-1])
    for _, fact in one.updated:
        assert fact.value in last
        assert fact.value not in before or len(fact.value) < 4


def test_grading_counts_exact_matches_and_refusals():
    known = {"known": True, "text": "Pixel"}
    unknown = {"known": False, "text": "I don't know."}
    graded = grade([("Pixel", known), ("pixel", known), ("Rex", unknown), (None, unknown)])
    assert graded == {"exact_match": 0.25, "refused": 0.5, "questions": 4}
