"""Every test runs with one thread, without a display and without the network."""

import os

# Before torch, transformers or matplotlib are imported; launched processes and notebook kernels inherit it.
os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg", "TOKENIZERS_PARALLELISM": "false"}

import torch

torch.set_num_threads(1)
