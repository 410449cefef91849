"""Relations about the people and the animals around someone."""

from nestling.training.told_facts.relation import Relation, animal, person

_KIN_ASK = (("what do people call {poss} L", "what people call {poss} L"),)

PEOPLE: tuple[Relation, ...] = (
    person(
        "sister",
        [
            "{subj} {have|has} a sister called {v}",
            "{v} happens to be {poss} sister",
            "{subj} grew up with a sister called {v}",
            "{subj} {have|has} a sister and her name is {v}",
        ],
        _KIN_ASK,
        replaceable=False,
    ),
    person(
        "brother",
        [
            "{subj} {have|has} a brother called {v}",
            "{v} happens to be {poss} brother",
            "{subj} grew up with a brother named {v}",
            "{subj} {have|has} a brother and his name is {v}",
        ],
        _KIN_ASK,
        replaceable=False,
    ),
    person(
        "mother",
        ["{poss} mum is called {v}", "{v} is {poss} mum", "{poss} mom's name is {v}"],
        [("what is {poss} mum called", "what {poss} mum is called"), "{poss} mom's name"],
        replaceable=False,
    ),
    person(
        "father",
        ["{poss} dad is called {v}", "{v} is {poss} dad", "{poss} dad's name is {v}"],
        [("what is {poss} dad called", "what {poss} dad is called"), "{poss} dad's name"],
        replaceable=False,
    ),
    person(
        "partner",
        [
            "{subj} {am|is} married to {v}",
            "{subj} {live|lives} together with {v}, {poss} partner",
            "{subj} {am|is} in a relationship with {v}",
            "{subj} {have|has} a partner called {v}",
        ],
        [
            (
                "who {am|is} {subj} in a relationship with",
                "who {subj} {am|is} in a relationship with",
            ),
            ("who {am|is} {subj} married to", "who {subj} {am|is} married to"),
        ],
        ["{subj} {am|is} with {v} now", "{subj} married {v}"],
    ),
    person(
        "child",
        [
            "{subj} {have|has} a child called {v}",
            "{poss} kid is called {v}",
            "{v} is {poss} kid",
            "{subj} named {poss} child {v}",
        ],
        [
            ("what is {poss} kid called", "what {poss} kid is called"),
            ("what did {subj} name {poss} child", "what {subj} named {poss} child"),
        ],
        replaceable=False,
    ),
    person(
        "friend",
        [
            "{subj} {have|has} a friend called {v}",
            "{subj} {am|is} friends with {v}",
            "{v} and {subj} are friends",
            "{subj} made friends with {v}",
            "{subj} {have|has} a good friend named {v}",
        ],
        [
            ("who {am|is} {subj} friends with", "who {subj} {am|is} friends with"),
            ("who did {subj} make friends with", "who {subj} made friends with"),
        ],
        ["{subj} {am|is} friends with {v} now"],
    ),
    person(
        "colleague",
        [
            "{subj} {work|works} with a colleague called {v}",
            "{subj} {work|works} with {v}",
            "{subj} {share|shares} an office with {v}",
            "{subj} {have|has} a colleague named {v}",
        ],
        [
            ("who {do|does} {subj} work with", "who {subj} {work|works} with"),
            (
                "who {do|does} {subj} share an office with",
                "who {subj} {share|shares} an office with",
            ),
        ],
        ["{subj} now {work|works} with {v}"],
        kind="person_full",
    ),
    person(
        "manager",
        [
            "{subj} {report|reports} to {v}",
            "{poss} boss is called {v}",
            "{v} is {poss} boss",
            "{subj} {work|works} under {v}",
            "{v} manages {obj}",
        ],
        [
            ("who is {poss} boss", "who {poss} boss is"),
            ("who {do|does} {subj} report to", "who {subj} {report|reports} to"),
            ("who manages {obj}", "who manages {obj}"),
        ],
        ["{subj} {report|reports} to {v} now"],
        kind="person_full",
    ),
    person(
        "doctor",
        [
            "{subj} {see|sees} a doctor called {v}",
            "{subj} {have|has} a doctor named {v}",
            "{v} is the doctor {subj} {go|goes} to",
        ],
        [
            ("which doctor {do|does} {subj} see", "which doctor {subj} {see|sees}"),
            ("which doctor {do|does} {subj} go to", "which doctor {subj} {go|goes} to"),
        ],
        ["{subj} switched to a doctor called {v}"],
        kind="person_full",
    ),
    person(
        "dentist",
        [
            "{subj} {go|goes} to a dentist called {v}",
            "{v} is the dentist {subj} {see|sees}",
            "{subj} {have|has} a dentist named {v}",
        ],
        [("which dentist {do|does} {subj} see", "which dentist {subj} {see|sees}")],
        ["{subj} switched to a dentist called {v}"],
        kind="person_full",
    ),
    person(
        "teacher",
        [
            "{subj} {take|takes} lessons from {v}",
            "{v} teaches {obj}",
            "{subj} {have|has} a teacher called {v}",
        ],
        [
            ("who teaches {obj}", "who teaches {obj}"),
            ("who {do|does} {subj} take lessons from", "who {subj} {take|takes} lessons from"),
        ],
        ["{v} teaches {obj} now"],
        kind="person_full",
    ),
    person(
        "landlord",
        [
            "{subj} {rent|rents} from {v}",
            "{subj} {pay|pays} {poss} rent to {v}",
            "{v} owns the flat {subj} {rent|rents}",
        ],
        [
            ("who {do|does} {subj} rent from", "who {subj} {rent|rents} from"),
            ("who owns the flat {subj} {rent|rents}", "who owns the flat {subj} {rent|rents}"),
        ],
        ["{subj} {rent|rents} from {v} now"],
        kind="person_full",
    ),
    person(
        "coach",
        [
            "{v} coaches {obj}",
            "{subj} {train|trains} with {v}",
            "{subj} {have|has} a coach called {v}",
        ],
        [
            ("who coaches {obj}", "who coaches {obj}"),
            ("who {do|does} {subj} train with", "who {subj} {train|trains} with"),
        ],
        ["{v} coaches {obj} now"],
    ),
    person(
        "neighbour",
        [
            "{subj} {live|lives} next door to {v}",
            "{v} lives next door to {obj}",
            "{subj} {have|has} a neighbour called {v}",
        ],
        [
            ("who lives next door to {obj}", "who lives next door to {obj}"),
            ("who {do|does} {subj} live next door to", "who {subj} {live|lives} next door to"),
        ],
        ["{v} lives next door to {obj} now"],
    ),
    person(
        "cousin",
        ["{subj} {have|has} a cousin called {v}", "{subj} visited {poss} cousin {v}"],
        _KIN_ASK,
        replaceable=False,
    ),
    person(
        "aunt",
        ["{subj} {have|has} an aunt called {v}", "{subj} {have|has} an aunt named {v}"],
        _KIN_ASK,
        replaceable=False,
    ),
    person(
        "uncle",
        ["{subj} {have|has} an uncle called {v}", "{subj} {have|has} an uncle named {v}"],
        _KIN_ASK,
        replaceable=False,
    ),
    person(
        "hairdresser",
        [
            "{v} cuts {poss} hair",
            "{subj} {go|goes} to a hairdresser called {v}",
            "{subj} {have|has} {poss} hair cut by {v}",
        ],
        [("who cuts {poss} hair", "who cuts {poss} hair")],
        ["{v} cuts {poss} hair now"],
    ),
    person(
        "lawyer",
        [
            "{subj} hired a lawyer called {v}",
            "{subj} {have|has} a lawyer named {v}",
            "{v} is the lawyer {subj} hired",
        ],
        [("which lawyer did {subj} hire", "which lawyer {subj} hired")],
        ["{subj} hired a new lawyer called {v}"],
        kind="person_full",
    ),
)

ANIMALS: tuple[Relation, ...] = (
    animal(
        "dog",
        [
            "{subj} {walk|walks} {poss} dog {v} every morning",
            "{subj} adopted a dog called {v}",
            "{v} is the name of {poss} dog",
            "{poss} puppy is called {v}",
        ],
        [("what is {poss} puppy called", "what {poss} puppy is called")],
    ),
    animal(
        "cat",
        [
            "{subj} adopted a cat called {v}",
            "{poss} kitten is called {v}",
            "{subj} {live|lives} with a cat named {v}",
        ],
        [("what is {poss} kitten called", "what {poss} kitten is called")],
    ),
    animal(
        "horse",
        ["{subj} {ride|rides} a horse called {v}", "{v} is the horse {subj} {ride|rides}"],
        [("which horse {do|does} {subj} ride", "which horse {subj} {ride|rides}")],
    ),
    animal(
        "pet fish",
        ["{subj} {keep|keeps} a pet fish called {v}", "the fish in {poss} tank is called {v}"],
        [("what is the fish in {poss} tank called", "what the fish in {poss} tank is called")],
    ),
    animal(
        "parrot",
        ["{subj} taught {poss} parrot {v} to whistle", "{subj} {keep|keeps} a parrot called {v}"],
    ),
    animal(
        "rabbit",
        ["{subj} {keep|keeps} a rabbit called {v}", "{poss} bunny is called {v}"],
        [("what is {poss} bunny called", "what {poss} bunny is called")],
    ),
)
