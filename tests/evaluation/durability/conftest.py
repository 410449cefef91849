"""A tiny model whose notes are known without it: the word of a text that stands nowhere else.

python conftest.py evaluate kills ...        (the same, for a process of its own)
"""

import sys

import pytest

from nestling.cli import main
from nestling.evaluation.durability.checks import words_of
from nestling.models.dialogue import Note, Restatement
from nestling.resident import session


def restate(_model, _dialogue, texts, **_):
    return [
        Restatement(tuple(Note(f"thing {len(text) % 7}", word) for word in sorted(words_of(text))))
        for text in texts
    ]


@pytest.fixture(autouse=True, scope="module")
def plain_turns():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "restate", restate)
        yield


if __name__ == "__main__":
    session.restate = restate
    sys.exit(main())
