"""AIMv2's entries: what the resolutions behind pre-training are."""

from aimv2_lab.report.ledger.entries import Entry, Section, absent, values

_OUT_OF_SCOPE = "needs data and models that are not here"

_RESOLUTION = Section(
    "Higher and native resolution (section 2.4)",
    (
        Entry(
            "Fine-tuned at 336 and 448 px with weight decay 0",
            "section 2.4",
            "paper",
            ("recipes.published.published", "recipes.continuations.adaptation_recipe"),
            ("test_recipes.py::test_the_published_training", "training/test_adaptation.py::test_no_weight_decays"),
            "12",
            values("aimv2-large-336", {"encoder.image_size": 336, "training.weight_decay": 0.0})
            + values("aimv2-large-448", {"encoder.image_size": 448, "training.weight_decay": 0.0}),
        ),
        Entry(
            "2 billion pairs without synthetic captions: 244,141 steps of 8,192, if the batch stays",
            "section 2.4; that it stays is our choice",
            "paper",
            ("recipes.mixtures.ADAPTATION_MIXTURE", "recipes.published.ADAPTATION_STEPS"),
            ("test_full_scale.py::test_the_mixtures_are_the_papers", "test_recipes.py::test_the_published_training"),
            "12",
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
            "12",
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
            "12",
        ),
        Entry(
            "Rate, schedule, batch and steps are the recipe's, with a new warm-up and new optimizer state; tokenizer, "
            "mean and deviation the start's: none of it is published",
            "–",
            "our choice",
            ("recipes.continuations.adaptation_recipe",),
            ("training/test_adaptation.py::test_what_the_start_has_learned_to_read_stays",),
            "12",
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
            "12",
        ),
        Entry(
            "Native: area 2ⁿ patches, n from a normal cut at ±1 and mapped to 7 … 12, so 128 … 4096",
            "section 2.4",
            "paper",
            ("recipes.resolution.ResolutionRecipe", "data.native.areas.Areas.area"),
            ("data/native/test_areas.py::test_the_exponents_are_a_cut_normal_mapped_to_seven_to_twelve",),
            "12",
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
                "training/test_native.py::test_real_patches_attend_to_padding_that_is_seen_and_to_no_other",
            ),
            "12",
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
            "12",
        ),
        Entry(
            "Native: the constant C is batch_size times the patches of image_size, and n is not rounded",
            "–",
            "our choice",
            ("recipes.published.published_native", "data.native.areas.Areas"),
            ("test_native_page.py::test_the_numbers_of_the_full_scale_are_the_recipes",),
            "12",
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
            "12",
        ),
        absent("Table 6: native and fixed resolutions on ImageNet", "Table 6", _OUT_OF_SCOPE),
    ),
)

SECTIONS = (_RESOLUTION,)
