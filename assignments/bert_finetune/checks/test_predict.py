"""What predict must return, for a toy that reads the ids of a small tokenizer."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs_text import TextToy, TinyTokenizer

TEXTS = ["the film was not very good", "bad", "a great play , and very good", "dull"]
LABELS = ["blame", "so so", "praise", "delight"]


def toy_of(oracle, classes=4):
    return TextToy(
        TinyTokenizer.SIZE, 5, ("Linear", 5, 5), ("Tanh",), ("Linear", 5, classes), seed=oracle.seed()
    )


def results_of(value, texts, labels, what="predict"):
    """Index of each label, and the scores, of a list of dicts."""
    compare.require(isinstance(value, list | tuple), f"{what} does not return a list")
    compare.require(len(value) == len(texts), f"{what} returns {len(value)} results for {len(texts)} texts")
    indices, scores = [], []
    for result in value:
        compare.require(isinstance(result, dict), f"a result of {what} is no dict")
        compare.require({"label", "score"} <= result.keys(), f"a result of {what} has no 'label' and 'score'")
        observe("is the label a str", torch.tensor(float(isinstance(result["label"], str))))
        compare.require(isinstance(result["label"], str), "a 'label' is not a str")
        compare.require(
            result["label"] in labels, f"the label {result['label']!r:.40} is none of the given ones"
        )
        indices.append(labels.index(result["label"]))
        scores.append(compare.number(result["score"], what="a 'score'"))
    return torch.tensor(indices), torch.tensor(scores, dtype=torch.float64)


@check(
    part="predict",
    points=1,
    kind="shape",
    help="A list with a dict for each text: 'label' is one of the names given, 'score' a plain number.",
)
def predict_gives_a_label_and_a_score_for_each_text(submission, oracle):
    """each text gets a dict with a label from the list and a score, in the texts' order"""
    for texts in (TEXTS, TEXTS[:1]):
        value = submission.predict(toy_of(oracle), TinyTokenizer(), texts, LABELS)
        results_of(value, texts, LABELS)


@check(
    part="predict",
    points=3,
    kind="value",
    needs=("predict_gives_a_label_and_a_score_for_each_text",),
    help="The score is the probability of the class that the label names: "
    "the largest entry of a softmax over the classes.",
)
def predict_names_the_likeliest_class_and_its_probability(submission, oracle):
    """the label is that of the largest logit, the score its probability"""
    for classes in (4, 2):
        for _ in range(2):
            toy = toy_of(oracle, classes)
            arguments = toy, TinyTokenizer(), TEXTS, LABELS[:classes]
            theirs = results_of(submission.predict(*arguments), TEXTS, LABELS[:classes])
            ours = results_of(oracle.predict(*arguments), TEXTS, LABELS[:classes])
            observe("the scores", theirs[1])
            compare.close(theirs[0], ours[0], what=f"the label's place among {classes}")
            compare.close(theirs[1], ours[1], what="the scores", rtol=1e-5, atol=1e-6)


@check(
    part="predict",
    points=2,
    kind="property",
    needs=("predict_gives_a_label_and_a_score_for_each_text",),
    help="Padding must not count, and nothing may be normalised over the batch.",
)
def predict_judges_each_text_on_its_own(submission, oracle):
    """a text gets the same label and score alone and beside a text of 60 tokens"""
    toy, tokenizer = toy_of(oracle), TinyTokenizer()
    texts = ["very good", "the film was not very good and " * 8, "bad play"]
    together = results_of(submission.predict(toy, tokenizer, texts, LABELS), texts, LABELS)
    alone = [results_of(submission.predict(toy, tokenizer, [text], LABELS), [text], LABELS) for text in texts]
    scores = torch.cat([score for _, score in alone])
    off = (together[1] - scores).abs() > 1e-5
    observe("texts whose score changes", off.double())
    observe("scores of texts alone", scores)
    compare.require(
        not bool(off.any()), f"the score of {int(off.sum())} of 3 texts depends on its neighbours"
    )
    same = torch.equal(together[0], torch.cat([index for index, _ in alone]))
    compare.require(same, "the label of a text depends on its neighbours")
