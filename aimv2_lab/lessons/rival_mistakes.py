"""CLIP's loss as a hurried loop computes it: every micro-batch by itself, and the mean of their losses."""

from __future__ import annotations

from torch import Tensor

from aimv2_lab.model.two_towers import Embeddings, contrastive_losses


def loss_over_own_negatives(said: Embeddings, micro_batch_size: int) -> Tensor:
    """The mean of the micro-batches' softmax losses, each over its own pairs: no picture meets another part's texts."""
    parts = zip(said.images.split(micro_batch_size), said.texts.split(micro_batch_size), strict=True)
    found = [
        contrastive_losses(Embeddings(images, texts, said.scale, said.bias), images, texts, 0, "softmax").total
        for images, texts in parts
    ]
    return sum(found[1:], start=found[0]) / len(found)
