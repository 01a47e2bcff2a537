"""AIMv2's entries: the data mixture."""

from aimv2_lab.report.ledger.entries import Entry, Section

_PRIVATE = "not public; any folder, shards or Parquet of pairs can be given instead"
_MIXTURE = "one source per run; sampling several by weight is to come"


def _source(name: str, pairs: str, share: str, absent: str = _MIXTURE) -> Entry:
    return Entry(f"{name}: {pairs} pairs, drawn with {share}", "Table 2", "paper", absent=absent)


SECTIONS = (
    Section(
        "Data (Table 2)",
        (
            _source("DFN, alt text", "1,901,228,573", "30 %"),
            _source("DFN, synthetic captions", "3,802,457,146", "30 %", _PRIVATE),
            _source("COYO, alt text", "560,171,533", "9 %"),
            _source("HQITP, alt text", "564,623,839", "28 %", _PRIVATE),
            _source("HQITP, synthetic captions", "431,506,953", "3 %", _PRIVATE),
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
