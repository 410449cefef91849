"""The kinds of values: each draws one string, half common and half made up where that is natural.

A value holds letters, digits, inner spaces, hyphens and apostrophes, and is told verbatim.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from nestling.training.told_facts import made_up, numbers
from nestling.training.told_facts import word_lists as words

Draw = Callable[[random.Random], str]

_PLURALS = {
    "deer": "deer",
    "bison": "bison",
    "reindeer": "reindeer",
    "moose": "moose",
    "wolf": "wolves",
    "arctic fox": "arctic foxes",
    "fox": "foxes",
    "daisy": "daisies",
    "lily": "lilies",
    "water lily": "water lilies",
    "pansy": "pansies",
    "poppy": "poppies",
    "peony": "peonies",
    "donkey": "donkeys",
    "iris": "irises",
    "crocus": "crocuses",
    "lotus": "lotuses",
    "hibiscus": "hibiscuses",
    "gladiolus": "gladioli",
    "platypus": "platypuses",
    "octopus": "octopuses",
    "walrus": "walruses",
    "lynx": "lynxes",
    "firefly": "fireflies",
    "butterfly": "butterflies",
    "dragonfly": "dragonflies",
    "mongoose": "mongooses",
    "snow leopard": "snow leopards",
    "cherry blossom": "cherry blossoms",
    "lavender": "lavender",
    "honeysuckle": "honeysuckle",
    "edelweiss": "edelweiss",
    "jasmine": "jasmine",
}


def listed(items: tuple[str, ...]) -> Draw:
    """Draws one of `items`, evenly."""
    return lambda rng: items[int(rng.random() * len(items))]


def _plural(items: tuple[str, ...]) -> Draw:
    return listed(tuple(_PLURALS.get(item, item + "s") for item in items))


def first_name(rng: random.Random) -> str:
    """A common or a made-up first name, evenly."""
    return rng.choice(words.FIRST_NAMES) if rng.random() < 0.5 else made_up.name(rng)


def _surname(rng: random.Random) -> str:
    return rng.choice(words.SURNAMES) if rng.random() < 0.5 else made_up.name(rng, 2)


def _full_name(rng: random.Random) -> str:
    return f"{first_name(rng)} {_surname(rng)}"


def _person(rng: random.Random) -> str:
    return _full_name(rng) if rng.random() < 0.1 else first_name(rng)


def _person_full(rng: random.Random) -> str:
    pick = rng.random()
    if pick < 0.3:
        return _full_name(rng)
    return (
        f"{rng.choice(('Dr', 'Mr', 'Ms', 'Mrs'))} {_surname(rng)}"
        if pick < 0.45
        else first_name(rng)
    )


def _own_name(rng: random.Random) -> str:
    return _full_name(rng) if rng.random() < 0.25 else first_name(rng)


def _nickname(rng: random.Random) -> str:
    pick = rng.random()
    if pick < 0.4:
        return made_up.name(rng, 2)[:5]
    if pick < 0.7:
        return made_up.name(rng)
    if pick < 0.85:
        return rng.choice(words.PETS)
    return f"{rng.choice(('Big', 'Little', 'Captain', 'Doc', 'Lucky', 'Crazy'))} {first_name(rng)}"


def _pet(rng: random.Random) -> str:
    pick = rng.random()
    if pick < 0.4:
        return rng.choice(words.PETS)
    if pick < 0.5:
        title = rng.choice(("Mister", "Captain", "Lady", "Princess", "Sir"))
        return f"{title} {rng.choice(words.PETS)}"
    return made_up.name(rng)


def _place(rng: random.Random) -> str:
    pick = rng.random()
    if pick < 0.5:
        return rng.choice(words.CITIES)
    if pick < 0.58:
        before = rng.choice(("Port", "New", "Saint", "Lower", "Upper", "North"))
        return f"{before} {made_up.name(rng, 2)}"
    ending = rng.choice(("", "", "", "ville", "ton", "burg", "ford", "stad", "field"))
    return made_up.word(rng, 2).capitalize() + ending if ending else made_up.name(rng)


def _country(rng: random.Random) -> str:
    if rng.random() < 0.7:
        return rng.choice(words.COUNTRIES)
    return made_up.word(rng, 2).capitalize() + rng.choice(("ia", "land", "stan", "ra", "nia"))


def _place_or_country(rng: random.Random) -> str:
    return _place(rng) if rng.random() < 0.6 else _country(rng)


def _street(rng: random.Random) -> str:
    pick = rng.random()
    stem = rng.choice(words.STREET_STEMS) if pick < 0.5 else made_up.name(rng, 2)
    return f"{stem} {rng.choice(words.STREET_KINDS)}"


def _company(rng: random.Random) -> str:
    pick = rng.random()
    if pick < 0.45:
        return made_up.name(rng)
    if pick < 0.75:
        ending = rng.choice(
            ("Systems", "Labs", "Group", "Foods", "Media", "Motors", "Energy", "Books")
        )
        return f"{made_up.name(rng, 2)} {ending}"
    if pick < 0.85:
        return f"{rng.choice(words.SURNAMES)} and {rng.choice(('Sons', 'Partners', 'Company'))}"
    if pick < 0.93:
        ending = rng.choice(("Bakery", "Hospital", "Studio", "Press"))
        return f"{rng.choice(words.STREET_STEMS)} {ending}"
    ending = rng.choice(("Software", "Design", "Films"))
    return f"{rng.choice(words.TITLE_ADJECTIVES)} {rng.choice(words.TITLE_NOUNS)} {ending}"


def _job(rng: random.Random) -> str:
    pick = rng.random()
    job = rng.choice(words.JOBS)
    return (
        f"{rng.choice(('senior', 'junior', 'freelance', 'part-time'))} {job}"
        if pick < 0.15
        else job
    )


def _school(rng: random.Random) -> str:
    stem = (
        made_up.name(rng, 2)
        if rng.random() < 0.5
        else rng.choice(words.STREET_STEMS + words.CITIES)
    )
    return f"{stem} {rng.choice(('High School', 'College', 'School', 'University', 'Academy'))}"


def _hotel(rng: random.Random) -> str:
    pick = rng.random()
    if pick < 0.4:
        return f"Hotel {made_up.name(rng)}"
    if pick < 0.7:
        return f"the {rng.choice(words.TITLE_ADJECTIVES)} {rng.choice(words.TITLE_NOUNS)}"
    return f"{made_up.name(rng, 2)} {rng.choice(('Inn', 'Lodge', 'Palace', 'Suites', 'Resort'))}"


def _gym(rng: random.Random) -> str:
    ending = rng.choice(("Gym", "Fitness", "Sports Club", "Athletics"))
    stem = made_up.name(rng, 2) if rng.random() < 0.6 else rng.choice(words.TITLE_ADJECTIVES)
    return f"{stem} {ending}"


def _bank(rng: random.Random) -> str:
    stem = made_up.name(rng, 2) if rng.random() < 0.6 else rng.choice(words.STREET_STEMS)
    return (
        stem
        if rng.random() < 0.2
        else f"{stem} {rng.choice(('Bank', 'Savings', 'Trust', 'Credit Union'))}"
    )


def _restaurant(rng: random.Random) -> str:
    pick = rng.random()
    if pick < 0.4:
        return (
            f"{rng.choice(('Casa', 'Chez', 'Bistro', 'Trattoria', 'Cafe'))} {made_up.name(rng, 2)}"
        )
    if pick < 0.7:
        noun = rng.choice(("Fork", "Table", "Kitchen", "Spoon", "Fig", "Goose"))
        return f"The {rng.choice(words.TITLE_ADJECTIVES)} {noun}"
    return made_up.name(rng)


def _band(rng: random.Random) -> str:
    pick = rng.random()
    if pick < 0.5:
        return f"The {rng.choice(words.TITLE_ADJECTIVES)} {rng.choice(words.ANIMAL_PLURALS)}"
    return (
        made_up.name(rng)
        if pick < 0.85
        else f"{rng.choice(words.TITLE_ADJECTIVES)} {rng.choice(words.TITLE_NOUNS)}"
    )


def _team(rng: random.Random) -> str:
    stem = made_up.name(rng, 2) if rng.random() < 0.6 else rng.choice(words.CITIES)
    return f"{stem} {rng.choice(('United', 'City', 'Rovers', 'Athletic', 'Wanderers', 'Rangers'))}"


def _title(classics: tuple[str, ...]) -> Draw:
    def draw(rng: random.Random) -> str:
        pick = rng.random()
        if pick < 0.2:
            return rng.choice(classics)
        if pick < 0.5:
            return f"The {rng.choice(words.TITLE_ADJECTIVES)} {rng.choice(words.TITLE_NOUNS)}"
        if pick < 0.65:
            return f"{rng.choice(words.TITLE_ADJECTIVES)} {rng.choice(words.TITLE_NOUNS)}"
        if pick < 0.8:
            return f"{rng.choice(words.TITLE_NOUNS)} of {made_up.name(rng, 2)}"
        if pick < 0.9:
            return f"The {rng.choice(words.TITLE_NOUNS)} of {rng.choice(words.TITLE_NOUNS)}s"
        return made_up.name(rng)

    return draw


def _project(rng: random.Random) -> str:
    pick = rng.random()
    if pick < 0.45:
        return made_up.name(rng)
    if pick < 0.65:
        return rng.choice(words.TITLE_ADJECTIVES) + rng.choice(words.TITLE_NOUNS).lower()
    if pick < 0.85:
        return f"{rng.choice(words.TITLE_ADJECTIVES)} {rng.choice(words.TITLE_NOUNS)}"
    return f"{made_up.name(rng, 2)} {rng.randint(2, 9)}"


def _boat(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return made_up.name(rng)
    noun = rng.choice(("Gull", "Breeze", "Wave", "Pearl", "Whale", "Star", "Lady"))
    return f"{rng.choice(words.TITLE_ADJECTIVES)} {noun}"


def _car(rng: random.Random) -> str:
    return (
        rng.choice(words.CARS)
        if rng.random() < 0.75
        else f"{made_up.name(rng, 2)} {rng.choice('GTSRX')}{rng.randint(1, 9)}"
    )


def _bike(rng: random.Random) -> str:
    return rng.choice(words.BIKES) if rng.random() < 0.4 else made_up.name(rng)


def _phone(rng: random.Random) -> str:
    return (
        rng.choice(words.PHONES)
        if rng.random() < 0.6
        else f"{made_up.name(rng, 2)} {rng.randint(1, 30)}"
    )


KINDS: dict[str, Draw] = {
    "full_name": _own_name,
    "first_name": first_name,
    "nickname": _nickname,
    "person": _person,
    "person_full": _person_full,
    "pet": _pet,
    "age": numbers.age,
    "date": numbers.date,
    "place": _place,
    "country": _country,
    "place_or_country": _place_or_country,
    "street": _street,
    "job": _job,
    "company": _company,
    "school": _school,
    "hotel": _hotel,
    "gym": _gym,
    "bank": _bank,
    "team": _team,
    "restaurant": _restaurant,
    "band": _band,
    "project": _project,
    "boat": _boat,
    "meeting_day": numbers.meeting_day,
    "shoe_size": numbers.shoe_size,
    "small_number": numbers.small_number,
    "flight": numbers.flight,
    "train": numbers.train,
    "seat": numbers.seat,
    "bus": numbers.bus,
    "room": numbers.room,
    "spot": numbers.spot,
    "order": numbers.order,
    "phone_number": numbers.phone_number,
    "plate": numbers.plate,
    "house_number": numbers.house_number,
    "time": numbers.clock_time,
    "car": _car,
    "bike": _bike,
    "phone": _phone,
    "password": made_up.password,
    "code": made_up.code,
    "book": _title(words.CLASSIC_BOOKS),
    "film": _title(words.CLASSIC_FILMS),
    "song": _title(words.CLASSIC_SONGS),
    "colour": listed(words.COLOURS),
    "eye_colour": listed(words.EYE_COLOURS),
    "language": listed(words.LANGUAGES),
    "allergy": listed(words.ALLERGIES),
    "hobby": listed(words.HOBBIES),
    "instrument": listed(words.INSTRUMENTS),
    "food": listed(words.FOODS),
    "drink": listed(words.DRINKS),
    "sport": listed(words.SPORTS),
    "season": listed(words.SEASONS),
    "animal": _plural(words.ANIMALS),
    "flower": _plural(words.FLOWERS),
    "game": listed(words.GAMES),
    "ice_cream": listed(words.ICE_CREAMS),
}
