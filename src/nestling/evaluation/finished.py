"""Measurements of hours that can be stopped: finished runs are kept, one line of JSON each."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

# What a run that left the finite numbers, or all sense, counts as.
DIVERGED = 99.0


class Finished:
    """Runs that are done, in a file that a later start goes on from; in memory without a path.

    A run is known by its key, a flat dictionary of what was set, by the course of the race and by
    the settings of its model, so that another number of steps is another run. A line that was cut
    off by a crash is dropped and measured again.

    Args:
        course: the size of the race, a dataclass.
        models: settings by the name that stands under "model" in a key, if there are any.
        form: of the values; those of another are measured again.
    """

    def __init__(
        self,
        path: str | Path | None,
        course: Any,
        models: Mapping[str, Mapping[str, Any]] = {},
        form: int = 1,
    ) -> None:
        self._course, self._models = _plain(asdict(course)), _plain(models)
        if form > 1:
            self._course["form"] = form
        self.path = None if path is None else Path(path)
        self._found: dict[str, dict[str, Any]] = {}
        if self.path is not None and self.path.is_file():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                    self._found[_name(entry["key"], entry["course"])] = entry["values"]
                except (ValueError, KeyError, TypeError):
                    continue

    def __call__(
        self, key: Mapping[str, Any], measure: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """What `measure` gives for `key`, measured once: the key and its values in one row."""
        course = self._course
        if self._models:
            course = {**course, "settings": self._models[key["model"]]}
        name = _name(key, course)
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
                    entry = {"key": dict(key), "course": course, "values": values}
                    file.write(start + json.dumps(entry) + "\n")
        return {**key, **self._found[name]}


def loss_or_diverged(loss: float) -> float:
    """The loss in four digits, or DIVERGED."""
    return round(min(loss, DIVERGED), 4) if math.isfinite(loss) else DIVERGED


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(values, default=asdict))


def _name(key: Mapping[str, Any], course: Mapping[str, Any]) -> str:
    return json.dumps([key, course], sort_keys=True)
