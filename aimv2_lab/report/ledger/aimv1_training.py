"""AIM v1's entries: data, optimisation, probing, ablations."""

from aimv2_lab.report.ledger.entries import Entry, Mark, Section, absent, values

_PUBLISHED = ("test_recipes.py::test_the_published_aim_v1",)
_PRESET = "aim-600m"
_OUT_OF_SCOPE = "needs data and scale that are not here"


def _row(states: str, mark: Mark, field: str, stated: object, lesson: str = "") -> Entry:
    """A setting that one field of the training recipe holds."""
    where = {"paper": "optimisation", "released code": "ml-l3m"}.get(mark, "appendix")
    held = values(_PRESET, {f"training.{field}": stated})
    return Entry(states, where, mark, (f"recipes.training.TrainingRecipe.{field}",), _PUBLISHED, lesson, held)


_DATA = Section(
    "Data",
    (
        Entry(
            "DFN-2B with probability 0.8 and ImageNet-1k with 0.2",
            "pre-training data",
            "paper",
            ("recipes.mixtures.AIMV1_MIXTURE", "data.order.MixedOrder"),
            (
                "test_full_scale.py::test_the_mixtures_are_the_papers",
                "data/test_order.py::test_every_block_holds_the_shares_exactly",
            ),
            "01: Five sources, many files",
        ),
        Entry(
            "Pictures alone; captions are not read",
            "pre-training data",
            "paper",
            ("model.aimv1.AIMv1.forward", "recipes.pretraining.AIMv1Recipe.text_tokens"),
            (
                "model/test_aimv1.py::test_captions_are_refused",
                "data/test_batches.py::test_a_recipe_without_text_needs_no_tokenizer_and_leaves_captions_alone",
            ),
            "05: 3. The real thing",
            values(_PRESET, {"text_tokens": 0}),
        ),
        Entry(
            "ImageNet's mean and deviation",
            "ml-aim, ml-l3m",
            "released code",
            ("recipes.data.IMAGENET_MEAN", "recipes.data.IMAGENET_STD"),
            _PUBLISHED,
            values=values(_PRESET, {"data.mean": (0.485, 0.456, 0.406), "data.std": (0.229, 0.224, 0.225)}),
        ),
    ),
)

_OPTIMISATION = Section(
    "Optimisation",
    (
        Entry(
            "AdamW, one set of hyper-parameters for all sizes",
            "optimisation",
            "paper",
            ("recipes.published.published_aimv1", "training.optimizers.building.build_optimizer"),
            _PUBLISHED,
        ),
        _row("Peak learning rate 1e-3", "paper", "peak_lr", 1e-3),
        _row("Batch of 4,096", "paper", "batch_size", 4096),
        Entry(
            "Linear warm-up, then cosine",
            "optimisation",
            "paper",
            ("training.optimizers.building.learning_rate",),
            ("training/optimizers/test_building.py::test_schedule_falls_like_a_cosine",),
            "08: The learning rate",
        ),
        _row("Minimum learning rate 0 (the paper: effectively zero at the end)", "second-hand", "min_lr", 0.0),
        _row("Warm-up of 31,250 iterations", "second-hand", "warmup_steps", 31_250),
        _row("β₁ = 0.9, β₂ = 0.95", "second-hand", "betas", (0.9, 0.95)),
        Entry(
            "Weight decay 0.05, multiplied by the rate: ordinary AdamW",
            "ml-l3m",
            "released code",
            ("recipes.training.TrainingRecipe.decay", "training.optimizers.building.torch_decay"),
            (
                *_PUBLISHED,
                "training/optimizers/test_building.py::test_ordinary_decay_is_multiplied_by_the_learning_rate",
            ),
            "05: 3. The real thing",
            values(_PRESET, {"training.weight_decay": 0.05, "training.decay": "ordinary"}),
        ),
        _row("Gradients clipped at 1.0", "second-hand", "gradient_clip", 1.0),
        Entry(
            "Crop scale 0.4 … 1 (ratio 0.75 … 1.33, bicubic and flip 0.5 are second-hand)",
            "crop ablation",
            "paper",
            ("recipes.data.DataRecipe.crop_scale", "data.transforms.training_picture"),
            _PUBLISHED,
            "01: A batch",
            values(
                _PRESET,
                {"data.crop_scale": (0.4, 1.0), "data.crop_ratio": (0.75, 1.33), "data.flip_probability": 0.5},
            ),
        ),
        Entry(
            "Colour jitter in ml-l3m's example configuration",
            "ml-l3m",
            "released code",
            absent="the paper lists none",
        ),
    ),
)

_PROBE = Section(
    "Transfer",
    (
        Entry(
            "Attentive probe: attention pooling with a learned query, then a linear classifier",
            "attentive probe",
            "paper",
            ("evaluation.probe.AttentiveProbe",),
            ("evaluation/test_probe.py::test_it_finds_the_patch_that_tells",),
            "10: 3. The papers' probe",
        ),
        Entry(
            "Probe input: the mean of six consecutive blocks' outputs, last or best",
            "ml-aim",
            "released code",
            ("recipes.probing.PROBES", "evaluation.probing.encoding.Frozen"),
            ("evaluation/probing/test_cache.py::test_layers_are_those_of_the_residual_stream_and_their_mean",),
            "10: 5. Which layer?",
        ),
        absent("Fifteen benchmarks, Table 6; last and best layer", "Tables 6, 7", _OUT_OF_SCOPE),
        absent("LoRA of rank 8 on the trunk", "Tables 7, 8", "to come in part II"),
        Entry(
            "Probe's optimisation: 100 epochs, rates within 1e-4 … 4e-3, decay 0.1, clip 3.0; the batch of 1,024 "
            "and the warm-up of 5 epochs are ImageNet's, and set by --batch-size and --warmup-epochs",
            "appendix",
            "second-hand",
            ("recipes.probing.PROBES",),
            ("evaluation/probing/test_grid.py::test_the_grid_is_table_a2s",),
        ),
    ),
)

_ABLATIONS = Section(
    "Ablations",
    (
        Entry(
            "Targets: normalised pixels, or raw ones",
            "Table 3",
            "paper",
            ("recipes.decoder.ObjectiveRecipe.target", "model.objective.pixel_targets"),
            ("model/test_objective.py::test_raw_targets_are_the_next_patches_as_they_are",),
            "05: 5. Three choices, three seeds",
        ),
        absent("Targets: k-means clusters, dVAE tokens", "Table 3", "not built: no better in the paper"),
        Entry(
            "Order: raster, spiral, checkerboard, random",
            "Table 3",
            "paper",
            ("recipes.decoder.ObjectiveRecipe.patch_order", "model.orders.patch_order"),
            ("model/test_orders.py::test_errors_are_measured_against_the_next_patch_of_the_order",),
            "11: 7. Every table",
        ),
        Entry(
            "Attention: causal or prefix in pre-training",
            "Table 3",
            "paper",
            ("recipes.decoder.ObjectiveRecipe.encoder_attention", "data.batches.draw_prefix_length"),
            ("data/test_batches.py::test_prefix_lengths_of_the_ablations",),
            "05: 5. Three choices, three seeds",
        ),
        Entry(
            "Head: none, or MLPs; widths 512 … 2048, depths 6 … 12",
            "Table 3",
            "paper",
            ("recipes.decoder.PixelHeadRecipe.width", "recipes.decoder.PixelHeadRecipe.depth"),
            ("model/test_aimv1.py::test_a_head_of_depth_zero_is_one_linear_layer",),
            "05: 5. Three choices, three seeds",
        ),
        absent("Head: a transformer", "Table 3", "not built: little better in the paper, and dearer"),
        Entry(
            "Crop scale from 0.08, 0.4 or 1.0",
            "Table 3",
            "paper",
            ("recipes.data.DataRecipe.crop_scale",),
            ("data/test_transforms.py::test_boxes_have_the_areas_and_ratios_asked_for",),
            "11: 7. Every table",
        ),
        absent(
            "Masked prediction of 50 % or 75 %",
            "ablations",
            "of 75 % it is a rival of AIMv2 in notebook 11, not a variant of AIM v1",
        ),
        absent(
            "Deep or wide at 0.6B; longer schedules",
            "ablations",
            "needs data and scale that are not here; deep against wide in miniature in notebook 11",
        ),
    ),
)

SECTIONS = (_DATA, _OPTIMISATION, _PROBE, _ABLATIONS)
