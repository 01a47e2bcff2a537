"""AIMv2's entries: post-training, probing, ablations, and what else the paper measures."""

from aimv2_lab.report.ledger.entries import Entry, Section, values

_OUT_OF_SCOPE = "needs data and models that are not here"


def _absent(states: str, where: str, why: str) -> Entry:
    return Entry(states, where, "paper", absent=why)


_RESOLUTION = Section(
    "Higher and native resolution (section 2.4)",
    (
        Entry(
            "Fine-tuned at 336 and 448 px with weight decay 0",
            "section 2.4",
            "paper",
            ("recipes.published.published", "recipes.continuations.adaptation_recipe"),
            ("test_recipes.py::test_the_published_training", "training/test_adaptation.py::test_no_weight_decays"),
            "12: Going on otherwise",
            values("aimv2-large-336", {"encoder.image_size": 336, "training.weight_decay": 0.0})
            + values("aimv2-large-448", {"encoder.image_size": 448, "training.weight_decay": 0.0}),
        ),
        Entry(
            "2 billion pairs without synthetic captions: 244,141 steps of 8,192, if the batch stays",
            "section 2.4; that it stays is our choice",
            "paper",
            ("recipes.mixtures.ADAPTATION_MIXTURE", "recipes.published.ADAPTATION_STEPS"),
            ("test_full_scale.py::test_the_mixtures_are_the_papers", "test_recipes.py::test_the_published_training"),
            "12: 3. Positions as pictures",
            values("aimv2-large-448", {"training.steps": 244_141}),
        ),
        Entry(
            "The whole 224 model goes on, encoder and decoder, on alt texts alone",
            "section 2.4",
            "paper",
            ("formats.whole.load_pretrained", "training.beginnings.begin", "recipes.mixtures.without_synthetic"),
            (
                "training/test_adaptation.py::test_it_begins_as_the_loaded_encoder_and_the_starts_decoder",
                "training/test_adaptation.py::test_no_synthetic_caption_is_drawn",
            ),
            "12: 3. Positions as pictures",
        ),
        Entry(
            "The position table is resized, bicubic and antialiased, as timm does it; how it grew is not published",
            "–",
            "our choice",
            ("model.positions.resized_positions", "formats.load.resize"),
            (
                "training/test_adaptation.py::test_the_position_table_is_resized_and_every_other_weight_is_the_starts",
                "formats/test_timm.py::test_a_table_is_resized_as_timm_resizes_it",
            ),
            "12: 3. Positions as pictures",
        ),
        Entry(
            "Rate, schedule, batch and steps are the recipe's, with a new warm-up and new optimizer state; tokenizer, "
            "mean and deviation the start's: none of it is published",
            "–",
            "our choice",
            ("recipes.continuations.adaptation_recipe",),
            ("training/test_adaptation.py::test_what_the_start_has_learned_to_read_stays",),
            "12: 3. Positions as pictures",
            values("aimv2-large-336", {"training.peak_lr": 1e-3, "training.batch_size": 8192}),
        ),
        Entry(
            "Native: every mini-batch holds one area, aspect ratio kept, A · B = C constant (here B = floor(C / A))",
            "section 2.4",
            "paper",
            ("data.native.areas.Areas", "grids.fitted_grid", "data.native.dataset.NativeDataset"),
            (
                "data/native/test_areas.py::test_a_step_has_as_many_pictures_as_fit_into_the_tokens",
                "data/native/test_native_batches.py::test_every_picture_fits_its_steps_area_in_its_own_ratio",
            ),
            "12: 4. An area for every step",
        ),
        Entry(
            "Native: area 2ⁿ patches, n from a normal cut at ±1 and mapped to 7 … 12, so 128 … 4096",
            "section 2.4",
            "paper",
            ("recipes.resolution.ResolutionRecipe", "data.native.areas.Areas.area"),
            ("data/native/test_areas.py::test_the_exponents_are_a_cut_normal_mapped_to_seven_to_twelve",),
            "12: 4. An area for every step",
            values("aimv2-large-native", {"resolution.area_exponents": (7.0, 12.0), "encoder.positions": "sincos"}),
        ),
        Entry(
            "Native: zeros fill what a picture leaves of the area, without masks",
            "section 2.4",
            "paper",
            ("recipes.resolution.ResolutionRecipe.padding", "data.native.pictures.padded_strip"),
            (
                "data/native/test_native_batches.py::test_padding_that_is_seen_fills_the_area_with_zeros",
                "training/test_native.py::test_padding_that_is_seen_is_learned_from",
            ),
            "12: One step, padded and packed",
        ),
        Entry(
            "Native, by default: padding is masked out of attention, features and loss",
            "–",
            "our choice",
            ("model.strips.Strips", "training.native.native_losses"),
            (
                "training/test_native.py::test_losses_and_gradients_are_those_of_every_picture_alone",
                "training/test_native.py::test_what_stands_in_the_padding_changes_nothing",
            ),
            "12: One step, padded and packed",
        ),
        Entry(
            "Native: the constant C is batch_size times the patches of image_size, and n is not rounded",
            "–",
            "our choice",
            ("recipes.published.published_native", "data.native.areas.Areas"),
            ("test_native_page.py::test_the_numbers_of_the_full_scale_are_the_recipes",),
            "12: 4. An area for every step",
            values("aimv2-large-native", {"training.batch_size": 8192, "encoder.image_size": 224}),
        ),
        Entry(
            "The native encoder: any grid, sine-cosine positions",
            "ml-aim",
            "released code",
            ("model.encoder.VisionEncoder._positions", "recipes.encoder.EncoderRecipe.positions"),
            (
                "model/test_encoder.py::test_sincos_positions_take_any_grid_and_tell_its_axes_apart",
                "model/test_parity.py::test_native_features_are_equal_at_any_shape",
            ),
            "04: Part 3: positions",
        ),
        Entry(
            "Table 6 in miniature: a toy at 32 px, at 64 px and native, tested at all of them, with three seeds",
            "Table 6",
            "our choice",
            ("evaluation.resolutions.toys.TRAINED", "evaluation.resolutions.claims.CLAIMS", "launch.resolutions"),
            (
                "evaluation/resolutions/test_claims.py::test_the_papers_differences_are_those_of_its_table",
                "report/test_resolution_figures.py::test_the_table_holds_ours_and_the_papers_and_counts_what_shows",
            ),
            "12: 6. Table 6 in miniature",
        ),
        _absent("Table 6: native and fixed resolutions on ImageNet", "Table 6", _OUT_OF_SCOPE),
    ),
)

_PROBE = Section(
    "The attentive probe (Table A2)",
    (
        Entry(
            "Frozen encoder, attentive probe on the last layer's features",
            "Table A2",
            "paper",
            ("evaluation.probe.AttentiveProbe", "evaluation.probing.run.probe_encoder"),
            (
                "evaluation/test_probe.py::test_it_finds_the_patch_that_tells",
                "evaluation/probing/test_run.py::test_every_probe_learns_what_is_there",
            ),
            "10: 3. The papers' probe",
        ),
        Entry(
            "One learned query, no query or output projection, keys and values without bias, batch norm without scale "
            "(AIM v1's probe; AIMv2's is not described)",
            "ml-aim",
            "released code",
            ("evaluation.probe.AttentiveProbe", "model.pooling.AttentivePooling"),
            ("evaluation/test_probe.py::test_it_finds_the_patch_that_tells",),
            "10: 3. The papers' probe",
        ),
        Entry(
            "The classifier has a bias here; AIM v1's has none",
            "–",
            "our choice",
            ("evaluation.probe.AttentiveProbe.classifier", "recipes.probing.ProbeRecipe.classifier_bias"),
            ("evaluation/test_probe.py::test_without_a_clue_it_stays_at_chance",),
            "10: 3. The papers' probe",
        ),
        Entry(
            "AdamW, β 0.9 and 0.999; peak rate swept over 5e-5 … 2e-3, decay over 0.05 and 0.1; the best kept",
            "Table A2",
            "paper",
            ("recipes.probing.TABLE_A2_RATES", "evaluation.probing.grid.ProbeGrid"),
            (
                "evaluation/probing/test_grid.py::test_the_grid_is_table_a2s",
                "evaluation/probing/test_grid.py::test_every_cell_equals_the_plain_probe_trained_alone",
            ),
            "10: Fourteen probes at once",
        ),
        Entry(
            "The best cell is chosen on a tenth of the training pictures, which no probe is trained on",
            "–",
            "our choice",
            ("recipes.probing.ProbeRecipe.selection_share", "evaluation.probing.parts.split_off"),
            ("evaluation/probing/test_run.py::test_the_test_pictures_do_not_choose_the_cell",),
            "10: Break it: the test set chooses",
        ),
        Entry(
            "Minimum rate 1e-5, cosine, clip 3.0, warm-up of 5 epochs (others 0); batch of 1,024 (others 512), "
            "100 epochs",
            "Table A2",
            "paper",
            ("recipes.probing.ProbeRecipe", "evaluation.probing.training.rate_share"),
            ("evaluation/probing/test_grid.py::test_the_rate_warms_up_and_ends_near_the_minimum",),
            "10: Fourteen probes at once",
        ),
        Entry(
            "Crop 0.08 … 1, flip 0.5, colour jitter 0.3, AutoAugment rand-m9-mstd0.5-inc1",
            "Table A2",
            "paper",
            ("recipes.probing.Augmentation", "data.augmentation.augmented_picture"),
            (
                "evaluation/probing/test_run.py::"
                "test_a_probe_of_augmented_pictures_encodes_them_anew_and_once_for_all_cells",
            ),
        ),
        Entry(
            "Of several ranks each encodes its share of a batch, and all train the same probes on the whole batch",
            "–",
            "our choice",
            ("evaluation.probing.encoded.encoded_batches",),
            (
                "evaluation/probing/test_ranks.py::test_every_rank_gets_the_batches_of_one_process",
                "evaluation/probing/test_ranks.py::test_two_ranks_choose_and_score_as_one_process",
            ),
        ),
        _absent("Table 3: fourteen image data sets, frozen trunk", "Tables 3, B1, B2", _OUT_OF_SCOPE),
    ),
)

_ABLATIONS = Section(
    "Ablations (Table 9) and scaling",
    (
        Entry(
            "9a, image only: AIM v1's objective",
            "Table 9a",
            "paper",
            ("model.aimv1.AIMv1",),
            ("training/test_step.py::test_aim_v1_learns_from_pixels_alone",),
            "05: 3. The real thing",
        ),
        Entry(
            "9a, caption only: the encoder sees everything, no pixel counts",
            "Table 9a",
            "paper",
            ("recipes.decoder.ObjectiveRecipe.encoder_attention",),
            ("training/test_step.py::test_bidirectional_attention_learns_from_the_caption_alone",),
            "11",
        ),
        Entry(
            "9a, caption only under the prefix mask: pixel weight 0",
            "Table 9a",
            "paper",
            ("recipes.decoder.ObjectiveRecipe.pixel_weight",),
            ("model/test_objective.py::test_the_total_weighs_the_pixels",),
            "11",
        ),
        Entry(
            "9b: CLIP and CapPa on the same data",
            "Table 9b",
            "paper",
            ("recipes.rivals.rival", "model.two_towers.TwoTowers", "model.rival_decoders.ParallelDecoder"),
            ("training/test_rivals.py::test_micro_batches_change_nothing",),
            "11",
        ),
        Entry(
            "9c: alpha of 0.2, 0.4, 0.6; 0.4 is the default",
            "Table 9c",
            "paper",
            ("recipes.decoder.ObjectiveRecipe.pixel_weight",),
            ("model/test_objective.py::test_the_total_weighs_the_pixels",),
            "11",
            values("aimv2-large-224", {"objective.pixel_weight": 0.4}),
        ),
        Entry(
            "9d: one joint decoder for both kinds (the default)",
            "Table 9d",
            "paper",
            ("model.decoder.MultimodalDecoder",),
            ("model/test_aimv2.py::test_encoder_and_decoder_are_those_of_the_recipe",),
            "06: 1. The wrong order",
        ),
        Entry(
            "9d: separate decoders",
            "Table 9d",
            "paper",
            ("model.rival_decoders.SeparateDecoders",),
            ("model/test_rival_leakage.py::test_separate_decoders_have_nothing_in_common_but_the_features",),
            "11",
        ),
        Entry(
            "9e, 9f: decoder width 512, 1024, 1536 and depth 8, 12, 16; defaults 1024 and 12",
            "Tables 9e, 9f",
            "paper",
            ("recipes.decoder.DecoderRecipe.width", "recipes.decoder.DecoderRecipe.depth"),
            ("test_recipes.py::test_changes_reach_the_named_fields_and_no_others",),
            "11",
            values("aimv2-large-224", {"decoder.width": 1024, "decoder.depth": 12}),
        ),
        _absent("The accuracies of Table 9", "Table 9", "2 billion pairs each; in miniature in notebook 11"),
        _absent("Scaling study: four sizes, 0.5 … 6.4 billion pairs, cool-downs of 20 %", "section 3.1", _OUT_OF_SCOPE),
    ),
)

_DOWNSTREAM = Section(
    "Downstream (section 4)",
    (
        _absent("Open-vocabulary detection and referring expressions", "Table 4, D1, D2", _OUT_OF_SCOPE),
        _absent("Mask R-CNN on COCO", "Table D3", _OUT_OF_SCOPE),
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
        _absent("Multimodal instruction tuning", "Tables 7, C1, C2", "to come in part II"),
        _absent("High-resolution tiling with the Cambrian mixture", "Table C3", _OUT_OF_SCOPE),
        _absent("In-context learning after MM1's pre-training", "Table 8", _OUT_OF_SCOPE),
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

SECTIONS = (_RESOLUTION, _PROBE, _ABLATIONS, _DOWNSTREAM)
