"""bert_finetune through the real engine: garbage earns nothing, and nothing breaks."""

import pytest

from dlgrade.units import overlay
from tests.exercises.grading import earned, faults, grade

NAME = "bert_finetune"

# Every function returns `thing()`, and so does every module's forward.
BODY = """
import torch
from torch import nn


class TextClassifier(nn.Module):
    def __init__(self, vocab_size, embed_dim, hidden_dim, output_dim):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, ids):
        return thing()


def tokenize_batch(tokenizer, texts, max_length=64):
    return thing()


def mean_pool(last_hidden_state, attention_mask):
    return thing()


def build_classifier(encoder, num_classes):
    return thing()


def freeze_encoder(model):
    return thing()


def make_optimizer(model, *, lr, weight_decay, warmup_steps, total_steps):
    return thing()


def finetune(model, batches, optimizer, scheduler, device="cpu"):
    return thing()


def predict(model, tokenizer, texts, labels):
    return thing()
"""

THINGS = {
    "nothing": "None",
    "text": "'text'",
    "an object": "object()",
    "an empty tensor": "torch.zeros(0)",
    "a wrong shape": "torch.zeros(2, 3, 4)",
    "NaN": "torch.full((3, 4), float('nan'))",
    "a pair of nothing": "(None, None)",
    "a pair of optimizers": "(torch.optim.SGD([torch.zeros(1)]), torch.optim.SGD([torch.zeros(1)]))",
    "a list of text": "['a', 'b', 'c', 'd']",
    "dicts of the wrong kind": "[{'label': 1, 'score': 'high'}] * 4",
    "a dict of lists": "{'input_ids': [[1, 2]], 'attention_mask': [[1, 1]]}",
    "a dict of scalars": "{'input_ids': torch.tensor(1), 'attention_mask': torch.tensor(1)}",
    "an exception": "1 / 0",
}

MODULES = {
    "logits of NaN": "return torch.full((len(input_ids), self.num_classes), float('nan'))",
    "a wrong shape": "return torch.zeros(len(input_ids), 2, self.num_classes)",
    "integers": "return torch.zeros(len(input_ids), self.num_classes, dtype=torch.int64)",
    "no gradient": "return torch.zeros(len(input_ids), self.num_classes)",
    "a pair": "return input_ids, attention_mask",
}


@pytest.mark.parametrize("thing", THINGS)
def test_garbage_earns_nothing_and_breaks_nothing(run, thing):
    """Whatever every part returns instead of a result, no check passes and none fails by our fault."""
    report = grade(run, f"def thing():\n    return {THINGS[thing]}\n\n{BODY}")
    assert faults(report) == []
    assert earned(report) == []


@pytest.mark.parametrize("body", MODULES)
def test_classifiers_of_the_wrong_kind_break_nothing(run, answer, body):
    """A module whose outputs are no logits earns no value, is never our fault, and freezing it neither."""
    text = (
        "import torch\nfrom torch import nn\n\n\nclass Wrong(nn.Module):\n"
        "    def __init__(self, encoder, num_classes):\n        super().__init__()\n"
        "        self.encoder, self.num_classes = encoder, num_classes\n\n"
        f"    def forward(self, input_ids, attention_mask):\n        {MODULES[body]}\n\n\n"
        "def build_classifier(encoder, num_classes):\n    return Wrong(encoder, num_classes)\n"
    )
    report = grade(run, overlay(answer, text))
    assert faults(report) == []
    own = [c for c in report.checks if c.part == "build_classifier" and c.points]
    assert [c.id for c in own if c.kind in ("gradient", "value")] == []
    assert "classifier_reads_every_token_in_order" not in {c.id for c in own}


def test_padding_changes_no_prediction_of_a_correct_classifier(run, exercise, answer):
    """A text alone, padded, and beside one of 60 tokens gets the same logits in every correct design."""
    texts = {file.stem: file.read_text(encoding="utf-8") for file in exercise.variants_folder.glob("*.py")}
    assert len(texts) >= 8
    names = {"classifier_ignores_padding", "classifier_judges_each_text_on_its_own"}
    for variant, text in {"the answer": "", **texts}.items():
        report = grade(run, overlay(answer, text))
        assert {c.id for c in report.checks if c.verdict == "passed"} >= names, variant


def test_nothing_of_a_submission_reaches_the_network(run, answer):
    """A socket is refused while the tokenizer and the encoder of the checks work as ever."""
    probe = (
        "\nimport socket\n\ndef mean_pool(last_hidden_state, attention_mask):\n"
        "    socket.create_connection(('192.0.2.1', 443), timeout=1)\n"
    )
    report = grade(run, overlay(answer, probe))
    pooled = next(c for c in report.checks if c.id == "mean_pool_averages_the_tokens")
    assert (pooled.verdict, pooled.message.split(":")[0]) == ("raised", "PermissionError")
    tokenized = [c.verdict for c in report.checks if c.part == "tokenize_batch"]
    assert set(tokenized) == {"passed"}
