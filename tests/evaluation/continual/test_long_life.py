"""A short life: what is measured of it, and that it goes on where it was."""

import pytest

from nestling.evaluation.continual.long_life import Course, measure_long_life

SHORT = Course(turns=40, lot=20, first=6, pool=6, news=2, sleeps=20, looks=20)


def test_a_life_is_looked_at_and_goes_on_where_it_was(tmp_path):
    rows = list(measure_long_life(course=SHORT))
    assert [row["turn"] for row in rows] == [20, 40]
    assert all(row["first"] >= 0.8 and row["finite"] for row in rows)
    assert rows[0]["journal bytes"] < rows[-1]["journal bytes"]
    places = {"home": tmp_path / "home", "run_file": tmp_path / "run.jsonl"}
    stopped = measure_long_life(course=SHORT, **places)
    next(stopped)
    stopped.close()
    again = list(measure_long_life(course=SHORT, **places))
    same = ("turn", "first", "changed", "refused", "norm fast", "norm slow", "snapshots")
    assert [[row[name] for name in same] for row in again] == [
        [row[name] for name in same] for row in rows
    ]


def test_a_life_is_told_by_the_lot():
    with pytest.raises(ValueError, match="multiples of 20"):
        Course(turns=30, lot=20, first=6, pool=6)
    with pytest.raises(ValueError, match="at most together"):
        Course(turns=20, lot=20, sleeps=20, looks=20, first=15, pool=6)


def test_a_memory_that_has_lived_on_is_not_taken_for_what_it_was(tmp_path):
    list(measure_long_life(course=SHORT, home=tmp_path / "home"))
    with pytest.raises(ValueError, match="is not in the file of finished looks"):
        list(measure_long_life(course=SHORT, home=tmp_path / "home"))
