"""top_k, modes and seeds of sample."""

import math

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import CharToy, Letters, local

ALPHABET = "hcea gbdf"
DRAWS = 1000
CHANCE = 2e-8


def drawn(submission, toy, prime, length, **settings):
    text = submission.sample(toy, Letters(ALPHABET), prime, length, **settings)
    compare.require(isinstance(text, str), "sample(...) is no str")
    fitting = text.startswith(prime) and len(text) == len(prime) + length and set(text) <= set(ALPHABET)
    compare.require(fitting, "the text is not the prime and `length` characters of the vocabulary")
    return text[len(prime) :]


def logits_before(toy, prime, added):
    """(T, V) logits for each added character, given all of the text before it."""
    ids = torch.tensor([[ALPHABET.index(character) for character in prime + added]])
    with torch.no_grad():
        return local(toy).eval()(ids)[0][0, len(prime) - 1 : -1]


def fits(happened, probability):
    """Whether a count of draws fits its probability, by the bound of Azuma and Hoeffding."""
    compare.chance(CHANCE)
    margin = math.sqrt(math.log(2 / CHANCE) / (2 * len(happened)))
    return abs(float(happened.double().mean()) - float(probability.mean())) <= margin


@check(
    part="sample",
    points=2,
    kind="property",
    needs=("sample_carries_the_state", "sample_reads_the_whole_prime"),
    help="Which k logits stay? Everything else must have probability 0, and the k share the draws as before.",
)
def sample_draws_among_the_top_k_only(submission, oracle):
    """with top_k every character drawn is one of the k likeliest, as often as their softmax says"""
    for k, temperature in ((3, 1.0), (1, 2.0), (5, 0.5)):
        toy = CharToy(len(ALPHABET), seed=oracle.seed())
        submission.method(toy, "train", False)
        added = drawn(submission, toy, "ace", DRAWS, top_k=k, temperature=temperature)
        values, order = logits_before(toy, "ace", added).sort(descending=True)
        ids = torch.tensor([ALPHABET.index(character) for character in added])
        ranks = (order == ids[:, None]).int().argmax(1)
        observe(
            "[lowest rank drawn, highest rank drawn]", torch.tensor([float(ranks.min()), float(ranks.max())])
        )
        compare.require(int(ranks.max()) < k, f"with top_k={k} a less likely character is drawn")
        share = (values[:, :k] / temperature).softmax(1)[:, 0]
        right = fits(ranks == 0, share)
        observe("do the k share the draws as the softmax says", torch.tensor(float(right)))
        compare.require(right, f"with top_k={k} the likeliest character is drawn too often or too rarely")


@check(
    part="sample",
    points=1,
    kind="property",
    needs=("sample_carries_the_state",),
    help="The model may come from training, in train mode: switch it to eval mode before the first call.",
)
def sample_runs_in_eval_mode(submission, oracle):
    """a model that comes in train mode writes what it writes in eval mode"""
    toy = CharToy(len(ALPHABET), sharpness=3.0, seed=oracle.seed())
    submission.method(toy, "train", True)
    added = drawn(submission, toy, "bed", 20, temperature=0)
    observe("characters", torch.tensor([float(ALPHABET.index(character)) for character in added]))
    best = logits_before(toy, "bed", added).argmax(1).tolist()
    compare.require(added == "".join(ALPHABET[i] for i in best), "in train mode another text is written")


@check(
    part="sample",
    points=1,
    kind="property",
    needs=("sample_repeats_with_a_seed",),
    help="Without a seed each text is new; with one, draws after the first still differ from each other.",
)
def sample_varies_with_the_seed(submission, oracle):
    """other seeds and no seed give other texts, and a seeded text follows the softmax"""
    toy = CharToy(len(ALPHABET), sharpness=2.0, seed=oracle.seed())
    submission.method(toy, "train", False)
    seeds = [None, None, *oracle.integers(2, low=0, high=2**31).tolist()]
    texts = [drawn(submission, toy, "a", DRAWS, seed=seed) for seed in seeds]
    unseeded, seeded = texts[0] != texts[1], texts[2] != texts[3]
    logits = logits_before(toy, "a", texts[2]).double()
    ids = torch.tensor([ALPHABET.index(character) for character in texts[2]])
    compare.chance(math.exp(-80))  # two texts agree by chance: checked below for the text at hand
    again = float(logits.log_softmax(1).gather(1, ids[:, None]).sum())
    values, order = logits.softmax(1).sort(descending=True)
    even = all(fits(order[:, rank] == ids, values[:, rank]) for rank in (0, 1))
    observe(
        "[texts without a seed differ, with two seeds differ, draws fit]",
        torch.tensor([unseeded, seeded, even]).double(),
    )
    compare.require(unseeded, "two texts without a seed are the same")
    compare.require(seeded or again > -80, "two seeds give the same text")
    compare.require(even, "the characters of a seeded text do not come as often as the softmax says")
