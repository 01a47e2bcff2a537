"""The faults of the clinic: what each is, what exchanges cause it, what shows it, and the test that catches it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from aimv2_lab.data import batches as batches_module
from aimv2_lab.data import transforms
from aimv2_lab.data.batches import Batch, PairDataset
from aimv2_lab.fields import unknown_name
from aimv2_lab.lessons.bugs import wrong_code as wrong
from aimv2_lab.lessons.bugs.exchange import exchanged
from aimv2_lab.lessons.mask_mistakes import transposed
from aimv2_lab.model import masks, objective
from aimv2_lab.model.decoder import MultimodalDecoder
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.layers import SwiGLU
from aimv2_lab.training.optimizers import building

Exchange = tuple[ModuleType | type, str, Callable[..., Any]]


@dataclass(frozen=True)
class Fault:
    """One realistic slip.

    `seen` and `unseen` say what its symptom is and what stays normal. `shown_by` names the examinations that differ
    from a healthy run's, the plainest first; a test measures that these do, and no others. `test` is the qualified
    name of the repository's test that fails.
    """

    name: str
    sentence: str
    seen: str
    unseen: str
    shown_by: tuple[str, ...]
    test: str
    exchanges: tuple[Exchange, ...]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While the context lasts, the package has this fault; afterwards it is healthy again, also after an error."""
        with ExitStack() as stack:
            for exchange in self.exchanges:
                stack.enter_context(exchanged(*exchange))
            yield


_ALL = (
    Fault(
        "target shifted by one",
        "Output i is compared with patch i, which it has seen, in place of patch i + 1.",
        "The pixel loss falls towards 0 at once, also on noise: copying is easy.",
        "The first loss, the captions, and the leak matrix: the model is right, its question is wrong.",
        ("curves", "noise", "targets"),
        "tests/model/test_objective.py::test_targets_are_the_next_patches_each_standardised_by_itself",
        ((objective, "pixel_targets", wrong.own_patches_as_targets),),
    ),
    Fault(
        "targets not standardised",
        "Patches are predicted as they are, without taking out each one's mean and deviation.",
        "The first pixel loss is not that of a blank guess, and the floor of noise is another.",
        "The shape of the curve, and the captions.",
        ("first loss", "curves", "noise", "pixels"),
        "tests/model/test_objective.py::test_zero_predictions_cost_the_variance_of_a_standardised_patch",
        ((objective, "pixel_targets", wrong.raw_patches_as_targets),),
    ),
    Fault(
        "loss counted on the prefix",
        "Outputs inside the prefix, which have seen their target, are averaged in.",
        "Nothing in a short run: outputs that have seen their target must first learn to copy it. Later, a low pixel "
        "loss.",
        "The first loss, both curves within the spread of seeds, and the leak matrix.",
        ("targets",),
        "tests/model/test_objective.py::test_uncounted_outputs_get_exactly_no_gradient_and_counted_ones_some[4]",
        (
            (objective, "counted_outputs", wrong.all_outputs_counted),
            (Batch, "counted_patches", wrong.all_patches_counted),
        ),
    ),
    Fault(
        "mask transposed",
        "Queries and keys of the encoder's mask are exchanged: patches see the later ones.",
        "The pixel loss goes below the floor of noise; on pictures it is only among the best.",
        "The first loss, and the captions: text outputs may see the whole picture anyway.",
        ("leaks", "noise"),
        "tests/model/test_leakage.py::test_no_counted_pixel_output_sees_its_target_or_a_later_patch",
        ((masks, "prefix_mask", transposed),),
    ),
    Fault(
        "mask polarity flipped",
        "True is taken for 'hidden', as torch's nn.MultiheadAttention has it, where it means 'may see'.",
        "The pixel loss goes below the floor of noise, and below other runs on pictures.",
        "The first loss and the captions.",
        ("leaks", "curves", "noise"),
        "tests/model/test_masks.py::test_query_sees_key_at_or_before_it_or_in_the_prefix",
        ((masks, "prefix_mask", wrong.flipped_mask),),
    ),
    Fault(
        "one prefix length per batch",
        "A single M is drawn and used for all images of a batch: a possible reading of the pseudo-code in AIMv2's "
        "Figure 1.",
        "The pixel loss jumps more from step to step; smoothed, as it is logged, it looks as always.",
        "The averaged curve, and every examination of model and objective.",
        ("prefixes",),
        "tests/data/test_prefixes.py::test_every_image_of_a_batch_has_a_prefix_length_of_its_own",
        ((PairDataset, "collate", wrong.one_prefix_for_all),),
    ),
    Fault(
        "same prefixes on every rank",
        "Prefix lengths come from a generator keyed by seed and step, but not by position: all ranks draw the same. "
        "Apple's released training code (ml-l3m) behaves like this.",
        "Nothing on one process, little on many: prefix lengths repeat as often as there are ranks.",
        "Both losses, on any rank.",
        ("prefixes",),
        "tests/data/test_prefixes.py::test_ranks_draw_prefix_lengths_of_their_own",
        ((batches_module, "batches", wrong.prefixes_without_rank),),
    ),
    Fault(
        "pixels not normalised",
        "Pictures enter as 0 … 255, without scaling, mean and deviation.",
        "Both losses fall more slowly.",
        "The targets, since standardising takes scale and offset out again, and the losses on noise.",
        ("pixels", "curves"),
        "tests/data/test_transforms.py::test_normalisation_is_the_recipes",
        ((transforms, "normalise", wrong.raw_pixels),),
    ),
    Fault(
        "pad tokens in the loss",
        "The tokens that fill up short captions count as text to be predicted.",
        "The caption loss is suspiciously low: after the end nothing is easier than the next pad.",
        "The pixel loss, and the first loss, which is ln V for any token.",
        ("targets", "curves", "noise"),
        "tests/data/test_batches.py::test_what_a_batch_holds",
        ((PairDataset, "collate", wrong.padding_counted),),
    ),
    Fault(
        "image after text",
        "The decoder's sequence begins with the caption, so that causal attention hides the picture from it.",
        "The caption loss stops at what can be said without looking.",
        "The first loss, the pixel loss, and both losses on noise.",
        ("leaks", "curves"),
        "tests/model/test_decoder.py::test_a_text_output_sees_every_feature_and_the_tokens_before_it",
        ((MultimodalDecoder, "forward", wrong.text_before_image),),
    ),
    Fault(
        "positions missing",
        "No position is added to the encoder's patches.",
        "Nothing in the losses here, as causal attention gives the order away. A flat picture's features are alike.",
        "Both losses, within the spread of seeds, and the leak matrix.",
        ("places", "parity"),
        "tests/model/test_encoder.py::test_sincos_positions_take_any_grid_and_tell_its_axes_apart",
        ((VisionEncoder, "_positions", wrong.no_positions),),
    ),
    Fault(
        "norm after positions",
        "The patch norm is applied to patches plus positions, not to patches alone.",
        "Nothing in any loss; features differ from the published model's from the first block on.",
        "Both losses: the model learns as well, it is only another model.",
        ("parity",),
        "tests/model/test_parity.py::test_features_and_gradients_are_equal[bidirectional]",
        ((VisionEncoder, "_initialise", wrong.built_with("norm after positions")),),
    ),
    Fault(
        "gate and up swapped",
        "SwiGLU's nonlinearity is applied to the other of its two factors.",
        "Nothing while you train from scratch, since the two factors only change names; published weights give wrong "
        "features.",
        "Both losses.",
        ("parity",),
        "tests/model/test_parity.py::test_hidden_states_are_equal_at_every_depth",
        ((SwiGLU, "forward", wrong.up_through_silu),),
    ),
    Fault(
        "norm eps wrong",
        "1e-6 stands in the encoder's norms in place of 1e-5.",
        "Nothing, until an input is so dim that eps decides; then features differ.",
        "Both losses, and parity on ordinary pictures.",
        ("parity",),
        "tests/model/test_parity.py::test_features_are_equal_where_eps_decides",
        ((VisionEncoder, "_initialise", wrong.built_with("eps 1e-6 for 1e-5")),),
    ),
    Fault(
        "weight decay on norms",
        "Norm weights, biases, positions and the start vector decay with the matrices.",
        "Nothing in a short run; over many steps the spared weights shrink towards zero.",
        "Both losses.",
        ("optimizer",),
        "tests/training/optimizers/test_building.py::test_vectors_positions_and_start_are_not_decayed",
        ((building, "decays", wrong.everything_decays),),
    ),
    Fault(
        "learning rate ×10",
        "The schedule returns ten times the rate that the recipe says.",
        "Both losses stay high.",
        "The first loss, and every examination of model and objective.",
        ("optimizer", "curves"),
        "tests/training/optimizers/test_building.py::test_schedule_warms_up_peaks_and_ends_at_the_minimum",
        ((building, "learning_rate", wrong.ten_times_the_rate),),
    ),
)

FAULTS: dict[str, Fault] = {fault.name: fault for fault in _ALL}


def find_fault(name: str) -> Fault:
    """The fault of that name; raises UnknownName, a KeyError, with the nearest names."""
    if name not in FAULTS:
        raise unknown_name("fault", name, list(FAULTS))
    return FAULTS[name]
