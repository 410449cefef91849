import json
import math

import pytest

from nestling.memory.level import WRITABLE, Level


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"name": "two words"}, "plain word such as 'fast', got 'two words'"),
        ({"name": "a.b"}, "plain word such as 'fast', got 'a.b'"),
        ({"name": ""}, "plain word"),
        ({"name": "keys"}, "cannot be called 'keys'"),
        ({"name": "training"}, "cannot be called 'training'"),
        (
            {"period": -1},
            r"level 'fast': period is a whole number, 0 \(static\) or more, got -1",
        ),
        ({"period": 2.5}, "period is a whole number, .* got 2.5"),
        ({"rate": -0.1}, "level 'fast': rate is 0 or more and finite, got -0.1"),
        ({"rate": math.nan}, "rate is 0 or more and finite, got nan"),
        ({"rate": math.inf}, "rate is 0 or more and finite, got inf"),
        ({"reset": "sometimes"}, "reset is 'never' or 'context', got 'sometimes'"),
        ({"written": ()}, "written names some of .*'gate', 'up', 'down'"),
        ({"written": ("down", "side")}, "written names some of .*, got .*'side'"),
        ({"written": "down"}, "written names some of"),
        ({"source": "dreams"}, r"source is one of \('context', .*'sleep'\), got 'dreams'"),
        ({"source": "sleep"}, "is written in sleep and has no period; set it to 0, got 64"),
        ({"source": "outer", "period": 0}, "is written by training and needs a period"),
        ({"source": "next_token", "written": ("up",)}, r"'next_token' writes \('down',\) alone"),
        ({"rank": -1}, r"rank is a whole number, 0 \(full\) or more, got -1"),
        ({"rank": 1.5}, "rank is a whole number, .* got 1.5"),
        ({"rank": 4, "rule": "delta_gradient_descent"}, "needs the inputs of a full delta"),
    ],
)
def test_a_value_out_of_range_is_explained(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        Level(**values)


def test_a_level_with_a_period_is_written():
    assert Level(period=1).is_written
    assert not Level(period=0).is_written


def test_only_what_is_written_while_reading_or_in_sleep_has_a_delta():
    assert Level().has_delta and Level().is_written
    asleep = Level(period=0, source="sleep")
    assert asleep.has_delta and not asleep.is_written
    outer = Level(source="outer")
    assert not outer.has_delta and not outer.is_written


def test_a_level_survives_json():
    level = Level("slow", period=512, rate=0.25, reset="context", written=WRITABLE)
    assert Level.from_dict(json.loads(json.dumps(level.to_dict()))) == level


def test_an_unknown_field_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no \['speed'\]; it has \[.*'period'.*'rate'"):
        Level.from_dict({"name": "fast", "speed": 3})


def test_a_level_cannot_change():
    with pytest.raises(AttributeError):
        Level().period = 3


def test_what_sleep_writes_is_not_emptied_with_the_context():
    with pytest.raises(ValueError, match="would empty it at the next turn"):
        Level(source="sleep", period=0, reset="context")
