"""What a benchmark yields and how it tells of its progress."""

from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
"""One measurement, flat, as it is written to `results/*.json`."""

Progress = Callable[[str], None]
"""Called with a line for each step of a long measurement."""
