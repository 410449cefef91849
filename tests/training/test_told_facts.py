"""What the generator of told facts promises."""

import random
import re

import pytest

from nestling.training.told_facts import (
    RELATIONS,
    Fact,
    FactSource,
    frames,
    key_of,
    parse_key,
)
from nestling.training.told_facts.phrasings import FURTHER
from nestling.training.told_facts.said_around import TAILS
from nestling.training.told_facts.slips import slip
from nestling.training.told_facts.small_talk import FURTHER as FURTHER_TALK
from nestling.training.told_facts.small_talk import SMALL_TALK
from nestling.training.told_facts.source import texts_told
from nestling.training.told_facts.splits import split_of
from nestling.training.told_facts.templates import compile_forms

REQUIRED = """name, age, birthday, hometown, city, street, job, employer, manager, colleague,
sister, brother, mother, father, partner, child, friend, doctor, dog, cat, car, favourite colour,
favourite food, favourite drink, favourite book, favourite film, favourite song, favourite sport,
favourite season, allergy, hobby, language, instrument, school, project name, project deadline,
meeting day, flight number, hotel, wifi password, locker code, shoe size, lucky number"""
SUBJECTS = ("me", "Ana", "James", "my best friend")
BOTH = ("train", "held_out")


def source(seed: int = 0, values: str = "train", phrasings: str = "train") -> FactSource:
    return FactSource(random.Random(seed), values=values, phrasings=phrasings)


def occurrences(value: str, text: str) -> int:
    return len(re.findall(rf"(?<![\w-]){re.escape(value)}(?![\w-])", text))


def told_in_place(value: str, text: str) -> bool:
    return text.startswith(value) or f" {value}" in text


def draw(seed: int) -> list:
    drawn = source(seed)
    facts = drawn.facts(40)
    return [
        facts,
        [drawn.telling([fact]) for fact in facts],
        [drawn.question(f) for f in facts],
        [drawn.update(f, "Old") for f in facts],
        drawn.small_talk(),
        drawn.absent_keys(facts, 9),
    ]


def test_same_seed_draws_the_same() -> None:
    assert draw(3) == draw(3)
    assert draw(3) != draw(4)


def test_required_relations_are_present() -> None:
    required = {" ".join(name.split()) for name in REQUIRED.split(",")}
    assert required <= set(RELATIONS)
    assert len(RELATIONS) >= 64


@pytest.mark.parametrize("relation", RELATIONS)
def test_values_of_the_splits_are_disjoint_and_clean(relation: str) -> None:
    drawn = {split: {source(1, split).value(relation)} for split in BOTH}
    for split in BOTH:
        values = source(2, split)
        drawn[split] |= {values.value(relation) for _ in range(150)}
        assert {split_of(value) for value in drawn[split]} == {split}
        assert all(
            re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9' -]*[A-Za-z0-9])?", value)
            for value in drawn[split]
        )
        assert len(drawn[split]) >= 10, drawn[split]
    assert not drawn["train"] & drawn["held_out"]


@pytest.mark.parametrize("relation", RELATIONS)
def test_every_relation_keeps_five_templates_in_training_and_holds_one_out(relation: str) -> None:
    known = RELATIONS[relation]
    for table in (known.tellings, known.updates, known.questions):
        assert len(table["train"]) >= 5
        assert len(table["held_out"]) >= 1
        texts = {split: {template.text for template in table[split]} for split in BOTH}
        assert not texts["train"] & texts["held_out"]


def test_frames_and_small_talk_are_divided() -> None:
    tables = [value for name, value in vars(frames).items() if name.isupper()]
    for table in (*tables, SMALL_TALK):
        assert table["train"] and table["held_out"]
        assert not set(table["train"]) & set(table["held_out"])
    assert len(SMALL_TALK["train"]) + len(SMALL_TALK["held_out"]) >= 250


@pytest.mark.parametrize("relation", RELATIONS)
def test_every_template_renders_for_everyone_with_the_value_once(relation: str) -> None:
    rng = random.Random(0)
    known = RELATIONS[relation]
    for split in (*BOTH, "further"):
        for template in (*known.tellings[split], *known.updates[split]):
            for subject in SUBJECTS:
                for casual in (False, True):
                    text = template.forms.fill(rng, subject, "Zorvik 7", "Quenby", casual)
                    assert not set("{}|") & set(text)
                    assert occurrences("Zorvik 7", text) == 1
                    assert told_in_place("Zorvik 7", text)
        for template in known.questions[split]:
            for subject in SUBJECTS:
                for forms in (template.direct, template.indirect, template.said):
                    text = forms.fill(rng, subject) if forms else "fine"
                    assert text and not set("{}|") & set(text)


def test_tellings_hold_each_value_verbatim() -> None:
    drawn = source(5)
    facts = drawn.facts(600)
    for fact in facts:
        for telling in (drawn.telling([fact]), drawn.update(fact)):
            assert telling.facts == (fact,)
            assert told_in_place(fact.value, telling.text), telling.text
            assert occurrences(fact.value, telling.text) >= 1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_several_facts_in_one_turn_keep_their_order(count: int) -> None:
    drawn = source(6)
    for _ in range(100):
        facts = drawn.facts(6)[:count]
        telling = drawn.telling(facts)
        assert telling.facts == tuple(facts)
        assert all(told_in_place(fact.value, telling.text) for fact in facts)


def test_a_turn_of_four_facts_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 3"):
        source().telling(source().facts(4))


@pytest.mark.parametrize("count", [1, 8, 64, 1000, 1500])
def test_facts_have_distinct_keys(count: int) -> None:
    facts = source(7).facts(count)
    assert len({fact.key for fact in facts}) == len(facts) == count


def test_a_third_to_a_half_of_few_facts_is_about_the_speaker() -> None:
    facts = source(8).facts(60)
    assert 18 <= sum(fact.subject == "me" for fact in facts) <= 32


def test_people_sets_the_number_of_other_subjects() -> None:
    subjects = {fact.subject for fact in source(9).facts(60, people=4)} - {"me"}
    assert len(subjects) == 4


def test_names_of_the_splits_are_disjoint() -> None:
    names = [
        {
            f.subject
            for f in source(10, split).facts(800)
            if f.subject != "me" and not f.subject.startswith("my ")
        }
        for split in BOTH
    ]
    assert not names[0] & names[1]


@pytest.mark.parametrize("count", [4, 60, 800])
def test_absent_keys_were_never_told_and_half_are_near_misses(count: int) -> None:
    drawn = source(11)
    facts = drawn.facts(count)
    absent = drawn.absent_keys(facts, 20)
    assert len(set(absent)) == 20
    assert not set(absent) & {fact.key for fact in facts}
    subjects = {fact.subject for fact in facts}
    near = [key for key in absent if parse_key(key)[0] in subjects]
    assert len(near) >= 2 if count == 4 else len(near) >= 10


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_keys_are_read_back(subject: str, relation: str) -> None:
    assert parse_key(key_of(subject, relation)) == (subject, relation)
    assert Fact(subject, relation, "x").key == key_of(subject, relation)


def test_kin_keys_and_kin_subjects_coexist() -> None:
    assert key_of("me", "sister") == "my sister"
    assert parse_key("my sister's dog") == ("my sister", "dog")


@pytest.mark.parametrize("key", ["", "dog", "my unicorn", "Ana's unicorn", "'s dog"])
def test_an_unknown_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        parse_key(key)


def test_questions_take_a_fact_or_its_key() -> None:
    fact = Fact("my brother", "dog", "Rex")
    assert source(12).question(fact) == source(12).question("my brother's dog")


@pytest.mark.parametrize("split", BOTH)
def test_a_source_uses_the_templates_of_its_split_only(split: str, monkeypatch) -> None:
    used: set[str] = set()
    other = "train" if split == "held_out" else "held_out"
    for known in RELATIONS.values():
        for name in ("tellings", "updates", "questions"):
            monkeypatch.setitem(getattr(known, name), other, ())
    for name, table in vars(frames).items():
        if name.isupper():
            monkeypatch.setitem(table, other, ())
    monkeypatch.setitem(SMALL_TALK, other, ())
    drawn = source(13, phrasings=split)
    for fact in drawn.facts(300):
        used |= {
            drawn.telling([fact]).text,
            drawn.update(fact, "Old").text,
            drawn.update(fact).text,
            drawn.question(fact).text,
            drawn.small_talk().text,
        }
    assert used


def test_training_hears_more_small_talk_and_says_more_around_a_fact() -> None:
    assert len(set(FURTHER_TALK)) == len(FURTHER_TALK) >= 400
    assert not set(FURTHER_TALK) & {*SMALL_TALK["train"], *SMALL_TALK["held_out"]}
    more = FactSource(random.Random(5), further=True)
    talk = [more.small_talk().text for _ in range(200)]
    assert 30 < sum(text in FURTHER_TALK for text in talk) < 90
    plain = FactSource(random.Random(5))
    assert not any(plain.small_talk().text in FURTHER_TALK for _ in range(200))
    fact = Fact("me", "city", "Porto")
    tails = tuple(tail for tail in TAILS if tail.startswith(", "))
    with_tail, without = (
        sum(drawn.telling([fact]).text.rstrip(".!").endswith(tails) for _ in range(300))
        for drawn in (more, plain)
    )
    assert with_tail > 20 and without < 5


def test_small_talk_states_no_fact() -> None:
    assert all(source(seed).small_talk().facts == () for seed in range(50))


def test_a_wrong_split_is_refused() -> None:
    with pytest.raises(ValueError, match="held_out"):
        source(values="test")


def test_slips_leave_values_and_names_as_they_are() -> None:
    rng = random.Random(3)
    source = FactSource(rng, slips=1.0)
    for fact in source.facts(60):
        text = source.telling([fact]).text
        assert fact.value in text
        assert fact.subject == "me" or fact.subject.removeprefix("my ") in text


def test_slips_change_most_texts() -> None:
    careful, careless = (FactSource(random.Random(4), slips=share) for share in (0.0, 1.0))
    template = "{poss} favourite colour is {v}"
    changed = sum(slip(random.Random(seed), template) != template for seed in range(50))
    assert changed > 45
    assert careful.small_talk().text != careless.small_talk().text


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_of_slips_beyond_all_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        FactSource(random.Random(0), slips=share)


def test_odd_values_are_of_any_kind_and_of_the_split() -> None:
    source = FactSource(random.Random(0), odd_values=1.0)
    values = [source.value("favourite season") for _ in range(200)]
    assert all(split_of(value) == "train" for value in values)
    plain = FactSource(random.Random(0))
    seasons = {plain.value("favourite season") for _ in range(500)}
    assert sum(value in seasons for value in values) < 20


@pytest.mark.parametrize("label", list(RELATIONS))
def test_further_phrasings_are_in_neither_split(label: str) -> None:
    tellings = RELATIONS[label].tellings
    further = {template.text for template in tellings["further"]}
    assert further <= set(FURTHER[label].tell)
    assert not further & {template.text for split in BOTH for template in tellings[split]}


def test_further_phrasings_are_said_only_where_they_are_asked_for() -> None:
    bodies = {
        further: {
            FactSource(random.Random(seed), further=further)
            .telling([Fact("me", "dog", "Rex")])
            .text
            for seed in range(300)
        }
        for further in (False, True)
    }
    new = [
        template.forms.first[0].replace("{v}", "Rex")
        for template in RELATIONS["dog"].tellings["further"]
    ]
    assert not any(body in text for body in new for text in bodies[False])
    assert any(body in text for body in new for text in bodies[True])


@pytest.mark.parametrize("label", list(RELATIONS))
def test_every_relation_has_further_phrasings_of_its_own(label: str) -> None:
    assert min(len(FURTHER[label].tell), len(FURTHER[label].ask)) >= 5


def test_a_contraction_is_one_of_whole_words() -> None:
    forms = compile_forms("the aunt {subj} {visit|visits} is {v}, and it is {v}")
    assert forms.first[1] == "the aunt I visit is {v}, and it's {v}"


@pytest.mark.parametrize("label", RELATIONS)
def test_wordings_that_are_held_out_are_said_nowhere_in_training(label: str) -> None:
    """Neither of the relation, nor of an open one, nor in a sentence."""
    source = FactSource(random.Random(0), phrasings="held_out")
    relation = RELATIONS[label]
    for table in (relation.tellings, relation.updates, relation.questions):
        said = {template.text for template in source._known(table)}
        assert said
        assert not said & texts_told()
        assert not said & {
            template.text for split in ("train", "further") for template in table[split]
        }


def test_names_that_introduce_kin_are_of_the_split() -> None:
    for split in BOTH:
        source = FactSource(random.Random(1), values=split, open_facts=0.7)
        fact = Fact("my sister", "city", source.value("city"))
        named = [telling.facts for telling in (source.telling([fact]) for _ in range(200))]
        names = [facts[0].value for facts in named if len(facts) == 2]
        assert len(names) > 20
        assert all(split_of(name) == split for name in names)
