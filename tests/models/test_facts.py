import pytest

from emotion_mlflow.errors import ConfigError
from emotion_mlflow.models.facts import BACKBONES, backbone_facts


def test_the_two_networks_of_the_report_and_a_quick_one_are_there():
    assert {"resnet50", "efficientnetb0", "mobilenetv3small"} <= set(BACKBONES)


@pytest.mark.parametrize(
    ("name", "pixels"), [("resnet50", "caffe"), ("efficientnetb0", "raw"), ("mobilenetv3small", "raw")]
)
def test_a_backbone_says_what_pixels_it_wants(name, pixels):
    assert backbone_facts(name).pixels == pixels


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_takes_a_rate_that_the_report_has(name):
    assert backbone_facts(name).published in ("resnet50", "efficientnetb0")
    assert backbone_facts(name).imagenet_file.endswith(".h5")
    assert len(set(backbone_facts(name).stages)) == len(backbone_facts(name).stages) >= 3


def test_a_wrong_name_lists_the_right_ones():
    with pytest.raises(ConfigError) as caught:
        backbone_facts("vgg16")
    assert str(caught.value) == f"expected a backbone of {', '.join(BACKBONES)}; got vgg16 in --backbone"
