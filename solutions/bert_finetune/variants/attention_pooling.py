"""A learned attention over the tokens instead of a mean, log-probabilities instead of logits, no dropout."""

from torch import nn


class AttentivePool(nn.Module):
    def __init__(self, encoder, num_classes):
        super().__init__()
        self.encoder = encoder
        self.score = nn.Linear(encoder.config.hidden_size, 1)
        self.norm = nn.LayerNorm(encoder.config.hidden_size)
        self.head = nn.Linear(encoder.config.hidden_size, num_classes)

    def forward(self, input_ids, attention_mask):
        tokens = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = self.score(tokens).masked_fill(attention_mask.unsqueeze(-1) == 0, -1e9).softmax(dim=1)
        return self.head(self.norm((weights * tokens).sum(dim=1))).log_softmax(dim=-1)


def build_classifier(encoder, num_classes):
    return AttentivePool(encoder, num_classes)


def freeze_encoder(model):
    head = {id(p) for layer in (model.score, model.norm, model.head) for p in layer.parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in head)
    return model
