"""The lesson's first convolutional network, for 28x28 grey images such as MNIST."""

from torch import nn


class SimpleCNN(nn.Module):
    """Three blocks of convolution, ReLU and pooling, then two linear layers.

    Each block is a 3x3 convolution with padding 1, a ReLU and a 2x2 max pooling. The blocks have
    32, 64 and 128 channels and take the side from 28 to 14, 7 and 3. Then: flatten, linear to 256,
    ReLU, dropout 0.5, linear to K.

    Args:
        num_classes: K, the number of classes.

    Source: LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document
    recognition", for the architecture's pattern.
    """

    def __init__(self, num_classes=10):
        super().__init__()  # given
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, kernel_size=3, padding=1),  # (N, 32, 28, 28)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 32, 14, 14)
            nn.Conv2d(32, 64, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 64, 7, 7)
            nn.Conv2d(64, 128, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 128, 3, 3): an odd side loses its last row and column
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),  # (N, 1152)
            nn.Linear(128 * 3 * 3, 256),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(256, num_classes),  # no softmax: cross-entropy applies it to the logits
        )

    def forward(self, images):
        """Score every class for every image.

        Args:
            images: (N, 1, 28, 28).

        Returns:
            (N, K) logits: any real numbers, not probabilities.
        """
        return self.classifier(self.features(images))
