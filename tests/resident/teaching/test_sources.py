import io
import json
import os
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nestling.resident import find_sources
from nestling.resident.teaching import sources
from nestling.resident.teaching.passages import LONGEST_PARAGRAPH
from nestling.resident.teaching.sources import NotText, SourceError

QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def read(tmp_path):
    """Write a file and read its turns: ([(role, text)], reasons why something was skipped)."""

    def read(name, content, kind=None):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        ((source,), _) = find_sources([path], kind)
        skipped = []
        return [(turn.role, turn.text) for turn in source.turns(skipped.append)], skipped

    return read


def said(turns):
    return [text for _, text in turns[0]]


def conversation(*messages, time=0, **changes):
    mapping = {"0": {"parent": None, "children": ["1"], "message": None}}
    for place, (role, parts) in enumerate(messages, start=1):
        message = {"author": {"role": role}, "content": {"content_type": "text", "parts": parts}}
        mapping[str(place)] = {"parent": str(place - 1), "children": [], "message": message}
    values = {"create_time": time, "mapping": mapping, "current_node": str(len(messages))}
    return {**values, **changes}


# -- text ------------------------------------------------------------------------------------------


def test_a_paragraph_is_told_three_sentences_at_a_time(read):
    text = "One is here. Two is here. Three is here! Four?\n\nFive is here."
    assert said(read("a.txt", text)) == [
        "One is here. Two is here. Three is here!",
        "Four?",
        "Five is here.",
    ]


def test_short_lines_are_sentences_and_wrapped_ones_go_on(read):
    assert said(read("a.txt", "My dog is Pixel\nI live in Oslo\n- milk\n2) bread")) == [
        "My dog is Pixel. I live in Oslo. milk",
        "bread",
    ]
    wrapped = "This line was as long as the page is wide, so the editor put the\nrest below it."
    assert said(read("b.txt", wrapped)) == [wrapped.replace("\n", " ")]


def test_lines_end_in_any_way_and_a_mark_of_order_is_no_text(read):
    assert said(read("a.txt", "\ufeffHi there.\r\n\r\nAnd you?\r\n")) == ["Hi there.", "And you?"]


def test_what_holds_no_word_is_not_said(read):
    assert read("a.txt", "----\n\n* * *\n\n\n\n!!!") == ([], [])
    assert read("b.txt", "") == ([], [])


@QUICK
@given(st.lists(st.text("ab .\n", max_size=30)))
def test_no_word_of_a_text_is_lost_or_told_twice(read, pieces):
    text = "".join(pieces)
    words = "".join(said(read("a.txt", text))).replace(".", "").replace(" ", "")
    assert words == text.replace("\n", "").replace(".", "").replace(" ", "")


@pytest.mark.parametrize("gap", ["", " ", ". "])
def test_a_huge_line_is_told_in_parts_that_can_be_held(read, gap):
    turns = said(read("a.txt", f"word{gap}" * 20_000))
    assert max(map(len, turns)) <= 3 * LONGEST_PARAGRAPH
    assert sum(turn.count("word") for turn in turns) >= 19_900


def test_text_is_read_a_little_at_a_time(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("I live in Oslo. " * 5 + "\n\n" + "x" * 30_000_000)
    ((source,), _) = find_sources([path])
    turns = source.turns()
    assert next(turns).text.startswith("I live in Oslo.")
    assert max(sys.getsizeof(turn.text) for turn, _ in zip(turns, range(50), strict=False)) < 40_000


# -- Markdown --------------------------------------------------------------------------------------


def test_markdown_is_told_as_a_person_would_say_it(read):
    text = """---
tags: [x]
---
# My *family*

My **dog** is [Pixel](http://x.y), says `me`.
I live in Oslo.

- [x] My cat is Mia
  - Tom is her brother

| name | Ana |
|---|---|
| city | Rome |

```py
code = 1
```

    indented code

<div>html</div>
"""
    assert said(read("a.md", text)) == [
        "My family",
        "My dog is Pixel, says me. I live in Oslo.",
        "My cat is Mia. Tom is her brother",
        "name, Ana. city, Rome",
    ]


@QUICK
@given(st.text("#*-_`|>[]()! \n\tab<:1.", max_size=60))
def test_any_markdown_is_read(read, text):
    assert all(turn.strip() for turn in said(read("a.md", text)))


# -- chats -----------------------------------------------------------------------------------------


def test_chats_are_read_by_row_and_by_list_with_their_roles(read):
    rows = [
        {"role": "user", "content": "I am Ann.\n\n```py\nx = 1\n```\nBye."},
        {"messages": [{"role": "assistant", "content": [{"type": "text", "text": "Hello."}]}]},
        {"role": "assistant", "content": None, "tool_calls": []},
    ]
    assert read("a.jsonl", "\n".join(map(json.dumps, rows))) == (
        [("user", "I am Ann."), ("user", "Bye."), ("assistant", "Hello.")],
        [],
    )


def test_odd_rows_are_skipped_and_said(read, monkeypatch):
    monkeypatch.setattr(sources, "LONGEST_ROW", 3_000_000)
    good = json.dumps({"role": "user", "content": "I am Ann."})
    rows = [
        good,
        "[" * 200_000,
        '{"role": "user"}',
        "null",
        '{"messages": [3]}',
        "nope",
        "1" * 9_000,
        '{"role": "user", "content": "\\ud800"}',
        '{"role": "user", "content": "' + "x" * 3_000_000 + '"}',
        '{"role": "user", "content": "a\\u0000b"}',
        good,
    ]
    turns, skipped = read("a.jsonl", "\n".join(rows))
    assert turns == [("user", "I am Ann."), ("user", "a b"), ("user", "I am Ann.")]
    assert sorted(skipped) == sorted(
        ["rows that are no JSON"] * 3
        + ["messages without role and content"] * 3
        + ["rows that are too long", "messages that are not valid Unicode"]
    )


def test_an_export_is_told_along_its_path_from_the_oldest(read):
    new = conversation(("user", ["I moved to Rome."]), ("assistant", ["Nice."]), time=2)
    old = conversation(("system", [""]), ("user", [{"image": 1}, "I live in Oslo."]), time=1)
    old["mapping"]["9"] = {"parent": "1", "message": {"never": "read"}}
    assert read("conversations.json", json.dumps([new, old])) == (
        [("user", "I live in Oslo."), ("user", "I moved to Rome."), ("assistant", "Nice.")],
        [],
    )


def test_conversations_that_lead_nowhere_are_skipped(read):
    circle = conversation(("user", ["a"]), ("user", ["b"]))
    circle["mapping"]["0"]["parent"] = "2"
    lost = conversation(("user", ["a"]), current_node="7")
    torn = conversation(("user", ["a"]))
    torn["mapping"]["1"]["parent"] = "8"
    odd = conversation(("user", ["a"]), ("user", ["b"]))
    odd["mapping"]["1"]["message"] = {"author": 3}
    export = json.dumps([circle, lost, torn, odd, 3, {"mapping": []}])
    turns, skipped = read("conversations.json", export)
    assert turns == [("user", "b")]
    assert len(skipped) == 6


@pytest.mark.parametrize("content", ["[" * 100_000, '[{"mapping": ', '{"mapping": 1}', "3"])
def test_what_is_no_export_is_said(read, content):
    with pytest.raises(SourceError, match=r"a\.json is no export of ChatGPT: "):
        read("a.json", content, kind="chatgpt")


NAMES = [*"01", "role", "content", "messages", "parts", "author", "text"]
NAMES += ["mapping", "current_node", "parent", "message", "create_time"]
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner | st.sampled_from(["0", "1", "user"]),
            max_size=5,
        )
    ),
    max_leaves=20,
)


@QUICK
@given(st.lists(JSON, max_size=4))
def test_any_json_is_read_or_skipped(read, values):
    read("a.jsonl", "\n".join(map(json.dumps, values)))
    read("a.json", json.dumps(values), kind="chatgpt")


@QUICK
@given(JSON, st.dictionaries(st.sampled_from("012"), JSON, max_size=3), st.sampled_from("012"))
def test_any_conversation_is_read_or_skipped(read, time, mapping, node):
    values = [{"create_time": time, "mapping": mapping, "current_node": node}]
    read("a.json", json.dumps(values), kind="chatgpt")


# -- files, folders, streams -----------------------------------------------------------------------


def test_a_folder_is_walked_in_order_and_what_is_no_source_is_named(tmp_path):
    for name, content in {
        "b/two.md": b"Two.",
        "a.txt": b"One.",
        "b/one": b"Words without a suffix.",
        ".git/c.txt": b"Hidden.",
        "z.py": b"x = 1",
        "picture": b"\x89PNG\x00",
        "latin": "é".encode("latin-1"),
        "other.json": b'{"name": 1}',
        "chat.json": b'{"role": "user", "content": "Hi."}',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    found, left_out = find_sources([tmp_path])
    assert [(os.path.relpath(s.name, tmp_path), s.kind) for s in found] == [
        ("a.txt", "text"),
        ("b/one", "text"),
        ("b/two.md", "markdown"),
        ("chat.json", "chat"),
    ]
    assert {path.name for path in left_out} == {"latin", "other.json", "picture", "pipe", "z.py"}


def test_the_content_tells_the_kind_of_a_stream():
    def kind(content):
        ((source,), _) = find_sources(["-"], stdin=io.BytesIO(content.encode()))
        return source.kind, [turn.text for turn in source.turns()]

    assert kind("I live in Oslo.") == ("text", ["I live in Oslo."])
    assert kind('{"role": "user", "content": "Hi."}') == ("chat", ["Hi."])
    assert kind(json.dumps([conversation(("user", ["Yes."]))])) == ("chatgpt", ["Yes."])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Hello.\nI am Ren\xe9.", r"not UTF-8 at line 2 \(byte 15\); convert it first"),
        (b"a" * (1 << 20) + b"\n" + b"\xc3", r"not UTF-8 at line 2 \(byte 1048577\)"),
        ("Hi".encode("utf-16"), "written in UTF-16.*iconv -f UTF-16"),
        (b"a\nbc\0d", r"zero, as in no text at line 2 \(byte 4\)"),
    ],
)
def test_what_is_no_utf8_is_named_with_its_place(tmp_path, content, message):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    for where in (path, tmp_path):
        with pytest.raises(NotText, match=rf"a\.txt .*{message}"):
            find_sources([where])
    with pytest.raises(NotText, match=f"standard input .*{message}"):
        find_sources(["-"], stdin=io.BytesIO(content))


def test_wrong_paths_and_kinds_are_said(tmp_path):
    with pytest.raises(SourceError, match="there is no file"):
        find_sources([tmp_path / "none"])
    with pytest.raises(SourceError, match="the kinds are text, markdown, chat, chatgpt"):
        find_sources([], kind="novel")
    (tmp_path / "a.json").write_text('{"name": 1}')
    with pytest.raises(SourceError, match="neither a chat nor an export"):
        find_sources([tmp_path / "a.json"])


def test_what_is_too_large_to_be_read_whole_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sources._LARGEST, "markdown", 3)
    monkeypatch.setattr(sources, "_LARGEST_STREAM", 3)
    (tmp_path / "a.md").write_text("Hello.")
    with pytest.raises(SourceError, match="markdown is read up to"):
        find_sources([tmp_path])
    with pytest.raises(SourceError, match="write it to a file"):
        find_sources(["-"], stdin=io.BytesIO(b"Hello."))


def test_the_key_of_a_short_source_is_no_hash_of_its_words(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("My PIN is 4917.")
    ((file,), _), ((stream,), _) = (
        find_sources([path]),
        find_sources(["-"], stdin=io.BytesIO(path.read_bytes())),
    )
    assert file.sha256 not in (file.key or "") and file.key is not None
    assert stream.key is None
