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
        "Forgot the last turn (My cat is called Mia.): 1 turn, 1 note.",
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


def test_every_question_of_a_turn_is_answered_and_none_is_noted(chat):
    chat("My dog is called Pixel. My cat is called Mia.")
    for asked in (
        "What's my dog called? Thanks!",
        "Please tell me what my dog is called. Thank you.",
        "Remind me what my dog is called. I always forget.",
        "What's my dog called? \U0001f642",
    ):
        assert chat(asked) == ["Pixel"]
    assert chat("What's my dog called? What's my cat called?") == ["Pixel", "Mia"]
    assert chat("What's my dog called? I live in Oslo.") == ["Noted my city: Oslo", "Pixel"]


def test_a_question_that_cannot_be_known_is_no_turn(chat):
    told = chat("My dog is called Pixel.", "Who is Zanzibar?", "Do I like jazz?", "/undo")
    assert told[1:3] == ["I don't know.", "I don't know."]
    assert told[3].startswith("Forgot the last turn (My dog is called Pixel.)")


def test_what_another_chat_was_told_is_not_undone_unasked(chat):
    chat("My dog is called Pixel.")
    refused = chat("What's my dog called?", "/undo")[-1]
    assert refused.endswith("to forget it, say: /forget 1")
    assert chat("What's my dog called?") == ["Pixel"]
    assert chat("/forget 1") == ["Forgot turn 1: 1 turn, 1 note."]


def test_at_a_terminal_forgetting_asks_and_shows_what_goes(chat, monkeypatch):
    from nestling.cli import chat as chatting

    chat("My dog is called Pixel.")
    asked, answers = [], iter(["n", "no", "y"])
    monkeypatch.setattr(chatting.sys, "stdin", type("Terminal", (), {"isatty": lambda _: True})())
    monkeypatch.setattr("builtins.input", lambda said="": asked.append(said) or next(answers))
    from rich.console import Console

    from nestling import Resident

    with Resident.open("alice", chat.home) as resident:
        talk = chatting.Chat(resident, Console())
        talk.say("/forget my dog")
        talk.say("/undo")
        assert [note.value for note in resident.notes()] == ["Pixel"]
        talk.say("/forget my dog")
        assert not resident.notes()
    assert "1: My dog is called Pixel." in asked[0] and "my dog: Pixel" in asked[0]
    assert "which this chat was not told" in asked[1]


def test_what_is_to_be_forgotten_is_found_by_what_the_chat_shows(chat):
    replies = chat("My nan has a dog called Tess.", "/memory", "Forget my dog.")
    assert replies[1].startswith("my grandmother's dog: Tess  (turn 1, ")
    assert replies[2] == "To forget it, say: /forget my dog"
    assert "did you mean 'my grandmother's dog'?" in chat("/forget My Nan's Dog")[0]
    assert "did you mean 'my grandmother's dog'?" in chat("/forget my grandmothers dog")[0]
    assert chat('/forget "my grandmother\'s dog".')[0].startswith("Forgot 'my grandmother's dog'")
    assert "has no turn 1, 1 was forgotten already" in chat("/forget 1")[0]


def test_a_quoted_turn_is_no_command(chat):
    replies = chat("My dog is called Pixel.", '"""/undo"""', "What's my dog called?", "/BYE", "x")
    assert replies[-1] == "Pixel"


def test_each_line_of_a_quoted_turn_says_its_own(chat):
    lines = ('"""', "My dog is called Rex", "My cat is called Tom", "My locker code is 4917", '"""')
    assert chat(*lines) == [
        "Noted my dog: Rex",
        "Noted my cat: Tom",
        "Noted my locker code: 4917",
    ]
