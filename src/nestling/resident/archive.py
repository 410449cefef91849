"""A memory as one file that can be carried to another machine.

A zip archive without compression, so that what is in it is no larger than the file itself:

| member                 | what                                                                 |
|------------------------|----------------------------------------------------------------------|
| `manifest.json`        | format, model, head, and the size and sha256 of every other member   |
| `journal.jsonl`        | one entry a line                                                     |
| `recalls.jsonl`        | one recall a line                                                    |
| `snapshot.safetensors` | the state that the head names; not there if nothing was ever written |

Nothing else is read, nothing is unpickled, and a memory is made of it as a whole or not at all.
"""

from __future__ import annotations

import glob
import hashlib
import io
import json
import math
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from nestling.memory.storage import write_file
from nestling.models.dialogue import Note
from nestling.resident.records import ROLES, ROLLBACK, SPOKEN, Entry, Head, RecallRow, goes_back
from nestling.resident.sleep import Plan
from nestling.resident.store import MemoryFolder, StoreError, is_stale, sweep

FORMAT_VERSION = 1
MANIFEST, JOURNAL, RECALLS, SNAPSHOT = (
    "manifest.json",
    "journal.jsonl",
    "recalls.jsonl",
    "snapshot.safetensors",
)
# No manifest is longer; it is the one member that is read before its size is known to be right.
_LONGEST_MANIFEST = 100_000
# More than any number in a journal or a plan.
_MANY = 1_000_000
# The end of the name that `write_file` gives to a file which is not whole yet.
_TEMPORARY = re.compile(r"\.[0-9a-f]{32}")
T = TypeVar("T")


class ArchiveError(StoreError):
    """A file is no whole archive of a memory; nothing was changed."""


def export_memory(folder: MemoryFolder, path: str | Path) -> Path:
    """Write a memory as one file, whole or not at all; an older export of that name is replaced.

    Raises:
        StoreError: there is no such memory, the file cannot be written, or what lies there is no
            export.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise StoreError(f"{path} is a folder; name a file in it")
    if path.exists() and not _is_archive(path):
        raise StoreError(f"{path} is there already and is no export of a memory; name another file")
    content = _pack(folder)
    _sweep_exports(path)
    try:
        write_file(path, content, private=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _is_archive(path: Path) -> bool:
    """Whether a file is an export, or an empty one that may become it."""
    try:
        if not path.stat().st_size:
            return True
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _sweep_exports(path: Path) -> None:
    """Remove what killed exports beside this file left: it holds all that was told."""
    for left in path.parent.glob(f".*{glob.escape(path.suffix)}.*"):
        with suppress(OSError):
            if _TEMPORARY.fullmatch(left.suffix) and is_stale(left):
                left.unlink()


def branch_memory(folder: MemoryFolder, name: str) -> MemoryFolder:
    """Make a second memory that stands where this one does; from then on they go their own ways.

    Raises:
        StoreError: there is no such memory, or one of the new name already.
    """
    return _unpack(io.BytesIO(_pack(folder)), f"the memory '{folder.name}'", name, folder.home)


def _pack(folder: MemoryFolder) -> bytes:
    folder.require()
    with folder.lease(writes=False):
        history = folder.journal.history()
        head, model_hash = history.head, history.model_hash
        members = {
            JOURNAL: _lines(history.entries),
            RECALLS: _lines(folder.journal.recall_rows()),
        }
        if head.snapshot is not None:
            members[SNAPSHOT] = folder.snapshot_bytes(head)
    manifest = {
        "format": FORMAT_VERSION,
        "name": folder.name,
        "model_hash": model_hash,
        "entry": head.entry,
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in members.items()
        },
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {MANIFEST: json.dumps(manifest).encode(), **members}.items():
            # A time of its own would make two exports of one memory differ.
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def import_memory(
    path: str | Path, name: str | None = None, home: str | Path | None = None
) -> MemoryFolder:
    """Make a memory of an archive.

    Args:
        name: of the memory; None for the one it had.

    Raises:
        ArchiveError: the file is missing, damaged, or no archive of a memory.
        StoreError: there is a memory of that name already, or the home cannot be written.
    """
    return _unpack(Path(path), str(path), name, home)


def _unpack(
    source: Path | BinaryIO, path: str, name: str | None, home: str | Path | None
) -> MemoryFolder:
    members, manifest = _read(source, path)
    entries = [_entry(values) for values in _rows(members[JOURNAL], JOURNAL)]
    recalls = [_recall(values) for values in _rows(members[RECALLS], RECALLS)]
    snapshot = members.get(SNAPSHOT)
    in_order = all(entry.id == place for place, entry in enumerate(entries, start=1))
    if not in_order or manifest["entry"] != len(entries):
        raise ArchiveError(f"{path} is damaged: its entries are not in order")
    if not all(recall.entry <= len(entries) for recall in recalls):
        raise ArchiveError(f"{path} is damaged: something was recalled before it was told")
    _check_history(entries)
    folder = MemoryFolder(name or manifest["name"], home)
    if folder.exists():
        raise StoreError(
            f"there is a memory called '{folder.name}' in {folder.home} already; choose another "
            "name or remove it first"
        )
    sweep(home)
    new = MemoryFolder.unnamed(folder.name, home)
    try:
        folder.make_way()
        new.create(manifest["model_hash"])
        file = sha256 = None
        if snapshot is not None:
            file, sha256 = new.keep_bytes(snapshot)
        new.journal.fill(entries, recalls, Head(manifest["entry"], file, sha256))
        new.path.rename(folder.path)
    except OSError as error:
        raise StoreError(
            f"the memory '{folder.name}' cannot be made in {folder.home}: {error.strerror}"
        ) from error
    finally:
        shutil.rmtree(new.path, ignore_errors=True)
    return folder


def _read(source: Path | BinaryIO, path: str) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The members of an archive, each as its manifest says."""
    try:
        with zipfile.ZipFile(source) as archive:
            infos = {info.filename: info for info in archive.infolist()}
            manifest = _manifest(path, archive, infos)
            if len(archive.infolist()) != len(infos) or set(infos) != {
                MANIFEST,
                *manifest["files"],
            }:
                raise ArchiveError(f"{path} is damaged: it does not hold what its manifest says")
            members = {}
            for name, said in manifest["files"].items():
                info = infos[name]
                if info.compress_type != zipfile.ZIP_STORED or info.file_size != said["bytes"]:
                    raise ArchiveError(f"{path} is damaged: {name} is not as it was written")
                members[name] = archive.read(info)
                if hashlib.sha256(members[name]).hexdigest() != said["sha256"]:
                    raise ArchiveError(f"{path} is damaged: {name} is not as it was written")
    except ArchiveError:
        raise
    except FileNotFoundError:
        raise ArchiveError(f"there is no file {path}") from None
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror or error}") from error
    except (
        zipfile.BadZipFile,
        EOFError,
        NotImplementedError,
        OverflowError,
        RuntimeError,
        ValueError,
    ) as error:
        raise ArchiveError(f"{path} is no whole archive of a memory: {error}") from error
    return members, manifest


def _manifest(
    path: str, archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo]
) -> dict[str, Any]:
    info = infos.get(MANIFEST)
    if info is None or info.compress_type != zipfile.ZIP_STORED:
        raise ArchiveError(f"{path} is no archive of a memory: it has no {MANIFEST}")
    if info.file_size > _LONGEST_MANIFEST:
        raise ArchiveError(f"{path} is no archive of a memory: its {MANIFEST} is too long")
    manifest = json.loads(archive.read(info))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT_VERSION:
        raise ArchiveError(
            f"{path} has a format that this version of nestling does not read; it reads "
            f"{FORMAT_VERSION}"
        )
    files = manifest.get("files")
    whole = (
        isinstance(files, dict)
        and {JOURNAL, RECALLS} <= set(files) <= {JOURNAL, RECALLS, SNAPSHOT}
        and all(
            isinstance(said, dict)
            and isinstance(said.get("bytes"), int)
            and isinstance(said.get("sha256"), str)
            for said in files.values()
        )
        and isinstance(manifest.get("entry"), int)
        and isinstance(manifest.get("name"), str)
        and isinstance(manifest.get("model_hash"), str)
    )
    if not whole:
        raise ArchiveError(f"{path} is damaged: its manifest is not whole")
    return manifest


def _lines(rows: Sequence[Entry] | Sequence[RecallRow]) -> bytes:
    return "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows).encode()


def _rows(content: bytes, name: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line:
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ArchiveError(f"line {number} of {name} cannot be read: {error}") from error
        if not isinstance(values, dict):
            raise ArchiveError(f"line {number} of {name} is no row")
        yield values


def _entry(values: Mapping[str, Any]) -> Entry:
    def made() -> Entry:
        notes = tuple(
            Note(_is(note["key"], str), _is(note["value"], str)) for note in values["notes"]
        )
        role = values["role"]
        if role not in ROLES:
            raise ValueError(f"a role is one of {ROLES}, got {role!r}")
        text = _is(values["text"], str)
        if (notes and role not in SPOKEN) or (text and role == "forgotten"):
            raise ValueError(f"an entry of the role {role!r} has text or notes")
        return Entry(_is(values["id"], int), _is(values["time"], str), role, text, notes)

    return _made(made, JOURNAL)


def _recall(values: Mapping[str, Any]) -> RecallRow:
    def made() -> RecallRow:
        margin = float(values["margin"])
        if not math.isfinite(margin) or _is(values["entry"], int) < 0:
            raise ValueError("a number is out of range")
        return RecallRow(
            _is(values["time"], str),
            values["entry"],
            _is(values["kind"], str),
            _is(values["key"], str),
            margin,
        )

    return _made(made, RECALLS)


def _check_history(entries: Sequence[Entry]) -> None:
    """Refuse sleeps that rehearse what was not told, or for ever, and rollbacks to nowhere."""
    told: set[tuple[int, int]] = set()
    for entry in entries:
        told.update((entry.id, place) for place in range(len(entry.notes)))
        if entry.role == "sleep":
            _check_plan(entry, told)
        elif entry.role == ROLLBACK and not goes_back(entry):
            raise ArchiveError(f"entry {entry.id} rolls back to a version that never was")


def _check_plan(entry: Entry, told: set[tuple[int, int]]) -> None:
    try:
        plan = Plan.from_json(entry.text)
        places = [(_is(number, int), _is(place, int)) for number, place in plan.notes]
        chosen = plan.consolidation
        counts = (chosen.steps, chosen.batch, chosen.check_every, plan.dreamed, plan.base_turns)
        weights = (chosen.rate, chosen.sure, plan.dream_weight, plan.base_weight, chosen.norm or 0)
        sound = (
            told.issuperset(places)
            and len(set(places)) == len(places)
            and all(0 <= _is(count, int) < _MANY for count in counts)
            and all(0 <= float(_is(weight, (int, float))) < _MANY for weight in weights)
            and abs(_is(chosen.seed, int)) < _MANY
        )
        _is(plan.level, str)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ArchiveError(f"the plan of sleep {entry.id} cannot be read: {error}") from error
    if not sound:
        raise ArchiveError(f"the plan of sleep {entry.id} is not one that a memory made")


def _made(make: Callable[[], T], name: str) -> T:
    try:
        return make()
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ArchiveError(f"a row of {name} is not as it should be: {error}") from error


def _is(value: Any, kind: type[T] | tuple[type[T], ...]) -> T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(
            f"{value!r} is no {'number' if isinstance(kind, tuple) else kind.__name__}"
        )
    if isinstance(value, str):
        value.encode()
    return value
