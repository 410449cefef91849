from nestling.evaluation.durability.checks import VIOLATIONS
from nestling.evaluation.tables import render

NONE = dict.fromkeys(VIOLATIONS, 0)


def test_kills_have_a_line_for_each_operation_and_one_for_all():
    rows = [
        {"operation": "learn", "aim": "call", "kills": 3, "took_place": 1, **NONE},
        {"operation": "learn", "aim": "moment", "kills": 2, "took_place": 1, **NONE, "lost": 1},
        {"operation": "none", "aim": "moment", "kills": 1, "took_place": 0, **NONE},
    ]
    assert render("kills", rows).splitlines()[2:] == [
        "| learn | 5 | 2 | 0 | 3 | 2 | 1 |",
        "| (between two) | 1 | 1 | 0 | 0 |  | 0 |",
        "| all | 6 | 3 | 0 | 3 | 2 | 1 |",
    ]


def test_faults_and_damage_have_a_table_each():
    counts = {"tries": 4, "named_errors": 3, "successes": 1, "violations": 0}
    rows = [
        {"fault": "disk full", "place": "learn", **counts},
        {"fault": "disk full", "place": "sleep", **counts},
        {"fault": "cut", "place": "snapshot", **counts, "older": 0},
    ]
    assert render("faults", rows).splitlines()[2:] == ["| disk full | 8 | 6 | 2 | 0 |"]
    assert render("damage", rows).splitlines()[2:] == ["| snapshot | 4 | 3 | 1 | 0 | 0 |"]
