"""Fine-tune a pre-trained BERT model: the full answer. Generated: edit the files it is cut from."""

import torch
from torch import nn
from torch.nn import functional as F


class BertClassifier(nn.Module):
    """Encoder, mean over the text's tokens, dropout, linear layer.

    Layers: `encoder`, `dropout`, `head`. The mean rather than the encoder's own pooler, which not every
    pretrained encoder has; where there is one it stays unused and gets no gradient.

    Args:
        encoder: called as `encoder(input_ids=..., attention_mask=...)`, returns an object with
            `last_hidden_state` (N, T, E), and has `config.hidden_size` = E, as AutoModel.from_pretrained
            returns it.
        num_classes: K.

    Source: Devlin et al. 2019, arXiv:1810.04805; mean pooling: Reimers and Gurevych 2019, arXiv:1908.10084.
    """

    def __init__(self, encoder, num_classes):
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(0.1)
        # Where and as what the encoder already is: a checkpoint may well have been loaded in half precision.
        weight = next(encoder.parameters())
        self.head = nn.Linear(
            encoder.config.hidden_size, num_classes, device=weight.device, dtype=weight.dtype
        )

    def forward(self, input_ids, attention_mask):
        """Classify a batch of tokenized texts.

        Args:
            input_ids: LongTensor (N, T).
            attention_mask: (N, T), 1 for a token, 0 for padding.

        Returns:
            (N, K) logits, no softmax; what stands at padding has no influence.
        """
        _N, _T = input_ids.shape
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        pooled = mean_pool(output.last_hidden_state, attention_mask)  # (N, T, E) -> (N, E)
        return self.head(self.dropout(pooled))


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
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embed_dim, padding_idx=0)
        self.lstm = nn.LSTM(embed_dim, hidden_dim, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(2 * hidden_dim, output_dim)

    def forward(self, ids):
        """Classify a batch of texts.

        Args:
            ids: LongTensor (N, T), each row padded with 0 at its end.

        Returns:
            (N, O), no activation.
        """
        _N, T = ids.shape
        steps = torch.arange(1, T + 1, device=ids.device)
        lengths = (steps * (ids != 0)).amax(dim=1).clamp(min=1)  # (N,), up to the last id that is not 0
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(ids),  # (N, T, E)
            lengths.cpu(),  # pack_padded_sequence takes lengths on the CPU only
            batch_first=True,
            enforce_sorted=False,
        )
        _, (h, _c) = self.lstm(packed)  # (2, N, D)
        # Not output[:, -1]: there the backward direction has seen the last token only.
        both = torch.cat([h[0], h[1]], dim=1)  # (N, 2D)
        return self.fc(self.dropout(both))


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
    if isinstance(texts, str):
        raise ValueError(f"texts is the single str {texts[:20]!r}, expected a list: pass [text] instead")
    if not texts:
        raise ValueError("texts is empty, expected at least one text")
    batch = tokenizer(
        list(texts), padding="longest", truncation=True, max_length=max_length, return_tensors="pt"
    )
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}


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
    N, T, _E = last_hidden_state.shape
    if attention_mask.shape != (N, T):
        raise ValueError(f"attention_mask has shape {tuple(attention_mask.shape)}, expected ({N}, {T})")
    padding = (attention_mask == 0).unsqueeze(-1)  # (N, T, 1)
    # Filled, not multiplied by 0: 0 * NaN is NaN.
    total = last_hidden_state.masked_fill(padding, 0).sum(dim=1)  # (N, E)
    tokens = (T - padding.sum(dim=1)).clamp(min=1)  # (N, 1)
    return total / tokens


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
    return BertClassifier(encoder, num_classes)


def freeze_encoder(model):
    """Freeze the encoder, leave the head trainable.

    Args:
        model: as `build_classifier` returns it; changed in place.

    Returns:
        model.
    """
    model.encoder.requires_grad_(False)
    return model


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
    if total_steps < 1 or not 0 <= warmup_steps <= total_steps:
        raise ValueError(
            f"warmup_steps is {warmup_steps} and total_steps {total_steps}, "
            "expected total_steps of at least 1 and warmup_steps in 0..total_steps"
        )
    trainable = [p for p in model.parameters() if p.requires_grad]
    if not trainable:
        raise ValueError("model has no trainable parameter; is the head frozen with the encoder?")
    groups = [
        {"params": [p for p in trainable if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=lr)

    def factor(step):
        if step < warmup_steps:
            return step / warmup_steps
        return max(0, total_steps - step) / max(1, total_steps - warmup_steps)

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


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
    model.to(device).train()
    losses = []
    for batch in batches:
        input_ids, attention_mask, labels = (tensor.to(device) for tensor in batch)
        loss = F.cross_entropy(model(input_ids, attention_mask), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return losses


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
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    results = []
    with torch.no_grad():
        for start in range(0, len(texts), 32):  # 32 at a time: a long list would not fit into memory at once
            batch = tokenize_batch(tokenizer, texts[start : start + 32])
            logits = model(batch["input_ids"].to(device), batch["attention_mask"].to(device))  # (n, K)
            if logits.shape[1] != len(labels):
                raise ValueError(f"labels has {len(labels)} names, expected {logits.shape[1]}: one per class")
            scores, classes = logits.softmax(dim=1).max(dim=1)  # (n,), (n,)
            for score, k in zip(scores.tolist(), classes.tolist(), strict=True):
                results.append({"label": labels[k], "score": score})
    model.train(was_training)
    return results
