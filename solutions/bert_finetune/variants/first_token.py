"""The first token's vector instead of a mean, a head of two layers, BERT's usual names, nothing returned."""

from torch import nn


class SentimentModel(nn.Module):
    def __init__(self, bert, num_labels):
        super().__init__()
        self.bert = bert
        width = bert.config.hidden_size
        self.classifier = nn.Sequential(
            nn.Linear(width, width), nn.Tanh(), nn.Dropout(0.2), nn.Linear(width, num_labels)
        )

    def forward(self, input_ids, attention_mask=None):
        hidden = self.bert(input_ids, attention_mask=attention_mask, return_dict=False)[0]
        return self.classifier(hidden[:, 0])


def build_classifier(encoder, num_classes):
    return SentimentModel(encoder, num_classes)


def freeze_encoder(model):
    for parameter in model.bert.parameters():
        parameter.requires_grad = False
