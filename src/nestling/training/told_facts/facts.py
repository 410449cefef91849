"""Facts, the turns that tell them, and the questions that ask for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from nestling.models.dialogue import owner_of


def key_of(subject: str, relation: str) -> str:
    """The canonical key: ("me", "dog") -> "my dog", ("Ana", "dog") -> "Ana's dog"."""
    return f"my {relation}" if subject == "me" else f"{subject}'s {relation}"


@dataclass(frozen=True)
class Fact:
    """One told fact; `subject` is "me", a first name, kin ("my brother") or a thing ("ladder")."""

    subject: str
    relation: str
    value: str

    @property
    def key(self) -> str:
        """The canonical key under which the fact is remembered."""
        return key_of(self.subject, self.relation)

    @property
    def notes(self) -> tuple[Fact, ...]:
        """What is noted of it: the fact itself."""
        return (self,)

    def of(self, name: str) -> Self:
        """The same fact of somebody by name: "my sister's city" as "Ana's city"."""
        return replace(self, subject=name, relation=owner_of(self.key)[1])


@dataclass(frozen=True)
class Telling:
    """One turn of the speaker and the facts it states, in order of mention; none for small talk."""

    text: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Question:
    """One question of the speaker and the canonical key it asks for."""

    text: str
    key: str
