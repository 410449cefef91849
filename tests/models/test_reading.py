"""What a model reads of a turn: plain words, whole sentences, people by what they are."""

import pytest

from nestling.models.bundle import load_bundle
from nestling.models.denial import is_asked_of_memory, may_ask, names_something
from nestling.models.dialogue import Note
from nestling.models.reading import points_back, read_sentences, readable
from nestling.models.restate import restate
from nestling.models.sentences import sentences

WRAPPED = (
    "A page was not as wide as what somebody had to say, so that it\nsays the rest in the next."
)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("My dog is called “Pixel” 🐶!", "My dog is called Pixel!"),
        ("My cat's name is 🐱Mittens🐱.", "My cat's name is Mittens."),
        ("I ❤️ .NET", "I .NET"),
        ('He said "I live in Rome".', 'He said "I live in Rome".'),
        ("MY DOG IS CALLED PIXEL.", "My dog is called pixel."),
        ("MY CODE IS ZX-81 AND I'M IN", "My code is ZX-81 and I'm in"),
        ("USB C", "USB C"),
        ("My mom and our late gran met.", "My mum and our late grandmother met."),
        ("My mommy's nan", "My mum's nan"),
        ("The nan bread is here.", "The nan bread is here."),
        ("New\u202fYork", "New York"),
        ("Stratford\u2011upon\u2011Avon, e\u200bx\u00ad", "Stratford-upon-Avon, ex"),
    ],
)
def test_words_and_marks_are_those_of_training(text, read):
    assert readable(text) == readable(read) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("My sister is Ana. She's a nurse.", ["My sister is Ana.", "My sister is a nurse."]),
        ("My boss is Bo. He's got a cat.", ["My boss is Bo.", "My boss has got a cat."]),
        ("Ana lives in Porto. Her dog is Rex.", ["Ana lives in Porto.", "Ana's dog is Rex."]),
        ("I have a dog. And he barks.", ["I have a dog.", "My dog barks."]),
        ("My son is Leo and he is six.", ["My son is Leo", "My son is six."]),
        ("My gran is 80. But she swims.", ["My grandmother is 80.", "But my grandmother swims."]),
        # One of two, somebody of the other kind, or nobody at all.
        ("My dad and my uncle met. He left.", ["My dad and my uncle met.", "He left."]),
        ("My sister has a dog. He is three.", ["My sister has a dog.", "He is three."]),
        ("My sister rang. He left.", ["My sister rang.", "He left."]),
        ("I met a man and he was kind.", ["I met a man and he was kind."]),
        ("This is odd. He left.", ["This is odd.", "He left."]),
        ("My wife and her dog came.", ["My wife and her dog came."]),
    ],
)
def test_he_and_she_are_who_was_spoken_of_last(text, read):
    assert read_sentences(text) == read


def test_what_points_back_needs_what_was_said_before():
    assert points_back("His name is Rex.") and points_back("I like it.")
    assert not points_back("My name is Rex.") and not points_back("The hit was here.")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("My dog is Rex\nMy cat is Tom", ["My dog is Rex", "My cat is Tom"]),
        ("- milk\n- eggs", ["milk", "eggs"]),
        ("My dog is\ncalled Rex. Hi", ["My dog is called Rex.", "Hi"]),
        ("I like tea,\nand Rome", ["I like tea, and Rome"]),
        (WRAPPED, [WRAPPED.replace("\n", " ")]),
        ("I am 8. My dog is Rex.", ["I am 8.", "My dog is Rex."]),
        ("1. Milk. 2. Eggs.", ["1. Milk.", "2. Eggs."]),
        ("\n\n", [""]),
    ],
)
def test_a_line_ends_a_sentence_unless_it_goes_on(text, parts):
    assert sentences(text) == parts


@pytest.mark.parametrize(
    ("text", "key", "value", "names"),
    [
        ("My dog is called Rex.", "my dog", "Rex", True),
        ("The Who is my favourite band.", "my favourite band", "The Who", True),
        ("My favourite film is It.", "my favourite film", "It", True),
        ("My blood type is A.", "my blood type", "A", True),
        ("I live in Ohio.", "my city", "in", False),
        ("I live in Ohio.", "my city", "I live in", False),
        ("My father lives in Ohio.", "my father's city", "father", False),
        ("Thanks, Rex is great.", "Rex's age", "Rex", False),
        ("Thank you.", "my dog", "Thank", False),
        ("Max! 🐶", "my dog", "!", False),
        ("My daughter is Lucy and she is six.", "my daughter", "Lucy and she", False),
    ],
)
def test_a_value_names_something(text, key, value, names):
    assert names_something(text, Note(key, value)) is names


def test_what_may_ask_is_told_from_what_tells():
    for asks in ("Rex?", "Please tell me where I live.", "I've forgotten my code.", "Who is it"):
        assert may_ask(asks)
    for tells in ("My dog is Rex.", "I live where Ana lives.", "I told you."):
        assert not may_ask(tells)
    assert is_asked_of_memory("Who is Pixel?") and not is_asked_of_memory("How are you?")


@pytest.fixture(scope="module")
def bundle():
    return load_bundle(None)


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        (
            "My name is Carla. I live in Oslo. I work at Shell.",
            ["my name: Carla", "my city: Oslo", "my employer: Shell"],
        ),
        (
            "I'm allergic to cats. My mom is allergic to nuts.",
            ["my allergy: cats", "my mum's allergy: nuts"],
        ),
        (
            "I live in Oslo. My sister is called Ana. She lives in Porto.",
            ["my city: Oslo", "my sister: Ana", "my sister's city: Porto"],
        ),
        ("I have a dog. His name is Rex.", ["my dog: Rex"]),
        ('My brother\'s name is "Bob".', ["my brother: Bob"]),
        ("MY DOG IS CALLED PIXEL.", ["my dog: pixel"]),
        ("I met her dad. She is allergic to nuts.", []),
        ("I am not allergic to nuts. There's no dog called Rex.", []),
    ],
)
def test_the_embedded_model_notes_what_is_told(bundle, text, notes):
    read = restate(bundle.model, bundle.dialogue, [text], asking=False)[0]
    assert [str(note) for note in read.notes] == notes
