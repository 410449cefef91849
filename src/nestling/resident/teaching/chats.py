"""Chats as turns: JSON lines, and the file in which ChatGPT exports its conversations.

What a row lacks or has in another form makes it a skipped row, never an error: one odd message
must not keep a user from telling all others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from nestling.resident.teaching.passages import Turn, turns_of_message

# Bytes of a row that are read; a longer one is skipped.
LONGEST_ROW = 16_000_000
Skip = Callable[[str], None]
# A message by its role and its text.
Message = tuple[str, str]


def turns_of_rows(rows: Iterable[str | None], skip: Skip) -> Iterator[Turn]:
    """The turns of JSON lines: `{"role", "content"}` or `{"messages": [...]}` each.

    Args:
        rows: one line each; None for one that is too long.
        skip: called with the reason why a row or a message is left out.
    """
    for row in rows:
        if row is None:
            skip("rows that are too long")
        elif row.strip():
            for role, text in _messages_of(row, skip):
                yield from turns_of_message(text, role)


def _messages_of(row: str, skip: Skip) -> Iterator[Message]:
    try:
        value = json.loads(row)
    except (ValueError, RecursionError):
        skip("rows that are no JSON")
        return
    messages = value.get("messages") if isinstance(value, dict) else None
    for message in messages if isinstance(messages, list) else [value]:
        found = _message(message)
        if found is None:
            skip("messages without role and content")
        elif _is_unicode(found, skip):
            yield found


def _message(value: Any) -> Message | None:
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        return None
    content = value.get("content")
    if content is None:
        # A call of a tool says nothing.
        return (value["role"], "") if "content" in value else None
    text = _text(content)
    return None if text is None else (value["role"], text)


def _text(content: Any) -> str | None:
    """A string, or those among parts that are text; None for anything else."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    return "\n\n".join(part for part in parts if isinstance(part, str))


def _is_unicode(message: Message, skip: Skip) -> bool:
    try:
        "".join(message).encode()
    except UnicodeEncodeError:
        skip("messages that are not valid Unicode")
        return False
    return True


def turns_of_export(text: str, skip: Skip) -> Iterator[Turn]:
    """The turns of a ChatGPT export, the oldest conversation first.

    Of a conversation with branches the one that was last looked at is taken: the path from the
    root to `current_node`.

    Raises:
        ValueError: the text is no JSON, or no list of conversations.
    """
    try:
        conversations = json.loads(text)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if not isinstance(conversations, list):
        raise ValueError("it is no list of conversations")
    # What was said last is what counts, and an export begins with the newest.
    for conversation in sorted(conversations, key=_time):
        for role, said in _path(conversation, skip):
            yield from turns_of_message(said, role)


def _time(conversation: Any) -> float:
    """When a conversation began (seconds); those that do not say it come first."""
    time = conversation.get("create_time") if isinstance(conversation, dict) else None
    if isinstance(time, bool) or not isinstance(time, (int, float)):
        return -math.inf
    return -math.inf if math.isnan(time) else time


def _path(conversation: Any, skip: Skip) -> list[Message]:
    mapping = conversation.get("mapping") if isinstance(conversation, dict) else None
    node = conversation.get("current_node") if isinstance(conversation, dict) else None
    if not isinstance(mapping, dict) or not isinstance(node, str) or node not in mapping:
        skip("conversations without a path to their last message")
        return []
    path: list[Mapping[str, Any]] = []
    seen: set[str] = set()
    while isinstance(node, str):
        at = mapping.get(node)
        if node in seen or not isinstance(at, dict):
            skip("conversations that do not lead back to a first message")
            return []
        seen.add(node)
        path.append(at)
        node = at.get("parent")
    messages = []
    for at in reversed(path):
        message = at.get("message")
        # The root and some others hold none.
        if message is None:
            continue
        found = _exported(message)
        if found is None:
            skip("messages without role and content")
        elif _is_unicode(found, skip):
            messages.append(found)
    return messages


def _exported(message: Any) -> Message | None:
    if not isinstance(message, dict):
        return None
    author, content = message.get("author"), message.get("content")
    role = author.get("role") if isinstance(author, dict) else None
    if not isinstance(role, str) or not isinstance(content, dict):
        return None
    parts = content.get("parts")
    # Images, code that was run and instructions hold no parts that are words.
    said = [part for part in parts if isinstance(part, str)] if isinstance(parts, list) else []
    return role, "\n\n".join(said)
