import numpy as np
import pytest

from emotion_mlflow.config import ModelConfig, TrainingConfig
from emotion_mlflow.labels import TASKS, landmark_layout

pytestmark = pytest.mark.slow  # imports TensorFlow

WIDTH = 576  # features of a face, as MobileNetV3Small's
SHAPE = np.array([0.3, 0.4, 0.7, 0.6])


@pytest.fixture
def make_heads():
    def make(**config):
        import keras

        from emotion_mlflow.models.heads import build_heads

        keras.utils.set_random_seed(0)
        return build_heads(WIDTH, config=ModelConfig(**config), mean_shape=SHAPE, mean_affect=(0.3, -0.2))

    return make


def features(faces=64):
    """Pooled features: positive, as ReLU leaves them."""
    return np.abs(np.random.default_rng(1).normal(size=(faces, WIDTH))).astype(np.float32)


@pytest.mark.parametrize("tasks", [TASKS, ("valence",), ("expression", "landmarks")], ids="-".join)
def test_there_is_one_output_for_each_task_asked_for(make_heads, tasks):
    widths = {"expression": 8, "valence": 1, "arousal": 1, "landmarks": 4}
    outputs = make_heads(tasks=tasks)(features())
    assert {task: output.shape for task, output in outputs.items()} == {task: (64, widths[task]) for task in tasks}
    assert all(output.dtype == "float32" for output in outputs.values())


def test_the_first_answer_is_nearly_the_training_mean_for_every_face(make_heads):
    outputs = {task: output.numpy() for task, output in make_heads(dropout=0.0)(features()).items()}
    # kernels of sd .01 over 576 normalised features: sd .24, in tenths of the picture for landmarks: .024
    assert outputs["valence"] == pytest.approx(np.full((64, 1), 0.3), abs=1.2)
    assert outputs["valence"].mean() == pytest.approx(0.3, abs=0.15)
    assert outputs["arousal"].mean() == pytest.approx(-0.2, abs=0.15)
    assert outputs["landmarks"].mean(axis=0) == pytest.approx(SHAPE, abs=0.015)


@pytest.mark.parametrize("head_norm", [True, False])
def test_features_ten_times_as_large_change_no_answer_where_they_are_normalised(make_heads, head_norm):
    heads = make_heads(head_norm=head_norm)
    small, large = (heads(factor * features())["expression"].numpy() for factor in (1, 10))
    assert np.allclose(small, large, atol=1e-3) is head_norm


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_dropout_works_in_training_only(make_heads, dropout):
    heads = make_heads(dropout=dropout)
    first, second = (heads(features(), training=True)["expression"].numpy() for _ in range(2))
    assert np.array_equal(first, second) is (dropout == 0)
    first, second = (heads(features(), training=False)["expression"].numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)


def saturate(layers, *, answer):
    """Weights with which every face's linear answer is `answer`, whatever its features."""
    layers["head_norm"].set_weights([np.ones(WIDTH), np.ones(WIDTH)])
    for task in ("valence", "arousal"):
        layers[task].set_weights([np.full((WIDTH, 1), answer / WIDTH), np.zeros(1)])


def truth_of(inputs):
    """Valence and arousal that follow from the features."""
    direction = np.random.default_rng(2).normal(size=(WIDTH, 2))
    values = np.tanh((inputs - inputs.mean()) @ direction / 16).astype(np.float32)
    return {
        "valence": values[:, 0],
        "arousal": values[:, 1],
        "valence_labelled": np.ones(len(inputs), np.float32),
        "arousal_labelled": np.ones(len(inputs), np.float32),
        "size": np.ones((len(inputs), 2), np.float32),
    }


@pytest.mark.parametrize("squashed", [False, True], ids=["our heads", "the same behind a tanh"])
def test_affect_comes_back_from_a_start_far_off_where_a_tanh_would_stay(make_heads, squashed):
    import keras

    from emotion_mlflow.models.network import Network

    heads = make_heads(tasks=("valence", "arousal"), dropout=0.0)
    saturate({layer.name: layer for layer in heads.layers}, answer=10.0)
    part = heads
    if squashed:
        part = keras.Model(heads.input, {task: keras.ops.tanh(output) for task, output in heads.output.items()})
    network = Network(
        part, config=TrainingConfig(affect_loss="mse"), class_weights=np.ones(8), layout=landmark_layout(4)
    )
    network.compile(optimizer=keras.optimizers.Adam(1e-3))
    inputs = features()
    truth = truth_of(inputs)
    steps = {name: np.tile(values, (250, 1) if name == "size" else 250) for name, values in truth.items()}
    network.fit(np.tile(inputs, (250, 1)), steps, batch_size=64, shuffle=False, verbose=0)  # 250 steps
    answers = network.predict(inputs, verbose=0)
    errors = [np.abs(answers[task][:, 0] - truth[task]).mean() for task in ("valence", "arousal")]
    if squashed:
        assert min(errors) > 0.7
    else:
        assert max(errors) < 0.25  # a constant answer is .54 off
