"""The same seed, and trainings that were killed: bit for bit the same."""

import pytest

from tests.train.trainings import Log, averages, features, fit, look_at, make_config, moved, pixels, same, start

pytestmark = pytest.mark.slow  # imports TensorFlow


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


def test_in_half_precision_weights_stay_whole_and_a_killed_training_goes_on_bit_for_bit(tmp_path):
    from emotion_mlflow.checkpoints import Checkpoints

    config = make_config(epochs=2, model={"train_backbone": True}, mixed_precision=True)
    parts = start(config)
    fit(config, parts, pixels(), pixels(seed=1))
    assert {layer.compute_dtype for layer in parts.trunk.network.layers if layer.trainable_weights} == {"float16"}
    for network in (parts.whole, parts.answering()):
        assert {str(answer.dtype) for answer in network.output.values()} == {"float32"}
    assert {str(weight.dtype) for weight in parts.whole.trainable_weights} == {"float32"}

    with pytest.raises(Killed):
        fit(config, start(config), pixels(), pixels(seed=1), sink=Killer((2, 1)), checkpoints=Checkpoints(tmp_path))
    again = start(config)
    fit(config, again, pixels(), pixels(seed=1), start=Checkpoints(tmp_path).load()[0])
    assert same(again.whole.get_weights(), parts.whole.get_weights())


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


def test_a_training_that_had_stopped_early_when_it_was_killed_has_stopped_early(tmp_path):
    from emotion_mlflow.checkpoints import Checkpoints

    config = make_config(epochs=9, patience=2, learning_rate=1e-12, schedule="none")
    assert fit(config, start(config), features(), features(seed=1), checkpoints=Checkpoints(tmp_path))[0].stopped_early
    kept = Checkpoints(tmp_path).load()[0]
    again, log = fit(config, start(config), features(), features(seed=1), start=kept)
    assert (log.rows, again.stopped_early) == ([], True)


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
