"""A memory as one file: it comes back as it was, or not at all."""

import errno
import hashlib
import io
import json
import os
import pickle
import random
import zipfile

import pytest
import torch

from nestling.memory.consolidation import ConsolidationOptions
from nestling.resident import Resident, SleepOptions
from nestling.resident.archive import (
    JOURNAL,
    MANIFEST,
    RECALLS,
    SNAPSHOT,
    ArchiveError,
    branch_memory,
    export_memory,
    import_memory,
)
from nestling.resident.store import MemoryFolder, MemoryNotFound, StoreError, list_memories

pytestmark = pytest.mark.usefixtures("plain_turns")

TOLD = ["my dog = Pixel", "how nice", "my city = Porto; my cat = Mia"]
SHORT = SleepOptions(base_bound=10.0, consolidation=ConsolidationOptions(steps=20, rate=0.03))


@pytest.fixture
def alice(home, tiny_bundle):
    with Resident.open("alice", home, model=tiny_bundle) as resident:
        resident.learn_all(TOLD)
        resident.ask("my dog?")
        resident.sleep(SHORT)
        resident.forget("my cat")
        yield resident


@pytest.fixture
def file(alice, home, tmp_path):
    return export_memory(MemoryFolder("alice", home), tmp_path / "alice.nestling")


def same(one, other):
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def changed(file, change):
    """A copy of an archive whose members went through `change`, its manifest made to fit."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members[MANIFEST])
    members = change(members, manifest) or members
    for name, content in members.items():
        if name in manifest["files"]:
            manifest["files"][name] = {
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
    members[MANIFEST] = json.dumps(manifest).encode()
    path = file.with_name("changed.nestling")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_it_comes_back_as_it_was(alice, file, tmp_path, tiny_bundle):
    folder = import_memory(file, home=tmp_path / "elsewhere")
    assert folder.name == "alice"
    with Resident.open("alice", tmp_path / "elsewhere", model=tiny_bundle) as there:
        assert same(there.state(), alice.state())
        assert there.entries() == alice.entries()
        assert there.notes() == alice.notes()
        assert there.version == alice.version
        assert there.strengths() == alice.strengths()
        assert there.verify().replayed
        there.learn("my boat = Nina")
        alice.learn("my boat = Nina")
        assert same(there.state(), alice.state())


def test_the_same_memory_gives_the_same_file(file, home, tmp_path):
    again = export_memory(MemoryFolder("alice", home), tmp_path / "again.nestling")
    assert again.read_bytes() == file.read_bytes()


def test_a_memory_of_nothing_can_be_carried_too(home, tmp_path, tiny_bundle):
    with Resident.open("bob", home, model=tiny_bundle):
        file = export_memory(MemoryFolder("bob", home), tmp_path / "bob.nestling")
    import_memory(file, "carl", home)
    with Resident.open("carl", home, model=tiny_bundle, create=False) as carl:
        assert carl.version == 0 and carl.notes() == []


def test_what_was_forgotten_is_not_in_the_file(file):
    assert b"Mia" not in file.read_bytes() and b"my cat" not in file.read_bytes()


def test_a_memory_that_is_there_is_not_written_over(alice, file, home):
    before = alice.state()
    with pytest.raises(StoreError, match="there is a memory called 'alice'"):
        import_memory(file, home=home)
    assert same(alice.state(), before)
    with pytest.raises(StoreError, match="cannot name a memory"):
        import_memory(file, "../alice", home)
    assert list_memories(home) == ["alice"]


def test_a_branch_goes_its_own_way(alice, home, tiny_bundle):
    branch_memory(MemoryFolder("alice", home), "twin")
    with Resident.open("twin", home, model=tiny_bundle) as twin:
        assert same(twin.state(), alice.state())
        twin.learn("my boat = Nina")
        assert "my boat" not in [note.key for note in alice.notes()]
    with pytest.raises(StoreError, match="there is a memory called 'twin'"):
        branch_memory(MemoryFolder("alice", home), "twin")
    with pytest.raises(MemoryNotFound):
        branch_memory(MemoryFolder("nobody", home), "other")


def test_bits_that_flipped_are_noticed_or_change_nothing(alice, file, tmp_path, tiny_bundle):
    content, rng = file.read_bytes(), random.Random(0)
    for number in range(150):
        damaged = bytearray(content)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path = tmp_path / "damaged.nestling"
        path.write_bytes(damaged)
        there = tmp_path / f"home-{number}"
        try:
            import_memory(path, "alice", there)
        except ArchiveError:
            assert list_memories(there) == []
            continue
        with Resident.open("alice", there, model=tiny_bundle) as read:
            assert same(read.state(), alice.state()) and read.entries() == alice.entries()


def test_a_torn_file_is_noticed(file, tmp_path):
    content = file.read_bytes()
    for end in range(0, len(content) - 1, max(1, len(content) // 40)):
        (tmp_path / "torn").write_bytes(content[:end])
        with pytest.raises(ArchiveError):
            import_memory(tmp_path / "torn", "alice", tmp_path / "elsewhere")
    assert list_memories(tmp_path / "elsewhere") == []


def _more(members, manifest):
    return {**members, "../evil": b"x"}


def _listed(members, manifest):
    manifest["files"]["../evil"] = {}
    return {**members, "../evil": b"x"}


def _without_journal(members, manifest):
    del manifest["files"][JOURNAL]
    return {name: content for name, content in members.items() if name != JOURNAL}


def _newer(members, manifest):
    manifest["format"] = 99


def _endless(members, manifest):
    manifest["entry"] = 10**15


def _long(members, manifest):
    manifest["padding"] = "x" * 200_000


def _rows(name, text):
    def change(members, manifest):
        return {**members, name: text.encode()}

    return change


_RECALL = '{"time": "", "entry": 1, "kind": "asked", "key": "my dog", "margin": 1.5}'


def _slept(text=None, **values):
    """The plan of the sleep is another one."""

    def change(members, manifest):
        rows = [json.loads(line) for line in members[JOURNAL].splitlines()]
        (sleep,) = (row for row in rows if row["role"] == "sleep")
        sleep["text"] = (
            json.dumps({**json.loads(sleep["text"]), **values}) if text is None else text
        )
        return {**members, JOURNAL: "\n".join(map(json.dumps, rows)).encode()}

    return change


def _entry(**values):
    row = {"id": 1, "time": "", "role": "user", "text": "", "notes": [], **values}
    return _rows(JOURNAL, json.dumps(row))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_more, "does not hold what its manifest says"),
        (_listed, "manifest is not whole"),
        (_without_journal, "manifest is not whole"),
        (_newer, "a format that this version"),
        (_long, "is too long"),
        (_endless, "entries are not in order"),
        (_rows(JOURNAL, "{"), "line 1 of journal.jsonl cannot be read"),
        (_rows(JOURNAL, "[]"), "line 1 of journal.jsonl is no row"),
        (_rows(JOURNAL, ""), "entries are not in order"),
        (_rows(RECALLS, "{}"), "a row of recalls.jsonl"),
        (_entry(role="root"), "a role is one of"),
        (_entry(id="1"), "is no int"),
        (_entry(id=True), "is no int"),
        (_entry(text=None), "is no str"),
        (_entry(notes=[{"key": "a"}]), "a row of journal.jsonl"),
        (_entry(notes=3), "a row of journal.jsonl"),
        (_entry(id=2**63 - 1), "entries are not in order"),
        (_entry(id=-1), "entries are not in order"),
        (_entry(text="\ud800"), "a row of journal.jsonl"),
        (_entry(role="forgotten", text="a secret"), "has text or notes"),
        (_entry(role="sleep", notes=[{"key": "a", "value": "b"}]), "has text or notes"),
        (_rows(JOURNAL, "[" * 100_000), "cannot be read"),
        (_rows(RECALLS, _RECALL.replace("1.5", "1e999")), "out of range"),
        (_rows(RECALLS, _RECALL.replace('"entry": 1', '"entry": -1')), "out of range"),
        (_slept(text="[]"), "plan of sleep 4 cannot be read"),
        (_slept(text='{"notes": []}'), "plan of sleep 4 cannot be read"),
        (_slept(text="[" * 100_000), "plan of sleep 4 cannot be read"),
        (_slept(notes=[[1, [2]]]), "plan of sleep 4 cannot be read"),
        (_slept(notes=[[1, 10**12]]), "not one that a memory made"),
        (_slept(notes=[[6, 0]]), "not one that a memory made"),
        (_slept(dreamed=10**9), "not one that a memory made"),
        (_slept(base_turns="1"), "plan of sleep 4 cannot be read"),
        (_slept(base_weight=None), "plan of sleep 4 cannot be read"),
        (_slept(notes=[[1, 0.0]]), "plan of sleep 4 cannot be read"),
        (_slept(notes=[[1, 0], [1, 0]]), "not one that a memory made"),
        (_slept(consolidation={"seed": "x"}), "plan of sleep 4 cannot be read"),
        (_rows(RECALLS, _RECALL.replace('"entry": 1', '"entry": 99')), "before it was told"),
    ],
)
def test_what_is_no_memory_is_refused_and_leaves_nothing(file, tmp_path, change, message):
    there = tmp_path / "elsewhere"
    with pytest.raises(ArchiveError, match=message):
        import_memory(changed(file, change), "alice", there)
    assert list_memories(there) == []
    assert not there.exists() or list(there.iterdir()) == []


def test_what_is_packed_is_refused_before_it_is_unpacked(file, tmp_path):
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    bomb = tmp_path / "bomb.nestling"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ArchiveError, match=r"it has no manifest\.json"):
        import_memory(bomb, "alice", tmp_path / "elsewhere")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04K\x01."])
def test_what_is_no_archive_is_refused(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ArchiveError, match="no whole archive"):
        import_memory(tmp_path / "file", "alice", tmp_path / "elsewhere")
    with pytest.raises(ArchiveError, match="there is no file"):
        import_memory(tmp_path / "nothing", "alice", tmp_path / "elsewhere")


def test_a_snapshot_that_is_not_what_the_journal_gives_is_found(alice, file, tmp_path, tiny_bundle):
    def other_values(members, manifest):
        content = bytearray(members[SNAPSHOT])
        content[-2] ^= 1
        return {**members, SNAPSHOT: bytes(content)}

    there = tmp_path / "elsewhere"
    import_memory(changed(file, other_values), "alice", there)
    with Resident.open("alice", there, model=tiny_bundle) as read:
        assert not read.verify().replayed
        read.rebuild()
        assert read.verify().replayed and same(read.state(), alice.state())


def test_a_damaged_snapshot_is_not_exported(alice, home, tmp_path):
    for path in (alice.path / "snapshots").iterdir():
        path.write_bytes(b"damaged")
    with pytest.raises(StoreError, match="rebuild it with"):
        export_memory(MemoryFolder("alice", home), tmp_path / "alice.nestling")
    assert not (tmp_path / "alice.nestling").exists()


def test_a_file_that_cannot_be_written_is_named(alice, home, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        export_memory(MemoryFolder("alice", home), tmp_path / "file" / "alice.nestling")


def test_a_state_that_would_fill_the_machine_is_refused(file, tmp_path, tiny_bundle):
    def huge(members, manifest):
        snapshot = members[SNAPSHOT]
        length = int.from_bytes(snapshot[:8], "little")
        header = json.loads(snapshot[8 : 8 + length])
        state = json.loads(header["__metadata__"]["nestling"])
        name = next(name for name in state["leaves"] if name not in header)
        state["leaves"][name]["shape"] = [1, 1 << 50]
        header["__metadata__"]["nestling"] = json.dumps(state)
        text = json.dumps(header).encode()
        head = len(text).to_bytes(8, "little")
        return {**members, SNAPSHOT: head + text + snapshot[8 + length :]}

    there = tmp_path / "elsewhere"
    import_memory(changed(file, huge), "alice", there)
    with Resident.open("alice", there, model=tiny_bundle) as read:
        with pytest.raises(StoreError, match="damaged"):
            read.state()
        read.rebuild()
        assert read.verify().replayed


def test_nothing_is_unpickled(file, tmp_path):
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (ran.touch, ())

    def pickled(members, manifest):
        buffer = io.BytesIO()
        pickle.dump(Evil(), buffer)
        return {**members, SNAPSHOT: buffer.getvalue()}

    folder = import_memory(changed(file, pickled), "alice", tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="damaged"):
        folder.read_snapshot(folder.journal.head(), "", torch.device("cpu"))
    assert not ran.exists()


def test_what_a_killed_export_left_goes_with_the_next_one(alice, file, home):
    left = file.with_name(f".{file.name}.{'0' * 32}")
    for name in (left, file.with_name(f".{file.name}.mine"), left.with_suffix("." + "1" * 32)):
        name.write_bytes(b"Pixel")
        os.utime(name, (0, 0))
    # One that is being written now.
    left.with_suffix("." + "2" * 32).write_bytes(b"Pixel")
    export_memory(MemoryFolder("alice", home), file)
    kept = {path.suffix for path in file.parent.glob(".*")}
    assert kept == {".mine", "." + "2" * 32}


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES])
def test_what_cannot_be_written_can_be_looked_at_and_carried_away(
    alice, home, tiny_bundle, tmp_path, monkeypatch, error
):
    folder, opened = MemoryFolder("alice", home), os.open

    def refused(path, flags, *mode):
        if str(path).endswith("lock"):
            raise OSError(error, os.strerror(error))
        return opened(path, flags, *mode)

    monkeypatch.setattr("nestling.resident.store.os.open", refused)
    export_memory(folder, tmp_path / "alice.nestling")
    with Resident.open("alice", home, model=tiny_bundle) as resident:
        assert resident.verify().replayed
        with pytest.raises(StoreError, match="cannot be written"):
            resident.learn("my fish = Bo")
