"""AIMv2's entries: optimisation and augmentation."""

from aimv2_lab.report.ledger.entries import Entry, Section, values

_PUBLISHED = ("test_recipes.py::test_the_published_training",)
_PRESET = "aimv2-large-224"

_ADAM = "08: Fully decoupled AdamW, one step by hand"
_RATE = "08: The learning rate"
_NORM = "08: The gradient norm"
_COST = "08: 3. What will it cost?"


def _row(states: str, lesson: str, field: str, stated: object, extra_tests: tuple[str, ...] = ()) -> Entry:
    """A row of Table A1 that one field of the training recipe holds."""
    names = (f"recipes.training.TrainingRecipe.{field}",)
    held = values(_PRESET, {f"training.{field}": stated})
    return Entry(states, "Table A1", "paper", names, _PUBLISHED + extra_tests, lesson, held)


_SCHEDULE = ("training/optimizers/test_building.py::test_schedule_warms_up_peaks_and_ends_at_the_minimum",)

_TABLE_A1 = Section(
    "Pre-training (Table A1)",
    (
        Entry(
            "Optimizer: fully decoupled AdamW",
            "Table A1",
            "paper",
            ("training.optimizers.building.build_optimizer",),
            ("training/optimizers/test_building.py::test_decay_is_fully_decoupled_from_the_learning_rate",),
            _ADAM,
        ),
        Entry(
            "Its formula: every step multiplies weights by 1 − decay · lr / peak lr",
            "ml-l3m",
            "released code",
            ("training.optimizers.building.torch_decay",),
            ("training/optimizers/test_building.py::test_decay_is_fully_decoupled_from_the_learning_rate",),
            _ADAM,
        ),
        _row("β₁ = 0.9, β₂ = 0.95", _ADAM, "betas", (0.9, 0.95)),
        Entry(
            "Peak learning rate 1e-3 (L), 8e-4 (H), 8e-4 (1B), 4e-4 (3B)",
            "Table A1",
            "paper",
            ("recipes.training.TrainingRecipe.peak_lr",),
            ("test_recipes.py::test_the_published_encoders_and_their_one_decoder", *_SCHEDULE),
            _RATE,
            values("aimv2-large-224", {"training.peak_lr": 1e-3})
            + values("aimv2-huge-224", {"training.peak_lr": 8e-4})
            + values("aimv2-1b-224", {"training.peak_lr": 8e-4})
            + values("aimv2-3b-224", {"training.peak_lr": 4e-4}),
        ),
        _row("Minimum learning rate 1e-5", _RATE, "min_lr", 1e-5, _SCHEDULE),
        _row("Weight decay 1e-4", _ADAM, "weight_decay", 1e-4),
        _row("Batch of 8,192", _COST, "batch_size", 8192),
        _row("Gradients clipped at 1.0", _NORM, "gradient_clip", 1.0),
        _row("Warm-up of 12,500 iterations", _RATE, "warmup_steps", 12_500, _SCHEDULE),
        _row("1,500,000 iterations in all (ml-l3m's example has 1,250,000)", _RATE, "steps", 1_500_000),
        Entry(
            "Cosine schedule",
            "Table A1",
            "paper",
            ("training.optimizers.building.learning_rate",),
            ("training/optimizers/test_building.py::test_schedule_falls_like_a_cosine",),
            _RATE,
        ),
        Entry(
            "RandomResizedCrop: 224 px, scale 0.4 … 1.0, ratio 0.75 … 1.33, bicubic",
            "Table A1",
            "paper",
            ("data.transforms.random_resized_crop_box", "data.transforms.training_picture"),
            (
                *_PUBLISHED,
                "data/test_transforms.py::test_boxes_have_the_areas_and_ratios_asked_for",
                "data/test_transforms.py::test_a_training_view_is_the_crop_seen_larger",
            ),
            "01: A batch",
            values(
                _PRESET,
                {"encoder.image_size": 224, "data.crop_scale": (0.4, 1.0), "data.crop_ratio": (0.75, 1.33)},
            ),
        ),
        Entry(
            "Horizontal flip with probability 0.5",
            "Table A1",
            "paper",
            ("data.transforms.training_picture",),
            (*_PUBLISHED, "data/test_transforms.py::test_flips_happen_as_often_as_asked"),
            "01: A batch",
            values(_PRESET, {"data.flip_probability": 0.5}),
        ),
    ),
)

_LEFT_OPEN = Section(
    "What Table A1 leaves open",
    (
        Entry(
            "Adam's eps 1e-8",
            "ml-l3m",
            "released code",
            ("recipes.training.TrainingRecipe.adam_eps",),
            _PUBLISHED,
            _ADAM,
            values(_PRESET, {"training.adam_eps": 1e-8}),
        ),
        Entry(
            "The warm-up starts at 1e-6",
            "ml-l3m",
            "released code",
            ("recipes.training.TrainingRecipe.warmup_start_lr",),
            (*_PUBLISHED, *_SCHEDULE),
            _RATE,
            values(_PRESET, {"training.warmup_start_lr": 1e-6}),
        ),
        Entry(
            "No decay on biases, norms, position tables and the start vector",
            "ml-l3m",
            "released code",
            ("training.optimizers.building.decays",),
            ("training/optimizers/test_building.py::test_vectors_positions_and_start_are_not_decayed",),
            _ADAM,
        ),
        Entry(
            "bfloat16 autocast over float32 weights, losses in float32",
            "ml-l3m",
            "released code",
            ("recipes.training.TrainingRecipe.precision", "training.engine.LocalEngine.forward"),
            (*_PUBLISHED, "model/test_objective.py::test_errors_of_bfloat16_outputs_are_taken_in_float32"),
            _COST,
            values(_PRESET, {"training.precision": "bfloat16"}),
        ),
        Entry(
            "Images are normalised with CLIP's mean and deviation, as the released checkpoints' processors do; ml-l3m "
            "trains with ImageNet's",
            "checkpoints' configurations",
            "released code",
            ("recipes.data.DataRecipe.mean", "recipes.data.DataRecipe.std"),
            (*_PUBLISHED, "data/test_transforms.py::test_normalisation_is_the_recipes"),
            "01: A batch",
            values(
                _PRESET,
                {
                    "data.mean": (0.48145466, 0.4578275, 0.40821073),
                    "data.std": (0.26862954, 0.26130258, 0.27577711),
                },
            ),
        ),
        Entry(
            "Micro-batches of 128 per device",
            "ml-l3m",
            "released code",
            ("recipes.training.TrainingRecipe.micro_batch_size",),
            ("training/test_step.py::test_micro_batches_change_nothing",),
            _COST,
            values(_PRESET, {"training.micro_batch_size": 128}),
        ),
        Entry("Exponential moving average of the weights", "–", "paper", absent="the paper mentions none"),
    ),
)

SECTIONS = (_TABLE_A1, _LEFT_OPEN)
