"""Every relation by its id, and how a canonical key is read back."""

from __future__ import annotations

from nestling.training.told_facts.relation import Relation
from nestling.training.told_facts.relations_animals import ANIMALS
from nestling.training.told_facts.relations_codes import CODES
from nestling.training.told_facts.relations_family import FAMILY
from nestling.training.told_facts.relations_favourites import FAVOURITES
from nestling.training.told_facts.relations_people import PEOPLE
from nestling.training.told_facts.relations_places import PLACES
from nestling.training.told_facts.relations_self import SELF
from nestling.training.told_facts.relations_things import THINGS

RELATIONS: dict[str, Relation] = {
    relation.label: relation
    for relation in (*SELF, *FAMILY, *PEOPLE, *ANIMALS, *PLACES, *FAVOURITES, *THINGS, *CODES)
}


def parse_key(key: str) -> tuple[str, str]:
    """The subject and the relation of a canonical key: "Ana's dog" -> ("Ana", "dog").

    Raises ValueError for a key without a subject or with an unknown label.
    """
    subject, separator, label = key.rpartition("'s ")
    if not separator and key.startswith("my "):
        subject, label = "me", key[len("my ") :]
    if not subject or label not in RELATIONS:
        raise ValueError(
            f'{key!r} is no key of a known relation; a key reads like "my dog" or '
            '"Ana\'s dog", and the labels are those of RELATIONS'
        )
    return subject, label
