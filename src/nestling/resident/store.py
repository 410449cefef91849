"""Where memories live: one directory a user, with a journal, its snapshots and a lock for writers.

<home>/<name>/journal.sqlite3
<home>/<name>/snapshots/<sha256>.safetensors
<home>/<name>/sleep.safetensors               (while a sleep is not over)
<home>/<name>/lock
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from nestling.memory.state import MemoryState
from nestling.memory.storage import (
    StateFileCorrupt,
    decode_state,
    encode_state,
    write_file,
)
from nestling.resident.journal import Journal, JournalError
from nestling.resident.records import Head

LEASE_SECONDS = 10.0
SLEEP = "sleep.safetensors"
_DIGEST_BYTES = 32
# What may lie in a folder in which there never was a memory, if no more than this does.
_DEBRIS = re.compile(r"lock|snapshots|\.new-journal\.sqlite3.*")
# Nobody takes so long to make or remove a memory.
_STALE_SECONDS = 3600.0
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")


class StoreError(ValueError):
    """A memory or its home cannot be used; the message says why and what to do."""


class MemoryNotFound(StoreError):
    """No memory has this name."""


class MemoryBusy(StoreError):
    """Another process has been writing the memory for too long."""


class SnapshotDamaged(StoreError):
    """The snapshot is not what was written; the journal can rebuild it."""


def default_home() -> Path:
    """The directory of all memories: `$NESTLING_HOME`, or `~/.nestling`."""
    return Path(os.environ.get("NESTLING_HOME") or "~/.nestling").expanduser()


def check_name(name: str) -> str:
    """The name itself; ValueError if it is not allowed."""
    if not _NAME.fullmatch(name):
        raise StoreError(
            f"{name!r} cannot name a memory: a name has 1 to 64 letters (a-z, A-Z), digits, "
            "'_', '-' or '.', and does not start with '.'"
        )
    return name


def list_memories(home: str | Path | None = None) -> list[str]:
    """The names of all memories in a home, sorted; none if there is no home yet.

    Raises:
        StoreError: the home is not a directory or cannot be read.
    """
    home = _home(home)
    try:
        return sorted(
            path.name
            for path in (home.iterdir() if home.exists() else ())
            if _NAME.fullmatch(path.name) and MemoryFolder(path.name, home).exists()
        )
    except OSError as error:
        raise StoreError(f"the home {home} cannot be read: {error.strerror}") from error


def damaged_memories(home: str | Path | None = None) -> list[str]:
    """What is wrong with memories whose journal is missing, a sentence for each."""
    home, found = _home(home), []
    for path in sorted(home.iterdir() if home.exists() else ()):
        if _NAME.fullmatch(path.name) and path.is_dir():
            folder = MemoryFolder(path.name, home)
            try:
                if not folder.exists():
                    folder.require_journal()
            except StoreError as error:
                found.append(str(error))
    return found


class MemoryFolder:
    """The directory of one memory: what is in it, and who may write it.

    Args:
        name: see `check_name`.
        home: directory of all memories; None for `default_home()`.

    Raises:
        StoreError: the name is not allowed, or the home is not a directory.
    """

    def __init__(self, name: str, home: str | Path | None = None) -> None:
        self.name, self.home = check_name(name), _home(home)
        self._lie_at(self.home / name)

    @classmethod
    def unnamed(cls, name: str, home: str | Path | None = None) -> MemoryFolder:
        """A folder that no listing shows, in which a memory is made before it gets this name."""
        folder = cls(name, home)
        folder._lie_at(folder.home / f".new-{uuid.uuid4().hex}")
        return folder

    def _lie_at(self, path: Path) -> None:
        self.path = path
        self.snapshots = path / "snapshots"
        self.journal = Journal(path / "journal.sqlite3")

    def exists(self) -> bool:
        try:
            return self.journal.exists()
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from error

    def require(self) -> None:
        """Raise `MemoryNotFound`, naming those there are, unless the memory exists."""
        if not self.exists():
            self.require_journal()
            known = ", ".join(list_memories(self.home)) or "none yet"
            raise MemoryNotFound(
                f"there is no memory called '{self.name}' in {self.home}; there are: {known}"
            )

    def create(self, model_hash: str) -> None:
        """Make the memory, empty; one that exists stays as it is.

        Raises:
            StoreError: the home cannot be written, or the journal of this memory is missing.
        """
        if self.exists():
            return
        new = MemoryFolder.unnamed(self.name, self.home)
        try:
            # Memories are personal: others on the machine see neither names nor content.
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            sweep(self.home)
            self.make_way()
            # Made without a name first: a memory is there as a whole or not at all.
            new.path.mkdir(mode=0o700)
            new.snapshots.mkdir()
            new.journal.create(model_hash)
            new.path.rename(self.path)
        except OSError as error:
            # Another process may have made it meanwhile.
            if not self.exists():
                raise StoreError(
                    f"the memory '{self.name}' cannot be made in {self.home}: {error.strerror}"
                ) from error
        finally:
            shutil.rmtree(new.path, ignore_errors=True)

    def make_way(self) -> None:
        """Remove an empty folder of this name, in which there never was a memory.

        Raises:
            StoreError: something else is there, or a memory whose journal is missing.
            OSError: it cannot be removed.
        """
        if not os.path.lexists(self.path) or self.exists():
            return
        self.require_journal()
        if not self.path.is_dir() or not all(
            _DEBRIS.fullmatch(path.name) for path in self.path.iterdir()
        ):
            raise StoreError(
                f"{self.path} is there already and is no memory (it has no journal); move it away, "
                "or choose another name or --home"
            )
        doomed = self._doomed()
        self.path.rename(doomed)
        shutil.rmtree(doomed)

    def require_journal(self) -> None:
        """Raise `StoreError` if there are snapshots without the journal that tells of them."""
        if self.snapshots.is_dir() and any(self.snapshots.iterdir()):
            raise StoreError(
                f"the journal of the memory '{self.name}' is missing from {self.path}; put a copy "
                "of it back, or remove the folder"
            )

    def _doomed(self) -> Path:
        return self.home / f".removed-{self.name}-{time.time_ns()}"

    def remove(self) -> None:
        """Delete the memory with all it holds."""
        self.require()
        # One that was being removed by a process that was killed still holds all it was told.
        sweep(self.home)
        with self.lease():
            try:
                self._take_away()
            except OSError as error:
                raise StoreError(
                    f"the memory '{self.name}' cannot be removed from {self.home}: {error.strerror}"
                ) from error

    def _take_away(self) -> None:
        # Renamed first: a memory is there as a whole or not at all.
        doomed = self._doomed()
        self.path.rename(doomed)
        shutil.rmtree(doomed)

    def remove_if_unused(self) -> None:
        """Remove a memory that was never told anything; nobody has anything to lose by it."""
        with suppress(ValueError, OSError):
            if not self.exists():
                return
            with self.lease():
                if self.journal.head().entry == 0:
                    self._take_away()

    def nbytes(self) -> int:
        """Bytes on disk."""
        total = 0
        for path in self.path.rglob("*"):
            # Another process may remove it at this moment.
            with suppress(FileNotFoundError):
                total += path.stat().st_size if path.is_file() else 0
        return total

    @contextmanager
    def lease(self, *, writes: bool = True) -> Iterator[None]:
        """Be the only writer; waits `LEASE_SECONDS` for another to finish.

        Args:
            writes: False for who only keeps others from it, also where nobody can write.

        Raises:
            MemoryBusy: it did not finish.
            MemoryNotFound: it removed the memory.
        """
        lock = self.path / "lock"
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            self.require()
            raise
        except OSError as error:
            if not writes and error.errno in (errno.EROFS, errno.EACCES):
                yield
                return
            raise StoreError(f"{self.path} cannot be written: {error.strerror}") from error
        try:
            self._wait_for(handle)
            if not (lock.exists() and os.path.samestat(os.fstat(handle), lock.stat())):
                raise MemoryNotFound(f"the memory '{self.name}' was removed by another process")
            # A damaged journal is no reason not to remove or to rebuild a memory.
            with suppress(JournalError):
                self.scrub()
            yield
        finally:
            os.close(handle)

    def _wait_for(self, handle: int) -> None:
        deadline = time.monotonic() + LEASE_SECONDS
        while True:
            try:
                return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if time.monotonic() > deadline:
                    raise MemoryBusy(
                        f"the memory '{self.name}' is being written by another process, which did "
                        f"not finish within {LEASE_SECONDS:.0f} s; nothing was changed, try again"
                    ) from error
                time.sleep(0.02)

    # -- snapshots -----------------------------------------------------------------------------

    def write_snapshot(self, state: MemoryState, model_hash: str) -> tuple[str, str]:
        """Write a snapshot under the hash of its content: (file name, sha256)."""
        return self.keep_bytes(encode_state(state, model_hash=model_hash))

    def keep_bytes(self, content: bytes) -> tuple[str, str]:
        """Write the content of a snapshot under its hash: (file name, sha256)."""
        sha256 = hashlib.sha256(content).hexdigest()
        file = f"{sha256}.safetensors"
        try:
            write_file(self.snapshots / file, content)
        except OSError as error:
            raise StoreError(
                f"the snapshot cannot be written to {self.snapshots}: {error.strerror}; "
                "the memory is as it was"
            ) from error
        return file, sha256

    def snapshot_bytes(self, head: Head) -> bytes:
        """The content of the snapshot that a head names.

        Raises:
            SnapshotDamaged: the file is missing or its content is not what was written.
        """
        path = self.snapshots / str(head.snapshot)
        try:
            content = path.read_bytes()
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            raise self._damaged(path, missing=missing) from error
        if hashlib.sha256(content).hexdigest() != head.sha256:
            raise self._damaged(path, missing=False)
        return content

    def _damaged(self, path: Path, *, missing: bool) -> SnapshotDamaged:
        return SnapshotDamaged(
            f"the snapshot {path} is {'missing' if missing else 'damaged or unreadable'} and "
            "was not used; what was told is safe in the journal: rebuild it with "
            f"`nestling memory rebuild {self.name}`"
        )

    def read_snapshot(
        self,
        head: Head,
        model_hash: str,
        device: torch.device,
        like: MemoryState | None = None,
    ) -> MemoryState:
        """The state that a head names; with `like`, none of another shape.

        Raises:
            SnapshotDamaged: the file is missing or its content is not what was written.
        """
        content, path = self.snapshot_bytes(head), self.snapshots / str(head.snapshot)
        try:
            return decode_state(content, path, model_hash=model_hash, device=device, like=like)[0]
        except StateFileCorrupt as error:
            raise self._damaged(path, missing=False) from error

    # -- a sleep that is not over --------------------------------------------------------------

    def write_sleep(self, key: str, plan: str, values: Mapping[str, Tensor]) -> None:
        """Keep how far a sleep has come; `key` names what it started from."""
        tensors = {name: value.contiguous() for name, value in values.items()}
        content = safetensors.save(tensors, {"key": key, "plan": plan})
        # A sleep that went on from damaged numbers would be kept, and never found by a replay.
        digest = hashlib.sha256(content).digest()
        try:
            write_file(self.path / SLEEP, digest + content)
        except OSError as error:
            raise StoreError(
                f"the sleep cannot be kept in {self.path}: {error.strerror}; "
                "the memory is as it was"
            ) from error

    def read_sleep(self, key: str) -> tuple[str, dict[str, Tensor]] | None:
        """The plan of a sleep that started from the same, and how far it came; None if there is
        none, or if what is kept of it is of no use.
        """
        try:
            kept = (self.path / SLEEP).read_bytes()
            digest, content = kept[:_DIGEST_BYTES], kept[_DIGEST_BYTES:]
            if hashlib.sha256(content).digest() != digest:
                return None
            length = int.from_bytes(content[:8], "little")
            found = json.loads(content[8 : 8 + length])["__metadata__"]
            if found["key"] != key:
                return None
            return found["plan"], safetensors.load(content)
        except (OSError, SafetensorError, ValueError, KeyError):
            return None

    def end_sleep(self) -> None:
        """Remove what was kept of a sleep."""
        for path in (self.path / SLEEP, *self.path.glob(f".{SLEEP}.*")):
            with suppress(OSError):
                path.unlink()

    def scrub(self) -> bool:
        """Finish a forgetting, if one is not over: remove what may still hold what was forgotten.

        Returns:
            Whether nothing of it is left.
        """
        if not self.journal.scrub_is_due():
            return True
        left = self.clear_snapshots()
        self.end_sleep()
        return (
            not left
            and not any(SLEEP in path.name for path in self.path.iterdir())
            and self.journal.scrub()
        )

    def clear_parts(self) -> None:
        """Remove what killed writers left of files that they were writing."""
        for path in self.path.glob(".*"):
            with suppress(OSError):
                path.unlink()

    def clear_snapshots(self) -> list[Path]:
        """Remove the snapshots that the journal has let go of; returns those that could not be."""
        kept = self.journal.snapshots()
        left = []
        for path in self.snapshots.iterdir() if self.snapshots.is_dir() else ():
            if path.name not in kept:
                try:
                    path.unlink()
                except OSError:
                    left.append(path)
        return left


def sweep(home: str | Path | None = None) -> None:
    """Remove what a process that was killed left of a memory it was making or removing."""
    for path in (_home(home)).glob(".*"):
        with suppress(OSError):
            if path.name.startswith((".new-", ".removed-")) and is_stale(path):
                shutil.rmtree(path)


def is_stale(path: Path) -> bool:
    """Whether whoever wrote this must have been killed."""
    return time.time() - path.stat().st_mtime > _STALE_SECONDS


def _home(home: str | Path | None) -> Path:
    path = default_home() if home is None else Path(home).expanduser()
    try:
        # In this order: another process may be making it at this moment.
        usable = not path.exists() or path.is_dir()
    except OSError as error:
        raise StoreError(f"the home {path} cannot be read: {error.strerror}") from error
    if not usable:
        raise StoreError(
            f"the home {path} is not a directory; name one with --home or NESTLING_HOME"
        )
    return path
