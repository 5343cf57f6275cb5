import math
from dataclasses import replace

import numpy as np
import pytest

from emotion_mlflow.config import AugmentConfig, DataConfig, ModelConfig, RunConfig, TrainingConfig
from emotion_mlflow.errors import ConfigError, TrainingError
from emotion_mlflow.labels import IBUG_68, landmark_layout

pytestmark = pytest.mark.slow  # imports TensorFlow

WIDTH = 576  # features of MobileNetV3Small
FACES = 20
SIZE = 32


class Log:
    """A sink that keeps what it is told, and looks at the network after each epoch."""

    def __init__(self, look=None):
        self.begun, self.steps, self.rows, self.seen, self.look = None, [], [], [], look

    def begin(self, *, epochs, steps):
        self.begun = (epochs, steps)

    def step(self, *, epoch, step, figures):
        self.steps.append((epoch, step, dict(figures)))

    def epoch(self, row):
        self.rows.append(dict(row))
        if self.look:
            self.seen.append(self.look())


def make_config(*, augment=None, model=None, **training):
    settings = {
        "backbone": "mobilenetv3small", "image_size": SIZE, "train_backbone": False, "dropout": 0.2,
        "batch_norm_momentum": 0.9,
    } | (model or {})  # fmt: skip
    fixed = {"batch_size": 10, "epochs": 2, "affect_loss": "ccc", "optimizer": "adam", "learning_rate": 1e-3}
    return RunConfig(
        recipe="probe",
        data=DataConfig(),
        model=ModelConfig(**settings),
        augment=AugmentConfig(**(augment or {})),
        training=TrainingConfig(**(fixed | training)),
    )


def start(config, *, layout=IBUG_68):
    """A newly built network, the same one each time, as at the start of a process."""
    import keras
    import tensorflow as tf

    from emotion_mlflow.models.build import Parts, build
    from emotion_mlflow.models.heads import build_heads

    keras.backend.clear_session()
    keras.utils.set_random_seed(config.training.rng_seed)
    tf.config.experimental.enable_op_determinism()
    means = {"mean_shape": np.full(layout.width, 0.5), "mean_affect": (0.0, 0.0)}
    if config.model.train_backbone:
        return build(config.model, **means)
    # a fit on features never looks at the backbone, which takes seconds to build
    heads = build_heads(WIDTH, config=config.model, **means)
    return Parts(config=config.model, trunk=None, features=None, heads=heads, whole=None, frozen_norms=0)


@pytest.fixture(scope="module")
def straight_fit():
    """A training of heads that nobody interrupted, and its weights: warm-up, then a plateau that is left at once."""
    config = make_config(
        epochs=4, warmup_epochs=1, schedule="plateau", plateau_patience=1, learning_rate=0.05, optimizer="adamw",
        task_weighting="learned", augment={"flip": 0.5}, clip_norm=1.0,
    )  # fmt: skip
    parts = start(config)
    fitted, _ = fit(config, parts, features(), features(seed=1))
    return config, fitted, parts.heads.get_weights()


def truth_of(faces, layout, rng):
    truth = {
        "expression": np.arange(faces, dtype=np.int32) % 8,
        "valence": rng.uniform(-1, 1, faces).astype(np.float32),
        "arousal": rng.uniform(-1, 1, faces).astype(np.float32),
        "landmarks": rng.uniform(0.2, 0.8, (faces, layout.width)).astype(np.float32),
        "size": np.full((faces, 2), SIZE, np.float32),
    }
    return truth | {f"{task}_labelled": np.ones(faces, np.float32) for task in list(truth)[:4]}


def features(faces=FACES, *, seed=0, layout=IBUG_68):
    from emotion_mlflow.data.batches import Examples

    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(faces, 2, WIDTH)).astype(np.float32)
    return Examples(inputs=inputs, truth=truth_of(faces, layout, rng), layout=layout)


def pixels(faces=8, *, seed=0, layout=IBUG_68):
    from emotion_mlflow.data.batches import Examples

    rng = np.random.default_rng(seed)
    inputs = rng.integers(0, 256, (faces, SIZE, SIZE, 3), dtype=np.uint8)
    return Examples(inputs=inputs, truth=truth_of(faces, layout, rng), layout=layout)


def fit(config, parts, train, val, **rest):
    from emotion_mlflow.train import fit

    log = rest.pop("sink", Log())
    return fit(config, parts, train, val, sink=log, **rest), log


def same(first, second):
    assert len(first) == len(second)
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_the_history_has_a_row_an_epoch_with_every_task_s_loss_and_figure():
    config = make_config(epochs=2)
    fitted, log = fit(config, start(config), features(), features(seed=1))
    assert set(fitted.history.columns) == {
        "epoch", "learning_rate", "train/loss", "train/expression/loss", "train/valence/loss", "train/arousal/loss",
        "train/landmarks/loss", "train/expression/accuracy", "train/valence/mae", "train/arousal/mae",
        "train/landmarks/nme", "val/loss", "val/expression/loss", "val/valence/loss", "val/arousal/loss",
        "val/landmarks/loss", "val/expression/accuracy", "val/expression/macro_f1", "val/valence/mae",
        "val/valence/ccc", "val/arousal/mae", "val/arousal/ccc", "val/landmarks/nme", "val/selection_score",
        "seconds", "validation_seconds", "images_per_second",
    }  # fmt: skip
    assert fitted.history["epoch"].tolist() == [1, 2]
    assert fitted.history.notna().all(axis=None)
    assert fitted.history.to_dict("records") == log.rows


def test_the_sink_is_told_epochs_and_steps_beforehand_and_each_step_as_it_is_done():
    config = make_config(epochs=2, batch_size=8)
    _, log = fit(config, start(config), features(20), features(seed=1))
    assert log.begun == (2, 3)
    assert [(epoch, step) for epoch, step, _ in log.steps] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    # the last step's figures are the epoch's
    assert log.steps[2][2]["loss"] == log.rows[0]["train/loss"]


def test_the_validation_s_selection_score_is_its_macro_f1():
    config = make_config(epochs=1)
    fitted, _ = fit(config, start(config), features(), features(seed=1))
    assert fitted.history["val/selection_score"].tolist() == fitted.history["val/expression/macro_f1"].tolist()


@pytest.mark.parametrize(
    ("column", "best"),
    [
        ("val/loss", np.argmin),
        ("val/valence/mae", np.argmin),
        ("val/landmarks/nme", np.argmin),
        ("val/valence/ccc", np.argmax),
        ("val/expression/accuracy", np.argmax),
    ],
)
def test_the_best_epoch_s_weights_are_the_ones_left(column, best):
    config = make_config(epochs=5, early_stopping=column, learning_rate=0.05, schedule="none")
    parts = start(config)
    log = Log(parts.heads.get_weights)
    fitted, _ = fit(config, parts, features(), features(seed=1), sink=log)
    assert fitted.best_epoch == best(fitted.history[column]) + 1
    assert same(parts.heads.get_weights(), log.seen[fitted.best_epoch - 1])
    assert not fitted.stopped_early


def test_landmarks_without_known_eyes_are_best_where_their_error_is_least():
    layout = landmark_layout(10)
    config = make_config(
        epochs=5, early_stopping="val/landmarks/nme_box", learning_rate=0.05, schedule="none",
        model={"tasks": ("landmarks",)},
    )  # fmt: skip
    fitted, _ = fit(config, start(config, layout=layout), features(layout=layout), features(seed=1, layout=layout))
    assert fitted.best_epoch == fitted.history["val/landmarks/nme_box"].argmin() + 1
    assert "train/landmarks/nme_box" in fitted.history  # one name for one normalisation, in both splits
    assert "train/landmarks/nme" not in fitted.history
    assert fitted.history["val/selection_score"].tolist() == (-fitted.history["val/landmarks/nme_box"]).tolist()


def test_a_column_that_no_val_face_defines_stops_training_at_once_and_says_what_to_set():
    config = make_config(model={"tasks": ("landmarks",)})  # by the selection score: minus NME
    val = features(seed=1)
    val.truth["landmarks"][:] = 0.5  # all points in one place: no distance between the eyes
    log = Log()
    with pytest.raises(TrainingError, match=r"a finite val/selection_score .* got nan in epoch 1"):
        fit(config, start(config), features(), val, sink=log)
    assert log.rows == []
    other = replace(config, training=replace(config.training, early_stopping="val/loss"))
    assert fit(other, start(other), features(), val)[0].best_epoch > 0


def test_training_stops_after_as_many_epochs_without_a_better_one_as_patience_says():
    # a rate at which nothing changes: epoch 1 stays the best, 2 and 3 are waited for
    config = make_config(
        epochs=9, patience=2, learning_rate=1e-12, schedule="none", early_stopping="val/expression/accuracy"
    )
    fitted, _ = fit(config, start(config), features(), features(seed=1))
    assert (len(fitted.history), fitted.best_epoch, fitted.stopped_early) == (3, 1, True)


def test_a_column_that_is_not_there_lists_those_that_are():
    with pytest.raises(
        ConfigError, match=r"val/expression/accuracy.*got val/expression/acc in training.early_stopping"
    ):
        make_config(early_stopping="val/expression/acc")


def test_the_cosine_s_rates_worked_out_by_hand():
    # 2 steps an epoch, 1 epoch of warm-up, then 4 of cosine from .1 down to a hundredth of it. An epoch's column is
    # its second step's rate, an eighth, 3, 5 and 7 eighths of the way: .1 * (.01 + .99 (1 + cos(pi / 8)) / 2)
    config = make_config(
        epochs=5, warmup_epochs=1, warmup_learning_rate=0.03, learning_rate=0.1, schedule="cosine", optimizer="sgd"
    )
    fitted, log = fit(config, start(config), features(20), features(seed=1))
    wanted = [0.03, 0.0962320, 0.0694428, 0.0315572, 0.0047680]
    assert fitted.history["learning_rate"].tolist() == pytest.approx(wanted, abs=1e-7)
    assert log.begun == (5, 2)


def test_the_rate_told_is_the_one_used():
    # plain numbers for one weight: SGD without momentum's first step is rate * slope; the log variances' slope at 0 is
    # .5 - loss, and Nesterov's first step is 1.9 of that
    config = make_config(
        epochs=1, batch_size=FACES, optimizer="sgd", learning_rate=0.01, schedule="none", task_weighting="learned",
        affect_loss="mse", model={"tasks": ("valence",), "dropout": 0.0},
    )  # fmt: skip
    from emotion_mlflow import train

    training = train._Training(config, start(config), features(), features(seed=1), Log())
    training.run_epoch(1)
    loss = training.progress.history[0]["train/valence/loss"]
    wanted = -0.01 * 1.9 * (0.5 - loss)
    assert float(training.network.log_variances.numpy()[0]) == pytest.approx(wanted, rel=1e-4)


def test_the_plateau_halves_the_rate_after_five_epochs_without_a_lower_validation_loss():
    # nothing is learnt at this rate: epoch 1 is the best; 2 to 6 bring nothing, so 7 has half; 7 to 11, so 12 a quarter
    config = make_config(epochs=12, learning_rate=1e-12, schedule="plateau", batch_size=FACES)
    fitted, _ = fit(config, start(config), features(), features(seed=1))
    rates = [1e-12] * 6 + [0.5e-12] * 5 + [0.25e-12]
    assert fitted.history["learning_rate"].tolist() == pytest.approx(rates, rel=1e-6)


def test_a_lower_validation_loss_makes_the_plateau_wait_anew():
    from emotion_mlflow import train

    config = make_config(learning_rate=0.1, schedule="plateau")
    training = train._Training(config, start(config), features(), features(seed=1), Log())
    rates = []
    for loss in (3.0, 3.0, 3.0, 3.0, 3.0, 2.9, 2.9, 2.9, 2.89995, 2.9, 2.9):  # .00005 less is not less
        training._plateau(loss)
        rates.append(training.progress.learning_rate)
    assert rates == [0.1] * 10 + [0.05]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_training_and_names_epoch_and_step(bad):
    config = make_config(epochs=3, affect_loss="mse", batch_size=5)
    train = features(20)
    train.truth["valence"][13] = bad
    # epoch 1's order comes from seed and epoch alone, in 4 steps of 5
    place = np.random.default_rng([0, 1]).permutation(20).tolist().index(13)
    log = Log()
    with pytest.raises(TrainingError) as caught:
        fit(config, start(config), train, features(seed=1), sink=log)
    assert str(caught.value).startswith("expected a finite loss; got ")
    assert str(caught.value).endswith(f"in epoch 1, step {place // 5 + 1}")
    assert len(log.steps) == place // 5
    assert log.rows == []


def test_a_rate_that_blows_up_stops_training():
    config = make_config(epochs=30, optimizer="sgd", learning_rate=9.0, schedule="none", affect_loss="mse")
    with pytest.raises(TrainingError, match=r"expected a finite loss; got \S+ for \S+ in epoch \d+, step \d"):
        fit(config, start(config), features(), features(seed=1))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        # 4 faces of class 0, 1 of class 1. inverse: 1/4 and 1, a mean of (4 * 1/4 + 1) / 5 = 2/5
        pytest.param("inverse", [0.625, 2.5, 1, 1, 1, 1, 1, 1], id="inverse"),
        # 1/2 and 1, a mean of (4 * 1/2 + 1) / 5 = 3/5
        pytest.param("sqrt_inverse", [5 / 6, 5 / 3, 1, 1, 1, 1, 1, 1], id="square root"),
        pytest.param("none", [1] * 8, id="none"),
    ],
)
def test_class_weights_by_hand(kind, wanted):
    from emotion_mlflow.train import class_weights

    assert class_weights(np.array([0, 0, 1, 0, 0, -1, -1, -1]), kind) == pytest.approx(wanted)


@pytest.mark.parametrize("kind", ["inverse", "sqrt_inverse", "none"])
def test_class_weights_without_a_labelled_face_are_all_one(kind):
    from emotion_mlflow.train import class_weights

    assert class_weights(np.array([-1, -1]), kind).tolist() == [1] * 8


def test_answers_are_masked_clipped_and_in_pixels():
    from emotion_mlflow.train import make_answers

    truth = {
        "expression": np.array([3, 0], np.int32), "expression_labelled": np.array([1, 0]),
        "valence": np.array([0.5, 0], np.float32), "valence_labelled": np.array([1, 0]),
        "arousal": np.array([0.0, 0.25], np.float32), "arousal_labelled": np.array([0, 1]),
        "landmarks": np.array([[0.5, 0.5], [0, 0]], np.float32), "landmarks_labelled": np.array([1, 0]),
        "size": np.array([[40, 20], [40, 20]], np.float32),
    }  # fmt: skip
    outputs = {
        "expression": np.log(np.array([[1, 1, 1, 9, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1]])),
        "valence": np.array([[1.5], [-0.5]]),
        "landmarks": np.array([[0.25, 0.75], [0.5, 0.5]]),
    }
    answers = make_answers(outputs, truth)
    assert answers.expression_true.tolist() == [3, -1]
    assert answers.probabilities[0] == pytest.approx(np.array([1, 1, 1, 9, 1, 1, 1, 1]) / 16)
    assert answers.valence.tolist() == [1.0, -0.5]
    assert answers.arousal is None
    np.testing.assert_array_equal(answers.valence_true, [0.5, np.nan])
    np.testing.assert_array_equal(answers.arousal_true, [np.nan, 0.25])
    np.testing.assert_array_equal(answers.landmarks_true, [[19.5, 9.5], [np.nan, np.nan]])
    np.testing.assert_array_equal(answers.landmarks, [[9.5, 14.5], [19.5, 9.5]])


def test_the_same_seed_gives_the_same_weights_and_figures_bit_for_bit_and_another_seed_others():
    weights, scores = [], []
    for seed in (0, 0, 1):
        config = make_config(rng_seed=seed, augment={"flip": 0.5})
        parts = start(config)
        fitted, _ = fit(config, parts, features(), features(seed=1))
        weights.append(parts.heads.get_weights())
        scores.append(fitted.history.drop(columns=["seconds", "validation_seconds", "images_per_second"]))
    assert same(weights[0], weights[1])
    assert scores[0].equals(scores[1])
    assert not same(weights[0], weights[2])


class Killed(BaseException):
    """What a signal does."""


class Killer(Log):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def step(self, *, epoch, step, figures):
        if (epoch, step) == self.at:
            raise Killed


@pytest.mark.parametrize("epoch", [1, 2, 3, 4])
def test_heads_killed_in_any_epoch_go_on_as_if_they_had_not_been(straight_fit, epoch, tmp_path):
    from emotion_mlflow.checkpoints import Checkpoints

    config, straight, weights = straight_fit
    with pytest.raises(Killed):
        fit(config, start(config), features(), features(seed=1), sink=Killer((epoch, 2)),
            checkpoints=Checkpoints(tmp_path))  # fmt: skip
    parts = start(config)
    again, log = fit(config, parts, features(), features(seed=1), start=Checkpoints(tmp_path).load()[0])

    assert [row["epoch"] for row in log.rows] == list(range(epoch, 5))
    times = ["seconds", "validation_seconds", "images_per_second"]
    assert again.history.drop(columns=times).equals(straight.history.drop(columns=times))
    assert again.best_epoch == straight.best_epoch
    assert same(parts.heads.get_weights(), weights)


def test_a_finished_training_that_is_started_again_trains_nothing_and_has_its_best_weights(tmp_path):
    from emotion_mlflow.checkpoints import Checkpoints

    config = make_config(epochs=3, learning_rate=0.05)
    parts = start(config)
    first, _ = fit(config, parts, features(), features(seed=1), checkpoints=Checkpoints(tmp_path))
    left = parts.heads.get_weights()
    parts = start(config)
    again, log = fit(config, parts, features(), features(seed=1), start=Checkpoints(tmp_path).load()[0])
    assert log.rows == []
    assert again.history.equals(first.history)
    assert again.best_epoch == first.best_epoch
    assert same(parts.heads.get_weights(), left)


def test_a_whole_network_goes_on_from_the_checkpoint_before_a_damaged_one_bit_for_bit(tmp_path):
    """Warm-up, dropout, noise and every other change on; the newest of two checkpoints is spoilt."""
    from emotion_mlflow.checkpoints import Checkpoints

    config = make_config(
        epochs=3, warmup_epochs=1, batch_size=4, optimizer="adamw", model={"train_backbone": True},
        augment={
            "flip": 0.5, "rotation": 10.0, "zoom": 0.1, "shift": 0.05, "contrast": (0.8, 1.2), "brightness": 20.0,
            "noise": 5.0, "erase": 0.5,
        },
    )  # fmt: skip
    kept = Checkpoints(tmp_path)
    straight_parts = start(config)
    before, look = averages(straight_parts), Log(look_at(straight_parts))
    straight, _ = fit(config, straight_parts, pixels(), pixels(seed=1), checkpoints=kept, sink=look)
    assert moved(before, look.seen[0][0]) == set()  # warm-up
    assert moved(before, look.seen[1][0]) == set(before)  # live norms follow the batches

    newest = tmp_path / "epoch-0003.npz"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    assert kept.load()[1] == [newest]

    parts = start(config)
    again, log = fit(config, parts, pixels(), pixels(seed=1), checkpoints=kept, start=kept.load()[0])
    assert [row["epoch"] for row in log.rows] == [3]
    assert same(parts.whole.get_weights(), straight_parts.whole.get_weights())
    times = ["seconds", "validation_seconds", "images_per_second"]
    assert again.history.drop(columns=times).equals(straight.history.drop(columns=times))
    assert kept.load()[1] == []


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """MobileNetV3Small's weights as if trained but for its last norm, which still stands at its start."""
    from emotion_mlflow.models.backbones import load_trunk, norm_layers

    trunk = load_trunk("mobilenetv3small", weights="none", image_size=SIZE)
    for layer in norm_layers(trunk.network)[:-1]:
        gamma, beta, mean, variance = layer.get_weights()
        layer.set_weights([gamma, beta + 0.1, mean + 0.1, variance * 1.5])
    file = tmp_path_factory.mktemp("weights") / "small.weights.h5"
    trunk.network.save_weights(file)
    return file


def averages(parts):
    """Moving mean and variance of each BatchNormalization, by name."""
    from emotion_mlflow.models.backbones import norm_layers

    return {
        layer.name: np.concatenate([np.array(layer.moving_mean), np.array(layer.moving_variance)])
        for layer in norm_layers(parts.trunk.network)
    }


def moved(before, after):
    return {name for name in before if not np.array_equal(before[name], after[name])}


def look_at(parts):
    return lambda: (averages(parts), parts.trunk.network.get_weights(), parts.heads.get_weights())


def test_a_warm_up_leaves_the_backbone_as_it_was_and_then_frozen_norms_stay_frozen(weights_file):
    """Keras' fit passes training=True down whatever the call said: only the averages show what is frozen."""
    config = make_config(
        epochs=2, warmup_epochs=1, batch_size=8,
        model={"train_backbone": True, "weights": str(weights_file), "batch_norm": "frozen"},
    )  # fmt: skip
    parts = start(config)
    before, weights, heads = look_at(parts)()
    log = Log(look_at(parts))
    fit(config, parts, pixels(), pixels(seed=1), sink=log)
    (warm, warm_weights, warm_heads), (trained, trained_weights, _) = log.seen
    assert moved(before, warm) == set()
    assert same(warm_weights, weights)
    assert not same(warm_heads, heads)

    untrained = set(parts.trunk.untrained_norms)
    assert len(untrained) == 1
    assert parts.frozen_norms == len(before) - 1
    assert moved(before, trained) == untrained
    changed = [not np.array_equal(one, other) for one, other in zip(trained_weights, weights, strict=True)]
    assert sum(changed) > 50  # the kernels learn
    assert parts.trunk.network.trainable


def test_frozen_norms_of_resnet50_s_file_stay_and_its_untrained_ones_learn(shared):
    file = shared / "weights" / "resnet50_imagenet_partial_notop.weights.h5"
    config = make_config(
        epochs=1, batch_size=8,
        model={
            "backbone": "resnet50", "train_backbone": True, "weights": str(file), "batch_norm": "frozen",
            "tasks": ("expression",),
        },
    )  # fmt: skip
    parts = start(config)
    before = averages(parts)
    log = Log(look_at(parts))
    fit(config, parts, pixels(), pixels(seed=1), sink=log)
    assert moved(before, log.seen[0][0]) == set(parts.trunk.untrained_norms)
    assert len(parts.trunk.untrained_norms) == 10


def test_a_task_without_a_label_neither_stops_training_nor_is_scored():
    config = make_config(epochs=1)
    train, val = features(), features(seed=1)
    for each in (train, val):
        each.truth["valence"][:] = 0
        each.truth["valence_labelled"][:] = 0
    fitted, _ = fit(config, start(config), train, val)
    row = fitted.history.iloc[0]
    figures = ("train/valence/loss", "train/valence/mae", "val/valence/loss", "val/valence/mae", "val/valence/ccc")
    assert [name for name in figures if not math.isnan(row[name])] == []
    assert math.isfinite(row["train/loss"])
    assert math.isfinite(row["val/loss"])


def test_landmarks_of_no_size_have_no_error_and_not_a_perfect_one():
    config = make_config(epochs=1, model={"tasks": ("expression", "landmarks")})
    train, val = features(), features(seed=1)
    for each in (train, val):
        each.truth["landmarks"][:] = 0.5
    row = fit(config, start(config), train, val)[0].history.iloc[0]
    assert [name for name in row.index if "landmarks/nme" in name and not math.isnan(row[name])] == []
    assert math.isfinite(row["train/landmarks/loss"])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_validation_that_is_not_finite_stops_training_and_names_epoch_and_step(bad):
    config = make_config(epochs=1, batch_size=10, affect_loss="mse")
    val = features(seed=1)
    val.truth["valence"][3] = bad
    words = r"expected finite answers and a finite loss; got \w+ in epoch 1, after step 2, on the val faces"
    with pytest.raises(TrainingError, match=words):
        fit(config, start(config), features(), val)


def test_answers_that_turn_nan_in_the_last_step_stop_training_as_a_loss_does():
    config = make_config(epochs=1)

    class Poison(Log):
        def step(self, *, epoch, step, figures):
            if step == self.begun[1]:
                parts.heads.set_weights([np.full_like(array, np.nan) for array in parts.heads.get_weights()])

    parts = start(config)
    with pytest.raises(TrainingError, match="got nan in epoch 1, after step 2"):
        fit(config, parts, features(), features(seed=1), sink=Poison())


def test_validation_faces_are_never_changed():
    """The same validation loss whatever the training faces go through, at a rate at which nothing is learnt."""
    losses = []
    for augment in ({}, {"flip": 1.0}):
        config = make_config(epochs=1, learning_rate=1e-12, schedule="none", augment=augment)
        fitted, _ = fit(config, start(make_config()), features(), features(seed=1))
        losses.append(fitted.history["val/loss"][0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_only_trained_weights_decay():
    from emotion_mlflow.train import _optimizer

    optimizer = _optimizer(replace(make_config().training, optimizer="adamw", weight_decay=0.01))
    parts = start(make_config())
    optimizer.build(parts.heads.trainable_variables)
    decaying = {variable.path.split("/")[-1] for variable in parts.heads.trainable_variables
                if optimizer._use_weight_decay(variable)}  # fmt: skip
    assert decaying == {"kernel"}


def test_a_stop_in_the_middle_of_a_layer_stays_a_stop():
    import keras

    from emotion_mlflow.errors import Stopped

    class Interrupted(keras.layers.Layer):
        def call(self, inputs):
            raise Stopped("SIGTERM")

    with pytest.raises(Stopped):
        Interrupted()(np.ones((1, 1), np.float32))
