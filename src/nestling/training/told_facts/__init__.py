"""Told facts: everyday English tellings and questions with the canonical notes they mean."""

from nestling.training.told_facts.facts import Fact, Question, Telling, key_of
from nestling.training.told_facts.relation import Relation
from nestling.training.told_facts.relations import RELATIONS, parse_key
from nestling.training.told_facts.source import FactSource

__all__ = [
    "RELATIONS",
    "Fact",
    "FactSource",
    "Question",
    "Relation",
    "Telling",
    "key_of",
    "parse_key",
]
