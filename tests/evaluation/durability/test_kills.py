import os
import subprocess
import sys
from pathlib import Path

import pytest

from nestling.evaluation.durability.checks import VIOLATIONS
from nestling.evaluation.durability.kills import AIMS, BETWEEN, measure_kills
from nestling.evaluation.durability.operations import KINDS
from nestling.evaluation.results import read_results

KILLS = 20
PLAIN = Path(__file__).with_name("conftest.py")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


# A process of its own: it forks, and nothing here is to be forked with it.
@pytest.fixture(scope="module")
def run(tiny_bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    arguments = ["--kills", str(KILLS), "--model", str(tiny_bundle.path)]
    places = ["--run", str(folder / "run.jsonl"), "--out", str(folder)]
    done = subprocess.run(
        [sys.executable, str(PLAIN), "evaluate", "kills", *arguments, *places],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stderr


def test_after_every_kill_all_is_as_it_was_acknowledged(run):
    folder, said = run
    rows = read_results("kills", folder)["rows"]
    assert sum(row["kills"] for row in rows) == KILLS
    assert {row["operation"] for row in rows} <= {*KINDS, BETWEEN}
    assert {row["aim"] for row in rows} <= set(AIMS)
    assert [row[kind] for row in rows for kind in VIOLATIONS if row[kind]] == [], said


def test_a_later_start_goes_on_from_what_is_finished(run, tiny_bundle):
    folder, _ = run
    again = measure_kills(kills=KILLS, model=tiny_bundle.path, run_file=folder / "run.jsonl")
    assert list(again) == read_results("kills", folder)["rows"]
