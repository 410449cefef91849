"""Relations about what someone likes best."""

from nestling.training.told_facts.relation import Relation, favourite

FAVOURITES: tuple[Relation, ...] = (
    favourite(
        "colour",
        "colour",
        ["{subj} painted the bedroom {v}, {poss} favourite colour"],
        plural="colours",
    ),
    favourite(
        "food",
        "food",
        [
            "{subj} could eat {v} every day, it is {poss} favourite food",
            "there is nothing {subj} would rather eat than {v}",
        ],
        [("what {do|does} {subj} like to eat most", "what {subj} {like|likes} to eat most")],
        plural="foods",
    ),
    favourite(
        "drink",
        "drink",
        [
            "there is nothing {subj} would rather drink than {v}",
            "{subj} always {order|orders} {v}, {poss} favourite drink",
        ],
        [("what {do|does} {subj} like to drink most", "what {subj} {like|likes} to drink most")],
        plural="drinks",
    ),
    favourite(
        "book",
        "book",
        [
            "the best book {subj} ever read is {v}",
            "{subj} {have|has} read {v} many times, it is {poss} favourite book",
        ],
        ["the best book {subj} ever read"],
        plural="books",
    ),
    favourite(
        "film",
        "film",
        [
            "{poss} favourite movie is {v}",
            "the best film {subj} ever saw is {v}",
            "{v} is {poss} favourite movie",
        ],
        [
            "{poss} favourite movie",
            ("which movie {do|does} {subj} like best", "which movie {subj} {like|likes} best"),
        ],
        plural="films",
    ),
    favourite(
        "song",
        "song",
        [
            "the song {subj} always {sing|sings} in the shower is {v}",
            "the best song {subj} ever heard is {v}",
        ],
        plural="songs",
    ),
    favourite(
        "sport",
        "sport",
        [
            "{subj} {follow|follows} {v} more than any other sport",
            "{v} is the sport {subj} {love|loves} most",
        ],
        ["the sport {subj} {love|loves} most"],
        plural="sports",
    ),
    favourite(
        "season",
        "season",
        ["the time of year {subj} {love|loves} most is {v}"],
        [
            (
                "which time of year {do|does} {subj} love most",
                "which time of year {subj} {love|loves} most",
            )
        ],
        plural="seasons",
    ),
    favourite(
        "animal",
        "animal",
        ["{subj} {find|finds} no animal more beautiful than {v}"],
        plural="animals",
    ),
    favourite(
        "flower",
        "flower",
        ["{subj} always {plant|plants} {v}, {poss} favourite flower"],
        plural="flowers",
    ),
    favourite(
        "restaurant",
        "restaurant",
        [
            "{subj} {love|loves} eating at {v}, {poss} favourite restaurant",
            "the restaurant {subj} {go|goes} to most is {v}",
        ],
        [
            (
                "where {do|does} {subj} like to eat out most",
                "where {subj} {like|likes} to eat out most",
            )
        ],
        plural="restaurants",
    ),
    favourite(
        "band",
        "band",
        [
            "{subj} {listen|listens} to {v} all day, {poss} favourite band",
            "{subj} {am|is} the biggest fan of the band {v}",
        ],
        [
            (
                "which band {do|does} {subj} listen to most",
                "which band {subj} {listen|listens} to most",
            )
        ],
        plural="bands",
    ),
    favourite(
        "city",
        "place",
        ["{subj} would go back to {v} any time, it is {poss} favourite city"],
        plural="cities",
    ),
    favourite(
        "game",
        "game",
        [
            "{subj} could play {v} all day, it is {poss} favourite game",
            "the game {subj} {play|plays} most is {v}",
        ],
        [("which game {do|does} {subj} play most", "which game {subj} {play|plays} most")],
        plural="games",
    ),
    favourite(
        "ice cream flavour",
        "ice_cream",
        ["the ice cream {subj} always {order|orders} is {v}"],
        [
            (
                "which ice cream {do|does} {subj} always order",
                "which ice cream {subj} always {order|orders}",
            )
        ],
        plural="ice cream flavours",
    ),
)
