"""Going back, comparing and clearing up: a version is what its entries give, to the bit."""

import dataclasses

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nestling.memory.consolidation import ConsolidationOptions
from nestling.memory.state import MemoryState
from nestling.models.bundle import load_bundle
from nestling.models.dialogue import Note, Restatement
from nestling.models.restate import Recall
from nestling.resident import Resident, SleepOptions, store, versions
from nestling.resident.archive import branch_memory
from nestling.resident.history import living
from nestling.resident.records import Entry
from nestling.resident.store import MemoryBusy, MemoryFolder

same = MemoryState.equals
pytestmark = pytest.mark.usefixtures("plain_turns")

TOLD = ["my dog = Pixel", "how nice zanzibar", "my city = Porto; my cat = Mia", "my boat = Nina"]
SHORT = SleepOptions(base_bound=10.0, consolidation=ConsolidationOptions(steps=20, rate=0.03))


@pytest.fixture
def alice(home, tiny_bundle):
    with Resident.open("alice", home, model=tiny_bundle) as resident:
        for text in TOLD:
            resident.learn(text)
        yield resident


def other(home, tiny_bundle, told):
    with Resident.open("other", home, model=tiny_bundle) as resident:
        resident.learn_all(told)
        return resident.state()


def keys(resident):
    return [note.key for note in resident.notes()]


def test_what_was_rolled_back_counts_no_more(alice, home, tiny_bundle):
    done = alice.rollback(2)
    assert (done.from_version, done.to_version, done.version) == (4, 2, 5)
    assert same(alice.state(), other(home, tiny_bundle, TOLD[:2]))
    assert keys(alice) == ["my dog"]
    assert [entry.role for entry in alice.entries()] == ["user"] * 4 + ["rollback"]


def test_a_rollback_is_taken_back_by_another(alice):
    before = alice.state()
    alice.rollback(1)
    alice.learn("my horse = Fury")
    assert keys(alice) == ["my dog", "my horse"]
    alice.rollback(4)
    assert same(alice.state(), before)
    assert keys(alice) == ["my dog", "my city", "my cat", "my boat"]
    alice.rollback(6)
    assert keys(alice) == ["my dog", "my horse"]


def test_a_rollback_to_the_beginning_is_a_fresh_memory(alice):
    alice.rollback(0)
    assert alice.notes() == []
    assert same(alice.state(), alice.bundle.model.new_state(1))
    assert alice.verify().replayed


def test_what_was_rolled_back_is_forgotten_like_anything_else(alice, home):
    alice.rollback(1)
    alice.forget("my city")
    assert not [
        path for path in home.rglob("*") if path.is_file() and b"Porto" in path.read_bytes()
    ]
    alice.rollback(4)
    assert keys(alice) == ["my dog", "my cat", "my boat"]
    assert alice.verify().replayed


def test_undo_takes_the_last_turn_that_counts(alice):
    alice.rollback(1)
    alice.undo()
    assert alice.notes() == []
    alice.rollback(4)
    assert keys(alice) == ["my city", "my cat", "my boat"]


def test_a_sleep_after_a_rollback_rehearses_what_counts(alice, home, tiny_bundle):
    alice.rollback(2)
    assert alice.sleep(SHORT).rehearsed == 1
    assert alice.verify().replayed
    with Resident.open("other", home, model=tiny_bundle) as never:
        never.learn_all(TOLD[:2])
        never.sleep(SHORT)
        assert same(alice.state(), never.state())
    alice.rollback(4)
    alice.rollback(6)
    assert alice.verify().replayed


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.one_of(st.integers(0, 30), st.sampled_from("abc")), min_size=1, max_size=10))
def test_any_history_of_turns_and_rollbacks_is_replayed_to_the_bit(
    tmp_path_factory, tiny_bundle, history
):
    home = tmp_path_factory.mktemp("home")
    with Resident.open("alice", home, model=tiny_bundle) as alice:
        # A model of it: what is known at every version.
        known = [{}]
        for step in history:
            version = len(known) - 1
            if isinstance(step, str):
                alice.learn(f"my {step} = v{version}")
                latest = {key: value for key, value in known[-1].items() if key != f"my {step}"}
                known.append({**latest, f"my {step}": f"v{version}"})
            elif step < version:
                alice.rollback(step)
                known.append(known[step])
        assert {note.key: note.value for note in alice.notes()} == known[-1]
        assert alice.verify().replayed
        for version, told in enumerate(known):
            state = alice.state_at(version)
            alice._folder.journal.keep_only(None)
            assert same(state, alice.state_at(version))
            assert {n.key for e in living(alice.entries(), version) for n in e.notes} == set(told)


@pytest.mark.parametrize("version", [-1, 5, 10**12])
def test_a_version_that_never_was_is_named(alice, version):
    with pytest.raises(ValueError, match="it has 0 to 4"):
        alice.rollback(version)
    with pytest.raises(ValueError, match="it has 0 to 4"):
        alice.difference(version)
    assert alice.version == 4


def test_the_present_version_is_no_way_back(alice):
    with pytest.raises(ValueError, match="at version 4 already"):
        alice.rollback(4)


def test_a_damaged_snapshot_of_before_is_replayed(alice, home, tiny_bundle):
    expected = alice.state_at(3)
    for head in alice._folder.journal.versions()[:-1]:
        (alice.path / "snapshots" / head.snapshot).write_bytes(b"damaged")
    assert same(alice.state_at(3), expected)
    found = alice.verify()
    assert (found.replayed, found.snapshots) == (True, 1)
    assert found.kept > 1


def test_a_difference_names_levels_and_answers(alice, monkeypatch):
    fresh = alice.state_at(0)

    def recall(_model, _dialogue, keys, state):
        known = {} if state.equals(fresh) else {"my dog": "Pixel", "my city": "Porto"}
        return [Recall((), known.get(key), 0.0, key in known) for key in keys]

    def recall_asked(model, dialogue, asked, state):
        keys = [item.key for item in asked]
        return list(zip(keys, recall(model, dialogue, keys, state), strict=True))

    monkeypatch.setattr(versions, "recall", recall)
    monkeypatch.setattr(versions, "recall_asked", recall_asked)
    found = alice.difference(0, 3, ["my city?", "my fish?"])
    assert (found.before, found.after) == (0, 3)
    assert found.norms["fast"] > 0
    assert found.norms["slow"] == 0
    assert [(c.question, c.before, c.after) for c in found.changed] == [
        ("my dog", None, "Pixel"),
        ("my city", None, "Porto"),
        ("my city?", None, "Porto"),
    ]


def test_nothing_differs_from_itself(alice):
    found = alice.difference(4, 4)
    assert not any(found.norms.values())
    assert found.changed == ()
    assert found.asked == 4


def test_clearing_up_changes_nothing(alice, home):
    before = alice.state()
    (alice.path / "snapshots" / ".left-over").write_bytes(bytes(10_000))
    (alice.path / ".sleep.safetensors.left-over").write_bytes(bytes(10_000))
    done = alice.collect()
    assert done.freed >= 20_000
    assert done.left == 0
    assert same(alice.state(), before)
    assert alice.collect(only_now=True).snapshots == 1
    assert len(list((alice.path / "snapshots").iterdir())) == 1
    assert alice.verify().replayed
    assert same(alice.state_at(4), before)


def test_clearing_up_leaves_a_sleep_that_is_not_over(alice):
    class Stop(Exception):
        pass

    def stop(done, steps):
        if done > 11:
            raise Stop

    often = SleepOptions(
        base_bound=10.0, consolidation=ConsolidationOptions(steps=20, rate=0.03, check_every=5)
    )
    with pytest.raises(Stop):
        alice.sleep(often, progress=stop)
    alice.collect()
    assert (alice.path / "sleep.safetensors").exists()


def test_history_is_walked_without_recursion():
    entries = [Entry(1, "", "user", "a", ())]
    for number in range(2, 5000):
        entries.append(Entry(number, "", "rollback", str(number - 2), ()))
    # Every other version goes back to the beginning.
    assert living(entries) == entries[:1]
    assert living(entries, 4998) == []


def test_looking_back_waits_for_no_writer(alice, home, monkeypatch):
    monkeypatch.setattr(store, "LEASE_SECONDS", 0.0)
    with MemoryFolder("alice", home).lease():
        assert alice.difference(0).asked == 4
        assert alice.state_at(2)
        assert alice.why("my dog?").told == 3
        with pytest.raises(MemoryBusy):
            alice.rollback(1)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def embedded(home, two_threads):
    # The tensors of the tiny model are too small for threads to share the work.
    with Resident.open("alice", home, model=load_bundle()) as resident:
        yield resident


def test_any_number_of_threads_learns_to_the_same_bits(embedded):
    embedded.learn_all([*TOLD, "my horse = Fury"])
    torch.set_num_threads(1)
    assert embedded.verify().replayed


def test_any_number_of_threads_sleeps_to_the_same_bits(embedded):
    # Few notes at a time: the sums of a larger rehearsal may come out alike by chance.
    for text in ("my dog = Pixel", "my cat = Mia"):
        embedded.learn(text)
        assert embedded.sleep(SHORT).kept
    for threads in (1, 2):
        torch.set_num_threads(threads)
        assert embedded.verify().replayed


def test_learning_and_sleeping_leave_the_number_of_threads_alone(alice, two_threads):
    alice.learn("my horse = Fury")
    alice.sleep(SHORT)
    assert torch.get_num_threads() == 2


def test_a_sleep_that_small_talk_came_into_begins_anew(alice):
    class Stop(Exception):
        pass

    def stop(done, steps):
        if done > 11:
            raise Stop

    often = dataclasses.replace(
        SHORT, consolidation=dataclasses.replace(SHORT.consolidation, check_every=5)
    )
    with pytest.raises(Stop):
        alice.sleep(often, progress=stop)
    alice.learn("how nice that is")
    assert alice.sleep(often).kept
    assert alice.verify().replayed


def test_after_another_model_restated_it_a_memory_can_be_carried(
    alice, home, tiny_bundle, monkeypatch
):
    alice.sleep(SHORT)
    other_model = dataclasses.replace(tiny_bundle, model_hash="f" * 64)
    kept = [Restatement((Note("my dog", "Pixel"),)), *[Restatement()] * 3]
    monkeypatch.setattr(versions, "restate", lambda *_, **__: kept)
    with Resident.open("alice", home, model=other_model) as later:
        later.rebuild()
        assert keys(later) == ["my dog"]
        assert later.verify().replayed
        copied = branch_memory(MemoryFolder("alice", home), "copy")
    with Resident.open(copied.name, home, model=other_model) as copy:
        assert keys(copy) == ["my dog"]
        assert copy.verify().replayed


def test_only_what_is_learned_from_is_restated_by_another_model(home, tiny_bundle):
    options = {"learns_from": ("assistant",)}
    with Resident.open("bob", home, model=tiny_bundle, **options) as bob:
        bob.learn_all(["my dog = Rex", "my cat = Mia"], ["user", "assistant"])
    other_model = dataclasses.replace(tiny_bundle, model_hash="f" * 64)
    with Resident.open("bob", home, model=other_model, **options) as later:
        later.rebuild()
        assert keys(later) == ["my cat"]


def test_what_cannot_be_asked_or_told_is_refused(alice):
    with pytest.raises(ValueError, match="not valid Unicode"):
        alice.difference(0, questions=["a\udcff"])
    with pytest.raises(ValueError, match="it is 0 or more"):
        alice.ask("my dog?", texts=-1)
    with pytest.raises(ValueError, match="2 texts have 1 roles"):
        alice.learn_all(["a", "b"], ["user"])


def test_a_turn_that_tells_and_asks_does_both(alice):
    heard = alice.hear("my horse = Fury. And my horse?")
    assert heard.noted == (Note("my horse", "Fury."),)
    assert heard.key == "And my horse"
    assert alice.entries()[-1].text == "my horse = Fury."
    before = alice.version
    assert alice.hear("my fish = Bo. And my fish?", learn=False).noted == ()
    assert alice.version == before


def test_what_was_kept_before_a_stop_is_not_kept_twice(alice, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    temporary = alice.temporary()
    temporary.hear("my horse = Fury")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MemoryFolder, "clear_snapshots", stop)
        temporary.keep()
    assert temporary.keep() == []
    assert keys(alice).count("my horse") == 1
    assert alice.version == 5


def test_what_was_not_kept_stays_though_others_wrote_meanwhile(
    alice, home, tiny_bundle, monkeypatch
):
    def refuse(told):
        other = Resident.open("alice", home, model=tiny_bundle)
        other.learn("my boat = Luna")
        raise MemoryBusy("busy")

    temporary = alice.temporary()
    temporary.hear("my horse = Fury")
    with monkeypatch.context() as patch, pytest.raises(MemoryBusy):
        patch.setattr(alice, "learn_restated", refuse)
        temporary.keep()
    assert len(temporary.keep()) == 1
    assert keys(alice)[-1] == "my horse"


def test_a_difference_asks_as_ask_does(alice, monkeypatch):
    def thought_over(model, dialogue, asked, state):
        said = "yes" if state.equals(now) else "no"
        return [(item.key, Recall((), said, 0.0, True)) for item in asked]

    now = alice.state()
    monkeypatch.setattr(versions, "recall_asked", thought_over)
    found = alice.difference(0, questions=["my aunt?"])
    assert found.changed[-1] == versions.Changed("my aunt?", "no", "yes")
    assert found.asked == len({*keys(alice)}) + 1


@pytest.mark.parametrize("version", [True, 1.0, "1"])
def test_a_version_that_is_no_whole_number_is_refused_before_anything_is_written(alice, version):
    entries = alice.entries()
    for act in (alice.rollback, alice.state_at, alice.difference):
        with pytest.raises(ValueError, match="a version is a whole number"):
            act(version)
    assert alice.entries() == entries
