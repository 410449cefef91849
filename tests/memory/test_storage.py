import hashlib
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nestling.memory import storage
from nestling.memory.state import MemoryState
from nestling.memory.storage import (
    StateFileCorrupt,
    StateFileError,
    StateFileMissing,
    StateMismatch,
    load_state,
    save_state,
)

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool)


@st.composite
def states(draw) -> MemoryState:
    batch = draw(st.integers(1, 3))
    leaves = {}
    for number in range(draw(st.integers(1, 4))):
        shape = (batch, *draw(st.lists(st.integers(0, 3), max_size=2)))
        leaf = torch.zeros(shape, dtype=draw(st.sampled_from(DTYPES)))
        if draw(st.booleans()):
            leaf = torch.randint(-3, 4, shape).to(leaf.dtype)
        leaves[draw(st.sampled_from(("context.", "memory."))) + str(number)] = leaf
    return MemoryState(leaves)


def example() -> MemoryState:
    return MemoryState(
        {
            "context.keys": torch.zeros(1, 100, 100),
            "memory.delta": torch.arange(6.0).view(1, 2, 3),
            "memory.count": torch.tensor([7]),
        }
    )


@given(states())
def test_a_state_comes_back_as_it_was(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("state") / "a.safetensors"
    save_state(state, path, model_hash="abc")
    loaded, _ = load_state(path, model_hash="abc")
    assert list(loaded) == list(state)
    for name, leaf in state.items():
        assert loaded[name].dtype == leaf.dtype
        assert torch.equal(loaded[name], leaf)


def test_the_manifest_says_what_the_file_holds(tmp_path):
    save_state(example(), tmp_path / "a", model_hash="abc", extra={"name": "Zoë"})
    _, manifest = load_state(tmp_path / "a")
    assert manifest["format"] == 1
    assert manifest["model_hash"] == "abc"
    assert manifest["extra"] == {"name": "Zoë"}
    assert manifest["leaves"]["memory.delta"] == {"shape": [1, 2, 3], "dtype": "float32"}


def test_zeros_take_no_room(tmp_path):
    save_state(example(), tmp_path / "a", model_hash="abc")
    assert (tmp_path / "a").stat().st_size < 1000


def test_the_hash_is_that_of_the_file_and_of_the_content(tmp_path):
    first = save_state(example(), tmp_path / "a", model_hash="abc")
    assert first == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()
    assert first == save_state(example().fork(), tmp_path / "b", model_hash="abc")


def test_tensors_that_share_their_storage_are_saved(tmp_path):
    rows = torch.arange(4.0).view(1, 2, 2)
    state = MemoryState({"memory.a": rows, "memory.b": rows.transpose(1, 2)})
    save_state(state, tmp_path / "a", model_hash="abc")
    assert torch.equal(load_state(tmp_path / "a")[0]["memory.b"], state["memory.b"])


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    old = save_state(example(), path, model_hash="abc")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(storage.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_state(example().reset(), path, model_hash="abc")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == old
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StateFileMissing, match="no memory state at .*nowhere") as caught:
        load_state(tmp_path / "nowhere")
    assert isinstance(caught.value, FileNotFoundError)
    assert isinstance(caught.value, StateFileError)


def test_the_state_of_another_model_is_refused(tmp_path):
    save_state(example(), tmp_path / "a", model_hash="a" * 64)
    with pytest.raises(StateMismatch, match="model aaaaaaaaaaaa, and this is model bbbbbbbbbbbb"):
        load_state(tmp_path / "a", model_hash="b" * 64)


def test_another_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "FORMAT_VERSION", 2)
    save_state(example(), tmp_path / "a", model_hash="abc")
    monkeypatch.setattr(storage, "FORMAT_VERSION", 1)
    with pytest.raises(StateMismatch, match="has format 2"):
        load_state(tmp_path / "a")


def test_other_bytes_than_those_written_are_refused(tmp_path):
    save_state(example(), tmp_path / "a", model_hash="abc")
    with pytest.raises(StateFileCorrupt, match="damaged"):
        load_state(tmp_path / "a", sha256="0" * 64)


@given(st.integers(0, 10_000), st.binary(max_size=20))
def test_any_cut_or_garbage_is_called_damaged(tmp_path_factory, cut, tail):
    path = tmp_path_factory.mktemp("state") / "a"
    sha256 = save_state(example(), path, model_hash="abc")
    whole = path.read_bytes()
    broken = whole[: cut % len(whole)] + tail
    if broken == whole:
        return
    path.write_bytes(broken)
    with pytest.raises(StateFileError):
        load_state(path, sha256=sha256, model_hash="abc")


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [1, 2, 4]},
        {"dtype": "float64"},
        {"dtype": "load"},
        {"shape": "wide"},
        {"shape": [2, 2, 3]},
    ],
)
def test_a_manifest_that_does_not_fit_is_called_damaged(tmp_path, change):
    save_state(example(), tmp_path / "a", model_hash="abc")
    content = (tmp_path / "a").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    manifest = json.loads(header["__metadata__"]["nestling"])
    manifest["leaves"]["memory.delta"] |= change
    header["__metadata__"]["nestling"] = json.dumps(manifest)
    changed = json.dumps(header).encode()
    (tmp_path / "a").write_bytes(
        len(changed).to_bytes(8, "little") + changed + content[8 + length :]
    )
    with pytest.raises(StateFileCorrupt):
        load_state(tmp_path / "a")
