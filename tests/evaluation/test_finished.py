from dataclasses import dataclass

from nestling.evaluation.finished import Finished
from nestling.mixers.self_modifying import SelfModifyingOptions


@dataclass(frozen=True)
class Course:
    steps: int = 3


def count(finished, model):
    """How often a run is measured that is asked for once."""
    measured = []
    finished({"model": model}, lambda: measured.append(1) or {"value": 1.0})
    return len(measured)


def test_a_run_is_measured_again_when_the_settings_of_its_model_have_changed(tmp_path):
    path = tmp_path / "runs.jsonl"
    fast, slow = SelfModifyingOptions(eta_max=1.0), SelfModifyingOptions(eta_max=0.1)
    models = {"hope": {"self_modifying": fast}, "transformer": {"mixer": "attention"}}
    assert count(Finished(path, Course(), models), "hope") == 1
    assert count(Finished(path, Course(), models), "transformer") == 1
    changed = {**models, "hope": {"self_modifying": slow}}
    assert count(Finished(path, Course(), models), "hope") == 0
    assert count(Finished(path, Course(), changed), "hope") == 1
    assert count(Finished(path, Course(), changed), "transformer") == 0
    assert count(Finished(path, Course(steps=4), models), "transformer") == 1


def test_without_settings_a_run_is_known_by_its_key_and_its_course(tmp_path):
    path = tmp_path / "runs.jsonl"
    assert count(Finished(path, Course()), "hope") == 1
    assert count(Finished(path, Course()), "hope") == 0
    assert count(Finished(path, Course(steps=4)), "hope") == 1
