"""Pairs of faults with similar symptoms, and the look that parts them."""

from __future__ import annotations

_PAIRS = {
    ("target shifted by one", "loss counted on the prefix"): (
        "The leak matrix is clean in both. In 'targets' a shifted target moves every mark one "
        "patch to the left; a loss on the prefix leaves the marks in place and colours those that should be grey."
    ),
    ("loss counted on the prefix", "pad tokens in the loss"): (
        "Both count what must not count: one lowers the pixel loss, the other the caption loss. 'targets' shows the "
        "first in its left half, the second in its right."
    ),
    ("target shifted by one", "pad tokens in the loss"): (
        "One lowers the pixel loss, the other the caption loss. 'targets' shows the first in its left half, the second "
        "in its right."
    ),
    ("mask transposed", "mask polarity flipped"): (
        "Both leak later patches, and as many. Look at the prefix's own square, in the upper left of 'leaks': full "
        "when the mask is transposed, a triangle when it is flipped, for then the prefix is what nobody sees."
    ),
    ("mask transposed", "image after text"): (
        "Both show in 'leaks'. The mask joins patches to patches, in the upper left; the order of the sequence joins "
        "captions to patches, in the upper right, and cuts captions off from the picture."
    ),
    ("image after text", "learning rate ×10"): (
        "Both can hold the caption loss where captions are guessed without looking. Too high a rate spoils the pixel "
        "loss as well, and 'leaks' finds nothing."
    ),
    ("one prefix length per batch", "same prefixes on every rank"): (
        "Look at one step of 'prefixes': one level for all images of a rank, or many that the other rank repeats."
    ),
    ("targets not standardised", "pixels not normalised"): (
        "In 'pixels' the first changes what is to be predicted, the second what enters. Only the first is in the first "
        "loss: a standardised target does not know the scale of its picture."
    ),
    ("positions missing", "norm after positions"): (
        "Both differ from the published encoder from the patches on. Only without positions are all 'places' alike."
    ),
    ("norm after positions", "gate and up swapped"): (
        "In 'parity', the first difference: at the patches for the norm, from the first block on for the SwiGLU."
    ),
    ("gate and up swapped", "norm eps wrong"): (
        "In 'parity' a wrong eps shows on very dim pictures only, and from the patches on; a swap shows on all."
    ),
    ("positions missing", "gate and up swapped"): (
        "In 'parity', the first difference: at the patches without positions, from the first block on for the SwiGLU."
    ),
    ("norm after positions", "norm eps wrong"): (
        "In 'parity' a wrong eps shows on very dim pictures only; the norm's place shows on all."
    ),
    ("weight decay on norms", "learning rate ×10"): (
        "Both show in 'optimizer': one in its right half, kinds of weight that shrink and should not; the other in its "
        "left, the rate itself, which makes all decay faster too."
    ),
    ("pixels not normalised", "learning rate ×10"): (
        "Both slow the losses down. 'pixels' shows the first before a single step is taken, 'optimizer' the second."
    ),
}

TELL_APART: dict[frozenset[str], str] = {frozenset(pair): note for pair, note in _PAIRS.items()}
