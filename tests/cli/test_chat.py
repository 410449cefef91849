"""Talking with the embedded model: what is told, seen, taken back, and what leaves nothing."""

import pytest
from typer.testing import CliRunner

from nestling.cli import app


@pytest.fixture
def chat(tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("NESTLING_HOME", str(home))
    monkeypatch.delenv("NESTLING_MODEL", raising=False)

    def chat(*turns):
        said = "\n".join(turns) + "\n"
        result = CliRunner().invoke(app, ["chat", "--memory", "alice"], input=said)
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    chat.home = home
    return chat


def test_what_is_told_is_known_the_next_time(chat):
    replies = chat("My dog is called Pixel.", "What's my dog called?", "Lovely weather today.")
    assert replies[:2] == ["Noted my dog: Pixel", "Pixel"]
    assert replies[2].startswith("I'm listening.")
    assert chat("What's my dog called?") == ["Pixel"]


def test_a_turn_says_what_it_wrote_and_an_answer_where_it_comes_from(chat):
    replies = chat("/why", "My dog is called Pixel.", "/why", "What's my dog called?", "/why")
    assert replies[0] == "Nothing was said yet."
    assert replies[2].startswith("my dog: Pixel ")
    assert "levels moved by: fast" in replies[3]
    assert replies[5].startswith("Pixel  (my dog; margin")
    assert replies[6].strip().startswith("without turn 1:")


def test_what_is_said_for_the_time_being_leaves_nothing(chat):
    replies = chat(
        "/temp", "My cat is called Zanzibar.", "What's my cat called?", "/memory", "/bye"
    )
    assert replies[2] == "Zanzibar"
    assert replies[3] == "my cat: Zanzibar  (temporary)"
    assert replies[4] == "Of 1 turn told since /temp nothing stays."
    assert not [p for p in chat.home.rglob("*") if p.is_file() and b"Zanzibar" in p.read_bytes()]
    assert chat("What's my cat called?") == ["I don't know."]


def test_after_going_back_nothing_older_is_undone(chat):
    chat("My dog is called Pixel.", "My cat is called Mia.")
    from nestling import Resident

    with Resident.open("alice", chat.home) as resident:
        resident.rollback(1)
    reply = chat("/undo")[-1]
    assert "was rolled back last" in reply and "forget alice 1" in reply
    assert chat("What's my dog called?") == ["Pixel"]


def test_commands_are_known_in_capitals_too(chat):
    assert chat("My dog is called Pixel.", "/UNDO")[-1].startswith("Forgot the last turn")


def test_what_was_said_for_the_time_being_can_be_kept(chat):
    chat("/temp", "My cat is called Mia.", "My dog is called Pixel.", "/undo", "/save")
    assert chat("What's my cat called?", "What's my dog called?") == ["Mia", "I don't know."]


def test_a_temporary_session_leaves_the_memory_as_it_is(chat):
    replies = chat(
        "My dog is called Pixel.",
        "/temp",
        "My cat is called Mia.",
        "/forget my dog",
        "/forget my cat",
        "/sleep",
        "What's my dog called?",
        "/temp",
        "/forget my dog",
    )
    stays = "The memory stays as it is until /temp, or /save, ends this."
    assert replies[3:7] == [stays, stays, stays, "Pixel"]
    assert replies[-1] == "Forgot 'my dog': 1 turn, 1 note."


def test_turns_are_taken_back(chat):
    replies = chat(
        "My dog is called Pixel.", "My cat is called Mia.", "/undo", "/forget 1", "/memory"
    )
    assert replies[-3:] == [
        "Forgot the last turn (My cat is called Mia.): 1 note.",
        "Forgot turn 1: 1 turn, 1 note.",
        "Nothing noted yet.",
    ]


def test_sleep_is_reported(chat):
    replies = chat("/sleep", "My dog is called Pixel.", "/sleep", "What's my dog called?")
    assert replies[0] == "There is nothing to rehearse."
    assert replies[2] == "Rehearsed 1 note: 100% known before, 100% after."
    assert replies[3] == "Pixel"


def test_a_turn_may_have_several_lines(chat):
    replies = chat('"""My dog is', 'called Pixel."""', '"""What\'s my dog called?"""', '"""', '"""')
    assert replies == ["Noted my dog: Pixel", "Pixel"]


def test_what_cannot_be_done_is_said_and_the_talk_goes_on(chat):
    replies = chat("/undo", "/forget", "/forget 7", "/save", "word " * 300, "/what", "/bye", "more")
    assert "nothing that could be undone" in replies[0]
    assert replies[1].startswith("Say what:")
    assert "has no turn 7" in replies[2]
    assert replies[3] == "Everything is saved already."
    assert replies[4].startswith("(a sentence is too long")
    assert replies[5] == "There is no /what." and replies[6].startswith("/memory")
    assert replies[-1].startswith('"""')


def test_what_a_temporary_session_said_is_not_explained_afterwards(chat):
    replies = chat("/temp", "My cat is called Mia.", "What's my cat called?", "/temp", "/why")
    assert replies[-1] == "Nothing was said yet."


def test_undoing_in_a_temporary_session_leaves_the_memory_alone(chat):
    replies = chat("My dog is called Pixel.", "/temp", "/undo", "/temp", "/memory")
    assert "nothing was told in this temporary session" in replies[2]
    assert replies[-1].startswith("my dog: Pixel")


def test_a_turn_of_several_lines_that_does_not_end_is_not_told(chat):
    replies = chat('"""My dog is', "called Pixel.", "/undo")
    assert replies == ["(the turn was not finished, and not told)"]


def test_words_are_printed_as_they_were_said(chat):
    assert "no note under ':dog:'" in chat("/forget :dog:")[0]
    assert "no note under '²'" in chat("/forget ²")[0]


def test_what_is_told_before_a_question_is_noted(chat):
    replies = chat("My dog is called Pixel. What is my dog called?")
    assert replies == ["Noted my dog: Pixel", "Pixel"]


def test_what_was_taken_back_is_not_shown_again(chat):
    assert chat("My dog is called Pixel.", "/undo", "/why")[-1] == "Nothing was said yet."
    assert chat("My dog is called Pixel.", "/forget my dog", "/why")[-1] == "Nothing was said yet."
