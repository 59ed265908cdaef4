"""Networks, PyTorch: the same U-Net, layer for layer, in the default layout or channels last."""

import math

import numpy as np
import torch
from torch import nn

from . import problem
from .torch_tools import contestant


def norm(channels):
    groups = next(g for g in range(max(1, min(channels // 4, 32)), 0, -1) if channels % g == 0)
    return nn.GroupNorm(groups, channels, eps=1e-6)


class Block(nn.Module):
    def __init__(self, m, n, told, resample=None):
        super().__init__()
        self.norm1, self.norm2 = norm(m), norm(n)
        self.conv1, self.conv2 = nn.Conv2d(m, n, 3, padding=1), nn.Conv2d(n, n, 3, padding=1)
        self.told, self.resample = nn.Linear(told, n), resample
        self.skip = nn.Conv2d(m, n, 1) if m != n else nn.Identity()

    def forward(self, x, e):
        h = nn.functional.silu(self.norm1(x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.conv1(h) + self.told(e)[:, :, None, None]
        h = self.conv2(nn.functional.silu(self.norm2(h)))
        return (self.skip(x) + h) / math.sqrt(2)


class UNet(nn.Module):
    def __init__(self, channels, width, multipliers, blocks):
        super().__init__()
        told, widths = 4 * width, [width * m for m in multipliers]
        periods = np.geomspace(80.0, 2.0, width)
        self.register_buffer("omega", torch.tensor(2 * math.pi / periods, dtype=torch.float32))
        self.level = nn.Sequential(nn.Linear(2 * width, told), nn.SiLU(), nn.Linear(told, told), nn.SiLU())
        self.first, self.down, self.up = nn.Conv2d(channels, width, 3, padding=1), nn.ModuleList(), nn.ModuleList()
        now, skips = width, [width]
        for i, n in enumerate(widths):
            stages = [Block(now if b == 0 else n, n, told) for b in range(blocks)]
            if i < len(widths) - 1:
                stages.append(Block(n, n, told, nn.AvgPool2d(2)))
            self.down.extend(stages)
            skips += [n] * len(stages)
            now = n
        self.middle = nn.ModuleList([Block(now, now, told), Block(now, now, told)])
        for i, n in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.up.append(Block(now + skips.pop(), n, told))
                now = n
            if i > 0:
                self.up.append(Block(n, n, told, nn.Upsample(scale_factor=2)))
        self.norm, self.last = norm(width), nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, level, x):
        phase = level[:, None] * self.omega
        e = self.level(torch.cat([phase.cos(), phase.sin()], 1))
        h = self.first(x)
        skips = [h]
        for block in self.down:
            h = block(h, e)
            skips.append(h)
        for block in self.middle:
            h = block(h, e)
        for block in self.up:
            grows = isinstance(block.resample, nn.Upsample)
            h = block(h if grows else torch.cat([h, skips.pop()], 1), e)
        return self.last(nn.functional.silu(self.norm(h)))


def prepare(options):
    torch.manual_seed(0)
    channels, size = problem.IMAGES[options["images"]]
    net = UNet(channels, problem.UNET_WIDTH, problem.MULTIPLIERS, problem.BLOCKS)
    shape = options["batch"], channels, size, size
    levels, x, noise = (torch.from_numpy(a) for a in problem.noisy(np.random.default_rng(0), *shape))
    if options.get("channels_last"):
        net = net.to(memory_format=torch.channels_last)
        x, noise = (a.contiguous(memory_format=torch.channels_last) for a in (x, noise))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)

    def train():
        optimiser.zero_grad(set_to_none=True)
        loss = nn.functional.mse_loss(net(levels, x), noise)
        loss.backward()
        optimiser.step()
        return loss

    def forward():
        with torch.inference_mode():
            return net(levels[:1], x).square().mean()

    return contestant(train if options["task"] == "train" else forward, options)
