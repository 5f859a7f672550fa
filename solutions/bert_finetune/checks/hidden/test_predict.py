"""Mode, gradients and lists of every length in predict."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs_text import TextToy, TinyTokenizer

WORDS = ("great", "bad", "dull", "the film", "not good", "very", "a play", "but", "and", "was this")
LABELS = ["no", "perhaps", "yes"]


def toy_of(oracle, *layers):
    return TextToy(TinyTokenizer.SIZE, 5, ("Linear", 5, 6), *layers, ("Linear", 6, 3), seed=oracle.seed())


def results_of(value, count):
    """Index of each label, and the scores."""
    compare.require(isinstance(value, list | tuple), "predict does not return a list")
    observe("results for each text", torch.tensor(len(value) / count))
    compare.require(len(value) == count, f"predict returns {len(value)} results for {count} texts")
    good = all(isinstance(r, dict) and r.get("label") in LABELS and "score" in r for r in value)
    compare.require(good, "a result of predict has no label of the list, or no score")
    scores = [compare.number(r["score"], what="a 'score'") for r in value]
    return torch.tensor([LABELS.index(r["label"]) for r in value]), torch.tensor(scores, dtype=torch.float64)


def agree(submission, oracle, toy, texts, what):
    """Require labels and scores of the reference."""
    theirs = results_of(submission.predict(toy, TinyTokenizer(), texts, LABELS), len(texts))
    ours = results_of(oracle.predict(toy, TinyTokenizer(), texts, LABELS), len(texts))
    compare.close(theirs[1], ours[1], what=f"the scores {what}", rtol=1e-5, atol=1e-6)
    compare.close(theirs[0], ours[0], what=f"the labels {what}")


@check(
    part="predict",
    points=1,
    kind="property",
    needs=("predict_gives_a_label_and_a_score_for_each_text",),
    help="finetune leaves the model in train mode, where dropout makes every prediction another one.",
)
def predict_switches_to_eval_mode(submission, oracle):
    """a model that comes in train mode predicts in eval mode"""
    toy = toy_of(oracle, ("TrainModeShift",), ("Tanh",))
    for side in (submission, oracle):
        side.method(toy, "train", True)
    agree(submission, oracle, toy, list(WORDS[:5]), "of a model that came in train mode")


@check(
    part="predict",
    points=1,
    kind="property",
    needs=("predict_gives_a_label_and_a_score_for_each_text",),
    help="Note model.training before you change it, and give it back at the end: model.train(was_training).",
)
def predict_leaves_the_mode_as_it_was(submission, oracle):
    """a model in train mode is in train mode afterwards, one in eval mode in eval mode"""
    toy = toy_of(oracle, ("Tanh",))
    after = []
    for mode in (True, False):
        model = submission.method(toy, "train", mode)
        agree(submission, oracle, toy, list(WORDS[:3]), f"of a model in {'train' if mode else 'eval'} mode")
        after.append(model.layout.training)
    observe("mode after predicting in train mode, in eval mode", torch.tensor(after).double())
    compare.require(after[0], "a model that came in train mode is in eval mode afterwards")
    compare.require(not after[1], "a model that came in eval mode is in train mode afterwards")


@check(
    part="predict",
    points=1,
    kind="property",
    needs=("predict_gives_a_label_and_a_score_for_each_text",),
    help="Predicting needs no graph: torch.no_grad().",
)
def predict_builds_no_graph(submission, oracle):
    """no graph for gradients is built, and the weights stay as they were"""
    toy = toy_of(oracle, ("Diary",))
    before = oracle.state(toy)
    agree(submission, oracle, toy, list(WORDS), "of a model with a diary")
    after = submission.state(toy)
    compare.state(after, before, what="after predicting")
    diary = compare.tensor(after.get("layers.1._extra_state"), what="the diary", shape=(3,))
    graphs = int(diary[1])
    observe("was a graph built", torch.tensor(float(graphs > 0)))
    compare.require(graphs == 0, f"{graphs} passes built a graph for gradients that nobody needs")


@check(
    part="predict",
    points=2,
    kind="value",
    needs=("predict_gives_a_label_and_a_score_for_each_text",),
    help="Go through the texts in slices, mind the last one, and keep their order.",
)
def predict_takes_lists_of_every_length(submission, oracle):
    """many texts, texts longer than the encoder can read, and no text at all"""
    toy = toy_of(oracle, ("Tanh",))
    texts = [" ".join([WORDS[i % 10]] * (1 + i % 7) + [WORDS[i // 7 % 10]]) for i in range(70)]
    texts[11] = "the film was great and " * 30 + "bad " * 30
    agree(submission, oracle, toy, texts, "of 70 texts")
    empty = submission.predict(toy, TinyTokenizer(), [], LABELS)
    compare.require(isinstance(empty, list | tuple) and not empty, "predict of no text is no empty list")


@check(
    part="predict",
    points=1,
    kind="property",
    needs=("predict_gives_a_label_and_a_score_for_each_text",),
    help="Compare the number of labels with the number of logits before you name anything. "
    "And what does a loop over texts go through, if texts is a single str?",
)
def predict_refuses_labels_that_do_not_fit(submission, oracle):
    """too many and too few labels, and a single str in place of a list, are a ValueError"""
    toy, tokenizer = toy_of(oracle), TinyTokenizer()
    for labels in (LABELS[:2], [*LABELS, "never"]):
        compare.raises(
            "ValueError",
            lambda labels=labels: submission.predict(toy, tokenizer, ["great", "bad"], labels),
            what=f"predict with {len(labels)} labels for 3 classes",
        )
    compare.raises(
        "ValueError",
        lambda: submission.predict(toy, tokenizer, "great", LABELS),
        what="predict of a single str",
    )
    agree(submission, oracle, toy, ["great", "bad"], "with labels that fit")
