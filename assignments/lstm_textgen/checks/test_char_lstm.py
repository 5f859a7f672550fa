"""What CharLSTM must compute: at every step, logits for the next character, and a state to go on from.

Outputs are compared after a log-softmax: logits and log-probabilities train alike, so both are right.
"""

import torch
from torch.nn.functional import log_softmax

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.outcome import CheckFailed
from dlgrade.proxy import repeated


def built(submission, *args, **kwargs):
    model = submission.build("CharLSTM", *args, **kwargs)
    if not isinstance(model, torch.nn.Module):
        raise CheckFailed("CharLSTM is no nn.Module")
    return model.eval()


def read(model, ids, V, *state):
    """Logits (N, T, V) and the state, once they are what they should be."""
    found = model(ids, *state)
    pair = isinstance(found, list | tuple) and len(found) == 2
    observe("is the result a pair", torch.tensor(float(pair)))
    compare.require(pair, "CharLSTM(...)(ids) is no pair (logits, state)")
    logits = compare.tensor(found[0], what="the logits", shape=(*ids.shape, V), dtype=torch.float32)
    pair = isinstance(found[1], list | tuple) and len(found[1]) == 2
    compare.require(pair, "the state is no pair (h, c)")
    for name, value in zip("hc", found[1], strict=True):
        compare.tensor(value, what=f"{name} of the state")
    return logits, found[1]


def repeats_itself(model, ids, V):
    """Require two calls in eval mode with the same state to agree; observe those without a state."""
    with torch.no_grad():
        calls = [read(model, ids, V) for _ in range(2)]
        state = tuple(calls[0][1])
        given = [read(model, ids, V, state) for _ in range(2)]
    differ = [float((a[0] - b[0]).abs().max()) > 1e-5 for a, b in (calls, given)]
    observe("do two calls differ, [without a state, with one]", torch.tensor(differ).double())
    compare.require(
        not differ[1], "in eval mode two calls with the same ids and state differ: something random is on"
    )


@check(
    part="CharLSTM",
    points=1,
    kind="shape",
    help="Every step gives logits, so keep all of them: (N, T, D) through nn.Linear is (N, T, V).",
)
def char_lstm_gives_logits_at_every_step_and_a_state(submission, oracle):
    """it returns logits (N, T, V) and a state (h, c)"""
    for (V, E, D, L), N, T in (((11, 3, 6, 1), 4, 5), ((7, 5, 4, 2), 1, 3), ((9, 2, 3, 3), 2, 1)):
        model = built(submission, V, E, D, L)
        with torch.no_grad():
            _, state = read(model, oracle.integers(N, T, low=0, high=V), V)
        for name, value in zip("hc", state, strict=True):
            compare.tensor(value, what=f"{name} of {N} texts and {L} layers of width {D}", shape=(L, N, D))


@check(
    part="CharLSTM",
    points=2,
    kind="property",
    needs=("char_lstm_gives_logits_at_every_step_and_a_state",),
    help="Hand the state that you are given to the LSTM, and return the one that it gives back.",
)
def char_lstm_goes_on_from_its_state(submission, oracle):
    """reading a text in pieces, with the state handed on, gives what reading it at once gives"""
    for layers in (1, 2):
        model, ids = built(submission, 8, 4, 6, layers), oracle.integers(3, 9, low=0, high=8)
        repeats_itself(model, ids, 8)
        with torch.no_grad():
            whole, _ = read(model, ids, 8)
            first, state = read(model, ids[:, :4], 8)
            observe_moved(state)
            alone, _ = read(model, ids[:, 4:7], 8)
            second, state = read(model, ids[:, 4:7], 8, tuple(state))
            third, _ = read(model, ids[:, 7:], 8, tuple(state))
            blank = [torch.zeros_like(value) for value in state]
            halves = [read(model, ids, 8, pair)[0] for pair in ((state[0], blank[1]), (blank[0], state[1]))]
        matters = [float((second - alone).abs().max()) > 1e-6]
        matters += [float((half - whole).abs().max()) > 1e-6 for half in halves]
        observe("[does a given state matter, its h alone, its c alone]", torch.tensor(matters).double())
        pieces = torch.cat([first, second, third], 1)
        wrong = ((pieces - whole).abs().amax((0, 2)) > 1e-4).double()
        observe("steps that differ when read in pieces", wrong)
        compare.require(
            not bool(wrong.any()), "reading a text in three pieces gives other logits than reading it at once"
        )
        with torch.no_grad():
            calls = repeated(model, 2, ids, tuple(state))
        first, second = (compare.tensor(first_of_pair(found), what="the logits") for found in calls)
        written = not torch.allclose(first, second, atol=1e-5)
        observe("does a call write to the state that it is given", torch.tensor(float(written)))
        compare.require(not written, "a second call with the same state differs: the first one wrote to it")


@check(
    part="CharLSTM",
    points=2,
    kind="property",
    needs=("char_lstm_gives_logits_at_every_step_and_a_state",),
    help="The logits at a step may know the characters of that row up to it: one direction, batch first.",
)
def char_lstm_predicts_from_the_past_only(submission, oracle):
    """the logits at a step depend on the characters up to it, of the same text, and on all of those"""
    model, ids = built(submission, 6, 4, 8, 2), oracle.integers(3, 5, low=0, high=6)
    repeats_itself(model, ids, 6)
    structure.descend(model, ids, read=first_of_pair)
    structure.batch_independence(model, ids, read=first_of_pair, what="the logits")
    structure.causality(model, ids, read=first_of_pair, what="the logits")
    with torch.no_grad():
        before, _ = read(model, ids, 6)
        after, _ = read(model, torch.cat([(ids[:, :1] + 1) % 6, ids[:, 1:]], 1), 6)
    remembered = float((after - before)[:, -1].abs().max()) > 1e-7
    observe("does the last step depend on the first character", torch.tensor(float(remembered)))
    compare.require(remembered, "the logits at the last step do not depend on the first character")


@check(
    part="CharLSTM",
    points=1,
    kind="property",
    needs=("char_lstm_gives_logits_at_every_step_and_a_state",),
    help="Without a state a call starts from zeros, not from random numbers and not from the call before.",
)
def char_lstm_without_a_state_starts_from_zeros(submission, oracle):
    """state=None is a state of zeros, whatever the model read before"""
    model, ids = built(submission, 7, 3, 5, 2), oracle.integers(2, 4, low=0, high=7)
    with torch.no_grad():
        fresh, state = read(model, ids, 7)
        again, _ = read(model, ids, 7)
        zeros, _ = read(model, ids, 7, tuple(torch.zeros_like(value) for value in state))
        last, _ = read(model, ids, 7)
    moved = [float((value - zeros).abs().max()) > 1e-5 for value in (fresh, again, last)]
    same_twice = float((again - fresh).abs().max()) <= 1e-5
    observe("which calls differ from one with zeros", torch.tensor([*moved, same_twice]).double())
    repeats_itself(model, ids, 7)
    compare.require(not any(moved), "a call without a state differs from one with a state of zeros")


@check(
    part="CharLSTM",
    points=3,
    kind="value",
    needs=("char_lstm_gives_logits_at_every_step_and_a_state",),
    otherwise=(
        "char_lstm_goes_on_from_its_state",
        "char_lstm_predicts_from_the_past_only",
        "char_lstm_without_a_state_starts_from_zeros",
    ),
    help="Embedding, LSTM, linear layer, and nothing else; each layer with the sizes it was given.",
)
def char_lstm_computes_the_lessons_network(submission, oracle):
    """with the reference's weights, logits and handed-on state are the reference's"""
    for args, N, T in (((6, 3, 5, 2), 3, 4), ((5, 4, 4, 1), 2, 6)):
        V = args[0]
        ours = oracle.build("CharLSTM", *args).eval()
        # large enough that an activation somewhere shows by far more than rounding does
        ours.load_state_dict({name: 2.0 * value for name, value in ours.state_dict().items()})
        theirs = built(submission, *args, weights=ours, probe=(oracle.integers(4, 5, low=0, high=V),))
        ids, more = oracle.integers(N, T, low=0, high=V), oracle.integers(N, 2, low=0, high=V)
        with torch.no_grad():
            expected, state = ours(ids)
            expected_more, _ = ours(more, state)
            logits, state = read(theirs, ids, V)
            observe_moved(state)
            logits_more, _ = read(theirs, more, V, tuple(state))
        what = f"the log-softmax of CharLSTM{args}"
        close(logits, expected, what)
        close(logits_more, expected_more, f"{what}, read on from its state")


@check(
    part="CharLSTM",
    points=8,
    kind="accuracy",
    tier="cpu",
    data="tiny_shakespeare",
    needs=("char_lstm_predicts_from_the_past_only", "char_lstm_goes_on_from_its_state"),
    help="Where do the characters' vectors, the memory or the logits lose what the layer before knew?",
)
def char_lstm_learns_text(submission, contest):
    """trained for a minute, it predicts text it has not seen in few bits per character"""
    contest.decide(
        submission,
        "CharLSTM",
        32,
        128,
        1,
        limit=1_000_000,
        epochs=2,
        batch_size=32,
        seq_len=32,
        max_lr=0.01,
        gpu={"epochs": 10, "batch_size": 128, "seq_len": 64},
    )


def observe_moved(state):
    moved = [bool(value.any()) for value in state]
    observe("are h and c other than zero after some steps", torch.tensor(moved).double())


def close(logits, expected, what):
    drift = 10 * float(getattr(expected, "drift", 0.0))
    compare.close(
        log_softmax(logits, 2), log_softmax(expected, 2), what=what, rtol=1e-5, atol=max(2e-5, drift)
    )


def first_of_pair(found):
    """The logits of what a CharLSTM returns."""
    compare.require(
        isinstance(found, list | tuple) and len(found) == 2, "the result is no pair (logits, state)"
    )
    return found[0]
