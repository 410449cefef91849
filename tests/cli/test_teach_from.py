import json
import re
import sys

import pytest

from nestling.cli import teach_from

DOG, SMALL_TALK = "My dog is called Pixel.", "Lovely weather today."


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text(f"{DOG}\n\n```\ncode\n```\n")
    rows = [("user", SMALL_TALK), ("assistant", "I live in Porto and my cat is Mia.")]
    lines = [json.dumps({"role": role, "content": content}) for role, content in rows]
    (folder / "b.jsonl").write_text("\n".join([*lines, "{"]))
    (folder / "c.bin").write_bytes(b"\0")
    return folder


def test_a_folder_is_learned_with_a_summary_and_not_twice(run, notes):
    told = run("teach", "--memory", "alice", "--from", str(notes)).stdout.splitlines()
    assert told[0].startswith(
        "2 turns told, 1 note; nothing to note in 1 turn; 1 note that the memory could not learn; "
        "skipped: 1 rows that are no JSON; "
    )
    assert told[1] == f"Left out, as of no known kind: {notes / 'c.bin'}"
    assert len(told) == 2
    again = run("teach", "--memory", "alice", "--from", str(notes))
    assert again.stdout.startswith("0 turns told, 0 notes; 2 told before; ")
    assert again.stderr == ""
    anew = run("teach", "--memory", "alice", "--from", str(notes), "--again")
    assert anew.stdout.startswith("2 turns told")


def test_json_is_a_row_for_each_turn_and_nothing_else(run, notes):
    result = run("teach", "-m", "alice", "--json", "--role", "assistant", "--from", str(notes))
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["text"] for row in rows][:2] == [DOG, SMALL_TALK]
    assert rows[0]["notes"] == [{"key": "my dog", "value": "Pixel"}]
    assert [note["value"] for note in rows[2]["notes"]] == ["Porto", "Mia"]
    assert result.stderr.startswith("3 turns told, 3 notes; ")


def test_sources_are_read_from_stdin(run):
    told = run("teach", "-m", "alice", "--from", "-", stdin=f"{DOG}\n{SMALL_TALK}\n").stdout
    assert told.startswith("1 turn told, ")
    forced = run("teach", "-m", "alice", "--from", "-", "--kind", "chat", stdin="Hello.\n").stdout
    assert "0 turns told, 0 notes; skipped: 1 rows that are no JSON" in forced


def test_what_cannot_be_read_is_said_before_there_is_a_memory(run, notes, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    (notes / "z.txt").write_bytes(b"\xff\xfa")
    for path, message in [
        (notes, "z.txt cannot be read as text: it is not UTF-8 at line 1 (byte 0)"),
        (notes / "c.bin", "c.bin cannot be read as text"),
        (notes / "none", "there is no file"),
        (empty, "there is nothing to learn from in"),
    ]:
        failed = run("teach", "-m", "alice", "--from", str(path), code=1)
        assert failed.stderr.startswith("error: ") and message in failed.stderr
        assert failed.stderr.count("\n") == 1
    assert (
        "the kinds are text"
        in run("teach", "-m", "alice", "--from", str(notes), "--kind", "novel", code=1).stderr
    )
    assert not (tmp_path / "home").exists()


def test_texts_and_sources_are_told_one_at_a_time(run, notes):
    run("teach", "-m", "alice", DOG, "--from", str(notes), code=2)
    run("teach", "-m", "alice", code=2)
    run("teach", "-m", "alice", DOG, "--again", code=2)


def test_a_run_that_is_stopped_says_how_to_go_on(run, notes, monkeypatch):
    def stop(*_arguments, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("nestling.resident.session.Resident.learn_all", stop)
        stopped = run("teach", "-m", "alice", "--from", str(notes), code=130)
    assert stopped.stderr == "Stopped; the same command goes on where this one was.\n"
    assert run("teach", "-m", "alice", "--from", str(notes)).stdout.startswith("2 turns told")


def test_a_bar_is_drawn_on_a_terminal_alone(monkeypatch, capsys):
    with teach_from._progress() as progress:
        assert progress is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with teach_from._progress() as progress:
        assert progress is not None
        progress(3, 7, 2)
    captured = capsys.readouterr()
    assert captured.out == ""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", captured.err)
    assert "3/7 turns, 2 notes" in plain
