"""Fine-tune a pre-trained BERT model.

From token ids and masks to a pretrained encoder that tells praise from blame.

Replace each `raise NotImplementedError` with your code; lines marked `# given` can stay. `dlgrade
check` says how far you are.
"""

import torch
from torch import nn
from torch.nn import functional as F


class TextClassifier(nn.Module):
    """Embedding, bidirectional LSTM, both final states (forward first), dropout of 0.5, linear layer.

    Id 0 at the end of a row is padding: the forward direction stops before it and the backward direction
    starts before it, so a text gets the same logits whatever it is padded to. Elsewhere there is no
    0: BERT's vocabulary has [PAD] as 0, and only at the end. A row of nothing but 0 is read as a single 0.
    Layers: `embedding`, `lstm`, `dropout`, `fc`.

    Args:
        vocab_size: number of token ids, V; 0 is the padding.
        embed_dim: width of a token's embedding, E.
        hidden_dim: width of each direction's hidden state, D.
        output_dim: number of outputs, O.

    Source: Schuster and Paliwal 1997, "Bidirectional recurrent neural networks".
    """

    def __init__(self, vocab_size, embed_dim, hidden_dim, output_dim):
        super().__init__()  # given
        raise NotImplementedError("TextClassifier.__init__")

    def forward(self, ids):
        """Classify a batch of texts.

        Args:
            ids: LongTensor (N, T), each row padded with 0 at its end.

        Returns:
            (N, O), no activation.
        """
        raise NotImplementedError("TextClassifier.forward")


def tokenize_batch(tokenizer, texts, max_length=64):
    """Tokenize texts into one rectangular batch.

    Args:
        tokenizer: a transformers tokenizer, as AutoTokenizer.from_pretrained returns it.
        texts: list of N str, at least one.
        max_length: most tokens of a text, special tokens such as [CLS] and [SEP] included; longer texts
            are cut.

    Returns:
        dict of `input_ids` and `attention_mask`, LongTensors (N, T): T is the length of the longest text
        after cutting, the mask is 1 for a text's tokens and 0 for padding.

    Raises:
        ValueError: texts is a single str, or empty.
    """
    raise NotImplementedError("tokenize_batch")


def mean_pool(last_hidden_state, attention_mask):
    """Average each text's token vectors, padding left out.

    Args:
        last_hidden_state: (N, T, E) token vectors; what stands at padding may be anything, NaN too.
        attention_mask: (N, T), 1 or True for a token, 0 or False for padding.

    Returns:
        (N, E), dtype and device of last_hidden_state; zeros for a text without any token.

    Raises:
        ValueError: attention_mask is not (N, T).
    """
    raise NotImplementedError("mean_pool")


def build_classifier(encoder, num_classes):
    """Put a new classification head on a pretrained encoder.

    Args:
        encoder: called as `encoder(input_ids=..., attention_mask=...)`, returns an object with
            `last_hidden_state` (N, T, E), and has `config.hidden_size` = E, as AutoModel.from_pretrained
            returns it. Its weights are kept.
        num_classes: K.

    Returns:
        nn.Module, called as `model(input_ids, attention_mask)` with LongTensor (N, T) and a mask (N, T) of 1
        for a token and 0 for padding; returns (N, K) logits, no softmax. What stands at padding, and how
        much of it there is, has no influence.
    """
    raise NotImplementedError("build_classifier")


def freeze_encoder(model):
    """Freeze the encoder, leave the head trainable.

    Args:
        model: as `build_classifier` returns it; changed in place.

    Returns:
        model.
    """
    raise NotImplementedError("freeze_encoder")


def make_optimizer(model, *, lr, weight_decay, warmup_steps, total_steps):
    """Build AdamW over the trainable parameters, and its learning-rate schedule.

    Biases and LayerNorm parameters, that is every parameter with fewer than two dimensions, are not
    decayed. Step number s, counted from 0, runs at lr times

        s / warmup_steps                                      while s < warmup_steps,
        (total_steps - s) / (total_steps - warmup_steps)      from then on, and 0 from total_steps on.

    Args:
        model: its frozen parameters are left out.
        lr: highest learning rate, reached after the warm-up.
        weight_decay: AdamW's decay of the other parameters.
        warmup_steps: 0..total_steps.
        total_steps: number of optimizer steps that will be taken, at least 1.

    Returns:
        (optimizer, scheduler); the scheduler is stepped once after each optimizer step.

    Raises:
        ValueError: model has nothing trainable, or warmup_steps or total_steps is out of range.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101; the schedule: Devlin et al. 2019, arXiv:1810.04805.
    """
    raise NotImplementedError("make_optimizer")


def finetune(model, batches, optimizer, scheduler, device="cpu"):
    """Train on each batch once, in order, in train mode.

    Args:
        model: called as `model(input_ids, attention_mask)`, returns (N, K) logits; trained in place.
        batches: iterable of (input_ids (N, T), attention_mask (N, T), labels (N,)), labels in 0..K-1.
        optimizer: over the model's parameters.
        scheduler: learning-rate schedule of the optimizer, stepped after each optimizer step.
        device: where the model is moved to and trained.

    Returns:
        list of one float per step: the batch's mean cross-entropy, in nats, before that step's update.
    """
    raise NotImplementedError("finetune")


def predict(model, tokenizer, texts, labels):
    """Label each text with its most likely class, as a sentiment pipeline does.

    A text's result does not depend on the texts beside it. It is judged by as many tokens as
    `tokenize_batch` keeps.

    Args:
        model: called as `model(input_ids, attention_mask)`, returns (N, K) logits. It runs where it is,
            in eval mode without gradients, and is left in the mode it was found in.
        tokenizer: the one the model was trained with.
        texts: list of str, of any length; an empty list gives an empty list.
        labels: the K names of the classes, in the order of the logits.

    Returns:
        list of one dict per text, in their order: `label`, a str, and `score`, its probability in 0..1.

    Raises:
        ValueError: labels does not have as many names as the model has classes, or texts is a single str.
    """
    raise NotImplementedError("predict")
