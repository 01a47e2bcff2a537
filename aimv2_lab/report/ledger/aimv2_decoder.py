"""AIMv2's entries: the decoder."""

from aimv2_lab.report.ledger.entries import Entry, Section, values

_DECODER_TEST = "model/test_decoder.py::test_predictions_are_the_heads_of_the_normed_causal_stream"
_ONE_DECODER = "test_recipes.py::test_the_published_encoders_and_their_one_decoder"

_DECODER = Section(
    "The decoder (section 2.2)",
    (
        Entry(
            "Decoder width 1024 and 12 layers for every encoder (Table 1 prints the two swapped; Table 9 settles it)",
            "Tables 1, 9e, 9f",
            "paper",
            ("recipes.published.PAPER_DECODER",),
            (_ONE_DECODER,),
            "06: 3. The real thing",
            values("aimv2-large-224", {"decoder.width": 1024, "decoder.depth": 12})
            + values("aimv2-3b-224", {"decoder.width": 1024, "decoder.depth": 12}),
        ),
        Entry(
            "8 heads, hidden width 2816, RMSNorm eps 1e-5, no biases in the blocks",
            "ml-l3m",
            "released code",
            ("recipes.published.PAPER_DECODER",),
            (
                _ONE_DECODER,
                "model/test_encoder.py::test_large_with_its_decoder_counts_as_the_released_training_code_but_for_one_text_slot",
            ),
            "06: 3. The real thing",
            values("aimv2-large-224", {"decoder.heads": 8, "decoder.hidden": 2816, "decoder.norm_eps": 1e-5}),
        ),
        Entry(
            "Image features pass a linear projection to the decoder's width; tokens an embedding",
            "section 2.2",
            "paper",
            ("model.decoder.MultimodalDecoder.projection", "model.decoder.MultimodalDecoder.token_table"),
            (_DECODER_TEST,),
            "06: 3. The real thing",
        ),
        Entry(
            "One sequence, image first, then text; no cross-attention",
            "section 2.2",
            "paper",
            ("model.decoder.MultimodalDecoder.forward",),
            (
                "model/test_decoder.py::test_a_pixel_output_sees_its_own_and_earlier_features_and_no_text",
                "model/test_decoder.py::test_a_text_output_sees_every_feature_and_the_tokens_before_it",
            ),
            "06: 1. The wrong order",
        ),
        Entry(
            "Text first is possible and not used",
            "section 2.2",
            "paper",
            absent="the paper names it and does not use it",
            lesson="06: 1. The wrong order",
        ),
        Entry(
            "Plain causal attention over the whole sequence, image slots included",
            "section 2.2",
            "paper",
            ("model.decoder.MultimodalDecoder.run", "model.masks.causal_mask"),
            ("model/test_decoder.py::test_a_pixel_output_sees_its_own_and_earlier_features_and_no_text",),
            "06: 2. By hand",
        ),
        Entry(
            "Positions: learned on text slots; image slots carry the encoder's only",
            "ml-l3m",
            "released code",
            ("model.decoder.MultimodalDecoder.text_positions",),
            ("model/test_decoder.py::test_every_text_slot_has_its_own_position_and_image_slots_none",),
            "06: 4. Two details",
        ),
        Entry(
            "77 text slots; ml-l3m has a 78th, after the last token, which predicts nothing",
            "–",
            "our choice",
            ("model.decoder.MultimodalDecoder.text_positions",),
            ("model/test_decoder.py::test_a_caption_may_fill_the_text_slots_but_not_exceed_them",),
            "06: 4. Two details",
        ),
        Entry(
            "[BOS] of Figure 1 is a learned start vector, not a vocabulary entry",
            "Figure 1; ml-l3m",
            "released code",
            ("model.decoder.MultimodalDecoder.start", "model.decoder.MultimodalDecoder.embed_text"),
            ("model/test_decoder.py::test_a_text_output_sees_every_feature_and_the_tokens_before_it",),
            "06: 4. Two details",
        ),
        Entry(
            "Two linear heads on the last hidden state: pixel values of a patch, vocabulary",
            "section 2.2",
            "paper",
            ("model.decoder.MultimodalDecoder.pixel_head", "model.decoder.MultimodalDecoder.text_head"),
            (_DECODER_TEST,),
            "06: 2. By hand",
        ),
        Entry(
            "Heads without bias; the vocabulary head is not tied to the token table",
            "ml-l3m",
            "released code",
            ("model.decoder.MultimodalDecoder.text_head",),
            (
                "model/test_encoder.py::test_large_with_its_decoder_counts_as_the_released_training_code_but_for_one_text_slot",
            ),
            "06: 2. By hand",
        ),
        Entry(
            "Initial weights: token table and start vector normal 0.02, text positions 0.01, heads truncated normal of "
            "variance 1 / (13 · width)",
            "ml-l3m",
            "released code",
            ("model.decoder.MultimodalDecoder._initialise",),
            ("model/test_decoder.py::test_initial_weights_are_drawn_as_in_the_released_training_code",),
            "06: 3. The real thing",
        ),
    ),
)

SECTIONS = (_DECODER,)
