"""Every test runs with one thread, without a display and without the network."""

import os

# Before torch, transformers or matplotlib are imported; launched processes and notebook kernels inherit it.
os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg", "TOKENIZERS_PARALLELISM": "false"}

import pytest
import torch

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The demo takes longest, in one process: it comes first, so that others share what is left."""
    items.sort(key=lambda item: item.path.name != "test_demo.py")
