"""One user's memory over a shared model: a journal, and snapshots of its replay."""

from nestling.resident.guard import Guard, WriteRefused
from nestling.resident.reports import Answer, Learned
from nestling.resident.session import Resident
from nestling.resident.sleep import SleepOptions, SleepReport, Strength
from nestling.resident.teaching import Source, Taught, find_sources, teach
from nestling.resident.temporary import Temporary

__all__ = [
    "Answer",
    "Guard",
    "Learned",
    "Resident",
    "SleepOptions",
    "SleepReport",
    "Source",
    "Strength",
    "Taught",
    "Temporary",
    "WriteRefused",
    "find_sources",
    "teach",
]
