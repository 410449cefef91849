import pytest

from nestling.evaluation.durability.damage import DAMAGES, PLACES
from nestling.evaluation.durability.faults import FAULTS, OPERATIONS, measure_faults


def measured(tiny_bundle, **options):
    said = []
    rows = list(measure_faults(model=tiny_bundle.path, progress=said.append, **options))
    assert [row for row in rows if row["violations"]] == [], "\n".join(said)
    return rows


@pytest.fixture(scope="module")
def rows(tiny_bundle, plain_turns):
    return measured(tiny_bundle, every=30, tries=1, operations=("forget",))


def test_every_fault_is_named_or_survived(rows):
    for row in rows:
        named, well = row["named_errors"], row["successes"] + row.get("older", 0)
        assert row["tries"] == named + well


def test_every_fault_and_every_damage_is_tried(rows):
    assert {fault.name for fault in FAULTS} <= {row["fault"] for row in rows}
    assert {(row["fault"], row["place"]) for row in rows} >= {
        (damage, place) for damage in DAMAGES for place in PLACES
    }


def test_a_fault_comes_to_light(rows):
    for fault in ("disk full", "read-only", "failed sync"):
        assert sum(row["named_errors"] for row in rows if row["fault"] == fault)


@pytest.mark.slow
def test_every_operation_survives_its_faults(tiny_bundle, plain_turns):
    rows = measured(tiny_bundle, every=10, tries=1)
    assert {row["place"] for row in rows} == {*OPERATIONS, *PLACES}
