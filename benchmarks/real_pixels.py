"""What small encoders learn of real pictures: Tiny-ImageNet, OpenStax's figures, COCO with SugarCrepe's negatives.

    python -m benchmarks.real_pixels tiny-imagenet --data FOLDER --work FOLDER [--seeds 1 2 3]
    python -m benchmarks.real_pixels openstax --data FOLDER --work FOLDER
    python -m benchmarks.real_pixels coco --data FOLDER --work FOLDER

The data are not part of the project; the folders hold .tar or .tar.xz shards with these members:
tiny-imagenet jpg and json {"label"} in train* and val*, beside classes.json [[id, words], …]; openstax jpg and txt in
train* and val*; coco jpg and json {"captions", "sugarcrepe_json"}. Runs lie in the work folder and are used again. One
thread; a line of JSON for every run.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal

import torch
import tyro
from PIL import Image
from torch import Tensor

from aimv2_lab.data.preprocessing import Preprocessing, evaluation_view
from aimv2_lab.data.tokenizer import CaptionTokenizer, load_tokenizer
from aimv2_lab.data.transforms import pixel_scale
from aimv2_lab.data.writers import Sample, write_webdataset
from aimv2_lab.evaluation.caption_choice import caption_likelihoods, likelihood_table, retrieval_at_1, without_prior
from aimv2_lab.evaluation.probing.encoding import Frozen
from aimv2_lab.evaluation.probing.opening import open_labelled
from aimv2_lab.evaluation.probing.run import Storing, probe_encoder
from aimv2_lab.formats.folder import TOKENIZER
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import (
    CLASSES,
    DataRecipe,
    DecoderRecipe,
    EncoderRecipe,
    Recipe,
    RivalRecipe,
    TrainingRecipe,
    rival,
)
from aimv2_lab.recipes.probing import ProbeRecipe
from aimv2_lab.training.loop import build_model, pretrain
from aimv2_lab.training.run.folder import read_metrics

Study = Literal["tiny-imagenet", "openstax", "coco"]
# Two thousand captions are learned by heart in 1,200 steps; 300 had the least held-out loss on a pilot seed (LOG.md).
STEPS: dict[Study, int] = {"tiny-imagenet": 1200, "openstax": 300, "coco": 300}
OBJECTIVES = ("aimv2", "image-only", "caption-only", "untrained")
PROBES = {
    "attentive": ProbeRecipe(learning_rates=(1e-3, 3e-3), weight_decays=(0.1,), epochs=10, batch_size=250),
    "neighbours": ProbeRecipe("neighbours"),
}
RETRIEVED = 100  # held-out pairs among which a caption and a picture are looked for


@dataclass(frozen=True)
class Options:
    """Which study, where its data are, and where its runs go."""

    study: Annotated[Study, tyro.conf.Positional]
    data: Path
    work: Path
    seeds: tuple[int, ...] = (1, 2, 3)
    objectives: tuple[str, ...] = OBJECTIVES
    """For tiny-imagenet; the other two have aimv2 alone."""
    steps: int | None = None
    """None: the study's own."""


def members(folder: Path, prefix: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(key, contents by ending) of every sample of the shards whose names begin so."""
    for shard in sorted([*folder.glob(f"{prefix}*.tar"), *folder.glob(f"{prefix}*.tar.xz")]):
        found: dict[str, dict[str, bytes]] = {}
        with tarfile.open(shard) as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                content = tar.extractfile(member)
                if content is not None:
                    found.setdefault(key, {})[ending] = content.read()
        yield from found.items()


def named_pictures(folder: Path, to: Path) -> Path:
    """Tiny-ImageNet with "a photo of a CLASS." as every caption, and the class in the column `label`."""
    if not to.exists():
        aside = _aside(to)
        names = [words.split(",")[0] for _, words in json.loads((folder / "classes.json").read_text())]
        for split, prefix in (("train", "train"), ("val", "val")):
            samples = [
                Sample(f"{number:08d}", one["jpg"], 64, 64, f"a photo of a {names[label]}.", {"label": label})
                for number, (_, one) in enumerate(members(folder, prefix))
                for label in [json.loads(one["json"])["label"]]
            ]
            write_webdataset(aside, f"{split}-00000", samples)
        aside.rename(to)
    return to


def photographs(folder: Path, to: Path) -> Path:
    """COCO's photographs that SugarCrepe asks nothing about, once for each of their captions."""
    if not to.exists():
        aside = _aside(to)
        samples = []
        for _, one in members(folder, ""):
            about = json.loads(one["json"])
            if not json.loads(about["sugarcrepe_json"]):
                samples += [Sample("", one["jpg"], 160, 160, caption, {}) for caption in about["captions"]]
        write_webdataset(aside, "train-00000", [replace(one, key=f"{n:08d}") for n, one in enumerate(samples)])
        aside.rename(to)
    return to


def _aside(to: Path) -> Path:
    """An empty folder beside another, so that one who is killed leaves nothing that looks whole."""
    aside = to.with_name(f"writing-{to.name}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    return aside


def recipe_of(options: Options, data: Path, seed: int) -> Recipe:
    """A toy of the size that a core trains in minutes: patches of 8 at 64 px, or of 14 at 112."""
    study, steps = options.study, options.steps or STEPS[options.study]
    size, patch = (64, 8) if study == "tiny-imagenet" else (112, 14)
    return Recipe(
        study,
        EncoderRecipe(size, 128, 3, 4, 352, patch_size=patch),
        DecoderRecipe(128, 2, 4, 352, 2048, 20 if study == "tiny-imagenet" else 64),
        data=DataRecipe(str(data), tokenizer="captions"),
        training=TrainingRecipe(
            steps=steps,
            batch_size=32,
            micro_batch_size=32,
            optimizer="muon",
            peak_lr=1.5e-3,
            warmup_steps=60,
            precision="float32",
            log_every=20,
            validate_every=steps,
            checkpoint_every=300,
            seed=seed,
            checkpoints_kept=1,
        ),
    )


def trained(recipe: RivalRecipe, run: Path) -> Any:
    """The model of a run, gone on with where it stopped."""
    return pretrain(recipe, run, resume=True).model.eval()


def probed(options: Options, seed: int) -> Iterator[dict[str, Any]]:
    """Top-1 of 200 classes, by objective."""
    data = named_pictures(options.data, options.work / "pictures")
    known = recipe_of(options, data, seed)
    for name in options.objectives:
        recipe = known if name in ("aimv2", "untrained") else rival(name, known)  # type: ignore[arg-type]
        run = options.work / f"{name}-{seed}"
        model = build_model(recipe) if name == "untrained" else trained(recipe, run)
        seen = Preprocessing(known.data.mean, known.data.std, 64, 64)
        labelled = DataRecipe(str(data), tokenizer=CLASSES, caption_column="json.label")
        pictures = open_labelled(labelled, "validation", seen)
        found: dict[str, Any] = {"objective": name}
        for kind, probe in PROBES.items():
            frozen = Frozen(model.encoder, pixel_scale(known.data), pooled=kind != "attentive")
            (task,) = probe_encoder(frozen, *pictures, probe, Storing(options.work / "features")).tasks
            found[kind] = round(task.by_test["validation"]["top1"].mean, 4)
        yield found | ({} if name == "untrained" else _held_out(run))


def _held_out(run: Path) -> dict[str, float]:
    last = read_metrics(run, "validation")[-1]
    return {name: round(last[name], 4) for name in ("pixel", "text")}


def retrieved(options: Options, seed: int) -> Iterator[dict[str, Any]]:
    """Held-out losses, and recall@1 among held-out pairs by the likelihood of captions."""
    run = options.work / f"aimv2-{seed}"
    model = trained(recipe_of(options, options.data, seed), run)
    pairs = [(one["jpg"], one["txt"].decode()) for _, one in members(options.data, "val")][:RETRIEVED]
    features = _features(model, [picture for picture, _ in pairs])
    table = likelihood_table(model, features, load_tokenizer(str(run / TOKENIZER)), [text for _, text in pairs])
    found = {"as it is": retrieval_at_1(table), "without prior": retrieval_at_1(without_prior(table))}
    yield (
        _held_out(run)
        | {"chance": 1 / len(pairs)}
        | {
            f"{what}, {how}": round(value, 4)
            for how, values in found.items()
            for what, value in zip(("text of picture", "picture of text"), values, strict=True)
        }
    )


def preferred(options: Options, seed: int) -> Iterator[dict[str, Any]]:
    """How often the true caption is likelier than SugarCrepe's false one, with its picture and with another."""
    run = options.work / f"aimv2-{seed}"
    data = photographs(options.data, options.work / "photographs")
    model = trained(recipe_of(options, data, seed), run)
    asked = [
        (one["jpg"], kind, true, false)
        for _, one in members(options.data, "")
        for kind, true, false in json.loads(json.loads(one["json"])["sugarcrepe_json"])
    ]
    features, tokenizer = _features(model, [picture for picture, *_ in asked]), load_tokenizer(str(run / TOKENIZER))
    likelier = partial(_likelier, model, tokenizer, [one[2] for one in asked], [one[3] for one in asked])
    own, other = likelier(features), likelier(features.roll(len(asked) // 2, dims=0))
    kinds = [kind for _, kind, *_ in asked]
    shares = {kind: fmean(v for v, k in zip(own, kinds, strict=True) if k == kind) for kind in sorted(set(kinds))}
    found = {"all": fmean(own), "all, another picture": fmean(other), **shares}
    yield _held_out(run) | {"pairs": len(asked)} | {name: round(value, 4) for name, value in found.items()}


def _likelier(
    model: AIMv2, tokenizer: CaptionTokenizer, true: list[str], false: list[str], features: Tensor
) -> list[float]:
    """1 where the true text is the likelier one, token by token: negatives are often longer."""
    each = []
    for texts in (true, false):
        parts = range(0, len(texts), 64)
        nats = [caption_likelihoods(model, features[at : at + 64], tokenizer, texts[at : at + 64]) for at in parts]
        _, counted = tokenizer.encode(texts, model.recipe.text_tokens)
        each.append(torch.cat(nats) / counted.sum(dim=1))
    return (each[0] > each[1]).float().tolist()


@torch.no_grad()
def _features(model: AIMv2, pictures: list[bytes]) -> Tensor:
    """Features (N, I, D) of encoded pictures, their middle seen."""
    data, size = model.recipe.data, model.recipe.encoder.image_size
    views = (evaluation_view(Image.open(io.BytesIO(picture)).convert("RGB"), data, size) for picture in pictures)
    return torch.cat([model.encoder(torch.stack(list(part))) for part in _in_parts(views, 64)])


def _in_parts(values: Iterator[Tensor], size: int) -> Iterator[list[Tensor]]:
    part: list[Tensor] = []
    for value in values:
        part.append(value)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


STUDIES = {"tiny-imagenet": probed, "openstax": retrieved, "coco": preferred}


def main(options: Options) -> None:
    """Run the study under every seed."""
    torch.set_num_threads(1)
    for seed in options.seeds:
        started = time.process_time()
        for found in STUDIES[options.study](options, seed):
            seconds = round(time.process_time() - started)
            print(json.dumps({"study": options.study, "seed": seed, **found, "seconds": seconds}), flush=True)
            started = time.process_time()


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
