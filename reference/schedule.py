"""Step decay of the learning rate: the closed form, and the form that drives an optimizer."""


def decayed_rate(initial_rate, epoch, *, step_size=10, gamma=0.1) -> float:
    """Compute the learning rate of one epoch under step decay.

    Args:
        initial_rate: the rate of epoch 0.
        epoch: 0-based epoch.
        step_size: epochs between two decays.
        gamma: factor of each decay.

    Returns:
        initial_rate * gamma ** (epoch // step_size): epochs 0..9 run at the initial rate, epochs
        10..19 at a tenth of it.
    """
    return initial_rate * gamma ** (epoch // step_size)


class StepDecay:
    """Multiply an optimizer's learning rates by `gamma` after every `step_size` epochs.

    It does what torch.optim.lr_scheduler.StepLR does. Each parameter group decays from its own rate.

    Args:
        optimizer: the optimizer whose `param_groups` are changed in place.
        step_size: epochs between two decays; at least 1.
        gamma: factor of each decay.

    Raises:
        ValueError: step_size is below 1.
    """

    def __init__(self, optimizer, *, step_size=10, gamma=0.1):
        if step_size < 1:
            raise ValueError(f"step_size is {step_size}, expected at least 1 epoch")
        self.optimizer, self.step_size, self.gamma = optimizer, step_size, gamma
        self.epoch = 0

    def step(self):
        """End an epoch. Call it once per epoch, after the epoch's last `optimizer.step()`.

        Called before the optimizer, it would skip the first epoch's rate; called per batch, it would
        decay within the first epoch.
        """
        self.epoch += 1
        if self.epoch % self.step_size == 0:
            for group in self.optimizer.param_groups:
                group["lr"] *= self.gamma  # from the current rate, so that a rate set by hand survives
