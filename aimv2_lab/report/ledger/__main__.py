"""Write the ledger's page, or say what is wrong with its entries."""

from __future__ import annotations

import sys

from aimv2_lab.report.ledger.page import PAGE, all_entries, page, problems

if found := problems(all_entries()):
    sys.exit("\n".join(found))
PAGE.write_text(page())
