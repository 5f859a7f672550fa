"""Early stopping: end training when the validation loss no longer falls, and go back to its best epoch."""

import copy
import math


class EarlyStopping:
    """Watch the validation loss, keep the best weights, say when to stop.

    Call `update` after every epoch until it returns True, then `restore` once.

    Args:
        patience: epochs in a row without a new lowest loss after which training stops; at least 1.

    Attributes:
        best_loss: the lowest validation loss so far; infinity before the first.
        best_epoch: the 0-based epoch that gave it; None before the first.
        epochs_since_best: how many epochs in a row did not improve on it.

    Raises:
        ValueError: patience is below 1.

    Source: Prechelt 1998, "Early Stopping - But When?", criterion UP with strips of one epoch.
    """

    def __init__(self, patience=5):
        if patience < 1:
            raise ValueError(f"patience is {patience}, expected at least 1 epoch")
        self.patience = patience
        self.best_loss = math.inf
        self.best_epoch = None
        self.epochs_since_best = 0
        self._epochs_seen = 0
        self._best_state = None

    def update(self, val_loss, model) -> bool:
        """Note one epoch's validation loss, and copy the model's weights if it is the lowest so far.

        Args:
            val_loss: mean loss on the validation split; NaN and infinity never count as better.
            model: the module in the state that gave this loss.

        Returns:
            True if training should stop now.
        """
        if val_loss < self.best_loss:
            self.best_loss, self.best_epoch = val_loss, self._epochs_seen
            self.epochs_since_best = 0
            # state_dict() holds the live tensors, which the next optimizer step would change.
            self._best_state = copy.deepcopy(model.state_dict())
        else:
            self.epochs_since_best += 1
        self._epochs_seen += 1
        return self.epochs_since_best >= self.patience

    def restore(self, model):
        """Put the best epoch's parameters and buffers (such as batch-norm statistics) back into the model.

        Args:
            model: the module that was given to `update`; changed in place.

        Raises:
            RuntimeError: no epoch so far had a finite validation loss.
        """
        if self._best_state is None:
            raise RuntimeError(
                f"no best weights to restore: none of {self._epochs_seen} epochs had a finite validation "
                "loss; lower the learning rate or check the inputs for NaN"
            )
        model.load_state_dict(self._best_state)
