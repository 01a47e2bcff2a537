"""The paper ledger: where every equation, table row and hyper-parameter of both papers is kept.

python -m aimv2_lab.report.ledger writes notebooks/paper_ledger.md
"""
