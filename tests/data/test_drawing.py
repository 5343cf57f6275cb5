import numpy as np
import pytest
from PIL import Image, ImageDraw

from emotion_mlflow.data.drawing import SIZE, draw_face, paint
from emotion_mlflow.data.face_actions import Actions, Mood, act
from emotion_mlflow.data.face_canvas import LARGER, Canvas
from emotion_mlflow.data.face_covers import COVERS
from emotion_mlflow.data.face_person import draw_person
from emotion_mlflow.data.face_shape import Pose
from emotion_mlflow.labels import EXPRESSIONS

HAPPY, SURPRISE = EXPRESSIONS.index("happy"), EXPRESSIONS.index("surprise")


def inside(points):
    """(96, 96) bool: the pixels within a polygon of landmarks, drawn here without the module's own painting."""
    large = Image.new("L", (8 * SIZE, 8 * SIZE))
    ImageDraw.Draw(large).polygon([(8 * x, 8 * y) for x, y in points], fill=255)
    return np.asarray(large.reduce(8)) > 250


def two_moods(first, second, *, seed=3):
    """The same person, scene, light and noise with two sets of actions: pixels and landmarks of each."""
    person = draw_person(np.random.default_rng(seed))
    shown = []
    for actions in (first, second):
        mood = Mood(expression=0, intensity=1.0, valence=0.0, arousal=0.0, actions=actions)
        shown.append(paint(np.random.default_rng(seed), person=person, mood=mood, pose=Pose(roll=0.2), covered=""))
    return shown


def test_a_face_is_96_colour_pixels_with_68_points():
    image, labels = draw_face(np.random.default_rng(0))
    assert (image.shape, image.dtype) == ((96, 96, 3), np.uint8)
    assert (labels.landmarks.shape, labels.landmarks.dtype) == ((68, 2), np.float32)
    assert np.isfinite(labels.landmarks).all()


def test_one_seed_gives_one_face():
    first, second = draw_face(np.random.default_rng(5)), draw_face(np.random.default_rng(5))
    assert (first[0] == second[0]).all()
    assert (first[1].landmarks == second[1].landmarks).all()
    assert (first[0] != draw_face(np.random.default_rng(6))[0]).any()


@pytest.mark.parametrize("expression", range(8), ids=EXPRESSIONS)
def test_what_is_asked_for_is_drawn(expression):
    _, labels = draw_face(np.random.default_rng(0), expression=expression, intensity=0.7, covered="")
    assert (labels.expression, labels.intensity, labels.covered) == (expression, 0.7, "")


def test_almost_all_points_lie_in_the_picture():
    rng = np.random.default_rng(0)
    points = np.stack([draw_face(rng)[1].landmarks for _ in range(40)])
    assert ((points >= 0) & (points <= SIZE)).all(axis=2).mean() > 0.98


def test_an_open_mouth_changes_pixels_under_its_landmarks_and_not_elsewhere_on_the_face():
    (closed, _), (opened, marks) = two_moods(Actions(), Actions(jaw_drop=0.9))
    change = np.abs(opened.astype(float) - closed).mean(axis=2)
    assert change[inside(marks[60:68])].mean() > 40
    assert change[inside(marks[36:42])].mean() == 0


def test_wide_eyes_change_pixels_under_the_eyes_landmarks_and_not_the_mouth():
    (rest, _), (wide, marks) = two_moods(Actions(), Actions(lid_raise=1.0))
    change = np.abs(wide.astype(float) - rest).mean(axis=2)
    assert change[inside(marks[36:42])].mean() > 15
    assert change[inside(marks[48:60])].mean() == 0


@pytest.mark.parametrize("shape", ["area", "disc", "line"])
def test_what_is_painted_around_a_point_lies_around_it(shape):
    rng, offsets = np.random.default_rng(0), []
    for _ in range(200):
        canvas = Canvas(Image.new("L", (LARGER * SIZE, LARGER * SIZE)), Pose(scale=33.0))
        point, turn = rng.uniform(30, 60, 2), rng.uniform(0, 7) + np.arange(7) * 2 * np.pi / 7
        around = point + 6 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        if shape == "area":
            canvas.area(around, 255)
        elif shape == "disc":
            canvas.disc(point, 255, radius=0.12)
        else:
            canvas.line(np.stack([around[0], 2 * point - around[0]]), 255, width=0.08)
        painted = np.asarray(canvas.picture.reduce(LARGER), float)
        rows, columns = np.indices(painted.shape) + 0.5  # the first pixel spans 0 to 1
        offsets.append((painted * [columns, rows]).sum(axis=(1, 2)) / painted.sum() - point)
    assert np.abs(np.mean(offsets, axis=0)).max() < 0.03


def test_raised_brows_are_drawn_where_their_landmarks_went():
    (rest, _), (raised, marks) = two_moods(Actions(), Actions(brow_outer_up=1.2))
    change = rest.mean(axis=2) - raised.mean(axis=2)
    x, y = marks[[18, 19, 24, 25]].astype(int).T
    assert change[y, x].min() > 40  # skin before, brow now
    assert change[inside(marks[48:60])].max() == 0


def test_an_open_mouth_is_teeth_tongue_or_dark_and_never_skin():
    rng, distance = np.random.default_rng(2), []
    for _ in range(30):
        person = draw_person(rng)
        image, labels = draw_face(rng, expression=SURPRISE, person=person, intensity=1.0, covered="")
        mouth, nose = inside(labels.landmarks[60:68]), inside(labels.landmarks[[27, 31, 33, 35]])
        assert mouth.sum() > 40
        distance.append(np.abs(image[mouth].mean(axis=0) - image[nose].mean(axis=0)).max())
    assert np.median(distance) > 25


@pytest.mark.parametrize("cover", COVERS)
def test_a_cover_hides_a_part_and_leaves_the_labels_exact(cover):
    drawn = [draw_face(np.random.default_rng(4), expression=HAPPY, intensity=1.0, covered=c) for c in ("", cover)]
    (free, labels), (hidden, same) = drawn
    assert (np.abs(free.astype(int) - hidden).max(axis=2) > 20).mean() > 0.02
    assert (labels.landmarks == same.landmarks).all()
    assert (labels.valence, labels.arousal) == (same.valence, same.arousal)


def test_a_person_keeps_their_build_between_faces_and_people_differ():
    rng = np.random.default_rng(0)
    people = [draw_person(rng) for _ in range(20)]
    assert len({person.build for person in people}) == 20
    assert {person.hair_style for person in people} == {"bald", "short", "curly", "long", "bun"}


def test_the_mood_s_valence_and_arousal_are_the_label_s():
    rng, again = np.random.default_rng(8), np.random.default_rng(8)
    _, labels = draw_face(rng, expression=HAPPY, person=draw_person(rng), intensity=0.9, covered="")
    draw_person(again)
    mood = act(again, expression=HAPPY, intensity=0.9)
    assert (labels.valence, labels.arousal) == (mood.valence, mood.arousal)
