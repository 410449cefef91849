import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from nestling.cli import demo
from nestling.cli.evaluate import _without_places
from nestling.cli.talk import sources_text
from nestling.resident.reports import Answer, Source, Why

DOG, ASK_DOG, SMALL_TALK = (
    "My dog is called Pixel.",
    "What's my dog called?",
    "Lovely weather today.",
)


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_teaching_says_what_was_noted(run):
    told = run("teach", "--memory", "alice", DOG, SMALL_TALK)
    first, second = told.stdout.splitlines()
    # The model of these tests restates, and learns nothing.
    assert first == "Noted my dog: Pixel, but the memory could not learn it"
    assert second == f"Nothing to note: {SMALL_TALK}"


def test_teaching_prints_json_lines(run):
    told = lines(run("teach", "--memory", "alice", "--json", DOG, SMALL_TALK))
    assert [learned["text"] for learned in told] == [DOG, SMALL_TALK]
    assert told[0]["notes"] == [{"key": "my dog", "value": "Pixel"}]
    assert told[0]["reports"][0]["update_norm"] > 0


def test_teaching_reads_lines_from_stdin(run):
    told = lines(run("teach", "-m", "alice", "--json", "-", stdin=f"{DOG}\n\n{SMALL_TALK}\n"))
    assert [learned["text"] for learned in told] == [DOG, SMALL_TALK]


def test_nothing_on_stdin_is_an_error(run):
    assert "stdin is empty" in run("teach", "-m", "alice", "-", stdin="\n", code=1).stderr


def test_asking_prints_the_answer_alone(run):
    run("teach", "--memory", "alice", DOG)
    answers = lines(run("ask", "--memory", "alice", "--json", ASK_DOG))
    fields = {"text", "logprob", "known", "key", "milliseconds", "found", "noted", "others"}
    assert set(answers[0]) == fields
    assert answers[0]["key"] == "my dog"
    assert run("ask", "--memory", "alice", ASK_DOG).stdout.strip() == answers[0]["text"]


def test_asking_without_memory_is_the_static_model(run):
    def logprob(*options):
        return lines(run("ask", "-m", "alice", "--json", ASK_DOG, *options))[0]["logprob"]

    run("teach", "-m", "alice", SMALL_TALK)
    before = logprob()
    run("teach", "-m", "alice", DOG)
    assert logprob("--no-memory") == before != logprob()


def test_asking_a_missing_memory_names_those_there_are(run):
    run("teach", "--memory", "alice", DOG)
    failed = run("ask", "--memory", "bob", ASK_DOG, code=1)
    assert failed.stderr.startswith("error: there is no memory called 'bob'")
    assert failed.stderr.rstrip().endswith("there are: alice")


@pytest.mark.parametrize("texts", [[""], [DOG, "  "], ["word " * 200]])
def test_a_text_that_cannot_be_learned_is_one_clear_sentence(run, texts):
    failed = run("teach", "--memory", "alice", *texts, code=1)
    assert failed.stderr.startswith(("error: the text is", "error: a sentence is too long"))
    assert failed.stderr.count("\n") == 1


def test_wrong_usage_has_exit_code_two(run):
    run("teach", DOG, code=2)
    run("ask", "--memory", "alice", code=2)


def test_a_missing_model_is_an_error(run, tmp_path):
    failed = run("teach", "-m", "alice", "--model", str(tmp_path / "none"), DOG, code=1)
    assert "is no model folder" in failed.stderr


def test_memories_are_listed_shown_and_removed(run):
    assert "no memories" in run("memory", "list").stdout
    run("teach", "-m", "alice", DOG)
    assert lines(run("memory", "list", "--json"))[0]["name"] == "alice"
    assert "alice" in run("memory", "list").stdout
    assert "Pixel" in run("memory", "show", "alice").stdout
    assert lines(run("memory", "show", "alice", "--json"))[0]["value"] == "Pixel"
    run("memory", "rm", "alice", stdin="n\n", code=1)
    assert "alice" in run("memory", "list").stdout
    run("memory", "rm", "alice", "--yes")
    assert "no memories" in run("memory", "list").stdout


def test_a_memory_sleeps_and_shows_its_strength(run):
    run("teach", "My dog is called Pixel.", "--memory", "alice")
    (before,) = map(json.loads, run("memory", "strength", "alice", "--json").stdout.splitlines())
    assert (before["key"], before["times"], before["last"]) == ("my dog", 0, None)
    slept = run("memory", "sleep", "alice")
    assert "rehearsed 1 note (1 of them new)" in slept.stdout
    assert "known: " in slept.stdout and "never told and refused: " in slept.stdout
    again = json.loads(run("memory", "sleep", "alice", "--json").stdout)
    assert again["rehearsed"] == 1
    shown = run("memory", "strength", "alice").stdout
    assert "my dog" in shown and "Pixel" in shown


def test_a_turn_is_logged_forgotten_and_undone(run, tmp_path):
    run("teach", "--memory", "alice", DOG, SMALL_TALK)
    logged = lines(run("memory", "log", "alice", "--json"))
    assert [entry["text"] for entry in logged] == [DOG, SMALL_TALK]
    assert logged[0]["notes"] == [{"key": "my dog", "value": "Pixel"}]
    assert 6 <= logged[0]["tokens"] <= 12
    assert DOG in run("memory", "log", "alice").stdout
    kept = run("memory", "forget", "alice", "my dog", stdin="n\n", code=1)
    assert "cannot be brought back" in kept.stderr
    forgotten = run("memory", "forget", "alice", "my dog", "--yes").stdout
    assert forgotten == "Forgot 'my dog': 1 turn, 1 note.\n"
    shown = run("memory", "log", "alice").stdout
    assert "(forgotten)" in shown and "Pixel" not in shown
    assert lines(run("memory", "log", "alice", "--json"))[0]["tokens"] is None
    kept = run("memory", "undo", "alice", stdin="n\n", code=1)
    assert f"  2: {SMALL_TALK}\nForget the last turn? It cannot" in kept.stderr
    undone = run("memory", "undo", "alice", "--yes").stdout
    assert undone == f"Forgot turn 2 ({SMALL_TALK}): 1 turn, 0 notes.\n"
    files = [path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert not any(word in content for content in files for word in (b"Pixel", b"weather"))
    assert (
        "no turn 1, 1 was forgotten"
        in run("memory", "forget", "alice", "1", "--yes", code=1).stderr
    )
    assert "nothing that could be undone" in run("memory", "undo", "alice", "--yes", code=1).stderr


def test_of_several_items_all_are_forgotten_or_none(run):
    run("teach", "--memory", "alice", DOG, SMALL_TALK)
    failed = run("memory", "forget", "alice", "2", "My Dog", "--yes", code=1)
    assert "no note under 'My Dog'; did you mean 'my dog'?" in failed.stderr
    assert len(lines(run("memory", "log", "alice", "--json"))[1]["text"]) == len(SMALL_TALK)
    asked = run("memory", "forget", "alice", "1", "--json", stdin="y\n")
    assert '"entries": 1' in asked.stdout and "Forget" not in asked.stdout
    assert '"items": [1]' in " ".join(asked.stdout.split())


def test_several_items_are_forgotten_at_once(run):
    run("teach", "--memory", "alice", DOG, SMALL_TALK)
    # The key goes with its turn.
    gone = run("memory", "forget", "alice", "1", "my dog", "2", "--yes").stdout
    assert gone == "Forgot turn 1, 'my dog', turn 2: 2 turns, 1 note.\n"


def test_an_export_takes_no_other_file_s_place(run, tmp_path):
    run("teach", "--memory", "alice", DOG)
    diary = tmp_path / "diary.md"
    diary.write_text("Dear diary")
    failed = run("memory", "export", "alice", str(diary), code=1)
    assert "is there already and is no export" in failed.stderr
    assert diary.read_text() == "Dear diary"
    assert "is a folder" in run("memory", "export", "alice", str(tmp_path), code=1).stderr
    for _ in range(2):
        run("memory", "export", "alice", str(tmp_path / "alice.nestling"))


def test_a_memory_is_carried_branched_and_verified(run, tmp_path):
    run("teach", "--memory", "alice", DOG)
    file = str(tmp_path / "alice.nestling")
    assert run("memory", "export", "alice", file).stdout.startswith("Wrote alice to ")
    assert run("memory", "import", file, "--name", "bob").stdout == "Imported bob.\n"
    assert run("memory", "branch", "alice", "carl").stdout == "carl knows what alice knows.\n"
    for name in ("alice", "bob", "carl"):
        assert run("memory", "verify", name).stdout.startswith(f"{name} is whole: 1 turn")
        assert "Pixel" in run("memory", "show", name).stdout
    assert "there is a memory called 'alice'" in run("memory", "import", file, code=1).stderr
    assert "there is no file" in run("memory", "import", file + "x", code=1).stderr


def test_a_memory_goes_back_and_says_what_differs(run):
    run("teach", "-m", "alice", DOG, SMALL_TALK)
    changed = lines(run("memory", "diff", "alice", "0", "--json"))[0]
    assert (changed["before"], changed["after"], changed["asked"]) == (0, 2, 1)
    assert changed["norms"]["fast"] > 0
    assert "of 2 answers differ" in run("memory", "diff", "alice", "0", "--ask", ASK_DOG).stdout
    back = run("memory", "rollback", "alice", "0").stdout
    assert "this is version 3" in back
    assert "rollback alice 2` takes it back" in back
    assert "noted nothing" in run("memory", "show", "alice").stdout
    shown = run("memory", "log", "alice").stdout
    assert "(rolled back to 0)" in shown
    counts = [entry["counts"] for entry in lines(run("memory", "log", "alice", "--json"))]
    assert counts == [False, False, False]
    run("memory", "rollback", "alice", "2")
    assert "Pixel" in run("memory", "show", "alice").stdout
    assert "it has 0 to 4" in run("memory", "rollback", "alice", "9", code=1).stderr


def test_clearing_up_says_what_it_freed(run, tmp_path):
    run("teach", "-m", "alice", DOG)
    (tmp_path / "home" / "alice" / "snapshots" / ".left").write_bytes(bytes(50_000))
    freed = run("memory", "gc", "alice", "--only-now").stdout
    assert freed.startswith("Freed 5")
    assert "kept are 1 snapshot." in freed
    assert "is whole" in run("memory", "verify", "alice").stdout


def test_answers_are_compared_and_explained(run):
    run("teach", "-m", "alice", DOG)
    compared = lines(run("ask", "-m", "alice", "--compare", "--json", ASK_DOG))[0]
    assert compared["text"]["found"] == [DOG]
    assert compared["weights"]["found"] == []
    assert "texts alone" in run("ask", "-m", "alice", "--compare", ASK_DOG).stdout
    assert f"(read: {DOG})" in run("ask", "-m", "alice", "--texts", "2", ASK_DOG).stdout
    why = lines(run("ask", "-m", "alice", "--why", "--json", ASK_DOG))[0]
    assert why["told"] == 1
    failed = run("ask", "-m", "alice", "--why", "--compare", ASK_DOG, code=1)
    assert "one at a time" in failed.stderr


def test_a_memory_without_notes_has_nothing_to_rehearse(run):
    run("teach", "Lovely weather today.", "--memory", "alice")
    assert "alice has nothing to rehearse." in run("memory", "sleep", "alice").stdout
    assert "alice has noted nothing yet." in run("memory", "strength", "alice").stdout


@pytest.mark.parametrize(
    "command", ["show", "log", "strength", "sleep", "undo", "verify", "rm", "rebuild"]
)
def test_a_memory_that_is_not_there_is_named(run, command):
    assert "no memory called 'bob'" in run("memory", command, "bob", code=1).stderr


def test_a_damaged_memory_is_rebuilt(run, tmp_path):
    run("teach", "-m", "alice", DOG)
    before = lines(run("ask", "-m", "alice", "--json", ASK_DOG))[0]["logprob"]
    snapshot = next((tmp_path / "home" / "alice" / "snapshots").iterdir())
    snapshot.write_bytes(b"")
    failed = run("ask", "-m", "alice", ASK_DOG, code=1)
    assert "nestling memory rebuild alice" in failed.stderr
    assert "1 turn, 1 note," in run("memory", "rebuild", "alice").stdout
    assert lines(run("ask", "-m", "alice", "--json", ASK_DOG))[0]["logprob"] == before


def test_tables_are_drawn_from_results(run, tmp_path):
    assert "up to date" in run("results", "tables", "--root", str(tmp_path)).stdout
    (tmp_path / "README.md").write_text("<!-- table:nonsense --><!-- /table -->")
    assert "nonsense" in run("results", "tables", "--root", str(tmp_path), code=1).stderr


def test_a_result_does_not_say_where_it_was_written():
    arguments = ["evaluate", "speed", "--out", "/tmp/x", "--threads", "1", "--run=/tmp/y"]
    assert _without_places(arguments) == ["evaluate", "speed", "--threads", "1"]


def test_the_version_is_printed(run):
    assert run("--version").stdout.strip()


def test_a_row_of_the_demo_is_right_only_if_it_is():
    known = {"known": True, "text": "pixel"}
    assert demo._is_right(known, "Pixel")
    assert not demo._is_right(known, "Pix")
    assert not demo._is_right(known, None)
    assert demo._is_right({"known": False, "text": "I don't know."}, None)
    assert not demo._is_right({"known": False, "text": "I don't know."}, "I don't know.")


def test_the_demo_is_honest_about_every_row(run, monkeypatch):
    def child(home, _model, command, *arguments):
        return lines(run(command, "--json", "-m", "demo", "--home", home, *arguments))

    monkeypatch.setattr(demo, "_child", child)
    shown = json.loads(run("demo", "--json").stdout)
    assert shown["asked"] == len(shown["rows"]) == len(demo.ASKED)
    assert shown["right"] == sum(row["right"] for row in shown["rows"])
    assert shown["bytes"] > 0


@pytest.mark.slow
def test_the_demo_tells_and_asks_in_processes_of_their_own(run):
    assert json.loads(run("demo", "--json").stdout)["asked"] == len(demo.ASKED)


def test_the_demo_ends_with_a_summary(run, monkeypatch):
    answer = {"text": "[red]Pixel", "known": True, "milliseconds": 3.0}
    children = {"teach": [{"milliseconds": 5.0}] * len(demo.TOLD)}
    monkeypatch.setattr(
        demo,
        "_child",
        lambda _h, _m, command, *_: children.get(command, [answer] * len(demo.ASKED)),
    )
    printed = run("demo").stdout
    assert "[red]Pixel" in printed
    assert printed.splitlines()[-1].startswith(f"0 of {len(demo.ASKED)} right; 5 ms to learn")


def test_the_module_runs_as_a_command(tiny_bundle, tmp_path):
    command = [sys.executable, "-m", "nestling"]
    options = ["--memory", "alice", "--home", str(tmp_path), "--model", str(tiny_bundle.path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def call(*arguments):
        line = [*command, *arguments, *options]
        return subprocess.run(line, capture_output=True, text=True, env=environment)

    told = call("teach", DOG)
    assert told.returncode == 0 and told.stdout.startswith("Noted my dog: Pixel")
    assert call("ask", ASK_DOG).returncode == 0


def test_a_damaged_memory_does_not_hide_the_others(run, tmp_path):
    run("teach", "-m", "alice", DOG)
    run("teach", "-m", "bob", DOG)
    home = next(path for path in tmp_path.rglob("bob") if path.is_dir()).parent
    (home / "bob" / "journal.sqlite3").write_bytes(b"nothing of the kind" * 100)
    shown = run("memory", "list", code=1)
    assert "alice" in shown.stdout and "bob" in shown.stderr


def test_a_memory_without_its_journal_is_not_passed_over(run, tmp_path):
    run("teach", "-m", "alice", DOG)
    run("teach", "-m", "bob", DOG)
    next(tmp_path.rglob("bob/journal.sqlite3")).unlink()
    shown = run("memory", "list", code=1)
    assert "alice" in shown.stdout and "bob" not in shown.stdout
    assert "the journal of the memory 'bob' is missing" in shown.stderr


def test_why_there_is_no_answer_is_said():
    unknown = Answer("I don't know.", 0.0, False, "my cat", 0.0)
    assert "Nothing was told about 'my cat'." in sources_text(Why(unknown, 0.0, (), 0, 1))
    told = (Source(3, "", "My cat is Mia.", 0.0, 0.0),)
    assert "'my cat' was told (turn 3), but" in sources_text(Why(unknown, 0.0, told, 0, 1))
    no_key = Why(replace(unknown, key=""), 0.0, (), 0, 1)
    assert sources_text(no_key) == "I don't know. It was not understood."


def test_a_name_in_other_letters_is_pointed_out(run):
    run("teach", "-m", "Bob", DOG)
    assert "there is also 'Bob'" in run("teach", "-m", "bob", DOG).stderr


def test_a_row_of_a_table_is_a_line_in_a_pipe(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    run("teach", "-m", "alice", DOG, SMALL_TALK + " " + "So it goes. " * 8)
    shown = run("memory", "log", "alice").stdout.splitlines()
    assert sum(DOG in line for line in shown) == 1 and len(shown) == 3


def test_a_sleep_that_is_stopped_says_so(run, monkeypatch):
    from nestling.resident import Resident

    def stopped(*_, **__):
        raise KeyboardInterrupt

    run("teach", "-m", "alice", DOG)
    monkeypatch.setattr(Resident, "sleep", stopped)
    assert "nothing changed" in run("memory", "sleep", "alice", code=130).stderr
