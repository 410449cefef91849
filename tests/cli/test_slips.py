"""What goes wrong at a keyboard or in a file is said, steers nothing, and leaves nothing behind."""

import pytest

from nestling.cli.common import shown
from nestling.cli.talk import sources_text
from nestling.resident.reports import Answer, Source, Why

DOG = "My dog is called Pixel."
STEERING = "My dog is called \x1b[31mPixel\x1b[0m.\x1b]0;title\x07"


@pytest.mark.parametrize(
    "arguments",
    [
        ("teach", "-m", "new", "My dog is " + "very " * 300 + "nice."),
        ("teach", "-m", "new", "--from", "/dev/null"),
        ("chat", "-m", "new"),
    ],
)
def test_a_memory_that_was_told_nothing_is_not_there_afterwards(run, tmp_path, arguments):
    # What the first says it refuses, and of the others there is nothing to say.
    run(*arguments, stdin="", code=int(len(arguments) == 4))
    assert not (tmp_path / "home" / "new").exists()
    run("teach", "-m", "new", DOG)
    run(*arguments, stdin="", code=int(len(arguments) == 4))
    assert "\n new " in run("memory", "list").stdout


def test_a_new_memory_whose_name_is_like_another_is_said_to_be_new(run):
    assert not run("teach", "-m", "alice", DOG).stderr
    said = "'alcie' is a new memory; there is also 'alice'."
    assert said in run("chat", "-m", "alcie", stdin="").stderr
    assert not run("teach", "-m", "robert", DOG).stderr
    assert not run("teach", "-m", "alice", DOG).stderr


def test_of_several_texts_the_one_that_is_refused_is_named(run):
    found = run("teach", "-m", "alice", DOG, "My dog is " + "very " * 300, code=1).stderr
    assert "text 2 of 2 ('My dog is very" in found and "too long" in found
    assert "text 1" not in run("teach", "-m", "alice", "very " * 300, code=1).stderr


def test_an_empty_home_is_no_home(run):
    assert "it is empty" in run("teach", "-m", "alice", "--home", "", DOG, code=2).stderr


def test_what_would_steer_a_terminal_is_neither_noted_nor_printed(run):
    told = run("teach", "-m", "alice", STEERING).stdout
    assert "Noted my dog: Pixel" in told
    run("teach", "-m", "alice", "How nice\x1b[2J zanzibar\u202e.")
    for command in (("log", "alice"), ("show", "alice")):
        printed = run("memory", *command).stdout
        assert not set(printed) & {"\x1b", "\x07", "\u202e"}
    assert "\\x1b[2J" in run("memory", "log", "alice").stdout
    talked = run("chat", "-m", "alice", stdin="/foo\x1b[31m\n/undo\n").stdout
    assert "There is no /foo\\x1b[31m." in talked and "\x1b" not in talked


def test_lines_and_letters_are_printed_as_they_are():
    assert shown("Zoë\n\tis 東京") == "Zoë\n\tis 東京"
    assert shown("a\x00\x9b\ufeff") == "a\\x00\\x9b\\ufeff"


def test_a_number_that_no_turn_can_have_is_one_sentence(run):
    run("teach", "-m", "alice", DOG)
    assert "error: " in run("memory", "forget", "alice", "9" * 5000, "-y", code=1).stderr


def test_files_that_a_shell_has_listed_are_not_taken_for_texts(run, tmp_path):
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text(DOG)
    names = [str(tmp_path / name) for name in ("one.txt", "two.txt")]
    found = run("teach", "-m", "alice", "--from", *names, code=2).stderr
    assert "--from before each" in found


def test_a_tokenizer_needs_text_and_says_how_many_ids_it_has(run, tmp_path):
    empty, short, broken = (tmp_path / name for name in ("empty", "short", "broken"))
    empty.write_text("\n")
    short.write_text("the cat sat on the mat")
    broken.write_bytes(b"caf\xe9")
    out = str(tmp_path / "tok.json")
    assert "no text" in run("tokenizer", "--out", out, str(empty), code=1).stderr
    assert str(broken) in run("tokenizer", "--out", out, str(broken), code=1).stderr
    assert not (tmp_path / "tok.json").exists()
    assert "of the 4096 that were asked for" in run("tokenizer", "--out", out, str(short)).stdout


def test_only_turns_that_matter_are_shown_as_sources():
    answer = Answer("Pixel", -0.1, True, "my dog", 1.0)
    turns = [Source(1, "", "told", -16.9, 27.3), Source(2, "", "besides", 9.8, 0.6)]
    lines = sources_text(Why(answer, 10.4, tuple(turns), 2, 2))
    assert "told" in lines and "besides" not in lines
    assert "as well without any of 1 other turn" in lines
    # What was told twice is known without either turn.
    assert "besides" in sources_text(Why(answer, 10.4, tuple(turns[1:]), 1, 1))
