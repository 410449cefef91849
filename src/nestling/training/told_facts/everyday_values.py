"""Kinds of values that everyday facts have beside those of `values`: times, places, tastes, marks.

Unlike those, some hold marks: "Dr. Moss", "7:45", "ada@example.org", "€450".
"""

from __future__ import annotations

import random

from nestling.training.told_facts import everyday_words as words
from nestling.training.told_facts import made_up, numbers
from nestling.training.told_facts.values import Draw, listed
from nestling.training.told_facts.word_lists import (
    COUNTRIES,
    FIRST_NAMES,
    MONTHS,
    STREET_KINDS,
    STREET_STEMS,
    SURNAMES,
    WEEKDAYS,
)

_ENDINGS = ("com", "org", "net", "de", "co.uk", "io", "edu", "fr", "es", "dev", "eu", "info")
_HOSTS = ("example", "mail", "post", "inbox", "home", "work", "uni", "web", "letters", "hello")


def titled_person(rng: random.Random) -> str:
    """A person with a title, mostly with its full stop: "Dr. Moss", "Prof. Ada King"."""
    title = rng.choice(("Dr", "Mr", "Mrs", "Ms", "Dr", "Mr", "Mrs", "Prof", "Miss", "Father"))
    stop = "." if title not in ("Miss", "Father") and rng.random() < 0.75 else ""
    family = rng.choice(SURNAMES) if rng.random() < 0.5 else made_up.name(rng, 2)
    first = rng.choice(FIRST_NAMES) + " " if rng.random() < 0.2 else ""
    return f"{title}{stop} {first}{family}"


def _local_part(rng: random.Random) -> str:
    name = rng.choice(FIRST_NAMES).lower() if rng.random() < 0.6 else made_up.word(rng, 2)
    pick = rng.random()
    if pick < 0.3:
        return name
    if pick < 0.6:
        return f"{name}{rng.choice('._-')}{rng.choice(SURNAMES).lower()}"
    if pick < 0.85:
        return f"{name}{rng.randint(1, 1999)}"
    return f"{name[0]}.{rng.choice(SURNAMES).lower()}"


def _host(rng: random.Random) -> str:
    host = rng.choice(_HOSTS) if rng.random() < 0.4 else made_up.word(rng, 2)
    return f"{host}.{rng.choice(_ENDINGS)}"


def email(rng: random.Random) -> str:
    """An e-mail address."""
    return f"{_local_part(rng)}@{_host(rng)}"


def website(rng: random.Random) -> str:
    """An address in the web."""
    return rng.choice(("www.", "", "", "https://")) + _host(rng)


def telephone(rng: random.Random) -> str:
    """A telephone number as people write them: "0171 555 0192", "+49 171 5550192"."""
    first, last = made_up.digits(rng, 3), made_up.digits(rng, rng.randint(3, 4))
    area = made_up.digits(rng, rng.randint(2, 4))
    return rng.choice(
        (
            f"0{area} {first} {last}",
            f"0{area} {first}{last}",
            f"+{rng.randint(1, 99)} {area} {first}{last}",
            f"{first}-{last}",
            f"({area}) {first}-{last}",
            f"0{area}/{first}{last}",
        )
    )


def amount_money(rng: random.Random) -> str:
    """An amount of money: "€450", "$9.99", "12 euros"."""
    whole = rng.choice((rng.randint(2, 99), rng.randint(100, 999), 50 * rng.randint(20, 200)))
    text = f"{whole:,}" if whole > 999 and rng.random() < 0.5 else str(whole)
    if rng.random() < 0.3:
        text += f".{rng.choice(('50', '99', '95', f'{rng.randint(10, 99)}'))}"
    pick = rng.random()
    if pick < 0.5:
        return rng.choice("€$£") + text
    return f"{text} {rng.choice(('euros', 'dollars', 'pounds', 'francs', 'euros a month'))}"


def measure(rng: random.Random) -> str:
    """A number with its unit: "70 kg", "1.83 m"."""
    unit = rng.choice(
        ("kg", "kilos", "m", "cm", "metres", "km", "miles", "litres", "grams", "pounds", "degrees")
        + ("feet", "square metres", "hours", "minutes", "weeks", "°C", "hours a week", "ml", "GB")
    )
    number = f"{rng.randint(1, 99)}.{rng.randint(1, 99)}" if rng.random() < 0.3 else None
    joint = "" if unit in ("kg", "cm", "km", "m", "°C", "GB") and rng.random() < 0.3 else " "
    return f"{number or rng.randint(2, 400)}{joint}{unit}"


def percent(rng: random.Random) -> str:
    """A percentage."""
    number = rng.choice((str(rng.randint(1, 99)), f"{rng.randint(0, 20)}.{rng.randint(1, 9)}"))
    return number + rng.choice(("%", " percent", " per cent"))


def year(rng: random.Random) -> str:
    """A year in digits."""
    return str(rng.randint(1930, 2035))


def iso_date(rng: random.Random) -> str:
    """A date with its year: "2026-05-14", "14/05/2026", "14 May 2026"."""
    day, month, year_ = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1940, 2032)
    return rng.choice(
        (
            f"{year_}-{month:02}-{day:02}",
            f"{day:02}/{month:02}/{year_}",
            f"{day}.{month}.{year_}",
            f"{day} {MONTHS[month - 1]} {year_}",
            f"{MONTHS[month - 1]} {day}, {year_}",
        )
    )


def count(rng: random.Random) -> str:
    """A small number, in words or digits."""
    number = rng.randint(2, 14)
    return numbers.number_in_words(number) if rng.random() < 0.6 else str(number)


def blood_type(rng: random.Random) -> str:
    """A blood type."""
    group = rng.choice(("A", "B", "AB", "O"))
    return group + rng.choice(
        ("+", "-", " positive", " negative", " pos", " neg", " rhesus negative")
    )


def clothes_size(rng: random.Random) -> str:
    """A size of clothes."""
    if rng.random() < 0.5:
        return rng.choice(("XS", "S", "M", "L", "XL", "XXL", "small", "medium", "large"))
    return rng.choice((str(rng.randint(28, 60)), f"{rng.randint(28, 40)}/{rng.randint(28, 36)}"))


def ip(rng: random.Random) -> str:
    """An address in a network."""
    return ".".join(str(rng.randint(1, 254)) for _ in range(4))


def version(rng: random.Random) -> str:
    """A number of a version."""
    return ".".join(str(rng.randint(0, 15)) for _ in range(rng.randint(2, 3)))


def clock(rng: random.Random) -> str:
    """A time of day, mostly in digits: "7:45", "3 pm", "half past six"."""
    pick, minute = rng.random(), rng.choice((0, 5, 10, 15, 20, 30, 30, 40, 45, 50))
    if pick < 0.3:
        return f"{rng.randint(0, 23)}:{minute:02}"
    if pick < 0.45:
        return f"{rng.randint(1, 12)}:{minute:02} {rng.choice(('am', 'pm', 'a.m.', 'p.m.'))}"
    if pick < 0.65:
        return f"{rng.randint(1, 12)}{rng.choice((' am', ' pm', 'am', 'pm'))}"
    if pick < 0.72:
        return rng.choice(("noon", "midnight", "midday", "lunchtime", "dawn"))
    return numbers.clock_time(rng)


def day(rng: random.Random) -> str:
    """A day: "Thursday", "next Friday", "tomorrow", "the 14th"."""
    pick = rng.random()
    if pick < 0.45:
        return rng.choice(WEEKDAYS)
    if pick < 0.6:
        return f"{rng.choice(('next', 'this', 'the coming'))} {rng.choice(WEEKDAYS)}"
    if pick < 0.7:
        return f"the {numbers.ordinal(rng.randint(1, 31))}"
    if pick < 0.9:
        return numbers.date(rng)
    return f"{rng.choice(WEEKDAYS)} {rng.choice(('morning', 'afternoon', 'evening', 'night'))}"


def days(rng: random.Random) -> str:
    """Days that come again: "Mondays", "every second Saturday"."""
    one, pick = rng.choice(WEEKDAYS), rng.random()
    if pick < 0.45:
        return one + "s"
    if pick < 0.6:
        return rng.choice(("weekdays", "weekends", "weekday mornings", "Sunday evenings"))
    if pick < 0.8:
        return f"{one}s and {rng.choice(WEEKDAYS)}s"
    return f"{one} {rng.choice(('mornings', 'evenings', 'afternoons', 'nights'))}"


def day_time(rng: random.Random) -> str:
    """A day with its time: "Thursday at 3 pm"."""
    return f"{day(rng)} {rng.choice(('at', 'at', 'at', 'around', 'from'))} {clock(rng)}"


def month(rng: random.Random) -> str:
    """A month or a season."""
    pick = rng.random()
    if pick < 0.6:
        return rng.choice(MONTHS)
    if pick < 0.8:
        return f"{rng.choice(('early', 'late', 'mid'))} {rng.choice(MONTHS)}"
    return rng.choice(("spring", "summer", "autumn", "winter", "the spring", "the summer"))


def place_phrase(rng: random.Random) -> str:
    """Where a thing is, with its preposition: "under the flower pot"."""
    pick = rng.random()
    whose = rng.choice(("the", "the", "the", "my", "our"))
    if pick < 0.4:
        return f"{rng.choice(('in', 'in', 'in', 'inside'))} {whose} {rng.choice(words.CONTAINERS)}"
    if pick < 0.6:
        return f"on {whose} {rng.choice(words.SURFACES)}"
    if pick < 0.85:
        near = ("under", "behind", "next to", "beside", "on top of", "above", "in front of", "by")
        return f"{rng.choice(near)} {whose} {rng.choice(words.LANDMARKS)}"
    if pick < 0.93:
        return f"at {rng.choice(words.PLACES_AT)}"
    noun, inner = rng.choice(words.NOUNS), rng.choice(words.CONTAINERS + words.SURFACES)
    return f"{rng.choice(('in', 'on'))} the {noun} {rng.choice(('in', 'near'))} the {inner}"


def parking_phrase(rng: random.Random) -> str:
    """Where a car stands, without its preposition: "level 4", "Mill Lane"."""
    pick = rng.random()
    if pick < 0.35:
        floor = rng.choice(("level", "floor", "deck", "row", "bay", "zone", "section", "space"))
        return f"{floor} {rng.choice((str(rng.randint(-3, 40)), made_up.letters(rng, 1)))}"
    if pick < 0.5:
        return f"the {rng.choice(('first', 'second', 'third', 'fourth', 'top', 'lower'))} " + (
            rng.choice(("floor", "level", "row", "deck"))
        )
    if pick < 0.75:
        return f"{rng.choice(STREET_STEMS)} {rng.choice(STREET_KINDS)}"
    return f"{made_up.letters(rng, 1)}{rng.randint(1, 99)}"


def parking_place(rng: random.Random) -> str:
    """Where a car or a bike stands, with its preposition: "on level 4", "outside the library"."""
    pick = rng.random()
    if pick < 0.5:
        return f"{rng.choice(('on', 'in', 'on', 'at'))} {parking_phrase(rng)}"
    near = rng.choice(("outside", "behind", "in front of", "next to", "near", "opposite", "by"))
    if pick < 0.85:
        return f"{near} {rng.choice(('the', 'the', 'our', 'my'))} {rng.choice(words.BUILDINGS)}"
    return f"{near} {rng.choice(words.PLACES_AT)}"


def weekday(rng: random.Random) -> str:
    """A day of the week."""
    return rng.choice(WEEKDAYS)


def hours(rng: random.Random) -> str:
    """From when to when: "8 to 12", "9:00-17:30", "2 pm to 6 pm"."""
    first, last, pick = rng.randint(5, 12), rng.randint(1, 11), rng.random()
    if pick < 0.3:
        return f"{first} to {last}"
    if pick < 0.55:
        joint = rng.choice(("-", " - ", " to "))
        return f"{first}:{rng.choice(('00', '30', '15'))}{joint}{last + 12}:00"
    if pick < 0.8:
        return f"{first} am {rng.choice(('to', 'until', '-'))} {last} pm"
    return f"{numbers.clock_time(rng)} to {numbers.clock_time(rng)}"


def height(rng: random.Random) -> str:
    """How tall somebody is: "1.83 m", "six foot two"."""
    pick = rng.random()
    if pick < 0.35:
        return f"1.{rng.randint(40, 99)}{rng.choice((' m', 'm', ' metres', ''))}"
    if pick < 0.65:
        return f"{rng.randint(140, 205)}{rng.choice((' cm', 'cm', ' centimetres'))}"
    foot, inch = rng.choice(("five", "six")), numbers.number_in_words(rng.randint(1, 11))
    return rng.choice((f"{foot} foot {inch}", f"5'{rng.randint(1, 11)}", f"{foot} feet {inch}"))


def weight(rng: random.Random) -> str:
    """How heavy somebody is: "70 kg", "11 stone"."""
    if rng.random() < 0.2:
        return f"{rng.randint(7, 16)} stone"
    number = str(rng.randint(40, 130)) + rng.choice(("", "", f".{rng.randint(1, 9)}"))
    return number + rng.choice((" kg", "kg", " kilos", " pounds", " kilograms"))


def floor(rng: random.Random) -> str:
    """A floor of a house: "third floor", "ground floor"."""
    high = ("ground", "first", "second", "third", "fourth", "fifth", "sixth", "top", "lower", "9th")
    return f"{rng.choice(high)} floor"


def purchase(rng: random.Random) -> str:
    """Something to save for, with its article: "a new car", "a trip to Japan"."""
    pick = rng.random()
    if pick < 0.4:
        return f"a new {rng.choice(words.NOUNS)}"
    if pick < 0.6:
        return f"a {rng.choice(('trip', 'holiday', 'journey'))} to {rng.choice(COUNTRIES)}"
    big = ("a house", "a wedding", "a car", "a flat", "a motorbike", "an electric guitar", "a boat")
    return rng.choice(
        (*big, "solar panels", "a piano", "my studies", "a garden", "a sewing machine")
    )


def collectible(rng: random.Random) -> str:
    """Things that people collect: "stamps", "old coins"."""
    some = rng.choice(words.COLLECTED)
    old = ("old", "rare", "tiny", "glass", "foreign", "wooden", "broken")
    return f"{rng.choice(old)} {some}" if rng.random() < 0.3 else some


def party(rng: random.Random) -> str:
    """A political party."""
    what = rng.choice(("Green", "Labour", "Liberal", "Pirate", "People's", made_up.name(rng, 2)))
    return f"{what} Party" if rng.random() < 0.8 else rng.choice(("Greens", "Liberals", "Labour"))


def club(rng: random.Random) -> str:
    """A club: "Omlo Rowing Club"."""
    stem = made_up.name(rng, 2) if rng.random() < 0.5 else rng.choice(STREET_STEMS)
    sort = ("Rowing", "Chess", "Tennis", "Sailing", "Bridge", "Running", "Book", "Swimming", "Judo")
    return f"{stem} {rng.choice(sort)} Club"


def medicine(rng: random.Random) -> str:
    """A medicine, made up in part, sometimes with its dose."""
    name = rng.choice(words.MEDICINES) if rng.random() < 0.6 else made_up.word(rng, 3)
    return f"{name} {rng.randint(1, 50) * 10} mg" if rng.random() < 0.2 else name


def phrase(rng: random.Random) -> str:
    """Two to four words that belong together."""
    pick, noun = rng.random(), rng.choice(words.NOUNS)
    if pick < 0.45:
        return f"{rng.choice(words.ADJECTIVES)} {noun}"
    if pick < 0.6:
        return f"{noun} {rng.choice(words.NOUNS)}"
    if pick < 0.75:
        return f"{rng.choice(words.ADJECTIVES)} {rng.choice(words.ADJECTIVES)} {noun}"
    if pick < 0.9:
        return (
            f"{noun} {rng.choice(('and', 'with', 'of', 'in', 'without'))} {rng.choice(words.NOUNS)}"
        )
    return f"the {rng.choice(words.ADJECTIVES)} {noun}"


EVERYDAY_KINDS: dict[str, Draw] = {
    "titled_person": titled_person,
    "email": email,
    "website": website,
    "telephone": telephone,
    "amount_money": amount_money,
    "measure": measure,
    "percent": percent,
    "year": year,
    "iso_date": iso_date,
    "count": count,
    "blood_type": blood_type,
    "clothes_size": clothes_size,
    "ip": ip,
    "version": version,
    "clock": clock,
    "day": day,
    "days": days,
    "day_time": day_time,
    "month": month,
    "place_phrase": place_phrase,
    "parking_phrase": parking_phrase,
    "parking_place": parking_place,
    "weekday": weekday,
    "hours": hours,
    "height": height,
    "weight": weight,
    "floor": floor,
    "purchase": purchase,
    "collectible": collectible,
    "party": party,
    "club": club,
    "medicine": medicine,
    "phrase": phrase,
    "noun": listed(words.NOUNS),
    "adjective": listed(words.ADJECTIVES),
    "gerund": listed(words.GERUNDS),
    "music": listed(words.MUSIC),
    "studies": listed(words.STUDIES),
    "illness": listed(words.ILLNESSES),
    "diet": listed(words.DIETS),
    "coffee_way": listed(words.COFFEE_WAYS),
    "tea_way": listed(words.TEA_WAYS),
    "transport": listed(words.TRANSPORT),
    "nationality": listed(words.NATIONALITIES),
    "religion": listed(words.RELIGIONS),
    "star_sign": listed(words.STAR_SIGNS),
    "topping": listed(words.TOPPINGS),
}
