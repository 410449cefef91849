"""Dates, numbers and codes as values: each function draws one."""

from __future__ import annotations

import random

from nestling.training.told_facts import made_up
from nestling.training.told_facts import word_lists as words

_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def number_in_words(number: int) -> str:
    """A number from 1 to 99 in words: 34 -> "thirty-four"."""
    if number < 10:
        return _ONES[number - 1]
    if number < 20:
        return _TEENS[number - 10]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_ONES[ones - 1]}" if ones else "")


def ordinal(day: int) -> str:
    """A day of a month: 3 -> "3rd"."""
    return f"{day}{'th' if 10 < day < 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"


def date(rng: random.Random) -> str:
    """A day of the year: "14 March", "the 3rd of May"."""
    day, month, pick = rng.randint(1, 28), rng.choice(words.MONTHS), rng.randrange(4)
    if pick == 0:
        return f"{month} {day}"
    if pick == 1:
        return f"the {ordinal(day)} of {month}"
    return f"{month} {ordinal(day)}" if pick == 2 else f"{day} {month}"


def meeting_day(rng: random.Random) -> str:
    """A weekday with its time or its rhythm."""
    day, pick = rng.choice(words.WEEKDAYS), rng.random()
    if pick < 0.15:
        return day
    if pick < 0.5:
        return f"{day} {rng.choice(('morning', 'afternoon', 'evening', 'at noon', 'lunchtime'))}"
    if pick < 0.65:
        return f"every {rng.choice(('second', 'other', 'third'))} {day}"
    if pick < 0.8:
        return f"the {rng.choice(('first', 'second', 'third', 'last'))} {day} of the month"
    return f"{day} at {rng.choice(_ONES + _TEENS[:2])}"


def age(rng: random.Random) -> str:
    """An age in years, in digits or words."""
    age = rng.randint(4, 98)
    return number_in_words(age) if rng.random() < 0.3 else str(age)


def small_number(rng: random.Random) -> str:
    """A number up to 999."""
    pick = rng.random()
    return (
        number_in_words(rng.randint(2, 99))
        if pick < 0.3
        else str(rng.randint(2, 99 if pick < 0.7 else 999))
    )


def shoe_size(rng: random.Random) -> str:
    """A shoe size, with or without its system."""
    pick = rng.random()
    if pick < 0.4:
        return str(rng.randint(19, 52))
    if pick < 0.6:
        return f"{rng.randint(3, 50)} and a half"
    size = rng.randint(3, 14) if rng.random() < 0.6 else rng.randint(34, 50)
    return f"{rng.choice(('UK', 'EU', 'US'))} {size}"


def flight(rng: random.Random) -> str:
    """A flight number: "QR 1182"."""
    return made_up.letters(rng, 2) + rng.choice((" ", "")) + made_up.digits(rng, rng.randint(3, 4))


def train(rng: random.Random) -> str:
    """A train number: "IC 732"."""
    return (
        rng.choice(("IC", "ICE", "RE", "EC", "TGV", "R", "S"))
        + " "
        + made_up.digits(rng, rng.randint(2, 4))
    )


def seat(rng: random.Random) -> str:
    """A seat: "14C"."""
    if rng.random() < 0.7:
        return f"{rng.randint(1, 60)}{rng.choice('ABCDEFHK')}"
    return f"{made_up.letters(rng, 1)}{rng.randint(1, 40)}"


def bus(rng: random.Random) -> str:
    """A bus line: "N7"."""
    pick = rng.random()
    if pick < 0.4:
        return str(rng.randint(2, 399))
    return (
        f"{rng.choice('NXEMSB')}{rng.randint(1, 99)}"
        if pick < 0.8
        else f"{rng.randint(1, 99)}{rng.choice('AB')}"
    )


def room(rng: random.Random) -> str:
    """A room number: "B12"."""
    return (
        made_up.digits(rng, 3)
        if rng.random() < 0.6
        else made_up.letters(rng, 1) + made_up.digits(rng, 2)
    )


def spot(rng: random.Random) -> str:
    """A parking spot: "C-14"."""
    pick = rng.random()
    if pick < 0.5:
        return made_up.letters(rng, 1) + made_up.digits(rng, 2)
    return (
        f"{made_up.letters(rng, 1)}-{rng.randint(1, 99)}" if pick < 0.75 else made_up.digits(rng, 3)
    )


def order(rng: random.Random) -> str:
    """An order or badge number: "A-20391"."""
    pick = rng.random()
    if pick < 0.5:
        return f"{made_up.letters(rng, rng.randint(1, 2))}-{made_up.digits(rng, 5)}"
    return (
        made_up.digits(rng, rng.randint(5, 6))
        if pick < 0.8
        else f"{made_up.digits(rng, 4)}-{made_up.letters(rng, 1)}"
    )


def phone_number(rng: random.Random) -> str:
    """A telephone number in groups."""
    groups = (made_up.digits(rng, count) for count in (2, 3, rng.randint(3, 4)))
    return "0" + " ".join(groups)


def plate(rng: random.Random) -> str:
    """A licence plate."""
    if rng.random() < 0.5:
        return f"{made_up.letters(rng, 2)}{made_up.digits(rng, 2)} {made_up.letters(rng, 3)}"
    return f"{made_up.letters(rng, 2)}-{made_up.digits(rng, 3)}-{made_up.letters(rng, 1)}"


def house_number(rng: random.Random) -> str:
    """A house number: "12b"."""
    return str(rng.randint(1, 299)) + (rng.choice("abcd") if rng.random() < 0.2 else "")


def clock_time(rng: random.Random) -> str:
    """A time of day in words."""
    hour, pick = rng.choice(_ONES[3:] + _TEENS[:3]), rng.randrange(5)
    if pick == 0:
        return f"{rng.randint(4, 11)} {rng.choice(('am', 'in the morning'))}"
    if pick == 1:
        return f"{hour} {rng.choice(('fifteen', 'thirty', 'forty-five', 'twenty', 'ten'))}"
    if pick == 2:
        before = ("half past", "quarter past", "quarter to", "ten past", "ten to")
        return f"{rng.choice(before)} {hour}"
    return (
        f"{hour} o'clock"
        if pick == 3
        else f"{rng.choice(('five', 'twenty'))} {rng.choice(('to', 'past'))} {hour}"
    )
