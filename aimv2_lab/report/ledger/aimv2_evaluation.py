"""AIMv2's entries: probing, and the paper's ablations."""

from aimv2_lab.report.ledger.entries import Entry, Section, absent, values

_OUT_OF_SCOPE = "needs data and models that are not here"

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
        absent("Table 3: fourteen image data sets, frozen trunk", "Tables 3, B1, B2", _OUT_OF_SCOPE),
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
            "11: 7. Every table",
        ),
        Entry(
            "9a, caption only under the prefix mask: pixel weight 0",
            "Table 9a",
            "paper",
            ("recipes.decoder.ObjectiveRecipe.pixel_weight",),
            ("model/test_objective.py::test_the_total_weighs_the_pixels",),
            "11: 7. Every table",
        ),
        Entry(
            "9b: CLIP and CapPa on the same data",
            "Table 9b",
            "paper",
            ("recipes.rivals.rival", "model.two_towers.TwoTowers", "model.rival_decoders.ParallelDecoder"),
            ("training/test_rivals.py::test_micro_batches_change_nothing",),
            "11: 3. What each rival is given, and what it must say",
        ),
        Entry(
            "9c: alpha of 0.2, 0.4, 0.6; 0.4 is the default",
            "Table 9c",
            "paper",
            ("recipes.decoder.ObjectiveRecipe.pixel_weight",),
            ("model/test_objective.py::test_the_total_weighs_the_pixels",),
            "11: 7. Every table",
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
            "11: 7. Every table",
        ),
        Entry(
            "9e, 9f: decoder width 512, 1024, 1536 and depth 8, 12, 16; defaults 1024 and 12",
            "Tables 9e, 9f",
            "paper",
            ("recipes.decoder.DecoderRecipe.width", "recipes.decoder.DecoderRecipe.depth"),
            ("test_recipes.py::test_changes_reach_the_named_fields_and_no_others",),
            "11: 7. Every table",
            values("aimv2-large-224", {"decoder.width": 1024, "decoder.depth": 12}),
        ),
        absent("The accuracies of Table 9", "Table 9", "2 billion pairs each; in miniature in notebook 11"),
        Entry(
            "Scaling: four sizes of the encoder over one decoder; here with a law fitted",
            "section 3.1, Figure 2",
            "paper",
            ("evaluation.scaling.cells.CELLS", "evaluation.scaling.law.fit_law", "launch.scale.scale"),
            ("report/test_scaling_figures.py::test_the_law_of_the_points_is_found",),
            "11: 8. Larger, or longer?",
        ),
        absent("The scaling study's 0.5 … 6.4 billion pairs, cool-downs of 20 %", "section 3.1", _OUT_OF_SCOPE),
    ),
)

SECTIONS = (
    _PROBE,
    _ABLATIONS,
)
