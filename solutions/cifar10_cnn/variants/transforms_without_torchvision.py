"""Transforms as plain functions: own flip, own rotation by grid sampling, own brightness; float64 inside."""

import math

import numpy as np
import torch
import torch.nn.functional as F


def make_transforms():
    mean = torch.tensor([0.4914, 0.4822, 0.4465], dtype=torch.float64)[:, None, None]
    deviation = torch.tensor([0.2470, 0.2435, 0.2616], dtype=torch.float64)[:, None, None]

    def pixels(image):
        if isinstance(image, torch.Tensor):
            return image.double() / 255
        return torch.tensor(np.array(image)).permute(2, 0, 1).double() / 255

    def rotate(image):
        angle = math.radians(float(torch.empty(()).uniform_(-10, 10)))
        cos, sin = math.cos(angle), math.sin(angle)
        matrix = torch.tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]], dtype=torch.float64)
        grid = F.affine_grid(matrix, [1, 3, 32, 32], align_corners=False)
        return F.grid_sample(image[None], grid, align_corners=False, padding_mode="reflection")[0]

    def test(image):
        return ((pixels(image) - mean) / deviation).float()

    def train(image):
        image = pixels(image)
        if np.random.rand() < 0.5:
            image = image.flip(2)
        image = rotate(image) * torch.empty(()).uniform_(0.7, 1.3)
        return ((image.clamp(0, 1) - mean) / deviation).float()

    return [train, test]
