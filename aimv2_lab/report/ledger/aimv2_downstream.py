"""AIMv2's entries: what else the paper measures."""

from aimv2_lab.report.ledger.entries import Entry, Section, absent

_OUT_OF_SCOPE = "needs data and models that are not here"

_DOWNSTREAM = Section(
    "Downstream (section 4)",
    (
        absent("Open-vocabulary detection and referring expressions", "Table 4, D1, D2", _OUT_OF_SCOPE),
        absent("Mask R-CNN on COCO", "Table D3", _OUT_OF_SCOPE),
        Entry(
            "Zero-shot classification by LiT: the encoder frozen, 3 billion pairs; no more of its recipe is published",
            "Table 5",
            "paper",
            ("training.beginnings.begin", "evaluation.zero_shot.zero_shot_accuracy"),
            (
                "training/test_contrastive.py::test_a_frozen_image_tower_stays_and_the_rest_is_trained",
                "launch/test_continuations.py::test_lit_options_come_from_the_checkpoint_the_size_and_the_command",
            ),
        ),
        Entry(
            "LiT's model: attentive pooling head with a bias, causal text tower 12 x 768 read at its end token, both "
            "projected to 768, logit scale from 1/0.07, at most 100",
            "ml-aim",
            "released code",
            ("model.two_towers.TwoTowers", "model.text_tower.TextTower", "formats.lit.LIT_NAMES"),
            (
                "model/test_two_towers.py::test_the_released_model_has_the_released_size",
                "formats/test_lit.py::test_transformers_reads_every_tensor_and_says_the_same",
            ),
        ),
        absent("Multimodal instruction tuning", "Tables 7, C1, C2", "to come in part II"),
        absent("High-resolution tiling with the Cambrian mixture", "Table C3", _OUT_OF_SCOPE),
        absent("In-context learning after MM1's pre-training", "Table 8", _OUT_OF_SCOPE),
        Entry(
            "Distilled checkpoints (AIMv2-L from 3B)",
            "ml-aim's README",
            "released code",
            absent="method not published; one of our choice is `launch.distil`",
        ),
        Entry(
            "The released encoder, number for number",
            "transformers",
            "released code",
            ("formats.huggingface.transformers_to_encoder", "formats.huggingface.encoder_to_transformers"),
            (
                "model/test_parity.py::test_features_and_gradients_are_equal",
                "formats/test_huggingface.py::test_there_and_back_is_the_identity",
            ),
            "04: Equal to the reference",
        ),
    ),
)

SECTIONS = (_DOWNSTREAM,)
