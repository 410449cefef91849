"""Measurements as files: `results/<name>.json`, flat rows with all that is needed to repeat them.

    {"command", "date", "machine", "versions", "commit", "rows": [one measurement each]}

Tables (`tables.py`) and figures (`figures.py`) are drawn from these files, never typed.
"""

import importlib.metadata
import json
import math
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

Row = Mapping[str, Any]

_REQUIRED = ("command", "date", "machine", "versions", "commit", "rows")


def write_results(
    name: str,
    rows: Sequence[Row],
    *,
    command: str,
    directory: str | Path | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write `<directory>/<name>.json` in one step and return its path.

    `directory` is `results/` of the working directory unless given. `extra` adds keys beside the
    standard ones. A reader sees the old file or the new one, never half of either.

    Raises ValueError for a name that is no plain file name, for a row that is not flat, and for
    NaN or infinity anywhere.
    """
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise ValueError(
            f"results name {name!r} must be lower-case letters, digits and underscores, "
            "without directory or ending, e.g. 'recall'"
        )
    extra = dict(extra or {})
    if taken := sorted(set(extra) & set(_REQUIRED)):
        raise ValueError(f"extra must not replace {', '.join(taken)}; choose other keys")
    for index, row in enumerate(rows):
        _require_flat(row, f"{name}: row {index}")
    _require_finite(extra, f"{name}: extra")

    document = {
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "versions": _versions(),
        "commit": _commit(),
        **extra,
        "rows": [dict(row) for row in rows],
    }
    directory = Path("results" if directory is None else directory)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    _replace(path, _render(document))
    return path


def add_results(
    name: str,
    rows: Sequence[Row],
    *,
    by: str,
    order: Sequence[Any],
    command: str,
    directory: str | Path | None = None,
) -> list[dict[str, Any]]:
    """`write_results` of what the file holds and of new rows; returns all of them.

    Rows whose value of `by` is among those of the new ones are replaced, and all others stay; all
    are put into the order of these values in `order`. `earlier` says by which commands those were
    measured, when, and on what; without a file there are none.
    """
    directory = Path("results" if directory is None else directory)
    kept: list[dict[str, Any]] = []
    earlier: list[dict[str, Any]] = []
    if (directory / f"{name}.json").exists():
        before = read_results(name, directory)
        replaced = {row.get(by) for row in rows}
        kept = [row for row in before["rows"] if row.get(by) not in replaced]
        measured = {key: before[key] for key in _REQUIRED if key != "rows"}
        earlier = [*before.get("earlier", []), measured] if kept else []
    every = sorted([*kept, *map(dict, rows)], key=lambda row: order.index(row[by]))
    extra = {"earlier": earlier} if earlier else None
    write_results(name, every, command=command, directory=directory, extra=extra)
    return every


def read_results(name_or_path: str | Path, directory: str | Path | None = None) -> dict[str, Any]:
    """Read a results file by name (`"recall"`) or by path (`"runs/recall.json"`).

    `directory` is where names are looked up: `results/` of the working directory unless given.

    Raises FileNotFoundError naming what is there instead, and ValueError for a file that is not
    JSON or lacks a key.
    """
    directory = Path("results" if directory is None else directory)
    is_name = isinstance(name_or_path, str) and re.fullmatch(r"[A-Za-z0-9_-]+", name_or_path)
    path = directory / f"{name_or_path}.json" if is_name else Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        present = ", ".join(sorted(p.stem for p in path.parent.glob("*.json"))) or "nothing"
        raise FileNotFoundError(
            f"no results at {path}; {path.parent}/ has {present}. "
            "Run the benchmark that writes it, or pass the path of a .json file"
        ) from None
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); measure it again") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path} must hold an object with {', '.join(_REQUIRED)}")
    if missing := [key for key in _REQUIRED if key not in document]:
        raise ValueError(f"{path} lacks {', '.join(missing)}; write it with write_results")
    rows = document["rows"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path}: rows must be a list of objects")
    return document


def _render(document: dict[str, Any]) -> str:
    """JSON with one row per line, so that a new measurement is a one-line difference."""
    head = {key: value for key, value in document.items() if key != "rows"}
    text = json.dumps(head, indent=2, ensure_ascii=False, allow_nan=False)
    rows = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in document["rows"])
    body = ",\n    ".join(rows)
    listed = f"[\n    {body}\n  ]" if body else "[]"
    return f'{text[:-2]},\n  "rows": {listed}\n}}\n'


def _replace(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner reads; results are for everyone.
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _require_flat(row: Row, where: str) -> None:
    for key, value in row.items():
        if not isinstance(key, str):
            raise ValueError(f"{where}: key {key!r} must be a string")
        if not (value is None or isinstance(value, str | bool | int | float)):
            raise ValueError(
                f"{where}: {key} is a {type(value).__name__}; rows are flat: strings, numbers, "
                "booleans or None (for a tensor or array pass .item())"
            )
        _require_finite(value, f"{where}: {key}")


def _require_finite(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _require_finite(inner, f"{where}: {key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _require_finite(inner, f"{where}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(
            f"{where} is {value}; results hold finite numbers. "
            "Leave the value out, use None, or record the failure in a column of its own"
        )


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a number that results may hold")


def _machine() -> dict[str, Any]:
    return {
        "cpu": _cpu_name(),
        "cores": _cores(),
        "memory_gib": _memory_gib(),
        "threads": torch.get_num_threads(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    if platform.system() == "Darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    return platform.processor() or platform.machine()


def _cores() -> int:
    """Cores that this process may use, which is less than the machine's in a container."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, OSError, ValueError):
        return None


def _versions() -> dict[str, str | None]:
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": _version("transformers"),
        "nestling": _version("nestling"),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The short commit of this source, or None where it is not run from its own checkout."""
    package = Path(__file__).resolve().parents[1]
    root = _output("git", "-C", str(package), "rev-parse", "--show-toplevel")
    if root is None or Path(root).resolve() / "src" / "nestling" != package:
        return None
    return _output("git", "-C", str(package), "rev-parse", "--short", "HEAD")


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
