"""The promise itself, with the embedded model: told, slept over, asked of the slow level alone."""

import pytest

from nestling.cli.demo import ASKED, TOLD
from nestling.resident import Resident

UNKNOWN = "I don't know."


@pytest.fixture
def told(home):
    with Resident.open("alice", home) as resident:
        resident.learn_all(TOLD)
        yield resident


def outcome(answers):
    wanted = [expected or UNKNOWN for _, expected in ASKED]
    return sum(answer.text == text for answer, text in zip(answers, wanted, strict=True))


def test_what_was_told_is_known_after_a_sleep_by_the_slow_level_alone(told, home):
    questions = [question for question, _ in ASKED]
    awake = outcome(told.ask_all(questions))
    report = told.sleep()
    assert report.kept and report.recall == (1.0, 1.0)
    told.close()
    with Resident.open("alice", home) as later:
        state = later.state()
        assert not bool(state["memory.delta.fast.down"].any())
        assert bool(state["memory.delta.slow.down"].any())
        assert outcome(later.ask_all(questions)) == awake == len(ASKED)


def test_without_its_memory_the_same_model_knows_nothing_of_it(told):
    told.sleep()
    answers = told.ask_all([question for question, _ in ASKED], memory=False)
    assert [answer.text for answer in answers] == [UNKNOWN] * len(ASKED)
