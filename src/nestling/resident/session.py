"""A resident: one user's memory, told and asked.

    text     -> restate -> notes -> written into the state -> snapshot -> journal and head
    question -> restate -> key   -> recalled from the state in an emptied context

Nothing of what was told is ever put into the context of a question: an answer comes from the
memory state or not at all. Only who asks for it has the texts of the journal searched, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from nestling.memory.state import MemoryState
from nestling.models.asking import Asked, asked_of, recall_asked
from nestling.models.denial import is_asked_of_memory, may_ask
from nestling.models.dialogue import Note
from nestling.models.reading import readable
from nestling.models.rehearsal import margins, note_lessons
from nestling.models.restate import Recall, learn_notes, restate
from nestling.models.sentences import sentences
from nestling.resident.history import latest_notes, living
from nestling.resident.journal import JournalError
from nestling.resident.provenance import sources_of
from nestling.resident.records import SPOKEN, Head
from nestling.resident.replay import state_at
from nestling.resident.reports import Answer, Compared, Heard, Learned, Why
from nestling.resident.search import find_texts
from nestling.resident.sleep import (
    Plan,
    Sleep,
    SleepOptions,
    SleepReport,
    Strength,
    sleeping_level,
    strengths,
)
from nestling.resident.temporary import Temporary
from nestling.resident.versions import VersionedMemory

UNKNOWN_ANSWER = "I don't know."


class Resident(VersionedMemory):
    """One user's memory; `Resident.open` gives it, any number of times and in any process."""

    # -- learning ------------------------------------------------------------------------------

    def learn(self, text: str, role: str = "user") -> Learned:
        """Note what a text tells and write it into the memory; small talk is only kept on record.

        Args:
            role: who said it: "user", "assistant", "system" or "tool". Of those that this memory
                does not learn from, the text is kept on record alone.

        Raises:
            ValueError: the text is empty or too long, or the memory cannot be written.
        """
        return self.learn_all([text], role)[0]

    def learn_all(self, texts: Sequence[str], role: str | Sequence[str] = "user") -> list[Learned]:
        """`learn` for several texts: one entry each, one snapshot in the end, all or nothing.

        Args:
            role: of all of them, or of each.
        """
        start = time.perf_counter()
        if isinstance(texts, str):
            raise ValueError("learn_all takes a list of texts; `learn` takes one")
        roles = [role] * len(texts) if isinstance(role, str) else list(role)
        self._check_roles(roles)
        if len(roles) != len(texts):
            raise ValueError(f"{len(texts)} texts have {len(roles)} roles; give one for each")
        for place, text in enumerate(texts):
            try:
                self.check_text(text)
            except ValueError as error:
                if len(texts) == 1:
                    raise
                begun = f" ({text[:40]!r})" if isinstance(text, str) else ""
                raise ValueError(f"text {place + 1} of {len(texts)}{begun}: {error}") from error
        if not texts:
            return []
        heard = [place for place, some in enumerate(roles) if some in self.learns_from]
        read = [texts[place] for place in heard]
        restated = restate(self.bundle.model, self.bundle.dialogue, read, asking=False)
        notes: list[tuple[Note, ...]] = [()] * len(texts)
        for place, some in zip(heard, restated, strict=True):
            notes[place] = some.notes
        share = 1000 * (time.perf_counter() - start) / len(texts)
        return self._commit(list(zip(roles, texts, notes, strict=True)), share)

    def hear(self, text: str, *, learn: bool = True) -> Learned | Answer:
        """Answer a turn that asks and learn any other; the model decides which it is.

        Of a turn that tells something and asks something, the one is learned and the other is
        answered. A question of which nothing can be known is answered so, and not kept.

        Args:
            learn: False neither writes nor keeps a telling, nor that something was asked.

        Raises:
            ValueError: as `learn` does.
        """
        start = time.perf_counter()
        heard = self.heard(text)
        spent = 1000 * (time.perf_counter() - start)
        if not heard.asked:
            if not learn:
                return Learned(text, (), (), spent)
            return self._commit([("user", heard.told, heard.notes)], spent)[0]
        if learn and heard.notes:
            self._commit([("user", heard.told, heard.notes)], spent)
        *others, answer = self.recalled(heard.asked, start, self._now(), keep=learn)
        return replace(answer, others=tuple(others), noted=heard.notes if learn else ())

    def learn_restated(self, told: Sequence[tuple[str, str, tuple[Note, ...]]]) -> list[Learned]:
        """Learn turns that were restated before: (role, text, notes), all or nothing."""
        self._check_roles(role for role, _, _ in told)
        return self._commit(told, 0.0) if told else []

    def temporary(self) -> Temporary:
        """A session in a copy of this memory, of which nothing stays unless it is kept."""
        return Temporary(self)

    def heard(self, text: str) -> Heard:
        """What a turn tells and what it asks; nothing is written."""
        self.check_text(text)
        model, dialogue = self.bundle.model, self.bundle.dialogue
        said = [sentence for sentence in sentences(text) if readable(sentence)]
        # The model decides of the last one, and of others that look like it.
        asking = [s for place, s in enumerate(said, 1) if place == len(said) or may_ask(s)]
        read = restate(model, dialogue, asking)
        asked = {s: Asked(s, r.asked) for s, r in zip(asking, read, strict=True) if r.asked}
        told = " ".join(s for s in said if s not in asked) if asked else text
        notes = restate(model, dialogue, [told], asking=False)[0].notes if told else ()
        if not asked and not notes and said and all(map(is_asked_of_memory, said)):
            # The model sees no question where it has no word for what is asked.
            return Heard("", (), tuple(asked_of(model, dialogue, said)))
        return Heard(told, notes, tuple(asked.values()))

    # -- asking --------------------------------------------------------------------------------

    def ask(
        self, question: str, memory: bool = True, *, texts: int = 0, keep: bool = True
    ) -> Answer:
        """Answer a question from the memory alone; the context holds nothing but the question.

        Args:
            memory: False asks the model as it was before anything was told.
            texts: so many texts of the journal at most are searched for and read, oldest first,
                into a copy of the memory that answers and is thrown away.
            keep: keep on record that it was recalled, which brings it to the front in sleep.

        Raises:
            ValueError: the question is empty or too long, or the memory cannot be read.
        """
        start = time.perf_counter()
        if texts < 0:
            raise ValueError(f"texts is {texts}: it is 0 or more")
        if not texts:
            return self.ask_all([question], memory, keep=keep)[0]
        asked = self._asked([question])[0]
        found, state = self._read_texts(question, self._now()[1] if memory else None, texts)
        answer = self.recalled([asked], start, (Head(), state), keep=False)[0]
        return replace(answer, found=found)

    def ask_all(
        self, questions: Sequence[str], memory: bool = True, *, keep: bool = True
    ) -> list[Answer]:
        """`ask` for several questions at once; each is answered as if it were the only one."""
        start = time.perf_counter()
        asked = self._asked(questions)
        with self._folder.journal.held():
            standing = self._now() if memory else (Head(), None)
            return self.recalled(asked, start, standing, keep=keep)

    def compare(self, question: str, texts: int = 3) -> Compared:
        """One question answered from the weights, from nothing, from texts that are searched for,
        and from both.

        Raises:
            ValueError: as `ask` does.
        """
        weights, nothing = (self.ask(question, memory, keep=False) for memory in (True, False))
        both, text = (self.ask(question, memory, texts=texts) for memory in (True, False))
        return Compared(question, weights, nothing, text, both)

    def why(
        self,
        question: str | Answer,
        *,
        among: int = 8,
        progress: Callable[[int, int], None] = lambda done, of: None,
    ) -> Why:
        """Which turns an answer comes from, measured: each is left out, and the margin falls.

        Args:
            question: or an answer that this memory gave.
            among: turns that are tried at most: those that noted the same key first, then those
                that share most words with it, then the latest.
            progress: called with the turns tried and how many there will be.

        Raises:
            ValueError: as `ask` does.
        """
        answer = self.ask(question, keep=False) if isinstance(question, str) else question
        history = self._history()
        state = state_at(self.bundle, self._folder, history, history.head.entry)
        return sources_of(
            self.bundle, self._folder, history, state, answer, among=among, progress=progress
        )

    def _now(self) -> tuple[Head, MemoryState]:
        with self._lock:
            return self._load()

    def recalled(
        self,
        asked: Sequence[Asked],
        start: float,
        standing: tuple[Head, MemoryState | None],
        *,
        keep: bool,
    ) -> list[Answer]:
        """What a state holds of what is asked; `keep` puts it on record for the head it is of."""
        head, state = standing
        found = recall_asked(self.bundle.model, self.bundle.dialogue, asked, state)
        if state is not None and keep:
            self._bring_to_front(dict(found), head, state)
        share = 1000 * (time.perf_counter() - start) / max(1, len(asked))
        return [
            Answer(
                text=item.text or UNKNOWN_ANSWER,
                logprob=item.logprob,
                known=item.known,
                key=key,
                milliseconds=share,
            )
            for key, item in found
        ]

    def _bring_to_front(self, found: Mapping[str, Recall], head: Head, state: MemoryState) -> None:
        """Keep that something was recalled. Who may only read asks all the same."""
        known = {key: item.text for key, item in found.items() if item.text}
        if not known:
            return
        notes = [Note(key, text) for key, text in known.items()]
        lessons = note_lessons(self.bundle.model, self.bundle.dialogue, notes)
        found_margins = margins(self.bundle.model, lessons, state, len(notes)).tolist()
        with suppress(JournalError):
            recalled = dict(zip(known, found_margins, strict=True))
            self._folder.journal.recalled("asked", recalled, head.sha256)

    def _read_texts(
        self, question: str, state: MemoryState | None, limit: int
    ) -> tuple[tuple[str, ...], MemoryState]:
        """The texts that a search finds, and a copy of a state that has read them."""
        model, dialogue = self.bundle.model, self.bundle.dialogue
        hits = find_texts(living(self.entries()), question, limit)
        in_order = [entry.text for entry in sorted(hits, key=lambda entry: entry.id)]
        notes = [n for some in restate(model, dialogue, in_order, asking=False) for n in some.notes]
        state = model.new_state(1) if state is None else state
        return tuple(entry.text for entry in hits), learn_notes(model, dialogue, notes, state)[0]

    # -- sleep ---------------------------------------------------------------------------------

    def sleep(
        self,
        options: SleepOptions | None = None,
        progress: Callable[[int, int], None] = lambda done, steps: None,
    ) -> SleepReport:
        """Rehearse what was told into the slow level, and empty the faster ones.

        A sleep that is interrupted changes nothing, and the next one goes on where it was. One
        that would lose what is known, or harm what the model can do, is taken back: the report
        says so.

        Args:
            progress: called with the steps done and the most there can be.

        Raises:
            ValueError: the model has no level that is written in sleep, or the memory cannot be
                written.
        """
        options = options or SleepOptions()
        sleeping_level(self.bundle)
        with self._lock, self._folder.lease():
            head, state = self._load()
            journal = self._folder.journal
            entries = living(journal.entries())
            last = max((entry.id for entry in entries if entry.role == "sleep"), default=0)
            # What is small talk to the state is rehearsed all the same.
            key = f"{head.entry} {head.sha256} {self.bundle.model_hash} {options}"
            begun = self._folder.read_sleep(key)
            plan, new, report, known = Sleep(self.bundle, state, entries).decide(
                latest_notes(entries),
                journal.recalls(),
                last,
                options,
                plan=None if begun is None else Plan.from_json(begun[0]),
                resume=None if begun is None else begun[1],
                checkpoint=lambda p, v: self._folder.write_sleep(key, p.to_json(), v),
                progress=progress,
            )
            if report.kept and report.rehearsed:
                snapshot, sha256 = self._folder.write_snapshot(new, self.bundle.model_hash)
                journal.append([("sleep", plan.to_json(), ())], snapshot=snapshot, sha256=sha256)
                journal.recalled("sleep", known, sha256)
                self._state = (sha256, new)
                self._folder.clear_snapshots()
            self._folder.end_sleep()
        return report

    def strengths(self) -> list[Strength]:
        """How well everything that was told is known now."""
        with self._lock:
            _, state = self._load()
            journal = self._folder.journal
            return strengths(self.bundle, state, self.notes(), journal.recalls())

    def _check_roles(self, roles: Iterable[str]) -> None:
        if unknown := sorted(set(roles) - set(SPOKEN)):
            raise ValueError(f"a role is one of {SPOKEN}, got {unknown}")
