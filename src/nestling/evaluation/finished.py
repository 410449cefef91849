"""Measurements of hours that can be stopped: finished runs are kept, one line of JSON each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Finished:
    """Runs that are done, in a file that a later start goes on from; in memory without a path.

    A run is known by its key, a flat dictionary of what was set. A line that was cut off by a
    crash is dropped and measured again.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self._found: dict[str, dict[str, Any]] = {}
        if self.path is not None and self.path.is_file():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                    self._found[_name(entry["key"])] = entry["values"]
                except (ValueError, KeyError, TypeError):
                    continue

    def __call__(
        self, key: Mapping[str, Any], measure: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """What `measure` gives for `key`, measured once: the key and its values in one row."""
        name = _name(key)
        if name not in self._found:
            values = measure()
            self._found[name] = values
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a+", encoding="utf-8") as file:
                    # A line that a crash cut off must not swallow this one.
                    file.seek(0)
                    text = file.read()
                    start = "\n" if text and not text.endswith("\n") else ""
                    file.write(start + json.dumps({"key": dict(key), "values": values}) + "\n")
        return {**key, **self._found[name]}


def _name(key: Mapping[str, Any]) -> str:
    return json.dumps(dict(key), sort_keys=True)
