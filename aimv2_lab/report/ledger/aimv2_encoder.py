"""AIMv2's entries: sizes and encoder."""

from aimv2_lab.report.ledger.entries import Entry, Section, values

_SIZE = ("recipes.presets.PRESETS", "recipes.encoder.EncoderRecipe")
_SIZE_TESTS = (
    "test_recipes.py::test_the_published_encoders_and_their_one_decoder",
    "model/test_encoder.py::test_parameter_counts_are_the_published_ones",
)
_SIZE_LESSON = "04: The published sizes"


def _size(name: str, preset: str, width: int, depth: int, lr: float) -> Entry:
    stated = values(preset, {"encoder.width": width, "encoder.depth": depth, "training.peak_lr": lr})
    states = f"{name}: width {width}, {depth} layers, peak learning rate {lr:g}"
    return Entry(states, "Table 1", "paper", _SIZE, _SIZE_TESTS, _SIZE_LESSON, stated)


def _inside(name: str, preset: str, heads: int, hidden: int) -> Entry:
    stated = values(preset, {"encoder.heads": heads, "encoder.hidden": hidden})
    states = f"{name}: {heads} heads of 128, SwiGLU hidden width {hidden}"
    return Entry(states, "checkpoints' configurations", "released code", _SIZE, _SIZE_TESTS, _SIZE_LESSON, stated)


_SIZES = Section(
    "Sizes (Table 1)",
    (
        _size("L, 0.3B parameters", "aimv2-large-224", 1024, 24, 1e-3),
        _size("H, 0.6B", "aimv2-huge-224", 1536, 24, 8e-4),
        _size("1B, 1.2B", "aimv2-1b-224", 2048, 24, 8e-4),
        _size("3B, 2.7B", "aimv2-3b-224", 3072, 24, 4e-4),
        _inside("L", "aimv2-large-224", 8, 2816),
        _inside("H", "aimv2-huge-224", 12, 4096),
        _inside("1B", "aimv2-1b-224", 16, 5632),
        _inside("3B", "aimv2-3b-224", 24, 8192),
        Entry(
            "Patches of 14 px, 224 px, so 256 patches of 588 values",
            "Table 1, section 2.1",
            "paper",
            ("recipes.encoder.EncoderRecipe.patch_size", "recipes.encoder._PatchGrid.patches"),
            ("test_recipes.py::test_the_published_encoders_and_their_one_decoder",),
            "02: 2. Patches by hand",
            values(
                "aimv2-large-224",
                {
                    "encoder.patch_size": 14,
                    "encoder.image_size": 224,
                    "encoder.patches": 256,
                    "encoder.patch_values": 588,
                },
            ),
        ),
        Entry(
            "A base size, width 768, 12 layers, 6 heads, hidden width 2048, is in the code and not in the paper; its "
            "learning rate here is large's",
            "timm, transformers",
            "our choice",
            ("recipes.presets.PRESETS",),
            ("test_recipes.py::test_the_published_encoders_and_their_one_decoder",),
            _SIZE_LESSON,
            values(
                "aimv2-base-224",
                {"encoder.width": 768, "encoder.depth": 12, "encoder.heads": 6, "encoder.hidden": 2048},
            ),
        ),
    ),
)

_ENCODER = Section(
    "The encoder (section 2.2)",
    (
        Entry(
            "A picture is cut into non-overlapping patches, in raster order",
            "section 2.1",
            "paper",
            ("model.patches.patchify",),
            (
                "model/test_patches.py::test_unpatchify_inverts_patchify",
                "model/test_patches.py::test_patches_run_in_raster_order_and_inside_by_row_column_channel",
            ),
            "02: 2. Patches by hand",
        ),
        Entry(
            "Inside a patch, values run by row, column, channel",
            "ml-l3m",
            "released code",
            ("model.patches.patchify",),
            ("model/test_patches.py::test_patches_run_in_raster_order_and_inside_by_row_column_channel",),
            "02: 2. Patches by hand",
        ),
        Entry(
            "Patch projection: one convolution of 14 × 14, stride 14, with bias",
            "ml-aim",
            "released code",
            ("model.encoder.VisionEncoder.patch_projection",),
            ("model/test_parity.py::test_features_and_gradients_are_equal",),
            "04: Part 1: patches to tokens",
        ),
        Entry(
            "Patch tokens are RMS-normalised before the positions are added, not after",
            "ml-aim",
            "released code",
            ("model.encoder.VisionEncoder.embed", "model.encoder.VisionEncoder.patch_norm"),
            (
                "model/test_parity.py::test_hidden_states_are_equal_at_every_depth",
                "lessons/test_encoder_mistakes.py::test_initial_weights_hide_swapped_norms",
            ),
            "04: Part 1: patches to tokens",
        ),
        Entry(
            "Positions at 224, 336 and 448 px: a learned table, one vector per patch",
            "checkpoints",
            "released code",
            ("model.encoder.VisionEncoder.positions", "recipes.encoder.EncoderRecipe.positions"),
            ("model/test_parity.py::test_features_and_gradients_are_equal",),
            "04: Part 3: positions",
            values("aimv2-large-224", {"encoder.positions": "learned"}),
        ),
        Entry(
            "Positions of the native encoder: fixed 2-D sine-cosine, x first, temperature 10,000",
            "ml-aim",
            "released code",
            ("model.positions.sincos_positions", "model.positions.TEMPERATURE"),
            (
                "model/test_positions.py::test_x_comes_first",
                "model/test_parity.py::test_native_features_are_equal_at_any_shape",
            ),
            "04: Part 3: positions",
        ),
        Entry(
            "Prefix attention: patch i sees patch j if j ≤ i or j is in the prefix",
            "section 2.2; form of the mask from ml-aim",
            "paper",
            ("model.masks.prefix_mask",),
            (
                "model/test_masks.py::test_query_sees_key_at_or_before_it_or_in_the_prefix",
                "model/test_encoder.py::test_every_query_sees_exactly_the_keys_of_its_prefix_mask",
            ),
            "03: 2. The rule, by hand",
        ),
        Entry(
            "Prefix length M uniform on 1 … I − 1 (the text of section 2.2): what is done here",
            "section 2.2",
            "paper",
            ("data.batches.draw_prefix_length", "model.masks.check_prefix_lengths"),
            (
                "data/test_batches.py::test_prefix_lengths_are_uniform",
                "model/test_masks.py::test_a_prefix_outside_1_to_one_less_than_the_patches_is_named",
            ),
            "03: 5. How long is a prefix?",
        ),
        Entry(
            "Prefix length from 0 to I − 1 (the pseudo-code of Figure 1)",
            "Figure 1",
            "paper",
            absent="0 is the same mask as 1, so this range would draw causal attention twice as often; the text is "
            "followed instead",
            lesson="03: 5. How long is a prefix?",
        ),
        Entry(
            "Prefix length from 1 to I − 1 (an author's reply in ml-aim issue 32; ml-l3m's 1 … 255)",
            "ml-aim #32, ml-l3m",
            "released code",
            ("data.batches.draw_prefix_length",),
            ("data/test_batches.py::test_prefix_lengths_are_uniform",),
            "03: 5. How long is a prefix?",
        ),
        Entry(
            "One prefix length per image, not per batch; the paper leaves it open",
            "ml-l3m",
            "released code",
            ("data.batches.PairDataset",),
            ("data/test_batches.py::test_prefix_lengths_are_uniform",),
            "03: 2. The rule, by hand",
        ),
        Entry(
            "The draw is keyed by (seed, epoch, position), so ranks and workers change nothing; ml-l3m's repeats in "
            "every worker",
            "–",
            "our choice",
            ("data.order.sample_generator",),
            (
                "data/test_batches.py::test_batches_do_not_depend_on_the_workers",
                "data/test_order.py::test_a_generator_is_a_function_of_its_key",
            ),
            "01: Break it: one generator in the data set",
        ),
        Entry(
            "At inference every patch sees every patch",
            "section 2.2",
            "paper",
            ("model.encoder.VisionEncoder.forward",),
            ("model/test_encoder.py::test_without_prefix_lengths_every_patch_sees_every_patch",),
            "03: 5. How long is a prefix?",
        ),
        Entry(
            "RMSNorm before attention and feed-forward layer, and once after the last block",
            "section 2.2; places from ml-aim",
            "paper",
            ("model.layers.Block", "model.encoder.VisionEncoder.norm"),
            ("model/test_parity.py::test_hidden_states_are_equal_at_every_depth",),
            "04: Part 2: RMSNorm",
        ),
        Entry(
            "RMSNorm's eps is 1e-5",
            "ml-aim",
            "released code",
            ("recipes.encoder.EncoderRecipe.norm_eps",),
            ("model/test_parity.py::test_features_are_equal_where_eps_decides",),
            "04: Break it: the ε of another library",
            values("aimv2-large-224", {"encoder.norm_eps": 1e-5}),
        ),
        Entry(
            "SwiGLU: down(silu(gate(x)) · up(x))",
            "section 2.2",
            "paper",
            ("model.layers.SwiGLU",),
            ("model/test_parity.py::test_features_and_gradients_are_equal",),
            "04: Part 5: SwiGLU",
        ),
        Entry(
            "Softmax attention with heads 128 wide at every size, scale 1/√128, fused q, k, v",
            "ml-aim",
            "released code",
            ("model.layers.Attention", "model.layers.attend"),
            (
                "model/test_layers.py::test_attention_is_a_softmax_over_what_the_mask_allows",
                "test_recipes.py::test_the_published_encoders_and_their_one_decoder",
            ),
            "04: Part 4: attention",
        ),
        Entry(
            "No biases in the blocks, no class token, no LayerScale, QK norm, registers, dropout or drop path",
            "ml-aim",
            "released code",
            ("model.layers.Block", "model.layers.SwiGLU"),
            ("model/test_encoder.py::test_parameter_counts_are_the_published_ones",),
            "04: Part 6: the residual stream",
        ),
        Entry(
            "Initial weights: Xavier uniform linears, patch projection as one, positions normal 0.02",
            "ml-aim, ml-l3m",
            "released code",
            ("model.encoder.VisionEncoder._initialise", "model.layers.initialise_block"),
            ("model/test_encoder.py::test_initial_weights_are_drawn_as_released",),
            "04: Failure first: a test that sees nothing",
        ),
    ),
)

SECTIONS = (_SIZES, _ENCODER)
