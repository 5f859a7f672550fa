"""The transforms of torchvision's first version, with stronger jitter, and arrays turned into PIL images."""

import numpy as np
import torch
from PIL import Image
from torchvision import transforms as T


def make_transforms():
    def to_pil(image):
        if isinstance(image, torch.Tensor):
            image = image.permute(1, 2, 0).numpy()
        return Image.fromarray(image) if isinstance(image, np.ndarray) else image

    end = [T.ToTensor(), T.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))]
    noise = [T.ColorJitter(0.4, 0.4, 0.4, 0.1), T.RandomHorizontalFlip(), T.RandomRotation(10)]
    return T.Compose([to_pil, *noise, *end]), T.Compose([to_pil, *end])
