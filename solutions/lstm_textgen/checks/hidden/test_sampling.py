"""top_k, modes and seeds of sample."""

import math

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import CharToy, Letters, local

ALPHABET = "hcea gbdf"
DRAWS = 300
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


@check(
    part="sample",
    points=2,
    kind="property",
    needs=("sample_carries_the_state", "sample_reads_the_whole_prime"),
    help="Which k logits stay? Everything else must have probability 0, and the k share the draws as before.",
)
def sample_draws_among_the_top_k_only(submission, oracle):
    """with top_k every character drawn is one of the k likeliest, as often as their softmax says"""
    toy = CharToy(len(ALPHABET), sharpness=3.0, seed=oracle.seed())
    submission.method(toy, "train", False)
    added = drawn(submission, toy, "ace", DRAWS)
    ids = torch.tensor([ALPHABET.index(character) for character in added])
    evenly = drawn_evenly(logits_before(toy, "ace", added).log_softmax(1), ids)
    observe("are all characters drawn equally often without top_k", torch.tensor(float(evenly)))
    for k, temperature in ((1, 6.0), (3, 1.0), (5, 0.5)):
        toy = CharToy(len(ALPHABET), sharpness=3.0, seed=oracle.seed())
        submission.method(toy, "train", False)
        follows_the_likeliest(submission, toy)
        added = drawn(submission, toy, "ace", DRAWS, top_k=k, temperature=temperature)
        values, order = logits_before(toy, "ace", added).sort(descending=True)
        ids = torch.tensor([ALPHABET.index(character) for character in added])
        ranks = (order == ids[:, None]).int().argmax(1)
        seen = [bool((ranks == 0).any()), bool((ranks >= k).any()), bool((ranks > k).any())]
        observe("[the likeliest is drawn, others than the k, others than k + 1]", torch.tensor(seen).double())
        compare.require(not seen[1], f"with top_k={k} a less likely character is drawn")
        evenly = drawn_evenly((values[:, :k] / temperature).log_softmax(1), ranks)
        observe("do the k come equally often", torch.tensor(float(evenly)))
        compare.require(not evenly, f"with top_k={k} the characters left are drawn as if equally likely")


def follows_the_likeliest(submission, toy):
    """Show how the state is handed on, before anything is drawn."""
    added = drawn(submission, toy, "bead", 12, temperature=0)
    ids = torch.tensor([ALPHABET.index(character) for character in added])
    observe("characters at temperature 0", ids)
    compare.require(
        torch.equal(logits_before(toy, "bead", added).argmax(1), ids), "at temperature 0 another text"
    )


def drawn_evenly(logs, ranks):
    """Whether equal shares explain the draws (T,) far better than their log-probabilities (T, k).

    The ratio of the likelihoods has mean 1 if the draws are right, so it passes 1/c with chance c at most.
    """
    compare.chance(CHANCE)
    ahead = -len(ranks) * math.log(logs.shape[1]) - float(logs.gather(1, ranks[:, None]).sum())
    return ahead > -math.log(CHANCE)


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
    """other seeds and no seed give other texts, and a seed does not make all draws the same"""
    toy = CharToy(len(ALPHABET), sharpness=0.0, seed=oracle.seed())  # every character is equally likely
    submission.method(toy, "train", False)
    seeds = [None, None, *oracle.integers(2, low=0, high=2**31).tolist()]
    texts = [drawn(submission, toy, "a", 60, seed=seed) for seed in seeds]
    unseeded, seeded, mixed = texts[0] != texts[1], texts[2] != texts[3], len(set(texts[2])) > 1
    compare.chance(3 * float(len(ALPHABET)) ** -59)
    seen = torch.tensor([unseeded, seeded, mixed]).double()
    observe("[texts without a seed differ, with two seeds differ, characters differ]", seen)
    compare.require(unseeded, "two texts without a seed are the same")
    compare.require(mixed, "with a seed one character is drawn again and again")
    compare.require(seeded, "two seeds give the same text")
