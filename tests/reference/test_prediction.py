import pytest
import torch
from torch import nn
from transformers import BertForSequenceClassification, TextClassificationPipeline

from dlgrade.tiny_bert import tiny_bert, tiny_tokenizer
from reference.bert_classifier import build_classifier
from reference.prediction import predict
from reference.tokenization import tokenize_batch
from tests.reference.devices import DEVICES

TEXTS = ["not good", "the film was very good and not dull", "great", "a bad play, and a very dull film!"]
LABELS = ["negative", "positive", "neither"]


class LogitsOf(nn.Module):
    """A transformers classifier, called the way ours are."""

    def __init__(self, classifier):
        super().__init__()
        self.classifier = classifier

    def forward(self, input_ids, attention_mask):
        return self.classifier(input_ids=input_ids, attention_mask=attention_mask).logits


def built():
    torch.manual_seed(0)
    model = build_classifier(tiny_bert(0), 3)
    nn.init.normal_(model.head.weight)  # far from even, so that texts get different labels
    return model


def close(results):
    """Results with scores to compare within float32's error: padding changes the order of sums."""
    return [{"label": r["label"], "score": pytest.approx(r["score"], rel=1e-4)} for r in results]


def test_label_and_score_are_the_most_likely_class():
    """Each text gets the name and the softmax probability of its largest logit, computed text by text."""
    model, tokenizer = built().eval(), tiny_tokenizer()
    expected = []
    for text in TEXTS:
        probabilities = model(**tokenize_batch(tokenizer, [text]))[0].softmax(0)
        expected.append({"label": LABELS[probabilities.argmax()], "score": probabilities.max().item()})
    results = predict(model, tokenizer, TEXTS, LABELS)
    assert results == close(expected)
    assert len({result["label"] for result in results}) > 1


def test_agrees_with_the_sentiment_pipeline():
    """On the same classifier the results are those of transformers' own text-classification pipeline."""
    torch.manual_seed(0)
    classifier = BertForSequenceClassification(tiny_bert(0).config)
    nn.init.normal_(classifier.classifier.weight)
    classifier.config.id2label = {0: "NEGATIVE", 1: "POSITIVE"}
    pipeline = TextClassificationPipeline(
        model=classifier.eval(), tokenizer=tiny_tokenizer(), device=torch.device("cpu")
    )
    ours = predict(LogitsOf(classifier).eval(), tiny_tokenizer(), TEXTS, ["NEGATIVE", "POSITIVE"])
    assert ours == close(pipeline(TEXTS))


def test_company_in_the_batch_does_not_matter():
    """A text gets the same label and score alone, in another order, and among a hundred others."""
    model, tokenizer = built(), tiny_tokenizer()
    expected = predict(model, tokenizer, TEXTS, LABELS)
    assert [predict(model, tokenizer, [text], LABELS)[0] for text in TEXTS] == close(expected)
    assert predict(model, tokenizer, TEXTS[::-1], LABELS)[::-1] == close(expected)
    crowd = predict(model, tokenizer, ["good " * 30] * 50 + TEXTS + ["bad"] * 50, LABELS)
    assert crowd[50:54] == close(expected)


@pytest.mark.parametrize("training", [True, False])
def test_runs_in_eval_mode_and_leaves_the_mode(training):
    """Dropout is off, so that asking twice gives the same bits; the model's own mode is as before."""
    model = built().train(training)
    assert predict(model, tiny_tokenizer(), TEXTS, LABELS) == predict(model, tiny_tokenizer(), TEXTS, LABELS)
    assert model.training is training


def test_results_are_plain_values():
    """Labels are str and scores float in 0..1, ready for JSON; nothing keeps the graph alive."""
    for result in predict(built(), tiny_tokenizer(), TEXTS, LABELS):
        assert set(result) == {"label", "score"}
        assert type(result["label"]) is str
        assert type(result["score"]) is float
        assert 1 / 3 <= result["score"] <= 1


def test_no_texts_no_results():
    """An empty list comes back as one."""
    assert predict(built(), tiny_tokenizer(), [], LABELS) == []


def test_labels_must_match_the_classes():
    """Two names for three classes are refused with both figures: a third class would have no name."""
    with pytest.raises(ValueError, match="labels has 2 names, expected 3"):
        predict(built(), tiny_tokenizer(), TEXTS, LABELS[:2])


def test_a_lone_text_is_refused():
    """A str instead of a list is an error, not one result per character."""
    with pytest.raises(ValueError, match="texts is the single str 'good'"):
        predict(built(), tiny_tokenizer(), "good", LABELS)


@pytest.mark.parametrize("device", DEVICES)
def test_runs_where_the_model_is(device):
    """The model is not moved: its inputs are taken to it, in float64 too."""
    model = built().to(device).double()
    assert predict(model, tiny_tokenizer(), TEXTS, LABELS) == close(
        predict(built(), tiny_tokenizer(), TEXTS, LABELS)
    )
    assert next(model.parameters()).device.type == device
