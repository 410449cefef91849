"""One user's memory over a shared model: a journal, and snapshots of its replay."""

from nestling.resident.session import Answer, Learned, Resident

__all__ = ["Answer", "Learned", "Resident"]
