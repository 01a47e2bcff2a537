"""AIMv2's entries: the objective and the text."""

from aimv2_lab.report.ledger.entries import Entry, Section, values

_OBJECTIVE = Section(
    "The objective (section 2.1, Figure 1)",
    (
        Entry(
            "P(x) = Π P(xᵢ | x₁ … xᵢ₋₁) over patches, then text tokens: one autoregressive factorisation",
            "section 2.1, first equation",
            "paper",
            ("model.aimv2.AIMv2",),
            (
                "model/test_leakage.py::test_no_counted_pixel_output_sees_its_target_or_a_later_patch",
                "model/test_leakage.py::test_every_text_output_sees_the_whole_picture_and_only_earlier_tokens",
            ),
            "03: 4. The leak meter",
        ),
        Entry(
            "Shift: output i predicts patch i + 1, text output t token t",
            "Figure 1",
            "paper",
            ("model.objective.pixel_targets", "model.decoder.Predictions"),
            (
                "model/test_objective.py::test_targets_are_the_next_patches_each_standardised_by_itself",
                "model/test_objective.py::test_perfect_predictions_cost_nothing_and_shifted_ones_do",
            ),
            "02: 4. The shift",
        ),
        Entry(
            "The last image output has no patch to predict; the pseudo-code leaves it open, and no loss trains it here",
            "Figure 1; ml-l3m",
            "released code",
            ("model.objective.pixel_errors",),
            ("model/test_objective.py::test_uncounted_outputs_get_exactly_no_gradient_and_counted_ones_some",),
            "02: 4. The shift",
        ),
        Entry(
            "The pixel loss counts only patches after the prefix: outputs M − 1 … I − 2, from 0 (the text says so, the "
            "pseudo-code leaves it out)",
            "section 2.2",
            "paper",
            ("model.objective.counted_outputs",),
            (
                "model/test_objective.py::test_outputs_from_one_before_the_prefix_end_count_and_predict_the_rest",
                "model/test_objective.py::test_uncounted_outputs_get_exactly_no_gradient_and_counted_ones_some",
            ),
            "03: 3. Which outputs count",
        ),
        Entry(
            "Target: each patch normalised by its own mean and deviation, as in MAE",
            "section 2.1",
            "paper",
            ("model.patches.standardise", "recipes.decoder.ObjectiveRecipe.target"),
            (
                "model/test_patches.py::test_standardised_patches_have_mean_0_and_unbiased_variance_1",
                "training/test_step.py::test_the_recipe_says_what_the_target_is",
            ),
            "02: 3. The target: standardise each patch by itself",
            values("aimv2-large-224", {"objective.target": "standardised"}),
        ),
        Entry(
            "Unbiased variance; eps 1e-6 inside the root",
            "ml-l3m",
            "released code",
            ("model.patches.TARGET_EPS", "model.patches.standardise"),
            (
                "model/test_patches.py::test_eps_is_1e_6_inside_the_root",
                "model/test_patches.py::test_standardised_patches_have_mean_0_and_unbiased_variance_1",
            ),
            "02: 3. The target: standardise each patch by itself",
        ),
        Entry(
            "L_img = 1/I Σ ‖x̂ᵢ − xᵢ‖² : squared error of the next patch",
            "section 2.1, equation of L_img",
            "paper",
            ("model.objective.pixel_errors",),
            ("model/test_objective.py::test_losses_are_the_means_over_what_counts_in_the_batch",),
            "02: 5. How low is a low loss?",
        ),
        Entry(
            "The error is a mean over the 588 values (the equation shows a sum, the pseudo-code a mean)",
            "ml-l3m",
            "released code",
            ("model.objective.pixel_errors",),
            (
                "model/test_objective.py::test_zero_predictions_cost_the_variance_of_a_standardised_patch",
                "model/test_objective.py::test_losses_are_the_means_over_what_counts_in_the_batch",
            ),
            "02: 5. How low is a low loss?",
        ),
        Entry(
            "The pixel loss divides by the number of counted patches (the equation says I), of the batch, not image by "
            "image",
            "ml-l3m",
            "released code",
            ("model.objective.losses",),
            ("model/test_objective.py::test_losses_are_the_means_over_what_counts_in_the_batch",),
            "07: 3. What is counted",
        ),
        Entry(
            "… of the global batch, however it is cut into ranks and micro-batches (ml-l3m: of the local one)",
            "–",
            "our choice",
            ("model.objective.LossCounts", "training.step.loss_counts"),
            (
                "model/test_objective.py::test_shares_of_micro_batches_add_up_to_the_global_loss_and_gradient",
                "training/test_step.py::test_micro_batches_change_nothing",
            ),
            "07: 1. A loss that depends on your memory",
        ),
        Entry(
            "L_text = −1/T Σ log P(xₜ | …): cross-entropy of the next token",
            "section 2.1, equation of L_text",
            "paper",
            ("model.objective.text_errors",),
            ("model/test_objective.py::test_losses_are_the_means_over_what_counts_in_the_batch",),
            "07: 2. The loss by hand",
        ),
        Entry(
            "Cross-entropy in float32, mean over the tokens that are no padding; pads are ignored",
            "ml-l3m",
            "released code",
            ("model.objective.text_errors", "model.objective.losses"),
            (
                "model/test_objective.py::test_what_stands_in_the_padding_does_not_matter",
                "model/test_objective.py::test_errors_of_bfloat16_outputs_are_taken_in_float32",
            ),
            "07: 2. The loss by hand",
        ),
        Entry(
            "L = L_text + alpha · L_img, alpha = 0.4",
            "section 2.1; Table 9c",
            "paper",
            ("recipes.decoder.ObjectiveRecipe.pixel_weight", "model.objective.losses"),
            ("model/test_objective.py::test_the_total_weighs_the_pixels",),
            "07: 7. What \N{GREEK SMALL LETTER ALPHA} trades",
            values("aimv2-large-224", {"objective.pixel_weight": 0.4}),
        ),
    ),
)

_TEXT = Section(
    "Text (section 2.2)",
    (
        Entry(
            "The tokenizer is SigLIP's",
            "section 2.2",
            "paper",
            ("data.tokenizer.load_tokenizer", "recipes.data.DataRecipe.tokenizer"),
            ("data/test_tokenizer.py::test_siglip_captions_are_cleaned_and_stay_so_after_saving",),
            "01: From words to numbers",
            values("aimv2-large-224", {"data.tokenizer": "google/siglip-base-patch16-224"}),
        ),
        Entry(
            "Captions are cut at 77 tokens",
            "section 2.2",
            "paper",
            ("recipes.decoder.DecoderRecipe.text_tokens", "data.tokenizer.CaptionTokenizer.encode"),
            ("data/test_tokenizer.py::test_long_captions_are_cut_and_still_end",),
            "01: From words to numbers",
            values("aimv2-large-224", {"decoder.text_tokens": 77}),
        ),
        Entry(
            "The vocabulary has 32,000 entries",
            "SigLIP's tokenizer, ml-l3m",
            "released code",
            ("recipes.decoder.DecoderRecipe.vocabulary",),
            ("test_recipes.py::test_the_published_encoders_and_their_one_decoder",),
            "06: 4. Two details",
            values("aimv2-large-224", {"decoder.vocabulary": 32_000}),
        ),
        Entry(
            "Captions are lower-cased and freed of punctuation first, as SigLIP does",
            "ml-l3m",
            "released code",
            ("data.tokenizer.clean_caption",),
            ("data/test_tokenizer.py::test_siglip_captions_are_cleaned_and_stay_so_after_saving",),
            "01: From words to numbers",
        ),
        Entry(
            "[EOS] is the last target",
            "Figure 1",
            "paper",
            ("data.tokenizer.CaptionTokenizer",),
            ("data/test_tokenizer.py::test_end_is_counted_and_pads_are_not",),
            "01: From words to numbers",
        ),
        Entry(
            "The end token counts although SigLIP pads with it (ml-l3m ignores its id everywhere); a cut caption ends "
            "with it too",
            "–",
            "our choice",
            ("data.tokenizer.CaptionTokenizer.encode",),
            ("data/test_tokenizer.py::test_counting_goes_by_length_where_end_and_pad_are_one_id",),
            "01: From words to numbers",
        ),
    ),
)

SECTIONS = (_OBJECTIVE, _TEXT)
