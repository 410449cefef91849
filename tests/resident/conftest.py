"""Turns whose notes are known without a model: "key = value; key = value"."""

import pytest

from nestling.models import asking
from nestling.models.dialogue import Note, Restatement
from nestling.resident import session, versions


def notes_of(text: str) -> tuple[Note, ...]:
    pieces = [piece.split("=") for piece in text.split(";") if "=" in piece]
    return tuple(Note(key.strip(), value.strip()) for key, value in pieces)


@pytest.fixture
def plain_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    def restate(_model, _dialogue, texts, *, asking=None, **_):
        if asking or (asking is None and texts[0].endswith("?")):
            return [Restatement(asked=text.strip("?")) for text in texts]
        return [Restatement(notes_of(text)) for text in texts]

    for layer in (asking, versions, session):
        monkeypatch.setattr(layer, "restate", restate)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"
