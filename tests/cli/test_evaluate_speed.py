"""Speeds of one number of threads are measured beside those of another that are there."""

import pytest
import torch
from typer.testing import CliRunner

from nestling.cli import app
from nestling.evaluation.results import read_results

runner = CliRunner()


@pytest.fixture(autouse=True)
def threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def measure(tmp_path, *options):
    arguments = ["evaluate", "speed", "--mixer", "attention", "--mode", "forward"]
    arguments += ["--length", "64", "--run", str(tmp_path / "runs.jsonl"), "--out", str(tmp_path)]
    return runner.invoke(app, [*arguments, *options])


def test_other_numbers_of_threads_are_kept_on_request(tmp_path):
    assert measure(tmp_path, "--threads", "2").exit_code == 0
    first = read_results("speed_cpu", tmp_path)["rows"]
    added = measure(tmp_path, "--threads", "1", "--add")
    assert added.exit_code == 0, added.output
    rows = read_results("speed_cpu", tmp_path)["rows"]
    assert [row["threads"] for row in rows] == [1, 2]
    assert rows[1:] == first


@pytest.mark.parametrize("count", ["0", "5000"])
def test_threads_that_no_machine_has_are_refused(tmp_path, count):
    refused = measure(tmp_path, "--threads", count)
    assert refused.exit_code == 2 and "--threads" in refused.output
    assert not list(tmp_path.iterdir())
