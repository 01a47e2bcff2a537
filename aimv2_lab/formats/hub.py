"""Models on the Hugging Face hub: configuration and safetensors alone, never code and never a pickle."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import snapshot_download

# JSON that is read, weights, and a text tower's tokenizer; other frameworks' files and Python stay where they are.
_FETCHED = [
    "config.json",
    "preprocessor_config.json",
    "recipe.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
]


def is_hub_name(name: str | Path) -> bool:
    """Whether this may be a model on the hub, OWNER/NAME; a `Path` never is, nor what lies on disk."""
    return isinstance(name, str) and not Path(name).exists() and bool(re.fullmatch(r"[\w.-]+/[\w.-]+", name))


def fetched(name: str, revision: str | None = None, cache_dir: str | Path | None = None) -> Path:
    """The folder in the hub's cache that holds a model, downloaded if it is not there; HF_HUB_OFFLINE forbids that.

    Raises FileNotFoundError where it cannot be had, with the hub's reason.
    """
    try:
        return Path(snapshot_download(name, revision=revision, cache_dir=cache_dir, allow_patterns=_FETCHED))
    except OSError as error:
        wanted = f"{name} at revision {revision}" if revision else name
        raise FileNotFoundError(
            f"{wanted}: no such folder here, and the hub's model of that name could not be had "
            f"({type(error).__name__}: {str(error).splitlines()[0]}). Check the name, which is case-sensitive, and the "
            "network; offline, only what is in the cache can be loaded"
        ) from error
