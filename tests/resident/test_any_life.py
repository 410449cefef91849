"""Whatever is done to memories, in whatever order: they hold what a dictionary would hold."""

import shutil

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nestling.memory.consolidation import ConsolidationOptions
from nestling.memory.state import MemoryState
from nestling.models.dialogue import Note
from nestling.resident import Resident, SleepOptions
from nestling.resident.archive import branch_memory, export_memory, import_memory
from nestling.resident.store import MemoryFolder, list_memories

same = MemoryState.equals
SHORT = SleepOptions(base_bound=10.0, consolidation=ConsolidationOptions(steps=4, rate=0.03))
KEYS = st.sampled_from(["my dog", "my cat", "my city", "Ana's boat"])
VALUES = st.sampled_from(["Pixel", "Rex", "Mia", "Porto", "Fury"])


class Journal:
    """What should be: every version by what it was made of."""

    def __init__(self):
        self.made = []

    def known(self, version=None):
        """Key -> value, in the order of telling."""
        version = len(self.made) if version is None else version
        if version == 0:
            return {}
        what = self.made[version - 1]
        if isinstance(what, int):
            return self.known(what)
        known = self.known(version - 1)
        for key, value in what:
            known.pop(key, None)
            known[key] = value
        return known

    def counted(self, version=None):
        """The turns that count, the last first."""
        version = len(self.made) if version is None else version
        while version:
            what = self.made[version - 1]
            if isinstance(what, int):
                version = what
            else:
                yield version
                version -= 1

    def copy(self):
        copied = Journal()
        copied.made = [what if isinstance(what, int) else list(what) for what in self.made]
        return copied


class Memories(RuleBasedStateMachine):
    bundle = home = None

    @initialize()
    def begin(self):
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        self.open("bob").learn_restated([("user", "said", (Note("my dog", "Bob's"),))])
        self.bob = self.open("bob").state()
        self.open("alice")
        self.should = {"alice": Journal()}
        self.told = {"alice": []}
        self.current = "alice"

    def open(self, name):
        return Resident.open(name, self.home, model=self.bundle)

    @property
    def journal(self):
        return self.should[self.current]

    @rule(notes=st.lists(st.tuples(KEYS, VALUES), max_size=2))
    def tell(self, notes):
        self.open(self.current).learn_restated(
            [("user", "some words", tuple(Note(*note) for note in notes))]
        )
        self.journal.made.append(notes)
        self.told[self.current].append(len(self.journal.made))

    @rule()
    def sleep(self):
        report = self.open(self.current).sleep(SHORT)
        if report.kept and report.rehearsed:
            self.journal.made.append([])

    @precondition(lambda self: self.journal.made)
    @rule(data=st.data())
    def go_back(self, data):
        version = data.draw(st.integers(0, len(self.journal.made) - 1))
        self.open(self.current).rollback(version)
        self.journal.made.append(version)

    @precondition(lambda self: self.told[self.current])
    @rule(data=st.data())
    def forget_a_turn(self, data):
        turn = data.draw(st.sampled_from(self.told[self.current]))
        self.open(self.current).forget(turn)
        self.journal.made[turn - 1] = []
        self.told[self.current].remove(turn)

    @rule(key=KEYS)
    def forget_a_key(self, key):
        turns = [
            turn
            for turn in self.told[self.current]
            if any(told == key for told, _ in self.journal.made[turn - 1])
        ]
        if not turns:
            return
        assert self.open(self.current).forget(key).entries == len(turns)
        for turn in turns:
            left = [note for note in self.journal.made[turn - 1] if note[0] != key]
            self.journal.made[turn - 1] = left
            if not left:
                self.told[self.current].remove(turn)

    @rule()
    def undo(self):
        told = self.told[self.current]
        last = next((turn for turn in self.journal.counted() if turn in told), None)
        if last is not None:
            self.open(self.current).undo()
            self.journal.made[last - 1] = []
            told.remove(last)

    @rule(rebuild=st.booleans(), only_now=st.booleans())
    def look_after(self, rebuild, only_now):
        resident = self.open(self.current)
        before = resident.state()
        resident.rebuild() if rebuild else resident.collect(only_now=only_now)
        assert same(before, resident.state())

    @precondition(lambda self: len(self.should) < 3)
    @rule(carried=st.booleans())
    def copy(self, carried):
        name = f"copy-{len(self.should)}"
        folder = MemoryFolder(self.current, self.home)
        if carried:
            import_memory(export_memory(folder, self.home / "file"), name, self.home)
            (self.home / "file").unlink()
        else:
            branch_memory(folder, name)
        assert same(self.open(name).state(), self.open(self.current).state())
        self.should[name] = self.journal.copy()
        self.told[name] = list(self.told[self.current])

    @rule(data=st.data())
    def turn_to(self, data):
        self.current = data.draw(st.sampled_from(sorted(self.should)))

    @invariant()
    def every_memory_holds_what_it_should(self):
        if self.home is None or not hasattr(self, "should"):
            return
        for name, journal in self.should.items():
            notes = self.open(name).notes()
            assert [(note.key, note.value) for note in notes] == list(journal.known().items())
        assert same(self.open("bob").state(), self.bob)

    def teardown(self):
        if not hasattr(self, "should"):
            return
        assert list_memories(self.home) == sorted([*self.should, "bob"])
        for name, journal in self.should.items():
            resident = self.open(name)
            assert resident.verify().replayed
            assert resident.version == len(journal.made)


def test_memories_hold_what_a_dictionary_would(tiny_bundle, tmp_path):
    Memories.bundle, Memories.home = tiny_bundle, tmp_path / "home"
    few = settings(max_examples=12, stateful_step_count=10, deadline=None)
    run_state_machine_as_test(Memories, settings=few)
