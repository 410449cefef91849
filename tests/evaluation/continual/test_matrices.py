"""What continual learning is judged by, against numbers made by hand."""

import pytest

from nestling.evaluation.continual.matrices import matrices_of, rows_of, transfer


def test_transfer_by_hand():
    found = transfer([[1.0], [0.5, 0.8], [0.7, 0.6, 1.0]])
    assert found["average"] == pytest.approx(0.7667, abs=1e-4)
    assert found["anytime"] == pytest.approx((1 + 0.65 + 0.76667) / 3, abs=1e-4)
    assert found["backward transfer"] == pytest.approx((-0.3 - 0.2) / 2)
    assert found["forgetting"] == pytest.approx((0.3 + 0.2) / 2)
    assert "forgetting" not in transfer([[1.0]])


def test_transfer_by_its_definitions():
    accuracies = transfer([[0.9], [0.6, 0.8], [0.7, 0.5, 1.0]])
    assert accuracies == {
        "average": round((0.7 + 0.5 + 1.0) / 3, 4),
        "anytime": round((0.9 + 0.7 + 2.2 / 3) / 3, 4),
        "newest": 0.9,
        "backward transfer": round((-0.2 - 0.3) / 2, 4),
        "forgetting": round((0.2 + 0.3) / 2, 4),
    }
    losses = transfer([[2.0, 5.0], [3.0, 4.0]], rises=False, first=[6.0, 5.5])
    assert losses["backward transfer"] == -1.0 and losses["forgetting"] == 1.0
    assert losses["forward transfer"] == 0.5


def test_a_run_becomes_a_row_for_each_number():
    run = {"summary": {"average": 0.5}, "matrix": [[1.0], [0.25, 0.75]]}
    assert [(row["seed"], row["metric"], row["value"]) for row in rows_of(run, {"seed": 3})] == [
        (3, "average", 0.5),
        (3, "R[0, 0]", 1.0),
        (3, "R[1, 0]", 0.25),
        (3, "R[1, 1]", 0.75),
    ]


def test_matrices_come_back_from_the_rows_of_several_seeds():
    runs = {3: [[1.0], [0.25, 0.75]], 1: [[0.5], [0.5, 0.0]]}
    rows = [
        row
        for seed, matrix in runs.items()
        for row in rows_of({"summary": {"average": 0.5}, "matrix": matrix}, {"seed": seed})
    ]
    # Domains are judged before they are learned as well.
    rows.append({"seed": 1, "metric": "R[0, 1]", "value": 9.0})
    assert matrices_of(rows) == [runs[1], runs[3]]
