"""A pretrained encoder with a new classification head."""

from torch import nn

from reference.pooling import mean_pool


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
        super().__init__()  # given
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
