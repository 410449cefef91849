"""One user's memory over a shared model: a journal, and snapshots of its replay."""

from nestling.resident.session import Answer, Learned, Resident
from nestling.resident.sleep import SleepOptions, SleepReport, Strength
from nestling.resident.sources import Source, find_sources
from nestling.resident.teaching import Taught, teach

__all__ = [
    "Answer",
    "Learned",
    "Resident",
    "SleepOptions",
    "SleepReport",
    "Source",
    "Strength",
    "Taught",
    "find_sources",
    "teach",
]
