"""AIM v1's entries: sizes, trunk, objective, head."""

from aimv2_lab.report.ledger.entries import Entry, Section, values

_PUBLISHED = "test_recipes.py::test_the_published_aim_v1"
_COUNTS = "model/test_aimv1.py::test_parameter_counts_are_those_of_the_released_models"
_TRUNK_TEST = "model/test_aimv1.py::test_the_trunk_equals_one_written_from_plain_functions"
_HEAD_TEST = "model/test_aimv1.py::test_the_head_equals_its_formula"


def _size(name: str, preset: str, width: int, depth: int, heads: int, steps: int) -> Entry:
    states = f"{name}: width {width}, {depth} layers, {steps:,} iterations of 4,096; {heads} heads (ml-aim)"
    stated = {"encoder.width": width, "encoder.depth": depth, "encoder.heads": heads, "training.steps": steps}
    held = values(preset, stated | {"training.batch_size": 4096})
    return Entry(
        states,
        "Table 1",
        "paper",
        ("recipes.encoder.TrunkRecipe",),
        (_PUBLISHED, _COUNTS),
        "05: 3. The real thing",
        held,
    )


_SIZES = Section(
    "Sizes (Table 1)",
    (
        _size("AIM-0.6B", "aim-600m", 1536, 24, 12, 500_000),
        _size("AIM-1B", "aim-1b", 2048, 24, 16, 1_200_000),
        _size("AIM-3B", "aim-3b", 3072, 24, 24, 1_200_000),
        _size("AIM-7B", "aim-7b", 4096, 32, 32, 1_200_000),
    ),
)

_TRUNK = Section(
    "The trunk",
    (
        Entry(
            "A plain ViT: patch 14 at 224 px, no class token",
            "architecture",
            "paper",
            ("model.aimv1.AIMv1Trunk", "recipes.encoder.TrunkRecipe.patch_size"),
            (_TRUNK_TEST, _PUBLISHED),
            "05: 3. The real thing",
            values("aim-600m", {"encoder.patch_size": 14, "encoder.image_size": 224, "encoder.patches": 256}),
        ),
        Entry(
            "Two-layer MLP with GELU, ratio 4, no biases",
            "architecture",
            "paper",
            ("model.layers.MLP", "recipes.encoder.TrunkRecipe.hidden"),
            (_TRUNK_TEST,),
            "05: 2. By hand: the two new parts",
            values("aim-600m", {"encoder.hidden": 4 * 1536}),
        ),
        Entry(
            "Pre-norm LayerNorm; eps 1e-6 and the norm after the patch projection from ml-aim",
            "architecture",
            "paper",
            ("model.aimv1.AIMv1Trunk.norm_type", "recipes.encoder.TrunkRecipe.norm_eps"),
            (_TRUNK_TEST,),
            "05: 2. By hand: the two new parts",
            values("aim-600m", {"encoder.norm_eps": 1e-6}),
        ),
        Entry(
            "Fixed 2-D sine-cosine positions, added before the trunk",
            "architecture",
            "paper",
            ("model.positions.sincos_positions", "recipes.encoder.TrunkRecipe.positions"),
            (_TRUNK_TEST,),
            "05: 3. The real thing",
        ),
        Entry(
            "No LayerScale, stochastic depth, QK norm or frozen patch projection",
            "architecture",
            "paper",
            ("model.aimv1.AIMv1Trunk",),
            (_TRUNK_TEST, _COUNTS),
            "04: Part 6: the residual stream",
        ),
        Entry(
            "Trained in bfloat16",
            "architecture",
            "paper",
            ("recipes.training.TrainingRecipe.precision",),
            (_PUBLISHED,),
            values=values("aim-600m", {"training.precision": "bfloat16"}),
        ),
    ),
)

_OBJECTIVE = Section(
    "The objective and the prefix",
    (
        Entry(
            "P(x) = Π P(xₖ | x₁ … xₖ₋₁) over patches in raster order",
            "training objective, first equation",
            "paper",
            ("model.aimv1.AIMv1",),
            ("model/test_aimv1.py::test_no_counted_output_sees_its_target_or_a_later_patch",),
            "05: 1. The obvious guess fails",
        ),
        Entry(
            "Squared distance to the next patch, averaged over patches: the same function as AIMv2's",
            "training objective, its loss",
            "paper",
            ("model.objective.pixel_errors",),
            ("training/test_step.py::test_aim_v1_learns_from_pixels_alone",),
            "05: 4. What is hard to predict?",
        ),
        Entry(
            "Targets normalised patch by patch, as in MAE",
            "training objective",
            "paper",
            ("model.patches.standardise", "recipes.decoder.ObjectiveRecipe.target"),
            ("training/test_step.py::test_the_recipe_says_what_the_target_is",),
            "02: 3. The target: standardise each patch by itself",
            values("aim-600m", {"objective.target": "standardised"}),
        ),
        Entry(
            "Prefix of S patches, S uniform on 1 … K − 1; loss on the rest only",
            "architecture; an author in ml-aim #32",
            "paper",
            ("data.batches.draw_prefix_length", "model.objective.counted_outputs"),
            (
                "data/test_batches.py::test_prefix_lengths_are_uniform",
                "model/test_aimv1.py::test_no_counted_output_sees_its_target_or_a_later_patch",
            ),
            "03: 2. The rule, by hand",
            values("aim-600m", {"objective.encoder_attention": "prefix"}),
        ),
        Entry(
            "Downstream the causal mask is dropped",
            "architecture",
            "paper",
            ("model.encoder.VisionEncoder.forward",),
            ("model/test_aimv1.py::test_without_prefix_lengths_every_patch_sees_all",),
            "05: 5. Three choices, three seeds",
        ),
    ),
)

_HEAD = Section(
    "The head",
    (
        Entry(
            "12 MLP blocks of width 2048 for every trunk, each patch on its own",
            "architecture",
            "paper",
            ("model.aimv1.PixelHead", "recipes.decoder.PixelHeadRecipe"),
            (_PUBLISHED, "model/test_aimv1.py::test_the_head_reads_every_patch_on_its_own"),
            "05: 2. By hand: the two new parts",
            values("aim-600m", {"head.width": 2048, "head.depth": 12})
            + values("aim-7b", {"head.width": 2048, "head.depth": 12}),
        ),
        Entry(
            "MLPs with expansion 4, no biases",
            "architecture",
            "paper",
            ("model.aimv1.HeadBlock.feed_forward",),
            (_HEAD_TEST,),
            "05: 2. By hand: the two new parts",
        ),
        Entry(
            "Positions are added once more before the head's blocks",
            "architecture",
            "paper",
            ("model.aimv1.PixelHead.forward",),
            (_HEAD_TEST, "model/test_aimv1.py::test_the_head_of_an_oblong_picture_reads_its_own_grid"),
            "05: 2. By hand: the two new parts",
        ),
        Entry(
            "A block is x + norm(x), then + MLP(norm(x)): a transformer block whose attention passes its input on",
            "ml-l3m",
            "released code",
            ("model.aimv1.HeadBlock",),
            (_HEAD_TEST,),
            "05: 2. By hand: the two new parts",
        ),
        Entry(
            "Linear layers with bias into and out of the head, a norm before the last",
            "ml-l3m",
            "released code",
            ("model.aimv1.PixelHead",),
            (_HEAD_TEST,),
            "05: 2. By hand: the two new parts",
        ),
        Entry(
            "LayerNorm's eps in the head is 1e-5, where the trunk of the released weights has 1e-6",
            "ml-l3m",
            "released code",
            ("recipes.decoder.PixelHeadRecipe.norm_eps",),
            (_HEAD_TEST,),
            "05: 3. The real thing",
            values("aim-600m", {"head.norm_eps": 1e-5}),
        ),
        Entry(
            "Xavier uniform weights, biases zero",
            "ml-l3m",
            "released code",
            ("model.aimv1.PixelHead._initialise",),
            ("model/test_aimv1.py::test_initial_weights_are_xavier_and_biases_zero",),
        ),
        Entry(
            "The head is thrown away after pre-training",
            "architecture",
            "paper",
            ("formats.load.load_encoder",),
            ("training/run/test_checkpoint.py::test_an_aim_v1_run_resumes_and_is_loaded_as_what_it_is",),
            "05: 6. Exercises",
        ),
    ),
)

SECTIONS = (_SIZES, _TRUNK, _OBJECTIVE, _HEAD)
