"""One user's memory over a shared model: a journal, and snapshots of its replay."""

from nestling.resident.session import Answer, Learned, Resident
from nestling.resident.sleep import SleepOptions, SleepReport, Strength

__all__ = ["Answer", "Learned", "Resident", "SleepOptions", "SleepReport", "Strength"]
