import numpy as np
import pytest

from emotion_mlflow.data.face_actions import TEMPER_LIMIT, Actions, act, affect, choose_intensity
from emotion_mlflow.labels import CLASS_AFFECT, EXPRESSIONS

SURPRISE = EXPRESSIONS.index("surprise")
FEAR = EXPRESSIONS.index("fear")
CONTEMPT = EXPRESSIONS.index("contempt")


def test_affect_moves_from_nothing_towards_its_class_with_the_intensity():
    assert affect(SURPRISE, intensity=0.0) == (0.0, 0.0)
    assert affect(SURPRISE, intensity=0.5) == pytest.approx((0.108, 0.42))  # .5 * 1.2 * (.18, .70)
    assert affect(SURPRISE, intensity=1.0) == pytest.approx((0.216, 0.84))


def test_the_temper_of_a_single_face_adds_to_its_affect():
    assert affect(SURPRISE, intensity=0.5, temper=(0.1, -0.2)) == pytest.approx((0.208, 0.22))


def test_affect_stays_within_minus_one_and_one():
    assert affect(FEAR, intensity=1.0, temper=(-1.0, 0.25)) == pytest.approx((-1.0, 1.0))  # -1.144 and 1.162


def test_no_two_expressions_have_the_same_full_actions():
    full = [act(np.random.default_rng(0), expression=e, intensity=1.0).actions for e in range(len(EXPRESSIONS))]
    assert len(set(full)) == 8


def test_at_no_intensity_only_the_temper_shows():
    for expression in range(len(EXPRESSIONS)):
        mood = act(np.random.default_rng(0), expression=expression, intensity=0.0)
        assert mood.actions == act(np.random.default_rng(0), expression=0, intensity=0.0).actions
        assert abs(mood.valence) <= TEMPER_LIMIT
        assert abs(mood.arousal) <= TEMPER_LIMIT


def test_what_a_face_adds_to_valence_its_mouth_shows_and_to_arousal_its_lids_do():
    moods = [act(np.random.default_rng(seed), expression=0, intensity=0.0) for seed in range(50)]
    assert [m.actions.corner_up for m in moods] == pytest.approx([1.1 * m.valence for m in moods])
    assert [m.actions.lid_raise for m in moods] == pytest.approx([1.6 * m.arousal for m in moods])


def test_contempt_is_on_either_side_about_as_often():
    sides = [act(np.random.default_rng(s), expression=CONTEMPT, intensity=1.0).actions.smirk > 0 for s in range(200)]
    assert 70 < sum(sides) < 130


def test_weak_expressions_are_a_tenth_of_all():
    rng = np.random.default_rng(0)
    drawn = np.array([choose_intensity(rng) for _ in range(4000)])
    assert (drawn < 0.4).mean() == pytest.approx(0.10, abs=0.015)
    assert ((drawn >= 0.15) & (drawn <= 1)).all()
    assert not ((drawn > 0.4) & (drawn < 0.6)).any()


def test_every_expression_has_an_affect_and_rest_is_no_action():
    assert len(CLASS_AFFECT) == len(EXPRESSIONS)
    assert all(value == 0 for value in vars(Actions()).values())
