import pytest

from nestling.evaluation.durability.damage import DAMAGES, PLACES
from nestling.evaluation.durability.faults import FAULTS, measure_faults


@pytest.fixture(scope="module")
def rows(tiny_bundle, plain_turns):
    said = []
    rows = list(
        measure_faults(
            every=20,
            tries=1,
            operations=("first learn", "sleep", "forget"),
            model=tiny_bundle.path,
            progress=said.append,
        )
    )
    return rows, "\n".join(said)


def test_every_fault_is_named_or_survived(rows):
    rows, said = rows
    assert [row for row in rows if row["violations"]] == [], said
    assert all(
        row["tries"] == row["named_errors"] + row["successes"] + row.get("older", 0) for row in rows
    )


def test_every_fault_and_every_damage_is_tried(rows):
    rows, _ = rows
    assert {fault.name for fault in FAULTS} <= {row["fault"] for row in rows}
    assert {(row["fault"], row["place"]) for row in rows} >= {
        (damage, place) for damage in DAMAGES for place in PLACES
    }


def test_a_fault_comes_to_light(rows):
    rows, _ = rows
    for fault in ("disk full", "read-only", "failed sync"):
        assert sum(row["named_errors"] for row in rows if row["fault"] == fault)
