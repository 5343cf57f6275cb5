import math

import numpy as np
import pytest

from emotion_mlflow.config import ModelConfig, TrainingConfig
from emotion_mlflow.labels import IBUG_68, landmark_layout

pytestmark = pytest.mark.slow  # imports TensorFlow


@pytest.fixture
def make_network():
    def make(*, tasks=("expression", "valence"), layout=IBUG_68, optimizer=None, **settings):
        import keras

        from emotion_mlflow.models.heads import build_heads
        from emotion_mlflow.models.network import Network

        keras.utils.set_random_seed(0)
        config = ModelConfig(tasks=tasks, dropout=0.0)
        heads = build_heads(12, config=config, mean_shape=np.full(layout.width, 0.5), mean_affect=(0.0, 0.0))
        network = Network(heads, config=TrainingConfig(**settings), class_weights=np.ones(8), layout=layout)
        network.compile(optimizer=optimizer or keras.optimizers.SGD(1e-12))
        return network

    return make


def batch(faces=6, *, layout=IBUG_68):
    """Random features and truth of which face 0 has no label at all."""
    rng = np.random.default_rng(0)
    labelled = np.ones(faces, np.float32)
    labelled[0] = 0
    truth = {
        "expression": rng.integers(0, 8, faces).astype(np.int32),
        "valence": rng.uniform(-1, 1, faces).astype(np.float32),
        "arousal": rng.uniform(-1, 1, faces).astype(np.float32),
        "landmarks": rng.random((faces, layout.width)).astype(np.float32),
        "size": np.full((faces, 2), 48, np.float32),
    }
    for task in ("expression", "valence", "arousal", "landmarks"):
        truth[task][0] = 0
        truth[f"{task}_labelled"] = labelled
    return rng.normal(size=(faces, 12)).astype(np.float32), truth


def test_the_total_is_the_sum_of_the_tasks_losses_times_their_weights(make_network):
    import tensorflow as tf

    network = make_network(expression_weight=2.0, valence_weight=0.5)
    losses = {"expression": (tf.constant(1.5), 3), "valence": (tf.constant(0.4), 3)}
    assert float(network.total_loss(losses)) == pytest.approx(2.0 * 1.5 + 0.5 * 0.4)


def test_learned_weights_divide_by_the_variance_and_pay_for_it(make_network):
    import tensorflow as tf

    network = make_network(task_weighting="learned")
    losses = {"expression": (tf.constant(1.5), 3), "valence": (tf.constant(0.4), 3)}
    assert float(network.total_loss(losses)) == pytest.approx(1.5 + 0.4)  # starts with variances of 1
    network.log_variances.assign([math.log(2), math.log(0.5)])
    # 1.5 / 2 + ln(2) / 2 + .4 / .5 + ln(.5) / 2
    assert float(network.total_loss(losses)) == pytest.approx(0.75 + 0.8)


def test_learned_weights_are_learned(make_network):
    import keras

    network = make_network(task_weighting="learned", optimizer=keras.optimizers.SGD(0.1))
    inputs, truth = batch()
    before = network.log_variances.numpy().copy()
    network.fit(inputs, truth, batch_size=6, verbose=0)
    # expression's loss starts near ln 8 = 2.08 and valence's near 1/3: the first variance grows, the second shrinks
    change = network.log_variances.numpy() - before
    assert change[0] > 0 > change[1]


@pytest.mark.parametrize("settings", [{}, {"valence_weight": 0.0}], ids=["no labels", "weight 0"])
def test_a_task_without_labels_or_weight_leaves_its_learned_weight_alone(make_network, settings):
    import keras

    network = make_network(task_weighting="learned", optimizer=keras.optimizers.SGD(0.1), **settings)
    inputs, truth = batch()
    if not settings:
        truth["valence_labelled"] = np.zeros(6, np.float32)
    network.fit(inputs, truth, batch_size=6, verbose=0)
    change = network.log_variances.numpy()
    assert change[0] > 0
    assert change[1] == 0


@pytest.mark.parametrize("points", [68, 5])
def test_an_epoch_s_figures_are_those_of_the_labelled_faces(make_network, points):
    layout = landmark_layout(2 * points)
    network = make_network(tasks=("expression", "valence", "arousal", "landmarks"), layout=layout, affect_loss="mse")
    inputs, truth = batch(layout=layout)
    figures = network.fit(inputs, truth, batch_size=6, verbose=0).history
    answers = {name: values[1:] for name, values in network.predict(inputs, verbose=0).items()}
    hits = answers["expression"].argmax(1) == truth["expression"][1:]
    errors = np.abs(answers["valence"][:, 0] - truth["valence"][1:])
    assert figures["expression/accuracy"] == pytest.approx([hits.mean()])
    assert figures["valence/mae"] == pytest.approx([errors.mean()], rel=1e-5)
    assert figures["valence/loss"] == pytest.approx([(errors**2).mean()], rel=1e-5)
    true = 48 * truth["landmarks"][1:].reshape(5, -1, 2)
    distance = np.linalg.norm(48 * answers["landmarks"].reshape(5, -1, 2) - true, axis=-1).mean(axis=1)
    if points == 68:
        scale = np.linalg.norm(true[:, 36] - true[:, 45], axis=-1)
    else:
        scale = np.sqrt(np.prod(true.max(axis=1) - true.min(axis=1), axis=-1))
    name = "landmarks/nme" if points == 68 else "landmarks/nme_box"  # two normalisations, two names
    assert figures[name] == pytest.approx([(distance / scale).mean()], rel=1e-4)
    tasks_losses = [figures[f"{task}/loss"][0] for task in ("expression", "valence", "arousal", "landmarks")]
    assert figures["loss"] == pytest.approx([sum(tasks_losses)], rel=1e-5)


def test_faces_without_a_distance_between_the_eyes_do_not_count_as_perfect(make_network):
    network = make_network(tasks=("landmarks",))
    inputs, truth = batch()
    expected = network.fit(inputs[:3], {name: values[:3] for name, values in truth.items()}, verbose=0).history
    truth["landmarks"][3:, 2 * 45 : 2 * 46] = truth["landmarks"][3:, 2 * 36 : 2 * 37]  # both outer corners in one place
    figures = network.fit(inputs, truth, batch_size=6, verbose=0).history
    assert figures["landmarks/nme"] == pytest.approx(expected["landmarks/nme"], rel=1e-5)


def test_a_task_s_figures_over_batches_weigh_by_labelled_faces(make_network):
    network = make_network(tasks=("valence",), affect_loss="mse")
    inputs, truth = batch(7)
    # batches of 4 and 3 faces; the first has 3 labelled ones
    figures = network.fit(inputs, truth, batch_size=4, shuffle=False, verbose=0).history
    errors = network.predict(inputs, verbose=0)["valence"][1:, 0] - truth["valence"][1:]
    assert figures["valence/loss"] == pytest.approx([(errors**2).mean()], rel=1e-5)


def test_figures_start_anew_with_each_epoch(make_network):
    network = make_network()
    inputs, truth = batch()
    history = network.fit(inputs, truth, epochs=2, batch_size=6, verbose=0).history
    assert history["valence/mae"][0] == pytest.approx(history["valence/mae"][1], rel=1e-5)
