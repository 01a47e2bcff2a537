"""AIMv2's entries: the data mixture."""

from aimv2_lab.report.ledger.entries import Entry, Section

_PRIVATE = "not public; the recipes draw that share from stand-ins, which docs/data.md names"


def _source(name: str, pairs: str, share: str) -> Entry:
    """A source that can be had, drawn by `data.mixture`."""
    return Entry(
        f"{name}: {pairs} pairs, drawn with {share}",
        "Table 2",
        "paper",
        ("recipes.mixtures.AIMV2_MIXTURE", "data.order.MixedOrder"),
        (
            "test_full_scale.py::test_the_mixtures_are_the_papers",
            "data/test_order.py::test_every_block_holds_the_shares_exactly",
        ),
        "01: Five sources, many files",
    )


def _private(name: str, pairs: str, share: str) -> Entry:
    return Entry(f"{name}: {pairs} pairs, drawn with {share}", "Table 2", "paper", absent=_PRIVATE)


SECTIONS = (
    Section(
        "Data (Table 2)",
        (
            _source("DFN, alt text", "1,901,228,573", "30 %"),
            _private("DFN, synthetic captions", "3,802,457,146", "30 %"),
            _source("COYO, alt text", "560,171,533", "9 %"),
            _private("HQITP, alt text", "564,623,839", "28 %"),
            _private("HQITP, synthetic captions", "431,506,953", "3 %"),
            Entry(
                "A picture may have several captions (two synthetic ones in DFN); one is drawn each time",
                "Table 2; that one is drawn is our reading",
                "our choice",
                ("data.batches.PairDataset", "data.records.Pair"),
                ("data/test_batches.py::test_captions_are_drawn_evenly",),
                "01: A batch",
            ),
            Entry(
                "12 billion samples seen: 1,500,000 steps of 8,192",
                "Tables 1, A1",
                "paper",
                absent="the preset holds the numbers (see Table A1 below); no run of that scale was made",
            ),
        ),
    ),
)
