import dataclasses
import subprocess
import sys
import threading

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nestling.models import dialogue
from nestling.models.asking import Asked
from nestling.resident import Answer, Learned, Resident, SleepOptions, replay, session, versions
from nestling.resident.journal import Journal
from nestling.resident.opened import OtherModel
from nestling.resident.store import MemoryFolder, MemoryNotFound, SnapshotDamaged, StoreError

pytestmark = pytest.mark.usefixtures("plain_turns")

FACTS = ["my dog = Pixel", "how nice", "my city = Porto; my cat = Mia", "my dog = Rex"]


@pytest.fixture
def alice(home, tiny_bundle):
    with Resident.open("alice", home, model=tiny_bundle) as resident:
        yield resident


@pytest.fixture
def other_model(tiny_bundle):
    return dataclasses.replace(tiny_bundle, model_hash="f" * 64)


def same(one, other):
    assert list(one) == list(other)
    return all(torch.equal(one[name], other[name]) for name in one)


def snapshots(resident):
    return sorted(path.name for path in (resident.path / "snapshots").iterdir())


def test_learning_reports_each_note(alice):
    learned = alice.learn("my city = Porto; my cat = Mia")
    assert isinstance(learned, Learned)
    assert [str(note) for note in learned.notes] == ["my city: Porto", "my cat: Mia"]
    assert [report.note for report in learned.reports] == list(learned.notes)
    assert all(report.update_norm > 0 for report in learned.reports)


def test_small_talk_is_on_record_and_writes_nothing(alice):
    before = alice.state()
    learned = alice.learn("how nice")
    assert learned.notes == ()
    assert alice.version == 1
    assert same(alice.state(), before)
    assert snapshots(alice) == []


def test_notes_are_the_latest_of_the_journal(alice):
    alice.learn_all(FACTS)
    assert [(note.key, note.value) for note in alice.notes()] == [
        ("my city", "Porto"),
        ("my cat", "Mia"),
        ("my dog", "Rex"),
    ]


def test_a_question_sees_the_memory_and_leaves_it_alone(alice):
    without = alice.ask("my dog?", memory=False)
    assert alice.ask("my dog?").logprob == without.logprob
    alice.learn("my dog = Pixel")
    before = alice.state()
    answer = alice.ask("my dog?")
    assert isinstance(answer, Answer)
    assert answer.key == "my dog"
    assert answer.logprob != without.logprob
    assert alice.ask("my dog?", memory=False).logprob == without.logprob
    assert same(alice.state(), before)
    assert alice.version == 1


def test_what_is_not_known_is_said_to_be_unknown(alice, monkeypatch):
    found = session.recall_asked(
        alice.bundle.model, alice.bundle.dialogue, [Asked("my fish?", "my fish")], None
    )
    unknown = [(key, dataclasses.replace(item, text=None, known=False)) for key, item in found]
    monkeypatch.setattr(session, "recall_asked", lambda *_: unknown)
    answer = alice.ask("my fish?")
    assert (answer.text, answer.known) == ("I don't know.", False)


def test_the_context_of_a_question_holds_the_question_alone(alice, monkeypatch):
    alice.learn_all(FACTS)
    seen = []
    forward = type(alice.bundle.model).forward

    def listen(self, ids, *arguments, **options):
        seen.append(alice.bundle.dialogue.text(ids.flatten().tolist()))
        return forward(self, ids, *arguments, **options)

    monkeypatch.setattr(type(alice.bundle.model), "forward", listen)
    alice.ask("my boat?")
    assert seen[0] == "my boat"
    assert not any(word in seen[0] for word in ("Pixel", "Porto", "Mia", "Rex"))


def test_a_turn_is_told_or_asked_as_the_model_decides(alice):
    assert isinstance(alice.hear("my dog = Pixel"), Learned)
    assert isinstance(alice.hear("my dog?"), Answer)
    assert alice.hear("how nice").notes == ()
    assert alice.version == 2


def test_a_new_instance_remembers(alice, home, tiny_bundle):
    alice.learn_all(FACTS)
    with Resident.open("alice", home, model=tiny_bundle, create=False) as later:
        assert same(later.state(), alice.state())
        assert later.version == 4


def test_an_open_instance_sees_what_another_learned(alice, home, tiny_bundle):
    with Resident.open("alice", home, model=tiny_bundle) as other:
        alice.ask("my dog?")
        other.learn("my dog = Pixel")
        assert alice.ask("my dog?").logprob == other.ask("my dog?").logprob
        alice.learn("my city = Porto")
        assert same(alice.state(), other.state())
        assert other.version == 2


def test_another_process_sees_what_was_learned(alice, home, tiny_bundle):
    alice.learn_all(FACTS)
    code = (
        "import sys\n"
        "from nestling.models.bundle import load_bundle\n"
        "from nestling.resident import Resident\n"
        "with Resident.open('alice', sys.argv[1], model=load_bundle(sys.argv[2])) as alice:\n"
        "    print(alice.version, sum(float(leaf.sum()) for leaf in alice.state().values()))\n"
    )
    arguments = [sys.executable, "-c", code, str(home), str(tiny_bundle.path)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    version, total = done.stdout.split()
    assert version == "4"
    assert float(total) == sum(float(leaf.sum()) for leaf in alice.state().values())


def test_texts_learned_together_equal_one_by_one(alice, home, tiny_bundle):
    together = alice.learn_all(FACTS)
    with Resident.open("bob", home, model=tiny_bundle) as bob:
        for text, learned in zip(FACTS, together, strict=True):
            assert bob.learn(text).notes == learned.notes
        assert same(bob.state(), alice.state())
        assert bob.version == alice.version == 4


facts = st.lists(
    st.one_of(
        st.just("how nice"),
        st.tuples(st.sampled_from("abc"), st.text("xyz", min_size=1, max_size=4)).map(" = ".join),
    ),
    max_size=5,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(facts, max_size=3))
def test_a_replay_gives_the_same_tensors(tmp_path_factory, tiny_bundle, calls):
    with Resident.open("a", tmp_path_factory.mktemp("home"), model=tiny_bundle) as resident:
        for texts in calls:
            resident.learn_all(texts)
        before = resident.state()
        head = Journal(resident.path / "journal.sqlite3").head()
        rebuilt = resident.rebuild()
        assert rebuilt.entries == sum(map(len, calls))
        assert same(resident.state(), before)
        assert Journal(resident.path / "journal.sqlite3").head() == head


def crash(monkeypatch, owner, name):
    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, fail)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(replay, "learn_notes"), (MemoryFolder, "write_snapshot"), (Journal, "append")],
)
def test_a_crash_before_the_head_moved_leaves_the_old_version(
    alice, home, tiny_bundle, monkeypatch, owner, name
):
    alice.learn("my dog = Pixel")
    before = alice.state()
    with monkeypatch.context() as patch:
        crash(patch, owner, name)
        with pytest.raises(KeyboardInterrupt):
            alice.learn("my city = Porto")
    with Resident.open("alice", home, model=tiny_bundle) as later:
        for resident in (alice, later):
            assert resident.version == 1
            assert same(resident.state(), before)
        later.learn("my city = Porto")
        assert len(snapshots(later)) == 2


def test_a_crash_after_the_head_moved_leaves_the_new_version(alice, home, tiny_bundle, monkeypatch):
    alice.learn("my dog = Pixel")
    with monkeypatch.context() as patch:
        crash(patch, MemoryFolder, "clear_snapshots")
        with pytest.raises(KeyboardInterrupt):
            alice.learn("my city = Porto")
    with Resident.open("alice", home, model=tiny_bundle) as later:
        assert later.version == 2
        assert same(later.state(), alice.state())


def test_a_crash_while_a_memory_is_made_leaves_none(home, tiny_bundle, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("nestling.resident.journal_tables._TABLES", ("CREATE TABLE broken (",))
        with pytest.raises(ValueError, match="cannot be used"):
            Resident.open("alice", home, model=tiny_bundle)
    with pytest.raises(MemoryNotFound):
        Resident.open("alice", home, model=tiny_bundle, create=False)
    with Resident.open("alice", home, model=tiny_bundle) as alice:
        alice.learn("my dog = Pixel")


def test_a_corrupt_snapshot_is_refused_until_it_is_rebuilt(alice, home, tiny_bundle):
    alice.learn_all(FACTS)
    before = alice.state()
    path = alice.path / "snapshots" / snapshots(alice)[0]
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    damaged = path.read_bytes()
    with Resident.open("alice", home, model=tiny_bundle) as later:
        for attempt in (lambda: later.ask("my dog?"), lambda: later.learn("my dog = Max")):
            with pytest.raises(SnapshotDamaged, match=path.name):
                attempt()
        assert path.read_bytes() == damaged
        assert later.version == 4
        assert len(later.notes()) == 3
        later.rebuild()
        assert same(later.state(), before)


def test_a_question_without_memory_needs_no_snapshot(alice, home, tiny_bundle):
    alice.learn("my dog = Pixel")
    (alice.path / "snapshots" / snapshots(alice)[0]).unlink()
    with Resident.open("alice", home, model=tiny_bundle) as later:
        later.ask("my dog?", memory=False)


def test_another_model_is_refused_until_it_learned_the_journal(
    alice, home, tiny_bundle, other_model
):
    alice.learn_all(FACTS)
    with Resident.open("alice", home, model=other_model) as later:
        for attempt in (lambda: later.ask("my dog?"), lambda: later.learn("my dog = Max")):
            with pytest.raises(OtherModel) as caught:
                attempt()
            assert tiny_bundle.model_hash[:12] in str(caught.value)
            assert "ffffffffffff" in str(caught.value)
            assert "nestling memory rebuild alice" in str(caught.value)
        later.rebuild()
        later.ask("my dog?")
    with pytest.raises(OtherModel):
        alice.ask("my dog?")


def test_another_model_restates_the_texts_itself(alice, home, other_model, monkeypatch):
    alice.learn("my dog = Pixel")
    restated = [dialogue.Restatement((dialogue.Note("dog", "Pixel"),))]
    monkeypatch.setattr(versions, "restate", lambda *_, **__: restated)
    with Resident.open("alice", home, model=other_model) as later:
        later.rebuild()
        assert [note.key for note in later.notes()] == ["dog"]


def test_two_writers_lose_nothing(home, tiny_bundle):
    errors = []

    def write(who):
        try:
            with Resident.open("alice", home, model=tiny_bundle) as resident:
                for number in range(5):
                    resident.learn(f"{who} = {number}")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(who,)) for who in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with Resident.open("alice", home, model=tiny_bundle) as alice:
        assert alice.version == 10
        assert {(note.key, note.value) for note in alice.notes()} == {("a", "4"), ("b", "4")}
        before = alice.state()
        alice.rebuild()
        assert same(alice.state(), before)


def test_a_reader_follows_a_head_that_moves_while_it_reads(alice, home, tiny_bundle, monkeypatch):
    alice.learn("my dog = Pixel")
    read = MemoryFolder.read_snapshot
    calls = []

    def late(self, head, *rest, **options):
        calls.append(head)
        if len(calls) == 1:
            alice.learn("my dog = Rex")
            alice.learn("my dog = Max")
        return read(self, head, *rest, **options)

    monkeypatch.setattr(MemoryFolder, "read_snapshot", late)
    with Resident.open("alice", home, model=tiny_bundle) as later:
        assert same(later.state(), alice.state())


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_an_empty_text_is_refused(alice, text):
    for attempt in (alice.learn, alice.ask, alice.hear):
        with pytest.raises(ValueError, match="the text is empty"):
            attempt(text)
    assert alice.version == 0


def test_a_text_longer_than_the_window_is_refused(alice):
    with pytest.raises(ValueError, match="reads at most 96 at once"):
        alice.learn("word " * 100)


def test_a_text_that_is_not_unicode_is_refused(alice):
    with pytest.raises(ValueError, match="not valid Unicode"):
        alice.learn("my dog = \udc80")


def test_one_bad_text_keeps_all_from_being_learned(alice):
    with pytest.raises(ValueError, match="empty"):
        alice.learn_all(["my dog = Pixel", ""])
    assert alice.version == 0


def test_a_write_that_is_not_finite_is_refused(alice, monkeypatch):
    alice.learn("my dog = Pixel")
    before = alice.state()
    learn = replay.learn_notes

    def explode(*arguments):
        state, reports = learn(*arguments)
        return state, [dataclasses.replace(report, update_norm=float("nan")) for report in reports]

    monkeypatch.setattr(replay, "learn_notes", explode)
    with pytest.raises(ValueError, match="not finite"):
        alice.learn("my dog = Rex")
    assert alice.version == 1
    assert same(alice.state(), before)


def test_a_missing_memory_is_made_only_if_wanted(home, tiny_bundle):
    with pytest.raises(MemoryNotFound, match="there are: none yet"):
        Resident.open("bob", home, model=tiny_bundle, create=False)
    assert not home.exists()


def test_a_bad_name_is_refused(home, tiny_bundle):
    with pytest.raises(StoreError, match="cannot name a memory"):
        Resident.open("../bob", home, model=tiny_bundle)


def test_a_removed_memory_is_noticed(alice):
    alice.learn("my dog = Pixel")
    MemoryFolder("alice", alice.path.parent).remove()
    for attempt in (lambda: alice.ask("my dog?"), lambda: alice.learn("my dog = Rex")):
        with pytest.raises(MemoryNotFound):
            attempt()


def test_a_closed_memory_says_so(alice):
    alice.close()
    with pytest.raises(ValueError, match="is closed"):
        alice.ask("my dog?")


def test_nothing_that_another_is_told_moves_a_single_bit(home, tiny_bundle):
    model, dialogue = tiny_bundle.model, tiny_bundle.dialogue
    ids = torch.tensor([dialogue.recall("my dog"), dialogue.recall("my cat")])

    def logits(resident):
        with torch.no_grad():
            return model(ids, state=resident.state().repeat(2)).logits

    with (
        Resident.open("bob", home, model=tiny_bundle) as bob,
        Resident.open("alice", home, model=tiny_bundle) as alice,
    ):
        bob.learn("my dog = Rex")
        before, weights = logits(bob), [weight.clone() for weight in model.parameters()]
        alice.learn_all(["my dog = Pixel", "my cat = Mia", "how nice"])
        alice.sleep(SleepOptions(base_bound=10.0))
        alice.forget("my cat")
        alice.rollback(1)
        alice.rebuild()
        assert not torch.equal(logits(alice), before)
        assert torch.equal(logits(bob), before)
        assert all(map(torch.equal, weights, model.parameters()))
    with Resident.open("bob", home, model=tiny_bundle) as again:
        assert torch.equal(logits(again), before)
