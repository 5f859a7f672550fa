"""What sample must write, tried on a small model of the kit whose every logit is known.

A draw is judged by what the model says after all the text before it, whichever way the state came about.
"""

import math

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import CharToy, Letters, local

ALPHABET = "dgb eacf"  # in no order, so that only the vocabulary knows the numbers
DRAWS = 400
CHANCE = 2e-8  # of failing a correct answer, for each comparison of frequencies

LAWS = {  # what next-character probabilities may have been drawn from
    "softmax(logits / temperature)": lambda logits, t: (logits / t).softmax(-1),
    "softmax(logits * temperature)": lambda logits, t: (logits * t).softmax(-1),
    "softmax(logits)": lambda logits, t: logits.softmax(-1),
    "softmax(logits / temperature ** 2)": lambda logits, t: (logits / t**2).softmax(-1),
    "softmax(softmax(logits) / temperature)": lambda logits, t: (logits.softmax(-1) / t).softmax(-1),
    "the likeliest": lambda logits, t: (logits == logits.amax(-1, keepdim=True)).double(),
    "even": lambda logits, t: torch.full_like(logits, 1 / logits.shape[-1]),
    "softmax(logits / max(temperature, 0.5))": lambda logits, t: (logits / max(t, 0.5)).softmax(-1),
}


def toy_in_eval_mode(submission, oracle, **settings):
    toy = CharToy(len(ALPHABET), seed=oracle.seed(), **settings)
    submission.method(toy, "train", False)
    return toy


def prime_of(oracle, length):
    return "".join(ALPHABET[i] for i in oracle.integers(length, low=0, high=len(ALPHABET)).tolist())


def drawn(submission, toy, prime, length, **settings):
    """What sample adds to the prime, once it is a text of the right length and characters."""
    text = submission.sample(toy, Letters(ALPHABET), prime, length, **settings)
    compare.require(isinstance(text, str), "sample(...) is no str")
    begins = text.startswith(prime)
    observe("[begins with the prime, characters added]", torch.tensor([float(begins), float(len(text))]))
    compare.require(begins, f"the text does not begin with the prime {prime!r}")
    added = text[len(prime) :]
    compare.require(len(added) == length, f"{len(added)} characters are added, {length} were asked for")
    compare.require(set(added) <= set(ALPHABET), "the text has characters that the vocabulary does not have")
    return added


def likeliest(toy, prime, length):
    """The text at temperature 0."""
    model, text = local(toy).eval(), prime
    for _ in range(length):
        text += ALPHABET[int(logits_before(model, text + "?")[-1].argmax())]
    return text[len(prime) :]


def logits_before(model, text):
    """(T - 1, V) logits for each character of a text but the first, given all before it."""
    ids = torch.tensor([[ALPHABET.index(character) for character in text[:-1]]])
    with torch.no_grad():
        return model(ids)[0][0]


def writes_the_likeliest(submission, toy, primes, length):
    """Require the likeliest characters after each prime, at temperature 0."""
    texts = [drawn(submission, toy, prime, length, temperature=0) for prime in primes]
    ids = torch.tensor([[float(ALPHABET.index(character)) for character in text] for text in texts])
    observe(f"{length} characters after each prime", ids)
    for prime, text in zip(primes, texts, strict=True):
        expected = likeliest(toy, prime, length)
        wrong = [i for i in range(length) if text[i] != expected[i]]
        compare.require(
            not wrong, f"after {prime!r} character {wrong[:1]} of those added, {text!r}, is not the likeliest"
        )


def fits(happened, probability, what):
    """Require a count of draws to fit its probability, however that moved with the text drawn so far.

    Source of the bound: Azuma 1967 and Hoeffding 1963, for sums of bounded martingale differences.
    """
    margin = math.sqrt(math.log(2 / CHANCE) / (2 * len(happened)))
    compare.chance(CHANCE)
    share, expected = float(happened.double().mean()), float(probability.mean())
    compare.require(
        abs(share - expected) <= margin,
        f"{what} comes in {share:.1%} of {len(happened)} draws, expected {expected:.1%} +- {margin:.1%}",
    )


@check(
    part="sample",
    points=1,
    kind="shape",
    help="Collect the ids you draw, decode them, and put them behind the prime.",
)
def sample_keeps_the_prime_and_adds_length(submission, oracle):
    """the result is the prime and `length` characters of the vocabulary"""
    for size, length in ((4, 3), (1, 6), (7, 1), (2, 0)):
        toy = toy_in_eval_mode(submission, oracle)
        drawn(submission, toy, prime_of(oracle, size), length)


@check(
    part="sample",
    points=1,
    kind="value",
    needs=("sample_keeps_the_prime_and_adds_length",),
    help="Nothing can be divided by 0: treat temperature 0 on its own, and take the largest logit.",
)
def sample_at_temperature_zero_takes_the_likeliest(submission, oracle):
    """at temperature 0 the next character is the likeliest one"""
    writes_the_likeliest(submission, toy_in_eval_mode(submission, oracle, sharpness=2.0), ALPHABET, 1)


@check(
    part="sample",
    points=2,
    kind="property",
    needs=("sample_at_temperature_zero_takes_the_likeliest",),
    help="Read all characters of the prime before the first draw: in one call, or one by one with the state.",
)
def sample_reads_the_whole_prime(submission, oracle):
    """the next character depends on every character of the prime, in order"""
    toy = toy_in_eval_mode(submission, oracle, sharpness=3.0)
    primes = [prime_of(oracle, size) for size in (2, 3, 5, 8, 13, 21, 9, 4)]
    writes_the_likeliest(submission, toy, primes, 1)


@check(
    part="sample",
    points=2,
    kind="property",
    needs=("sample_at_temperature_zero_takes_the_likeliest",),
    help="Hand the state that a call returns to the next call, which reads the new character only.",
)
def sample_carries_the_state(submission, oracle):
    """each character depends on all of the text before it"""
    toy = toy_in_eval_mode(submission, oracle, sharpness=3.0)
    writes_the_likeliest(submission, toy, ALPHABET[:5], 45)


@check(
    part="sample",
    points=3,
    kind="value",
    needs=("sample_reads_the_whole_prime", "sample_carries_the_state"),
    help="Divide the logits by the temperature, once, before the softmax; then draw by these probabilities.",
)
def sample_draws_from_the_softmax_at_the_temperature(submission, oracle):
    """characters come as often as softmax(logits / temperature) says, at three temperatures"""
    found = []
    for temperature in (2.0, 0.25, 1.0):
        toy = toy_in_eval_mode(submission, oracle, sharpness=3.0)
        prime = prime_of(oracle, 3)
        writes_the_likeliest(submission, toy, [prime], 12)
        settings = {} if temperature == 1.0 else {"temperature": temperature}
        added = drawn(submission, toy, prime, DRAWS, **settings)
        logits = logits_before(local(toy).eval(), prime + added)[len(prime) - 1 :]
        found.append((temperature, logits, torch.tensor([ALPHABET.index(character) for character in added])))
    likelihoods = [log_likelihoods(*draws) for draws in found]
    together = torch.stack(likelihoods).sum(0)
    observe("which law fits all draws best", together.argmax().double())
    for (temperature, logits, ids), values in zip(found, likelihoods, strict=True):
        follows_the_first_law(values, f"at temperature {temperature:g}")
        shares, order = (logits / temperature).softmax(-1).sort(descending=True)
        fits(order[:, 0] == ids, shares[:, 0], f"at temperature {temperature:g} the likeliest character")
    follows_the_first_law(together, "at three temperatures together")


def follows_the_first_law(likelihoods, where):
    """Require no other law to fit the draws far better than softmax(logits / temperature)."""
    compare.chance((len(LAWS) - 1) * CHANCE)
    compare.require(
        float(likelihoods.max() - likelihoods[0]) <= -math.log(CHANCE),
        f"{where} the draws do not follow softmax(logits / temperature)",
    )


def log_likelihoods(temperature, logits, ids):
    """Of the drawn ids (T,), under each law.

    Under the first law another one is ahead by a factor of 1/c with a chance of at most c, since the ratio
    of their likelihoods has mean 1.
    """
    return torch.stack(
        [
            law(logits, temperature).gather(1, ids[:, None]).clamp(min=1e-9).log().sum()
            for law in LAWS.values()
        ]
    )


@check(
    part="sample",
    points=1,
    kind="property",
    needs=("sample_keeps_the_prime_and_adds_length",),
    help="Seed a generator once, before the first draw, and draw everything from it.",
)
def sample_repeats_with_a_seed(submission, oracle):
    """the same seed gives the same text"""
    toy, prime = toy_in_eval_mode(submission, oracle), prime_of(oracle, 2)
    seeds = oracle.integers(2, low=0, high=2**31).tolist()
    for seed in (*seeds, 0):
        first, second = (drawn(submission, toy, prime, 60, temperature=1.5, seed=seed) for _ in range(2))
        observe("does the seed repeat the text", torch.tensor(float(first == second)))
        compare.require(first == second, f"seed={seed} gives two different texts")
