"""Four ways of answering, graded like any other recall."""

from nestling.evaluation.found_texts import WAYS, measure_found_texts
from nestling.evaluation.model_tables import found_texts_table


def test_weights_and_texts_are_graded_apart_and_together():
    rows = list(measure_found_texts(facts=(6,), seeds=(0,), questions=2))
    assert [(row["kind"], row["way"]) for row in rows] == [
        (kind, way) for kind in ("told", "updated", "never_told") for way in WAYS
    ]
    told = {row["way"]: row for row in rows if row["kind"] == "told"}
    assert told["weights"]["exact_match"] >= 0.5
    assert told["nothing"]["exact_match"] == 0
    assert told["both"]["questions"] == 2
    assert found_texts_table(rows).count("\n") == 1 + len(WAYS)
