"""What a user has written before, as sources of turns: files, folders, a stream.

| kind       | what                                                      | read                |
|------------|-----------------------------------------------------------|---------------------|
| `text`     | plain text (.txt)                                         | line by line        |
| `markdown` | Markdown (.md)                                            | whole, up to 100 MB |
| `chat`     | JSON lines (.jsonl): `role` and `content`, or `messages`  | line by line        |
| `chatgpt`  | the `conversations.json` of an export of ChatGPT          | whole, up to 2 GB   |

A source is looked through once before anything is told of it: what cannot be read is said then.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from nestling.resident.teaching.chats import LONGEST_ROW, Skip, turns_of_export, turns_of_rows
from nestling.resident.teaching.passages import (
    LONGEST_PARAGRAPH,
    Turn,
    turns_of_lines,
    turns_of_markdown,
)

KINDS = ("text", "markdown", "chat", "chatgpt")
_SUFFIXES = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".jsonl": "chat",
    ".ndjson": "chat",
}
# Bytes of what is read whole, and of a stream, which is put aside until its end.
_LARGEST = {"markdown": 100_000_000, "chatgpt": 2_000_000_000}
_LARGEST_STREAM = 4_000_000_000
# Bytes below which a hash tells too much of what it is the hash of.
_SHORT = 1000
_BLOCK = 1 << 20
# Bytes that tell of what kind a file is.
_HEAD = 1 << 16


class SourceError(ValueError):
    """A source cannot be read; the message says where and what to do."""


class NotText(SourceError):
    """A file holds no text in UTF-8."""


@dataclass(frozen=True)
class Source:
    """A file or a stream that was looked through: its kind, its bytes and their hash.

    `place` says where a file lies and when it was written last; a stream has none.
    """

    name: str
    kind: str
    sha256: str
    nbytes: int
    opened: Callable[[], BinaryIO] = field(repr=False, compare=False)
    place: str | None = None

    @property
    def is_short(self) -> bool:
        """Whether its words could be guessed from its hash."""
        return self.nbytes < _SHORT

    @property
    def key(self) -> str | None:
        """By what it is known again: its hash, or the place of a short one; None if it is neither.

        From a key that is kept nobody must be able to guess what was told, and then forgotten.
        """
        if not self.is_short:
            return f"{self.kind} {self.sha256}"
        if self.place is None:
            return None
        return f"{self.kind} at {hashlib.sha256(self.place.encode()).hexdigest()}"

    def turns(self, skip: Skip = lambda reason: None, first: int | None = None) -> Iterator[Turn]:
        """What was said, in order, by anybody.

        Args:
            skip: called with the reason why something is left out.
            first: read so many bytes alone; None for as many as there were at first sight.

        Raises:
            SourceError: it is not of the kind that it seemed to be.
        """
        size = self.nbytes if first is None else first
        with self._open() as file:
            if self.kind == "text":
                yield from turns_of_lines(_lines(file, size, LONGEST_PARAGRAPH))
            elif self.kind == "chat":
                yield from turns_of_rows(_rows(_lines(file, size, LONGEST_ROW)), skip)
            elif self.kind == "markdown":
                yield from turns_of_markdown(_whole(file, size))
            else:
                try:
                    yield from turns_of_export(_whole(file, size), skip)
                except ValueError as error:
                    raise SourceError(f"{self.name} is no export of ChatGPT: {error}") from None

    def beginnings(self, sizes: Collection[int]) -> dict[int, str]:
        """The hashes of its first so many bytes, for all sizes that it has."""
        found: dict[int, str] = {}
        sha256, at = hashlib.sha256(), 0
        with self._open() as file:
            for size in sorted(size for size in set(sizes) if 0 < size <= self.nbytes):
                while at < size and (block := file.read(min(_BLOCK, size - at))):
                    sha256.update(block)
                    at += len(block)
                found[size] = sha256.hexdigest()
        return found

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        with self.opened() as file:
            yield file


def find_sources(
    paths: Iterable[str | Path], kind: str | None = None, stdin: BinaryIO | None = None
) -> tuple[list[Source], list[Path]]:
    """All sources that paths name, and the files in folders that are none.

    A folder is walked in sorted order, without what is hidden (a name with a dot in front). Of the
    files in it those are taken whose suffix or content says of which kind they are.

    Args:
        paths: files, folders, or "-" for `stdin`.
        kind: takes everything as of this kind; None looks.

    Raises:
        SourceError: a path is not there, is no text, or not in UTF-8.
        OSError: a file cannot be read.
    """
    if kind is not None and kind not in KINDS:
        raise SourceError(f"there is no kind {kind!r}; the kinds are {', '.join(KINDS)}")
    sources: list[Source] = []
    left_out: list[Path] = []
    for path in map(str, paths):
        if path == "-":
            sources.append(_stream("standard input", kind, stdin or io.BytesIO()))
        elif os.path.isdir(path):
            for file in _walk(Path(path)):
                source = _in_folder(file, kind)
                if source is None:
                    left_out.append(file)
                else:
                    sources.append(source)
        elif not os.path.exists(path):
            raise SourceError(f"there is no file {path}")
        elif not os.path.isfile(path):
            with open(path, "rb") as file:
                sources.append(_stream(path, kind, file))
        else:
            with open(path, "rb") as file:
                found = kind or _kind_of(Path(path), file.read(_HEAD))
            if found is None:
                raise SourceError(
                    f"{path} is JSON, and neither a chat nor an export of ChatGPT; name its kind "
                    f"with --kind ({', '.join(KINDS)})"
                )
            sources.append(_file(Path(path), found))
    return sources, left_out


def _walk(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise error

    found: list[Path] = []
    for at, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(at, name) for name in files if not name.startswith(".")]
    return sorted(found)


def _in_folder(path: Path, kind: str | None) -> Source | None:
    """A file of a folder; None where nothing says that it is a source."""
    suffix = path.suffix.lower()
    if not path.is_file() or (kind is None and suffix not in {"", ".json", *_SUFFIXES}):
        return None
    with path.open("rb") as file:
        found = kind or _kind_of(path, file.read(_HEAD))
    if found is None:
        return None
    try:
        return _file(path, found)
    except NotText:
        if suffix in _SUFFIXES:
            raise
        return None


def _kind_of(path: Path | None, head: bytes) -> str | None:
    """The kind of a file by its suffix, else by how it begins; None for JSON of another form."""
    suffix = path.suffix.lower() if path else ""
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    begins = head.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    if begins == b"[" and b'"mapping"' in head:
        return "chatgpt"
    if begins == b"{" and (b'"role"' in head or b'"messages"' in head):
        return "chat"
    return None if suffix == ".json" else "text"


def _stream(name: str, kind: str | None, stream: BinaryIO) -> Source:
    """What comes from a stream, put aside until it ends: only then is it known what it is."""
    # Never a file with a name: what is told may have to be forgotten.
    spool = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        check = _Check(name)
        while block := stream.read(_BLOCK):
            check.read(block)
            if check.nbytes > _LARGEST_STREAM:
                raise SourceError(
                    f"{name} is longer than {_gigabytes(_LARGEST_STREAM)}; write it to a file"
                )
            spool.write(block)
        spool.flush()
        spool.seek(0)
        found = kind or _kind_of(None, spool.read(_HEAD)) or "text"
    except BaseException:
        spool.close()
        raise

    return _source(name, found, lambda: io.BufferedReader(_Spooled(spool)))


class _Spooled(io.RawIOBase):
    """A file that was put aside, from its beginning; several may read it at once."""

    def __init__(self, spool: BinaryIO) -> None:
        self._spool = spool
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = os.pread(self._spool.fileno(), len(buffer), self._at)
        buffer[: len(block)] = block
        self._at += len(block)
        return len(block)


def _file(path: Path, kind: str) -> Source:
    place = f"{path.resolve()} {path.stat().st_mtime_ns}"
    return _source(str(path), kind, lambda: path.open("rb"), place)


def _source(
    name: str, kind: str, opened: Callable[[], BinaryIO], place: str | None = None
) -> Source:
    check = _Check(name)
    with opened() as file:
        while block := file.read(_BLOCK):
            check.read(block)
    check.end()
    if check.nbytes > (largest := _LARGEST.get(kind, check.nbytes)):
        raise SourceError(
            f"{name} has {_gigabytes(check.nbytes)}, and {kind} is read up to "
            f"{_gigabytes(largest)}; split it, or write it as JSON lines"
        )
    return Source(name, kind, check.sha256.hexdigest(), check.nbytes, opened, place)


class _Check:
    """Looks whether blocks are text in UTF-8 and sums them up."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sha256 = hashlib.sha256()
        self.nbytes = 0
        self._lines = 1
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read(self, block: bytes) -> None:
        if not self.nbytes and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise NotText(
                f"{self.name} is written in UTF-16, and only UTF-8 is read; convert it first, for "
                "example with `iconv -f UTF-16 -t UTF-8`"
            )
        waiting = self._decoder.getstate()[0]
        if (at := block.find(0)) >= 0:
            self._refuse(waiting + block, len(waiting) + at, "a byte is zero, as in no text", "")
        self._decode(waiting, block)
        self.sha256.update(block)
        self.nbytes += len(block)
        self._lines += block.count(b"\n")

    def end(self) -> None:
        self._decode(self._decoder.getstate()[0], b"", final=True)

    def _decode(self, waiting: bytes, block: bytes, final: bool = False) -> None:
        try:
            self._decoder.decode(block, final)
        except UnicodeDecodeError as error:
            advice = "; convert it first, for example with `iconv -f WINDOWS-1252 -t UTF-8`"
            self._refuse(waiting + block, error.start, "it is not UTF-8", advice)

    def _refuse(self, content: bytes, at: int, what: str, advice: str) -> None:
        line = self._lines + content[:at].count(b"\n")
        byte = self.nbytes + at - len(self._decoder.getstate()[0])
        raise NotText(
            f"{self.name} cannot be read as text: {what} at line {line} (byte {byte}){advice}"
        )


def _lines(file: BinaryIO, size: int, longest: int) -> Iterator[tuple[str, bool]]:
    """Lines without their ends, in pieces of so many bytes, and whether the line ends there."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    begun = False
    while size > 0 and (raw := file.readline(min(size, longest))):
        size -= len(raw)
        ended = raw.endswith(b"\n") or size <= 0
        text = decoder.decode(raw, final=ended)
        if not begun:
            text, begun = text.removeprefix("\ufeff"), True
        yield text.rstrip("\r\n") if ended else text, ended


def _rows(lines: Iterable[tuple[str, bool]]) -> Iterator[str | None]:
    """Whole lines; None for one that came in pieces."""
    inside = False
    for line, ended in lines:
        if ended:
            yield None if inside else line
        inside = not ended


def _whole(file: BinaryIO, size: int) -> str:
    return file.read(size).decode("utf-8-sig", errors="replace")


def _gigabytes(nbytes: int) -> str:
    return f"{nbytes / 1e9:.1f} GB"
