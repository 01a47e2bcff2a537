"""aimv2_lab: learn AIMv2 notebook by notebook, then launch the same code at full scale.

The public face, stable from one version to the next:

    recipe(name)                      a named preset, a frozen dataclass: "tiny", "small", "aimv2-large-224", …
    VisionEncoder(recipe)             the encoder; encoder(images, prefix_lengths=None) -> features (B, I, D)
    AIMv2(recipe)                     encoder and multimodal decoder; model.encoder is the encoder
    load_encoder(path)                the trained encoder of a run folder, checkpoint, directory of transformers or
                                      timm, file of Apple's names, or name on the hub
    load_preprocessing(path)          what its pictures go through: preprocessing(image) -> (3, height, width)
"""

from aimv2_lab.formats.load import load_encoder, load_preprocessing
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import Recipe, recipe

__all__ = ["AIMv2", "Recipe", "VisionEncoder", "load_encoder", "load_preprocessing", "recipe"]
