"""Small talk: sentences that tell no personal fact and ask for none."""

from __future__ import annotations

from itertools import product

from nestling.training.told_facts.splits import partition

_TEMPLATES: tuple[tuple[str, ...], ...] = (
    (
        "{}{}",
        "Hello|Hi|Hey|Good morning|Good evening|Hi there|Good afternoon",
        "!|, how are you?|, nice to see you.|, how is it going?|.",
    ),
    (
        "{}",
        "How are you?|How are you doing today?|What's up?|How was your day?|Are you there?|"
        "Did you sleep well?|Are you busy?|What's new?",
    ),
    (
        "{}{}",
        "Thanks|Thank you|Many thanks|Thanks a lot",
        "!|, that helps.|, that was quick.|, you are kind.|.",
    ),
    (
        "{}",
        "Good night!|See you tomorrow!|Bye for now.|Talk to you later.|Have a nice day!|"
        "Goodbye!|See you soon.|Take care!",
    ),
    (
        "{}",
        "Okay.|Sure.|I see.|Got it.|That makes sense.|Never mind.|No problem.|Sounds good.|"
        "Great!|Wonderful!|Interesting.|Hmm, let me think.|Really?|That's funny.|Wow!|Yes.|"
        "No.|Maybe.|All right.|Of course.",
    ),
    ("What's the weather like {}?", "today|tomorrow|outside|this weekend|right now"),
    (
        "It is {} today.",
        "raining|really cold|very hot|windy|foggy|snowing|so sunny|quite cloudy|a bit grey",
    ),
    ("{} is nice this time of year.", "The weather|The light|A long walk|The countryside|The sea"),
    ("I think it will {} later.", "rain|snow|clear up|get warmer|be windy"),
    (
        "What is the capital of {}?",
        "France|Japan|Peru|Canada|Kenya|Norway|Egypt|Brazil|Portugal|Thailand",
    ),
    (
        "How {} is {}?",
        "tall|old|far away|big|heavy",
        "the Eiffel Tower|the moon|Mount Everest|an oak tree",
    ),
    (
        "Can you {}?",
        "help me with something|tell me a joke|write a short poem|explain gravity|"
        "count to ten|recommend a walk|translate a sentence|check my spelling|sing|"
        "keep a secret|make a list|summarise a text",
    ),
    (
        "Tell me {}.",
        "a joke|a story|something funny|an interesting fact about whales|about the Romans|"
        "how rainbows form|a riddle|something about space",
    ),
    (
        "I {} today.",
        "slept badly|feel great|am a bit tired|had a long walk|feel lazy|have so much to do|"
        "am in a good mood|missed breakfast",
    ),
    (
        "The {} was {}.",
        "film last night|meeting this morning|train|soup|concert|lecture|game yesterday",
        "great|terrible|late|too long|surprisingly good|a bit boring",
    ),
    (
        "Why {}?",
        "is the sky blue|do cats purr|do leaves fall|is the sea salty|do we dream|do birds sing",
    ),
    (
        "How do I {}?",
        "boil an egg|tie a bow tie|fix a flat tyre|remove a stain|write a good letter|"
        "fall asleep faster|bake bread",
    ),
    (
        "What do you think about {}?",
        "modern art|the news|early mornings|long trips|robots|paper books|winter sports|loud music",
    ),
    (
        "Who {}?",
        "wrote Hamlet|painted the Mona Lisa|invented the telephone|discovered penicillin|"
        "built the pyramids|won the last World Cup",
    ),
    (
        "I am {}.",
        "just testing|only joking|not sure|back|ready|listening|so happy today|a little late",
    ),
    (
        "Let's {}.",
        "get started|talk about something else|take a break|try again|move on|see what happens",
    ),
    (
        "{} are {}.",
        "Mondays|Long queues|Good books|Old houses|Rainy days|Surprises",
        "the best|overrated|a mystery|fine|wonderful|tiring",
    ),
    (
        "My {}.",
        "head hurts a little|day was long|tea is getting cold|computer is slow today|"
        "back is sore|weekend was quiet",
    ),
    (
        "Do you {}?",
        "like music|ever sleep|enjoy talking|know any riddles|believe in luck|"
        "speak to many people|like jokes|dream",
    ),
    (
        "Someone {}.",
        "left the window open|is singing outside|rang the bell|ate all the biscuits|"
        "forgot an umbrella",
    ),
    (
        "There is {}.",
        "a lot of traffic today|a nice smell in the kitchen|nothing on television|"
        "a storm coming|a spider on the wall",
    ),
    ("You are {}.", "very helpful|funny|quick|too kind|a good listener"),
    ("I {} that.", "like|agree with|did not expect|never thought about|love|wonder about"),
    (
        "I have {}.",
        "a question|an idea|no time right now|a lot on my mind|nothing to add|a headache",
    ),
    (
        "What {}?",
        "time is it|can you do|should we talk about|is two plus two|makes a good story|"
        "happened in 1969|is a black hole|does a beekeeper do",
    ),
    ("{} walked into a bar.", "A horse|Two penguins|A ghost|A programmer"),
    (
        "This {} is {}.",
        "song|cake|puzzle|chair|idea|book",
        "lovely|strange|quite hard|better than expected",
    ),
)


def _sentences() -> tuple[str, ...]:
    texts = (
        template.format(*fillers)
        for template, *slots in _TEMPLATES
        for fillers in product(*(slot.split("|") for slot in slots))
    )
    return tuple(dict.fromkeys(texts))


_ALL = _sentences()
SMALL_TALK: dict[str, tuple[str, ...]] = partition("small talk", _ALL, _ALL)
