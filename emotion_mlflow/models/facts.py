"""BACKBONES: the facts of each backbone in one literal table. A new backbone is one entry. All rooms may use it.

Imports no Keras, so that the command line can list the names quickly.
"""

from dataclasses import dataclass
from typing import Literal

from emotion_mlflow.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """What a `keras.applications` network wants and how it is built up."""

    application: str
    """Its name in `keras.applications`."""
    pixels: Literal["caffe", "raw"]
    """caffe: RGB -> BGR minus the ImageNet mean, unscaled; raw: 0-255, the network rescales inside."""
    stages: tuple[str, ...]
    """Layers at which a stage ends, in order; the last stage ends with the network."""
    imagenet_file: str
    """What Keras calls the file with its ImageNet weights, without the top."""
    residual_norms: str
    """Pattern of the BatchNormalization layers that end a residual branch."""
    published: Literal["resnet50", "efficientnetb0"]
    """Whose learning rate and schedule the recipe `published` takes."""
    fine_tuned_norm: Literal["live", "frozen"] = "live"
    """BatchNormalization while fine-tuning, as the validation part decided (docs/RECIPES.md has the trial)."""
    scratch_size: int = 64
    """Pixels at which it learns from scratch in minutes on two cores: the recipe `demo`."""
    scratch_learning_rate: float = 3e-3
    scratch_epochs: int = 8


BACKBONES: dict[str, Backbone] = {
    "resnet50": Backbone(
        application="ResNet50",
        pixels="caffe",
        stages=("conv2_block3_out", "conv3_block4_out", "conv4_block6_out"),
        imagenet_file="resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        residual_norms=r"conv\d_block\d_3_bn",
        published="resnet50",
        scratch_size=48,
        scratch_learning_rate=1e-3,
        scratch_epochs=5,
    ),
    "efficientnetb0": Backbone(
        application="EfficientNetB0",
        pixels="raw",
        stages=("block2b_add", "block3b_add", "block4c_add", "block5c_add", "block6d_add"),
        imagenet_file="efficientnetb0_notop.h5",
        residual_norms=r"block\d[b-z]_project_bn",
        published="efficientnetb0",
        fine_tuned_norm="frozen",
    ),
    "mobilenetv3small": Backbone(
        application="MobileNetV3Small",
        pixels="raw",
        stages=("expanded_conv_2_add", "expanded_conv_7_add", "expanded_conv_10_add"),
        imagenet_file="weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
        residual_norms=r"expanded_conv_(2|4|5|7|9|10)_project_bn",
        published="efficientnetb0",
    ),
}


def backbone_facts(name: str) -> Backbone:
    """The entry of a backbone; a ConfigError lists the right names."""
    if name not in BACKBONES:
        raise ConfigError(f"a backbone of {', '.join(BACKBONES)}", got=name, where="--backbone")
    return BACKBONES[name]
