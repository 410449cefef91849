import os
import string
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nestling.memory.state import MemoryState
from nestling.resident import store
from nestling.resident.journal import Journal
from nestling.resident.records import Head
from nestling.resident.store import (
    MemoryBusy,
    MemoryFolder,
    MemoryNotFound,
    SnapshotDamaged,
    StoreError,
    check_name,
    default_home,
    list_memories,
)

ALLOWED = string.ascii_letters + string.digits + "_-."


@pytest.fixture
def folder(tmp_path):
    folder = MemoryFolder("alice", tmp_path)
    folder.create("abc")
    return folder


@given(st.text(ALLOWED, min_size=1, max_size=64).filter(lambda name: name[0] != "."))
def test_plain_names_are_allowed(name):
    assert check_name(name) == name


@given(st.text(max_size=80).filter(lambda n: not 0 < len(n) <= 64 or set(n) - set(ALLOWED)))
def test_other_names_are_refused(name):
    with pytest.raises(StoreError, match="1 to 64 letters"):
        check_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\n", "zoë", "a" * 65])
def test_names_that_leave_the_home_are_refused(name, tmp_path):
    with pytest.raises(StoreError, match="cannot name a memory"):
        MemoryFolder(name, tmp_path)


def test_the_home_is_that_of_the_environment(monkeypatch):
    monkeypatch.setenv("NESTLING_HOME", "/somewhere")
    assert default_home() == Path("/somewhere")
    monkeypatch.delenv("NESTLING_HOME")
    assert default_home() == Path.home() / ".nestling"


def test_memories_are_listed_by_name(tmp_path):
    for name in ("b", "a"):
        MemoryFolder(name, tmp_path / "home").create("abc")
    (tmp_path / "home" / "unrelated").mkdir()
    (tmp_path / "home" / "file").touch()
    assert list_memories(tmp_path / "home") == ["a", "b"]
    assert list_memories(tmp_path / "no home yet") == []


def test_a_missing_memory_names_those_there_are(folder, tmp_path):
    with pytest.raises(MemoryNotFound, match="no memory called 'bob' .*; there are: alice"):
        MemoryFolder("bob", tmp_path).require()


def test_a_home_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="is not a directory"):
        list_memories(tmp_path / "file")


def test_a_home_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(StoreError, match=r"cannot be read: Permission denied"):
        list_memories(tmp_path)


def test_a_home_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError, match=r"'alice' cannot be made in .*: Permission denied"):
        MemoryFolder("alice", tmp_path).create("abc")


def test_others_on_the_machine_cannot_look_in(folder):
    assert folder.path.stat().st_mode & 0o077 == 0


def test_a_removed_memory_is_gone(folder, tmp_path):
    folder.remove()
    assert not folder.exists()
    assert list(tmp_path.iterdir()) == []


def test_removing_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(MemoryNotFound):
        MemoryFolder("bob", tmp_path).remove()


def test_a_second_writer_waits_for_the_first(folder):
    order = []
    held = threading.Event()

    def first():
        with folder.lease():
            held.set()
            order.append("first in")
            threading.Event().wait(0.1)
            order.append("first out")

    thread = threading.Thread(target=first)
    thread.start()
    held.wait()
    with folder.lease():
        order.append("second in")
    thread.join()
    assert order == ["first in", "first out", "second in"]


def test_a_writer_that_waits_too_long_is_told_so(folder, monkeypatch):
    monkeypatch.setattr(store, "LEASE_SECONDS", 0.05)
    with folder.lease(), pytest.raises(MemoryBusy, match="being written"), folder.lease():
        pass


def test_a_writer_that_waited_for_a_removal_is_told_so(folder, tmp_path):
    with pytest.raises(MemoryNotFound), folder.lease():
        folder.path.rename(tmp_path / "elsewhere")
        with MemoryFolder("alice", tmp_path).lease():
            pass


def test_a_removal_while_waiting_is_noticed(folder, monkeypatch):
    monkeypatch.setattr(MemoryFolder, "_wait_for", lambda self, _: (self.path / "lock").unlink())
    with pytest.raises(MemoryNotFound, match="removed by another process"), folder.lease():
        pass


def snapshot(folder, value):
    state = MemoryState({"memory.delta": torch.full((1, 3), value)})
    return Head(1, *folder.write_snapshot(state, "abc")), state


def test_a_snapshot_is_named_by_its_content(folder):
    head, state = snapshot(folder, 2.0)
    assert head.snapshot == f"{head.sha256}.safetensors"
    assert snapshot(folder, 2.0)[0] == head
    loaded = folder.read_snapshot(head, "abc", torch.device("cpu"))
    assert torch.equal(loaded["memory.delta"], state["memory.delta"])


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_snapshot_is_refused_and_named(folder, damage):
    head, _ = snapshot(folder, 2.0)
    path = folder.snapshots / head.snapshot
    content = path.read_bytes()
    path.write_bytes({"flip": content[:-1] + b"!", "cut": content[:-5]}.get(damage, b""))
    if damage == "remove":
        path.unlink()
    with pytest.raises(SnapshotDamaged, match=f"{head.snapshot}.*nestling memory rebuild alice"):
        folder.read_snapshot(head, "abc", torch.device("cpu"))


def test_only_the_named_snapshots_are_kept(folder):
    heads = [snapshot(folder, value)[0] for value in (1.0, 2.0, 3.0)]
    (folder.snapshots / ".left-over").touch()
    for head in heads[1:]:
        told = [("user", "hello", [])]
        folder.journal.append(told, snapshot=head.snapshot, sha256=head.sha256)
    assert folder.clear_snapshots() == []
    kept = {path.name for path in folder.snapshots.iterdir()}
    assert kept == {head.snapshot for head in heads[1:]}


def test_a_folder_that_never_held_a_memory_is_in_nobodys_way(tmp_path):
    (tmp_path / "alice" / "snapshots").mkdir(parents=True)
    (tmp_path / "alice" / "lock").touch()
    (tmp_path / "alice" / ".new-journal.sqlite3-journal").write_bytes(b"half a journal")
    folder = MemoryFolder("alice", tmp_path)
    folder.create("abc")
    assert folder.exists() and folder.journal.head() == Head()
    assert [path.name for path in tmp_path.iterdir()] == ["alice"]


def test_a_memory_is_made_whole_or_not_at_all(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "create", stop)
    with pytest.raises(KeyboardInterrupt):
        MemoryFolder("alice", tmp_path).create("abc")
    assert list(tmp_path.iterdir()) == []


def test_two_that_make_the_same_memory_share_it(tmp_path, monkeypatch):
    first, second = MemoryFolder("alice", tmp_path), MemoryFolder("alice", tmp_path)
    make_way = MemoryFolder.make_way

    def meanwhile(self):
        make_way(self)
        monkeypatch.setattr(MemoryFolder, "make_way", make_way)
        first.create("abc")

    monkeypatch.setattr(MemoryFolder, "make_way", meanwhile)
    second.create("abc")
    assert first.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["alice"]


def test_a_memory_without_its_journal_is_not_taken_for_a_new_one(folder):
    snapshot(folder, 2.0)
    folder.journal.path.unlink()
    for attempt in (lambda: folder.create("abc"), folder.require, folder.remove):
        with pytest.raises(StoreError, match="journal of the memory 'alice' is missing"):
            attempt()
    assert len(list(folder.snapshots.iterdir())) == 1


@pytest.mark.parametrize("call", ["create", "remove"])
def test_what_a_killed_removal_left_goes_in_time(folder, tmp_path, call):
    left, now = tmp_path / ".removed-bob-1", tmp_path / ".removed-eve-2"
    for path in (left, now):
        (path / "snapshots").mkdir(parents=True)
    os.utime(left, (0, 0))
    if call == "create":
        MemoryFolder("carol", tmp_path).create("abc")
    else:
        folder.remove()
    assert not left.exists() and now.exists()


@pytest.mark.parametrize("left", ["notes.txt", "journal.sqlite3-wal", "teaching.json"])
def test_a_folder_of_something_else_is_left_alone(tmp_path, left):
    (tmp_path / "notes" / "deep").mkdir(parents=True)
    (tmp_path / "notes" / left).write_text("mine")
    with pytest.raises(StoreError, match="is no memory .*; move it away"):
        MemoryFolder("notes", tmp_path).create("abc")
    assert (tmp_path / "notes" / left).read_text() == "mine"


def test_a_file_of_that_name_is_left_alone(tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(StoreError, match="is no memory"):
        MemoryFolder("notes", tmp_path).create("abc")
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
    assert (tmp_path / "notes").read_text() == "mine"
