"""Sleep: what was told moves into the slow level, and nothing is lost on the way."""

import dataclasses
import json

import pytest
import torch

from nestling.memory.consolidation import Consolidation, ConsolidationOptions
from nestling.memory.level import Level
from nestling.models import asking
from nestling.models.hope import Hope
from nestling.resident import Resident, SleepOptions, sleep, store
from nestling.resident.records import Noted, Recalled
from nestling.resident.sleep import Plan, choose
from nestling.resident.store import SLEEP, StoreError

pytestmark = pytest.mark.usefixtures("plain_turns")

TOLD = ["my dog = Pixel", "how nice", "my city = Porto; my cat = Mia", "my dog = Rex"]
NOTED = [("my city", "Porto"), ("my cat", "Mia"), ("my dog", "Rex")]
SHORT = SleepOptions(base_bound=10.0, consolidation=ConsolidationOptions(steps=60, rate=0.03))


@pytest.fixture
def alice(home, tiny_bundle):
    with Resident.open("alice", home, model=tiny_bundle) as resident:
        resident.learn_all(TOLD)
        yield resident


def same(one, other):
    assert list(one) == list(other)
    return all(torch.equal(one[name], other[name]) for name in one)


def test_after_a_sleep_the_slow_level_knows_and_the_fast_one_is_empty(alice):
    before = alice.state()
    report = alice.sleep(SHORT)
    assert report.kept and report.rehearsed == report.new == 3
    # The model was never trained to recall: two of three is much for it.
    assert report.recall[1] >= 2 / 3 and report.recall[1] >= report.recall[0]
    after = alice.state()
    assert bool(before["memory.delta.fast.down"].any())
    assert not bool(after["memory.delta.fast.down"].any())
    assert bool(after["memory.delta.slow.down"].any())
    assert [(item.key, item.value) for item in alice.strengths()] == NOTED
    assert sum(item.margin > 0 for item in alice.strengths()) >= 2


def test_a_later_process_finds_what_a_sleep_left(alice, home, tiny_bundle):
    alice.sleep(SHORT)
    with Resident.open("alice", home, model=tiny_bundle) as later:
        assert same(later.state(), alice.state())
        assert later.version == alice.version == len(TOLD) + 1
        assert [(note.key, note.value) for note in later.notes()] == NOTED


def test_a_replay_sleeps_where_was_slept(alice):
    alice.sleep(SHORT)
    alice.learn("my boat = Nina")
    alice.sleep(SHORT)
    alice.learn("my boat = Flora")
    state = alice.state()
    alice.rebuild()
    assert same(alice.state(), state)


def test_an_interrupted_sleep_changes_nothing_and_goes_on_to_the_same_end(
    alice, home, tiny_bundle, monkeypatch
):
    with Resident.open("twin", home, model=tiny_bundle) as twin:
        twin.learn_all(TOLD)
        twin.sleep(SHORT)
        expected = twin.state()
    before, steps = alice.state(), []

    def stop(done, _):
        steps.append(done)
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        alice.sleep(SHORT, progress=stop)
    assert same(alice.state(), before) and alice.version == len(TOLD)
    assert (alice.path / SLEEP).exists()
    begun = []
    alice.sleep(SHORT, progress=lambda done, _: begun.append(done))
    # The last of what was kept: a look at all lessons every 25 steps.
    assert begun[0] == 26
    assert same(alice.state(), expected)
    assert not (alice.path / SLEEP).exists()


@pytest.mark.parametrize("broken", [b"", b"no tensors"])
def test_what_is_left_of_another_sleep_is_not_used(alice, broken):
    (alice.path / SLEEP).write_bytes(broken)
    assert alice.sleep(SHORT).kept


def interrupted(alice):
    def stop(done, _):
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        alice.sleep(SHORT, progress=stop)


def test_what_is_left_of_a_sleep_is_not_used_once_it_is_damaged(alice):
    interrupted(alice)
    content = bytearray((alice.path / SLEEP).read_bytes())
    content[-100] ^= 64
    (alice.path / SLEEP).write_bytes(content)
    begun = []
    alice.sleep(SHORT, progress=lambda done, _: begun.append(done))
    assert begun[0] == 1
    assert alice.verify().replayed


def test_a_sleep_that_cannot_be_kept_says_so(alice, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = alice.state()
    write = store.write_file
    monkeypatch.setattr(store, "write_file", full)
    with pytest.raises(StoreError, match="sleep cannot be kept in .*: No space left on device"):
        alice.sleep(SHORT)
    monkeypatch.setattr(store, "write_file", write)
    assert same(alice.state(), before)
    assert alice.sleep(SHORT).kept


def test_a_sleep_that_would_harm_is_taken_back(alice, monkeypatch):
    losses = iter([1.0, 1.5])
    monkeypatch.setattr(sleep, "mean_loss", lambda *_: next(losses))
    before = alice.state()
    report = alice.sleep(SleepOptions(consolidation=SHORT.consolidation))
    assert not report.kept
    assert "restating would have risen from 1.0000 to 1.5000, more than 2%" in report.reason
    assert same(alice.state(), before) and alice.version == len(TOLD)


def test_a_sleep_that_would_forget_is_taken_back(alice, monkeypatch):
    alice.sleep(SHORT)
    before = alice.state()

    class Nightmare(Consolidation):
        def result(self):
            return super().result().reset()

    monkeypatch.setattr(sleep, "Consolidation", Nightmare)
    report = alice.sleep(SHORT)
    assert not report.kept and "recall would have fallen from 0.667" in report.reason
    assert same(alice.state(), before)


def test_nothing_told_is_nothing_to_rehearse(home, tiny_bundle):
    with Resident.open("new", home, model=tiny_bundle) as resident:
        report = resident.sleep(SHORT)
        assert (report.rehearsed, report.steps, report.kept) == (0, 0, True)
        assert resident.version == 0 and resident.strengths() == []


def test_asking_brings_a_note_to_the_front(alice, monkeypatch):
    alice.sleep(SHORT)
    alice.learn("my boat = Nina")
    # The small model of these tests is never sure.
    monkeypatch.setattr(asking, "PLAUSIBLE", 1e-30)
    answers = alice.ask_all(["my dog?", "my house?"])
    recalls = alice._folder.journal.recalls()
    assert answers[0].known and recalls["my dog"].kind == "asked"
    assert recalls["my city"].kind == "sleep" and "my boat" not in recalls
    strength = {item.key: item for item in alice.strengths()}
    assert strength["my city"].times == 1
    assert strength["my city"].change is not None and strength["my boat"].change is None


def test_a_model_without_such_a_level_says_so(alice, home, tiny_bundle):
    before = alice.state()
    settings = dataclasses.replace(tiny_bundle.model.settings, levels=(Level(),))
    awake = dataclasses.replace(tiny_bundle, model=Hope(settings))
    with (
        Resident.open("alice", home, model=awake) as resident,
        pytest.raises(ValueError, match="no level that is written in sleep; give it one"),
    ):
        resident.sleep(SHORT)
    assert same(alice.state(), before)


def noted(count, entry=1):
    return [Noted(f"key {i}", "value", entry + i, "then") for i in range(count)]


def test_all_that_is_new_is_rehearsed_and_of_the_old_the_weak_and_the_forgotten():
    notes = noted(8)
    known = [5.0, 4.0, 3.0, 2.0, 1.0, 6.0, 7.0, 8.0]
    recalls = {
        "key 0": Recalled("key 0", "asked", 1, "now", 9, 5.0),
        "key 1": Recalled("key 1", "asked", 1, "now", 2, 5.0),
    }
    # The entries up to 6 are old. The weakest two are 4 and 3; recalled longest ago are 1 and 2.
    assert choose(notes, known, recalls, last_sleep=6, budget=4) == [1, 2, 3, 4, 6, 7]
    assert choose(notes, known, {}, last_sleep=6, budget=0) == [6, 7]
    assert choose(notes, known, {}, last_sleep=0, budget=4) == list(range(8))


def test_a_plan_survives_the_journal():
    plan = Plan("slow", ((1, 0), (3, 1)), ConsolidationOptions(steps=7, seed=3))
    assert Plan.from_json(plan.to_json()) == plan


def test_a_plan_of_before_norms_were_bounded_knows_no_bound():
    values = json.loads(Plan("slow", ((1, 0),), ConsolidationOptions()).to_json())
    del values["consolidation"]["norm"]
    assert Plan.from_json(json.dumps(values)).consolidation.norm is None


@pytest.mark.parametrize(
    "wrong",
    [{"budget": -1}, {"base_bound": -0.1}, {"base_bound": float("nan")}],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="is 0 or more"):
        SleepOptions(**wrong)
