"""How much of what captions say about generated scenes is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aimv2_lab.data.captions import Fact, facts_of, parse_facts
from aimv2_lab.data.world import Scene

# Phrases beyond this many match no object: no caption of the world names more than six.
MOST_PHRASES = 8


@dataclass(frozen=True)
class FactScore:
    """How many facts captions state, how many of these are true, and how many captions there were.

    Read `true_share` together with `facts_per_caption`: who says little errs little.
    """

    true: int
    stated: int
    captions: int = 1

    @property
    def true_share(self) -> float:
        """True facts over stated facts, 0..1; 0 when nothing is stated."""
        return self.true / self.stated if self.stated else 0.0

    @property
    def facts_per_caption(self) -> float:
        """Stated facts over captions."""
        return self.stated / self.captions if self.captions else 0.0


def score_caption(text: str, scene: Scene) -> FactScore:
    """Score one caption against one scene.

    Every noun phrase is matched to an object of the scene, no two to the same, so that most facts come true. Each
    attribute word, each relation and a stated count is one fact; a clause that cannot be read is one false fact; a
    phrase left without an object has only false facts. An empty caption states nothing. Our own measure.
    """
    parsed = parse_facts(text)
    true = set(facts_of(scene))
    counts = sum(fact in true for fact in parsed.facts if fact.kind == "count")
    described = [fact for fact in parsed.facts if fact.kind != "count"]
    phrases = min(parsed.phrases, MOST_PHRASES)
    found, _ = best_match(described, phrases, len(scene.objects), true)
    return FactScore(counts + found, len(parsed.facts) + parsed.unparsable)


def best_match(facts: list[Fact], phrases: int, objects: int, true: set[Fact]) -> tuple[int, dict[int, int]]:
    """The most facts that any assignment of phrases to different objects (or to none) makes true, and the assignment.

    Phrases are assigned one by one; a branch is left when even all facts still open could not beat the best found.
    """
    decided_by = [[fact for fact in facts if max(fact.subject, fact.other) == phrase] for phrase in range(phrases)]
    still_open = [sum(map(len, decided_by[phrase:])) for phrase in range(phrases + 1)]
    best, matched = 0, dict[int, int]()

    def assign(phrase: int, taken: dict[int, int], found: int) -> None:
        nonlocal best, matched
        if found > best:
            best, matched = found, taken
        if phrase == phrases or found + still_open[phrase] <= best:
            return
        for candidate in sorted(set(range(objects)) - set(taken.values())):
            chosen = {**taken, phrase: candidate}
            came_true = sum(fact.of(chosen).canonical() in true for fact in decided_by[phrase])
            assign(phrase + 1, chosen, found + came_true)
        assign(phrase + 1, taken, found)

    assign(0, {}, 0)
    return best, matched


def score_captions(texts: Sequence[str], scenes: Sequence[Scene]) -> FactScore:
    """Score captions against their scenes and add up. Raises ValueError when the numbers differ.

    For chance, score texts against scenes that they were not written for (`chance_scores`).
    """
    if len(texts) != len(scenes):
        raise ValueError(f"{len(texts)} captions for {len(scenes)} scenes; give one caption per scene")
    scores = [score_caption(text, scene) for text, scene in zip(texts, scenes, strict=True)]
    return FactScore(sum(s.true for s in scores), sum(s.stated for s in scores), len(scores))


def chance_scores(texts: Sequence[str], scenes: Sequence[Scene]) -> FactScore:
    """What captions score by chance: each is scored against the scene before its own (the first against the last).

    Given true captions this is the share of facts that hold by coincidence, with the matching's help; given a model's
    own captions it shows what its habits alone earn. Raises ValueError for fewer than two scenes.
    """
    if len(scenes) < 2:
        raise ValueError(f"{len(scenes)} scenes: chance needs at least two, to score captions of other scenes")
    return score_captions([*texts[1:], *texts[:1]], scenes)
