"""A list of nn.LSTMCell, stepped in Python; and a training loop that drops the graph with .data."""

import torch
from torch import nn


class CharLSTM(nn.Module):
    def __init__(self, vocab_size, embed_dim, hidden_dim, num_layers):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        sizes = [embed_dim] + [hidden_dim] * (num_layers - 1)
        self.cells = nn.ModuleList(nn.LSTMCell(size, hidden_dim) for size in sizes)
        self.fc = nn.Linear(hidden_dim, vocab_size)

    def forward(self, ids, state=None):
        pairs = [None] * len(self.cells) if state is None else list(zip(*state, strict=True))
        steps = []
        for x in self.embedding(ids).unbind(dim=1):
            for i, cell in enumerate(self.cells):
                pairs[i] = cell(x, pairs[i])
                x = pairs[i][0]
            steps.append(self.fc(x))
        h, c = (torch.stack([pair[side] for pair in pairs]) for side in (0, 1))
        return torch.stack(steps, dim=1), (h, c)


def train_char_lm(model, batches, *, epochs, lr, clip=1.0, device="cpu"):
    if batches == []:
        raise ValueError("an empty list of batches")
    optimizer = torch.optim.Adam(model.to(device).parameters(), lr=lr)
    criterion = nn.CrossEntropyLoss(reduction="sum")
    history = []
    for _ in range(epochs):
        model.train()
        summed, seen, hidden = 0.0, 0, None
        for inputs, targets in batches:
            optimizer.zero_grad(set_to_none=False)
            if hidden is not None:
                hidden = [part.data for part in hidden]
            logits, hidden = model(inputs.to(device), hidden)
            loss = criterion(logits.permute(0, 2, 1), targets.to(device))
            (loss / targets.numel()).backward()
            nn.utils.clip_grad_norm_(list(model.parameters()), max_norm=clip)
            optimizer.step()
            summed, seen = summed + loss.item(), seen + targets.numel()
        history.append(summed / seen)
    return history
