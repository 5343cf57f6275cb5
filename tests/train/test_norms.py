"""BatchNorm held or live in warm-up and afterwards."""

import numpy as np
import pytest

from tests.train.trainings import Log, averages, fit, look_at, make_config, moved, pixels, same, start

pytestmark = pytest.mark.slow  # imports TensorFlow


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
