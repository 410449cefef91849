"""Relations that are named by the speaker's own word."""

import random
import re
from itertools import islice

import pytest

from nestling.models.dialogue import is_of_thing
from nestling.training.told_facts import Fact, FactSource
from nestling.training.told_facts.facts import Telling
from nestling.training.told_facts.kinds import ALL_KINDS
from nestling.training.told_facts.open_families import DIVIDED_FROM, OpenFact, families
from nestling.training.told_facts.splits import SPLITS, split_of
from nestling.training.told_facts.templates import american
from nestling.training.told_facts.wording import introduced
from nestling.training.told_facts_task import draw_turns

BY_NAME = {family.name: family for family in families()}


def source(seed: int = 0, values: str = "train", **options) -> FactSource:
    return FactSource(random.Random(seed), values=values, open_facts=1.0, **options)


def says(text: str, word: str) -> bool:
    """Whether a text has all parts of a word, in either spelling: "the code for the garage"."""
    return all(part in text or american(part) in text for part in word.split())


def test_families_have_names_of_their_own_and_known_kinds():
    assert len(BY_NAME) == len(families()) >= 200
    assert sum(len(family.words) for family in families()) >= 3000
    for family in families():
        assert set(family.kinds) <= {*ALL_KINDS, "any"}, family.name
        assert len(family.words) == len(set(family.words)), family.name
        assert not family.things or set(family.labels) <= {"place", "time"}, family.name
        assert not any(is_of_thing(label) for label in family.labels), family.name
        assert all(label.count("'s ") <= 1 for label in family.labels), family.name
        assert all(template.needs_old is False for template in family.tellings["train"])


@pytest.mark.parametrize("name", BY_NAME)
def test_everything_that_is_said_holds_the_value_and_the_word(name):
    family, rng = BY_NAME[name], random.Random(0)
    word = family.words[0]
    thing = family.things[0] if family.things else ""
    for subject in ("me",) if family.only_me or thing else ("me", "Ana", "my best friend"):
        for template in (*family.tellings["train"], *family.updates["train"]):
            text = template.forms.fill(
                rng, subject, "Zorvik 7", "Quenby", label=family.labels[0], thing=thing
            )
            assert not set("{}|") & set(text)
            assert text.count("Zorvik 7") == 1, text
            if len(family.words) > 1:
                assert says(text, word), text
        for template in family.questions["train"]:
            for forms in (template.direct, template.indirect, template.said):
                if forms is not None:
                    text = forms.fill(rng, subject, label=family.labels[0], thing=thing)
                    assert text and not set("{}|") & set(text)
                    if len(family.words) > 1:
                        assert says(text, word), text


@pytest.mark.parametrize("split", SPLITS)
def test_words_and_values_are_divided(split):
    drawn = source(1, split)
    for fact in (drawn.open_fact() for _ in range(400)):
        family = fact.family
        assert split_of(fact.value) == split
        said = fact.subject if family.things else fact.relation
        of_split = [word for word in family.words if split_of(word) == split]
        words = of_split if of_split and len(family.words) >= DIVIDED_FROM else family.words
        assert any(said == word or said.endswith(f"'s {word}") for word in words)


def test_keys_are_made_of_the_words_that_are_said():
    drawn = source(2)
    for fact in drawn.facts(200):
        assert isinstance(fact, OpenFact)
        telling, question = drawn.telling([fact]), drawn.question(fact)
        assert question.key == fact.key
        assert fact.value in telling.text
        owner = fact.key.removesuffix(f" {fact.relation}")
        assert re.fullmatch(r"my|.+'s", owner)
        if fact.family.things:
            # Whose a thing is may be called by name as well.
            for text, said in ((telling.text, telling.facts[-1]), (question.text, fact)):
                assert said.subject.casefold() in text.casefold()


def test_known_and_open_facts_stand_side_by_side_under_keys_of_their_own():
    facts = FactSource(random.Random(3), open_facts=0.5).facts(120)
    assert len({fact.key for fact in facts}) == 120
    assert 30 < sum(isinstance(fact, OpenFact) for fact in facts) < 90


def test_without_a_share_nothing_is_open():
    assert not any(isinstance(f, OpenFact) for f in FactSource(random.Random(4)).facts(80))
    with pytest.raises(ValueError, match="open_facts is a share"):
        FactSource(random.Random(0), open_facts=1.5)


def test_absent_keys_are_never_told():
    drawn = source(5)
    facts = drawn.facts(50)
    absent = drawn.absent_keys(facts, 20)
    assert len(set(absent)) == 20 and not {fact.key for fact in facts} & set(absent)


def test_liked_food_is_noted_as_something_liked_too():
    fact = source(6).open_fact(BY_NAME["liked food"])
    assert [(note.relation, note.value) for note in fact.notes] == [
        ("liked food", fact.value),
        ("like", fact.value),
    ]


def test_a_family_has_values_of_its_own_beside_those_of_its_kinds():
    own = [family for family in families() if family.values]
    assert len(own) > 100
    for split in SPLITS:
        drawn = source(8, split)
        for family in own:
            values = {drawn.open_fact(family).value for _ in range(20)}
            assert values & set(family.values), (family.name, split)
            assert all(split_of(value) == split for value in values)
    values = [source(seed).open_fact(own[0]).value for seed in range(60)]
    assert {value in own[0].values for value in values} == {True, False}


def test_kin_is_introduced_by_name():
    fact = Fact("my sister", "city", "Porto")
    rng = random.Random(9)
    texts = set()
    for _ in range(30):
        said = introduced(rng, Telling("Hey, my sister lives in Porto.", (fact,)), "Ana")
        assert [(note.key, note.value) for note in said.facts] == [
            ("my sister", "Ana"),
            ("Ana's city", "Porto"),
        ]
        texts.add(said.text)
    assert texts == {
        "Hey, my sister Ana lives in Porto.",
        "Hey, my sister, Ana, lives in Porto.",
    }
    owned = Telling("My sister's city is Porto.", (fact,))
    assert introduced(rng, owned, "Ana").text == "My sister Ana's city is Porto."
    dog = OpenFact("me", "dog's breed", "beagle", BY_NAME["dog's breed"])
    said = introduced(rng, Telling("our dog is a beagle", (dog,)), "Rex")
    assert said.text in ("our dog Rex is a beagle", "our dog, Rex, is a beagle")
    assert [note.key for note in said.facts] == ["my dog", "Rex's breed"]
    mine = Fact("me", "city", "Porto")
    assert introduced(rng, Telling("I live in Porto.", (mine,)), "Ana").facts == (mine,)
    for text in ("My sisters live in Porto.", "She lives in Porto.", "My sister Ana is in Porto."):
        assert introduced(rng, Telling(text, (fact,)), "Ana") == Telling(text, (fact,))


def test_kin_with_names_is_told_in_training_alone():
    fact = Fact("my sister", "city", "Porto")
    told = [source(seed).telling([fact]) for seed in range(100)]
    assert 40 < sum(len(telling.facts) == 2 for telling in told) < 80
    known = [FactSource(random.Random(seed)).telling([fact]) for seed in range(100)]
    assert all(telling.facts == (fact,) for telling in known)


def test_turns_hold_all_notes_of_their_facts():
    rng = random.Random(7)
    drawn = FactSource(rng, open_facts=1.0)
    for text, restated in islice(draw_turns(drawn, rng), 300):
        keys = [restated.asked] if restated.asked else [note.key for note in restated.notes]
        assert all(note.value in text for note in restated.notes)
        # A key is copied from its turn, and then has the same form wherever it stood.
        things = [key.partition("'s ")[0] for key in keys if is_of_thing(key)]
        assert all(thing in text for thing in things), text
