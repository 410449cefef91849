import io
import json
import time
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nestling.resident import Resident, find_sources, opened, replay, teach
from nestling.resident.journal import JournalError
from nestling.resident.store import MemoryBusy, MemoryFolder, MemoryNotFound, StoreError
from nestling.resident.teaching import run

pytestmark = pytest.mark.usefixtures("plain_turns")

# Long enough that the source is known by its hash.
TEXTS = [f"my thing {n} = {'x' * 40} {n}" for n in range(20)]


def write_nothing(patch):
    """What becomes of notes in the weights is tested elsewhere, and takes its time."""
    patch.setattr(opened, "write_notes", lambda _bundle, _notes, state: (state, []))
    patch.setattr(replay, "write_notes", lambda _bundle, _notes, state: (state, []))


@pytest.fixture
def alice(home, tiny_bundle, monkeypatch):
    write_nothing(monkeypatch)
    with Resident.open("alice", home, model=tiny_bundle) as resident:
        yield resident


@pytest.fixture
def file(tmp_path):
    """Write paragraphs to a file and look at it."""

    def file(texts, name="a.txt"):
        path = tmp_path / name
        path.write_text("\n\n".join(texts) + "\n\n")
        return find_sources([path])[0]

    return file


def told(resident):
    return [entry.text for entry in resident.entries() if entry.text]


ROLES = ("assistant", "system", "tool")


class Killed(BaseException):
    pass


def kill(monkeypatch, resident, calls, *, committed):
    """Let a run die in one of its batches, right before or right after it is committed."""
    learn_all, left = resident.learn_all, iter(range(calls))

    def dying(texts, roles):
        if next(left, None) is not None:
            return learn_all(texts, roles)
        if committed:
            learn_all(texts, roles)
        raise Killed

    monkeypatch.setattr(resident, "learn_all", dying)


def test_a_source_is_told_in_order_and_reported(alice, file):
    seen, learned = [], []
    taught = teach(
        alice, file(TEXTS), batch=8, progress=lambda *now: seen.append(now), told=learned.append
    )
    assert told(alice) == TEXTS == [item.text for item in learned]
    assert (taught.turns, taught.notes, taught.before, taught.skipped) == (20, 20, 0, {})
    assert [done for done, _, _ in seen] == [0, 8, 16, 20]
    assert seen[-1] == (20, 20, 20)


def test_telling_again_tells_nothing_unless_it_is_asked_for(alice, file):
    teach(alice, file(TEXTS))
    assert teach(alice, file(TEXTS)).before == 20
    assert told(alice) == TEXTS
    assert teach(alice, file(TEXTS), again=True).turns == 20
    assert told(alice) == TEXTS * 2
    assert teach(alice, file(TEXTS)).turns == 0


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("calls", [0, 1, 2])
def test_a_run_that_was_killed_goes_on_where_it_was(
    alice, file, monkeypatch, calls, committed, again
):
    teach(alice, file(["something = else"], "b.txt"))
    before = []
    if again:
        teach(alice, file(TEXTS))
        before = TEXTS
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill(patch, alice, calls, committed=committed)
        teach(alice, file(TEXTS), batch=8, again=again)
    # What others tell meanwhile is no part of it.
    alice.learn("between = times")
    teach(alice, file(TEXTS), batch=8)
    assert [text for text in told(alice) if text in TEXTS] == [*before, *TEXTS]


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    numbers=st.lists(st.integers(0, 3), min_size=20, max_size=30),
    deaths=st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), max_size=3),
)
def test_whatever_is_cut_off_and_forgotten_all_else_is_told_once(
    home, tiny_bundle, file, numbers, deaths
):
    texts = [f"my {'long ' * 10} thing = {number}" for number in numbers]
    with pytest.MonkeyPatch.context() as patch:
        write_nothing(patch)
        alice = Resident.open(f"m{time.time_ns()}", home, model=tiny_bundle)
        gone = 0
        for calls, committed, undo in deaths:
            with patch.context() as inner, suppress(Killed):
                kill(inner, alice, calls, committed=committed)
                teach(alice, file(texts), batch=4)
            if undo and told(alice):
                alice.undo()
                gone += 1
        for _ in range(2):
            teach(alice, file(texts), batch=4)
            assert len(told(alice)) == len(texts) - gone


def test_what_was_forgotten_does_not_come_back(alice, file, home):
    teach(alice, file(TEXTS))
    alice.forget(3)
    alice.forget("my thing 7")
    left = [text for text in TEXTS if text not in (TEXTS[2], TEXTS[7])]
    teach(alice, file(TEXTS))
    assert told(alice) == left
    # Nor when the file has grown, or lies elsewhere.
    teach(alice, file([*TEXTS, "new = one"], "b.txt"))
    assert told(alice) == [*left, "new = one"]
    words = [TEXTS[2].encode(), TEXTS[7].encode()]
    files = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert not any(word in content for content in files for word in words)
    teach(alice, file(TEXTS), again=True)
    assert TEXTS[2] in told(alice)


def test_what_was_forgotten_in_a_batch_that_was_cut_off_does_not_come_back(
    alice, file, monkeypatch
):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill(patch, alice, 1, committed=True)
        teach(alice, file(TEXTS), batch=8)
    alice.forget(12)
    teach(alice, file(TEXTS), batch=8)
    assert told(alice) == TEXTS[:11] + TEXTS[12:]


def test_of_a_source_that_changed_the_new_turns_are_told(alice, file):
    teach(alice, file(TEXTS))
    changed = ["first = one", *TEXTS[:10], "middle = one", *TEXTS[10:], TEXTS[0]]
    taught = teach(alice, file(changed))
    # The last one was told once before, and is said twice now.
    assert told(alice)[20:] == ["first = one", "middle = one", TEXTS[0]]
    assert taught.before == 20


def test_a_last_paragraph_that_goes_on_is_told_anew(alice, file, tmp_path):
    teach(alice, file(TEXTS))
    path = tmp_path / "a.txt"
    path.write_text(path.read_text().rstrip() + " and more.\n\nlast = one")
    teach(alice, find_sources([path])[0])
    assert told(alice)[20:] == [f"{TEXTS[-1]} and more.", "last = one"]


def test_only_the_users_words_are_told_unless_others_are_named(alice, tmp_path):
    rows = [{"role": role, "content": f"{role} = {n}"} for n in range(20) for role in ROLES]
    path = tmp_path / "chat.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    sources, _ = find_sources([path])
    assert teach(alice, sources).turns == 0
    teach(alice, sources, roles=ROLES[:1])
    alice.forget(5)
    # Whoever is named later, what the first had said stays told, and stays forgotten.
    teach(alice, sources, roles=[ROLES[0], ROLES[2]], batch=8)
    first, _, last = ROLES
    assert told(alice) == [f"{first} = {n}" for n in range(20) if n != 4] + [
        f"{last} = {n}" for n in range(20)
    ]
    assert {entry.role for entry in alice.entries()} == {first, last, "forgotten"}


def test_small_files_share_a_batch_and_one_name_is_told_once(alice, file, tmp_path, monkeypatch):
    for n, text in enumerate(TEXTS):
        file([text], f"{n:02}.txt")
    calls = []
    learn_all = alice.learn_all
    monkeypatch.setattr(
        alice, "learn_all", lambda texts, roles: calls.append(1) or learn_all(texts, roles)
    )
    teach(alice, find_sources([tmp_path, tmp_path])[0])
    assert told(alice) == TEXTS
    assert len(calls) == 1
    alice.undo()
    teach(alice, find_sources([tmp_path])[0])
    assert told(alice) == TEXTS[:-1]


def test_a_short_stream_is_known_by_its_turns_alone(alice):
    def stream():
        return find_sources(["-"], stdin=io.BytesIO(b"my pin = 4917"))[0]

    teach(alice, stream())
    assert teach(alice, stream()).before == 1
    assert told(alice) == ["my pin = 4917"]
    assert json.loads((alice.path / run.FILE).read_bytes())["sources"] == {}


def test_sentences_that_are_too_long_are_cut_and_words_that_are_left_out(alice, file):
    clauses = [f"this is clause {n} of a rather long sentence" for n in range(20)]
    words = "word " * 300
    taught = teach(
        alice, file(["Hello. " + ", ".join(clauses) + ". Bye.", words, f"a {'x9' * 4000} b"])
    )
    texts = told(alice)
    assert texts[0] == "Hello." and "Bye." in texts
    assert " ".join(texts[1 : texts.index("Bye.")]) == ", ".join(clauses) + "."
    assert sum(text.count("word") for text in texts) == 300
    assert texts[-2:] == ["a", "b"]
    assert taught.skipped == {"words that are too long": 1}


def test_a_turn_that_the_memory_refuses_is_skipped_alone(alice, file, monkeypatch):
    learn_all = alice.learn_all

    def refusing(texts, roles):
        if TEXTS[5] in texts:
            raise ValueError("not finite")
        return learn_all(texts, roles)

    monkeypatch.setattr(alice, "learn_all", refusing)
    taught = teach(alice, file(TEXTS), batch=8)
    assert told(alice) == TEXTS[:5] + TEXTS[6:]
    assert (taught.turns, taught.skipped) == (19, {"turns that this memory refuses": 1})
    assert teach(alice, file(TEXTS)).turns == 0


@pytest.mark.parametrize("error", [StoreError, JournalError])
def test_a_memory_that_cannot_be_written_ends_the_run(alice, file, monkeypatch, error):
    def failing(texts, roles):
        raise error("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(error, match="full"):
        patch.setattr(alice, "learn_all", failing)
        teach(alice, file(TEXTS))
    teach(alice, file(TEXTS))
    assert told(alice) == TEXTS


def test_one_teaches_at_a_time(alice, file):
    def meanwhile(learned):
        with pytest.raises(MemoryBusy, match="taught from files by another process"):
            teach(alice, file(["other = one"], "b.txt"))

    teach(alice, file(TEXTS), told=meanwhile)
    assert told(alice) == TEXTS


def test_nothing_is_kept_of_a_memory_that_is_removed_meanwhile(alice, file, home):
    def remove(learned):
        if (home / "alice").exists():
            MemoryFolder("alice", home).remove()

    with pytest.raises(MemoryNotFound):
        teach(alice, file(TEXTS), batch=8, told=remove)
    assert list(home.iterdir()) == []


def test_another_model_goes_on_where_the_first_was(alice, file, home, tiny_bundle, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill(patch, alice, 1, committed=True)
        teach(alice, file(TEXTS), batch=8)
    other = replace(tiny_bundle, model_hash="f" * 64)
    with Resident.open("alice", home, model=other) as resident:
        resident.rebuild()
        teach(resident, file(TEXTS), batch=8)
        assert told(resident) == TEXTS


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"[" * 100_000, b'{"format": 1, "sources": {"a": 3}}', b"\xff", b'{"format": 7}'],
)
def test_a_damaged_record_is_said(alice, file, content):
    (alice.path / run.FILE).write_bytes(content)
    with pytest.raises(StoreError, match=r"teaching\.json"):
        teach(alice, file(TEXTS))


def test_a_closed_memory_is_taught_nothing(alice, file):
    alice.close()
    with pytest.raises(ValueError, match="is closed"):
        teach(alice, file(TEXTS))


def test_a_record_that_cannot_be_written_is_said(alice, file, monkeypatch):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    with (
        monkeypatch.context() as patch,
        pytest.raises(StoreError, match=r"teaching\.json cannot be"),
    ):
        patch.setattr(run, "write_file", refuse)
        teach(alice, file(["my dog = Rex"]))
    assert alice.version == 0
    assert teach(alice, file(["my dog = Rex"])).turns == 1
