"""top_k, modes and seeds of sample, and what it refuses."""

import math

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import CharToy, Letters, local

ALPHABET = "hcea gbdf"
LETTERS = "".join(map(chr, range(0x3B1, 0x3B1 + 50)))  # more than anybody keeps by default
DRAWS = 300
CHANCE = 2e-8


def drawn(submission, toy, prime, length, alphabet=ALPHABET, **settings):
    text = submission.sample(toy, Letters(alphabet), prime, length, **settings)
    compare.require(isinstance(text, str), "sample(...) is no str")
    fitting = text.startswith(prime) and len(text) == len(prime) + length and set(text) <= set(alphabet)
    compare.require(fitting, "the text is not the prime and `length` characters of the vocabulary")
    return text[len(prime) :]


def logits_before(toy, prime, added, alphabet=ALPHABET):
    """(T, V) logits for each added character, given all of the text before it."""
    ids = torch.tensor([[alphabet.index(character) for character in prime + added]])
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
    draws_all_without_top_k(submission, oracle)
    likelihoods, even = torch.zeros(3), []
    for k, temperature in ((1, 6.0), (3, 1.5), (5, 0.5)):
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
        shares = (values[:, :k] / temperature).softmax(1)
        last = comes_at_all(ranks == k - 1, shares[:, -1])
        observe("is the last of the k drawn", torch.tensor(float(last)))
        compare.require(last, f"with top_k={k} the character of rank {k} is never drawn")
        likelihoods += under_each_law(values[:, :k], temperature, ranks)
        if drawn_evenly(shares.log(), ranks):
            even.append(k)
    observe("which law fits the draws among the likeliest best", likelihoods.argmax().double())
    compare.require(
        not even, f"with top_k={min(even, default=0)} the characters left are drawn as if equally likely"
    )


def under_each_law(values, temperature, ranks):
    """Log-likelihoods of ranks (T,) drawn by the lesson's law, evenly, and by a softmax of probabilities."""
    laws = values / temperature, torch.zeros_like(values), values.softmax(1) / temperature
    found = [law.log_softmax(1).gather(1, ranks[:, None]).sum() for law in laws]
    return torch.stack(found).float()


def draws_all_without_top_k(submission, oracle):
    """Require the ten least likely of fifty characters to come at some time."""
    toy = CharToy(len(LETTERS), sharpness=0.8, seed=oracle.seed())
    submission.method(toy, "train", False)
    added = drawn(submission, toy, LETTERS[:3], 400, LETTERS)
    ids = torch.tensor([LETTERS.index(character) for character in added])
    logits = logits_before(toy, LETTERS[:3], added, LETTERS)
    evenly = drawn_evenly(logits.log_softmax(1), ids)
    observe("are all characters drawn equally often without top_k", torch.tensor(float(evenly)))
    shares, order = logits.softmax(1).sort(descending=True)
    ranks = (order == ids[:, None]).int().argmax(1)
    observe("is it always the likeliest", (ranks == 0).all().double())
    rare = comes_at_all(ranks >= 40, shares[:, 40:].sum(1))
    observe("is everything drawn without top_k", torch.tensor(float(rare)))
    compare.require(rare, "without top_k the less likely characters are never drawn")


def comes_at_all(happened, probability):
    """Whether something happened in any draw (T,), or was too unlikely (T,) to be missed for sure."""
    missed = float((1 - probability).log().sum().exp())
    if missed > CHANCE:
        return True
    compare.chance(missed)
    return bool(happened.any())


def follows_the_likeliest(submission, toy):
    """Show how the state is handed on, before anything is drawn."""
    for prime in ("bead", "cage", "fed", "had a face", "chef"):
        added = drawn(submission, toy, prime, 3, temperature=0)
        ids = torch.tensor([ALPHABET.index(character) for character in added])
        observe("characters at temperature 0", ids)
        compare.require(
            torch.equal(logits_before(toy, prime, added).argmax(1), ids), "at temperature 0 another text"
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
    help="Note model.training, switch to eval mode, draw under torch.no_grad(), and switch back.",
)
def sample_runs_in_eval_mode(submission, oracle):
    """the model runs in eval mode without gradients, and is left in the mode it was found in"""
    for mode in (True, False):
        toy = CharToy(len(ALPHABET), sharpness=3.0, seed=oracle.seed())
        submission.method(toy, "train", mode)
        added = drawn(submission, toy, "bed", 20, temperature=0)
        observe("characters", torch.tensor([float(ALPHABET.index(character)) for character in added]))
        best = logits_before(toy, "bed", added).argmax(1).tolist()
        compare.require(added == "".join(ALPHABET[i] for i in best), "in train mode another text is written")
        counts = compare.tensor(submission.state(toy).get("_extra_state"), what="the counts", shape=(3,))
        observe("were gradients on", torch.tensor(float(counts[2] > 0)))
        compare.require(int(counts[2]) == 0, "the model runs with gradients switched on")
        found = training(submission, toy)
        observe("modes before and after", torch.tensor([mode, found]).double())
        compare.require(found == mode, "the model is left in another mode than it was found in")


def training(submission, toy):
    """Whether the toy, whose logits are moved on by one character in train mode, is in train mode now."""
    ids = torch.tensor([[0, 1, 2]])
    with torch.no_grad():
        found = submission.method(toy, "forward", ids)
        right = [local(toy).train(mode)(ids)[0] for mode in (False, True)]
    compare.require(isinstance(found, list | tuple) and len(found) == 2, "the model is no longer the model")
    logits = compare.tensor(found[0], what="the logits", shape=tuple(right[0].shape))
    return float((logits - right[1]).abs().max()) < float((logits - right[0]).abs().max())


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


@check(
    part="sample",
    points=1,
    kind="property",
    needs=("sample_at_temperature_zero_takes_the_likeliest",),
    help="Raise ValueError for an empty prime, a negative temperature and a top_k below 1.",
)
def sample_refuses_what_it_cannot_do(submission, oracle):
    """an empty prime, an unknown character, a negative temperature and top_k=0 are ValueErrors"""
    toy = CharToy(len(ALPHABET), seed=oracle.seed())
    for prime, settings, what in (
        ("a", {"temperature": -1.0}, "a negative temperature"),
        ("a", {"top_k": 0}, "top_k=0"),
        ("", {}, "an empty prime"),
        ("a?", {}, "a character that the vocabulary lacks"),
    ):
        compare.raises(
            "ValueError",
            lambda p=prime, s=settings: submission.sample(toy, Letters(ALPHABET), p, 3, **s),
            what=what,
        )
