"""A memory state as one safetensors file, with a manifest that says what it holds and whose it is.

All zeros is the fresh state, so a leaf of zeros is listed in the manifest and not stored. The same
state gives the same bytes: the hash of a file names what it holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from nestling.memory.state import MemoryState

FORMAT_VERSION = 1
_MANIFEST = "nestling"


class StateFileError(ValueError):
    """A memory state could not be read from a file; the file is as it was."""


class StateFileMissing(StateFileError, FileNotFoundError):
    """There is no such file."""


class StateFileCorrupt(StateFileError):
    """The file is there, and what it holds is not what was written."""


class StateMismatch(StateFileError):
    """The file is whole, and belongs to another model or another format."""


def save_state(
    state: MemoryState,
    path: str | Path,
    *,
    model_hash: str,
    extra: Mapping[str, str] | None = None,
) -> str:
    """Write a state to `path`, whole or not at all, and return the sha256 (hex) of the file.

    Args:
        state: any batch size; moved to the CPU, its types kept.
        model_hash: hash of the model that wrote it; `load_state` compares it.
        extra: further texts for the manifest.
    """
    content = encode_state(state, model_hash=model_hash, extra=extra)
    write_file(path, content)
    return hashlib.sha256(content).hexdigest()


def encode_state(
    state: MemoryState, *, model_hash: str, extra: Mapping[str, str] | None = None
) -> bytes:
    """The content of the file that `save_state` writes."""
    manifest = {
        "format": FORMAT_VERSION,
        "model_hash": model_hash,
        "leaves": {
            name: {"shape": list(leaf.shape), "dtype": str(leaf.dtype).removeprefix("torch.")}
            for name, leaf in state.items()
        },
        "extra": dict(extra or {}),
    }
    # Clones, since safetensors refuses tensors that share their storage.
    tensors = {
        name: leaf.detach().to("cpu").clone(memory_format=torch.contiguous_format)
        for name, leaf in state.items()
        if bool(torch.count_nonzero(leaf))
    }
    return safetensors.save(tensors, {_MANIFEST: json.dumps(manifest)})


def write_file(path: str | Path, content: bytes, *, private: bool = False) -> None:
    """Write a file whole or not at all, and make it durable.

    Args:
        private: nobody else on the machine may read it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    try:
        with temporary.open("xb") as file:
            if private:
                os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_state(
    path: str | Path,
    *,
    model_hash: str | None = None,
    sha256: str | None = None,
    device: torch.device | str | None = None,
    like: MemoryState | None = None,
) -> tuple[MemoryState, dict[str, Any]]:
    """Read a state and its manifest (`format`, `model_hash`, `leaves`, `extra`).

    Args:
        path: a file written by `save_state`.
        model_hash: refuse the state of another model; None takes any.
        sha256: refuse a file with other bytes than those; None takes any.
        device: where the tensors go; the CPU, if it is not given.
        like: refuse leaves of other names, shapes or types than those of this state. A file says of
            leaves of zeros how large they are, so without this a small one can ask for much memory.

    Raises:
        StateFileMissing: no such file.
        StateFileCorrupt: the file is damaged.
        StateMismatch: the state of another model, or a format this version does not read.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise StateFileMissing(f"there is no memory state at {path}") from None
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise StateFileCorrupt(f"{path} is damaged: its content differs from what was written")
    return decode_state(content, path, model_hash=model_hash, device=device, like=like)


def decode_state(
    content: bytes,
    path: str | Path,
    *,
    model_hash: str | None = None,
    device: torch.device | str | None = None,
    like: MemoryState | None = None,
) -> tuple[MemoryState, dict[str, Any]]:
    """What `load_state` reads from the file at `path`, of which this is the content."""
    manifest = _manifest(path, content)
    if model_hash is not None and manifest["model_hash"] != model_hash:
        raise StateMismatch(
            f"{path} was written with model {manifest['model_hash'][:12]}, and this is model "
            f"{model_hash[:12]}; a memory state can be read only by the model that wrote it"
        )
    if like is not None and _described(manifest) != {
        name: (list(leaf.shape), str(leaf.dtype).removeprefix("torch."))
        for name, leaf in like.items()
    }:
        raise StateFileCorrupt(f"{path} is damaged: it describes a state of another shape")
    try:
        tensors = safetensors.load(content)
        state = MemoryState(
            {
                name: _leaf(tensors.pop(name, None), described).to(device=device)
                for name, described in manifest["leaves"].items()
            }
        )
    except (
        SafetensorError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
    ) as error:
        raise StateFileCorrupt(f"{path} is damaged: {error}") from error
    if tensors:
        raise StateFileCorrupt(f"{path} is damaged: its manifest does not list {sorted(tensors)}")
    return state, manifest


def _manifest(path: str | Path, content: bytes) -> dict[str, Any]:
    """The manifest in the header: 8 bytes of its length, then JSON."""
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        manifest = json.loads(header["__metadata__"][_MANIFEST])
        version = manifest["format"]
        if not isinstance(version, int):
            raise TypeError("its format version is no number")
        if version == FORMAT_VERSION and not (
            isinstance(manifest["model_hash"], str) and isinstance(manifest["leaves"], dict)
        ):
            raise TypeError("its manifest is incomplete")
    except (ValueError, KeyError, TypeError) as error:
        raise StateFileCorrupt(
            f"{path} is no memory state, or it is damaged: its manifest cannot be read"
        ) from error
    if version != FORMAT_VERSION:
        raise StateMismatch(
            f"{path} has format {version}, and this version of nestling reads format "
            f"{FORMAT_VERSION}; use the version of nestling that wrote it"
        )
    return manifest


def _described(manifest: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Shapes and types as a manifest has them, whatever it has."""
    return {
        name: (said.get("shape"), said.get("dtype")) if isinstance(said, dict) else (None, None)
        for name, said in manifest["leaves"].items()
    }


def _leaf(stored: Tensor | None, described: Mapping[str, Any]) -> Tensor:
    shape, dtype = tuple(described["shape"]), getattr(torch, described["dtype"])
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"it names the unknown type {described['dtype']!r}")
    if stored is None:
        return torch.zeros(shape, dtype=dtype)
    if tuple(stored.shape) != shape or stored.dtype != dtype:
        raise ValueError("a tensor has another shape or type than its manifest says")
    return stored
