import numpy as np

from emotion_mlflow.plots.affect import affect_density, affect_scatter


def test_the_density_states_ccc_and_the_labelled_faces(words):
    # population variances .25 and .0625, covariance .125, equal means: CCC 2 * .125 / (.25 + .0625)
    true, answer = np.array([-0.5, 0.5, np.nan]), np.array([-0.25, 0.25, 0.9])
    assert "Valence, CCC 0.800, n = 2 faces" in words(affect_density("valence", true, answer))


def test_ccc_of_one_constant_answered_rightly_is_not_defined(words):
    text = words(affect_density("arousal", np.array([0.5, 0.5]), np.array([0.5, 0.5])))
    assert "Arousal, CCC not defined, n = 2 faces" in text


def test_answers_beyond_the_frame_are_counted(words):
    text = words(affect_density("valence", np.array([-0.5, 0.5]), np.array([-1.5, 0.5])))
    assert "1 answer beyond the frame" in text


def test_the_plane_counts_faces_with_both_labels_and_names_absent_classes(words):
    valence, arousal = np.array([0.5, -0.5, np.nan, 0.1]), np.array([0.5, 0.5, 0.5, np.nan])
    figure = affect_scatter(valence, arousal, np.zeros(4), np.zeros(4), np.array([1, -1, 1, 1]))
    text = words(figure)
    assert "Valence and arousal, n = 2 faces" in text
    assert "happy (1)" in text
    assert "anger (no faces)" in text


def test_class_means_are_drawn_where_they_are():
    valence, arousal = np.array([0.2, 0.6]), np.array([0.1, 0.3])
    figure = affect_scatter(valence, arousal, valence / 2, arousal / 2, np.array([1, 1]))
    means = [line.get_data() for axes in figure.axes for line in axes.lines if line.get_marker() == "^"]
    np.testing.assert_allclose(np.ravel(means), [0.4, 0.2, 0.2, 0.1])


def test_faces_without_an_expression_label_make_a_plane_without_legend(answers):
    unlabelled = np.full(80, -1)
    figure = affect_scatter(answers.valence_true, answers.arousal_true, answers.valence, answers.arousal, unlabelled)
    assert figure.legends == []


def test_large_counts_stay_inside_the_legend(overhang):
    classes = np.repeat(np.arange(8), 12_345)
    flat = np.zeros(len(classes))
    assert overhang(affect_scatter(flat, flat, flat, flat, classes)) < 0
