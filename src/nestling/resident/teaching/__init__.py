"""What a user has written before, told to a resident: files, folders, chats, streams.

sources   find what there is to read          chats, passages   read it as turns
run       tell it, and go on where a run was cut off
"""

from nestling.resident.teaching.run import Taught, teach
from nestling.resident.teaching.sources import Source, find_sources

__all__ = ["Source", "Taught", "find_sources", "teach"]
