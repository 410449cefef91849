"""The calls with which a memory changes files, seen one by one, so that any of them can go wrong.

Python's own are replaced while they are watched. Those that SQLite makes itself, in C, are replaced
through its file system layer, where the library shows it (`journal_calls_are_seen`); what it syncs
is not among them.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

CALLS = (
    "open",
    "create",
    "write",
    "sync",
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
    "journal open",
    "journal create",
    "journal write",
    "journal truncate",
    "journal unlink",
)

Point = Callable[[str], int]
"""Told the name of a call before it is made; 0 lets it be made, an errno makes it fail."""


@contextmanager
def watched(point: Point) -> Iterator[None]:
    """Ask `point` before every call of this process that changes files."""

    def guard(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any, **options: Any) -> Any:
            _ask(point, name)
            return call(*arguments, **options)

        return guarded

    real_open, real_path_open = os.open, Path.open

    def os_open(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            new = flags & os.O_CREAT and not os.path.exists(path)
            _ask(point, "create" if new else "open")
        return real_open(path, flags, *arguments, **options)

    def path_open(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if not set(mode) & set("wxa+"):
            return real_path_open(self, mode, *arguments, **options)
        _ask(point, "create")
        return _File(real_path_open(self, mode, *arguments, **options), point)

    with ExitStack() as stack:
        for name, attribute in (
            ("sync", "fsync"),
            ("rename", "rename"),
            ("rename", "replace"),
            ("unlink", "unlink"),
            ("mkdir", "mkdir"),
            ("rmdir", "rmdir"),
        ):
            stack.enter_context(patch.object(os, attribute, guard(name, getattr(os, attribute))))
        stack.enter_context(patch.object(os, "open", os_open))
        stack.enter_context(patch.object(Path, "open", path_open))
        stack.enter_context(_watched_journal(point))
        yield


def journal_calls_are_seen() -> bool:
    """Whether the calls of SQLite can be watched, too."""
    return _layer() is not None


def _ask(point: Point, name: str) -> None:
    if code := point(name):
        raise OSError(code, os.strerror(code))


class _File:
    """An open file that is written in two halves, so that it can be torn."""

    def __init__(self, file: Any, point: Point) -> None:
        self._file, self._point = file, point

    def write(self, content: Any) -> int:
        half = len(content) // 2
        for piece in (content[:half], content[half:]):
            _ask(self._point, "write")
            self._file.write(piece)
            self._file.flush()
        return len(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


# -- SQLite ------------------------------------------------------------------------------------


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs`, of which the last three are wanted."""

    _fields_ = [
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        ("others", ctypes.c_void_p * 13),
        ("xSetSystemCall", ctypes.c_void_p),
        ("xGetSystemCall", ctypes.c_void_p),
        ("xNextSystemCall", ctypes.c_void_p),
    ]


_VfsPointer = ctypes.POINTER(_Vfs)
_Set = ctypes.CFUNCTYPE(ctypes.c_int, _VfsPointer, ctypes.c_char_p, ctypes.c_void_p)
_Get = ctypes.CFUNCTYPE(ctypes.c_void_p, _VfsPointer, ctypes.c_char_p)
_Open = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_int, use_errno=True)
_Write = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int64,
    use_errno=True,
)
_Truncate = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int64, use_errno=True)
_Unlink = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, use_errno=True)


@lru_cache(maxsize=1)
def _layer() -> Any:
    """SQLite's file system layer, or None where it cannot be reached or its calls not replaced."""
    try:
        import _sqlite3

        find = ctypes.CDLL(_sqlite3.__file__).sqlite3_vfs_find
    except (ImportError, AttributeError, OSError, TypeError):
        return None
    find.restype, find.argtypes = _VfsPointer, [ctypes.c_char_p]
    layer = find(None)
    if not layer or layer.contents.iVersion < 3 or not layer.contents.xSetSystemCall:
        return None
    return layer


@contextmanager
def _watched_journal(point: Point) -> Iterator[None]:
    layer = _layer()
    if layer is None:
        yield
        return
    get, put = _Get(layer.contents.xGetSystemCall), _Set(layer.contents.xSetSystemCall)

    def failed(name: str) -> bool:
        code = point(name)
        if code:
            ctypes.set_errno(code)
        return bool(code)

    def opened(path: bytes, flags: int, mode: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            new = flags & os.O_CREAT and not os.path.exists(path)
            if failed("journal create" if new else "journal open"):
                return -1
        return real["open"](path, flags, mode)

    def written(file: int, content: int, size: int, offset: int) -> int:
        return -1 if failed("journal write") else real[write](file, content, size, offset)

    def truncated(file: int, size: int) -> int:
        return -1 if failed("journal truncate") else real["ftruncate"](file, size)

    def unlinked(path: bytes) -> int:
        return -1 if failed("journal unlink") else real["unlink"](path)

    write = "pwrite64" if get(layer, b"pwrite64") else "pwrite"
    replaced = {
        "open": (_Open, opened),
        write: (_Write, written),
        "ftruncate": (_Truncate, truncated),
        "unlink": (_Unlink, unlinked),
    }
    real = {name: kind(get(layer, name.encode())) for name, (kind, _) in replaced.items()}
    # SQLite keeps addresses alone: these must live as long as they are in use.
    ours = {name: kind(function) for name, (kind, function) in replaced.items()}
    for name, function in ours.items():
        put(layer, name.encode(), ctypes.cast(function, ctypes.c_void_p))
    try:
        yield
    finally:
        for name in ours:
            put(layer, name.encode(), None)
