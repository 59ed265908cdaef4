"""Series, PyTorch: the same training steps with torchcde, torchdiffeq and torchsde, each told the steps."""

import numpy as np
import torch
import torchcde
import torchdiffeq
import torchsde
from torch import nn

from . import problem
from .torch_tools import contestant

SIZE = problem.LAWS


def mlp(m, n, width, activation, last=None):
    layers = [nn.Linear(m, width), activation(), nn.Linear(width, n)]
    return nn.Sequential(*layers, *([last] if last is not None else []))


class LipSwish(nn.Module):
    def forward(self, x):
        return 0.909 * nn.functional.silu(x)


def prepare(options):
    torch.manual_seed(0)
    times, values, labels = problem.make_series(np.random.default_rng(0))
    with_time = np.concatenate([np.broadcast_to(times[None, :, None], (*values.shape[:2], 1)), values], axis=2)
    parts = torch.from_numpy(times), torch.from_numpy(with_time), torch.from_numpy(labels)
    return contestant(STEPS[options["model"]](*parts, options), options)


def trained(net, loss):
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)

    def step():
        optimiser.zero_grad(set_to_none=True)
        value = loss()
        value.backward()
        optimiser.step()
        return value

    return step


class CDEField(nn.Module):
    def __init__(self, channels, hidden, width, activation=nn.ReLU):
        super().__init__()
        self.net, self.shape = mlp(hidden, hidden * channels, width, activation, nn.Tanh()), (hidden, channels)

    def forward(self, t, z):
        return self.net(z).reshape(*z.shape[:-1], *self.shape)


def cde(times, series, labels, options):
    hidden = problem.HIDDEN
    field = CDEField(series.shape[2], hidden, hidden)
    net = nn.ModuleDict({"start": nn.Linear(series.shape[2], hidden), "field": field,
                         "head": nn.Linear(hidden, problem.CLASSES)})  # fmt: skip
    coefficients = torchcde.linear_interpolation_coeffs(series, t=times)

    def loss():
        path = torchcde.LinearInterpolation(coefficients, t=times)
        z0 = net["start"](path.evaluate(times[0]))
        z = torchcde.cdeint(
            path, field, z0, times[[0, -1]], adjoint=options.get("adjoint", False), method="euler",
            options={"grid_constructor": lambda *_: times},
        )  # fmt: skip
        return nn.functional.cross_entropy(net["head"](z[:, -1]), labels)

    return trained(net, loss)


class Encoder(nn.Module):
    """A GRU from the end to the beginning over values, masks and gaps."""

    def __init__(self, channels, hidden):
        super().__init__()
        self.gru = nn.GRU(2 * channels + 1, hidden, batch_first=True)

    def forward(self, values):
        extra = torch.ones_like(values), torch.full_like(values[:, :, :1], 0.01)
        return self.gru(torch.cat([values, *extra], 2).flip(1))[0].flip(1)


class Latent(nn.Module):
    """Encoder, start and readout; what moves in between is the subclass's."""

    def __init__(self, channels):
        super().__init__()
        state, width, hidden = SIZE["state"], SIZE["width"], SIZE["hidden"]
        self.encoder, self.infer = Encoder(channels, hidden), nn.Linear(hidden, 2 * state)
        self.start, self.readout = mlp(state, state, width, nn.Softplus), nn.Linear(state, channels)
        self.log_noise = nn.Parameter(torch.full((channels,), -2.3))

    def begin(self, values):
        codes = self.encoder(values)
        mean, log_std = self.infer(codes[:, 0]).chunk(2, dim=1)
        v = mean + log_std.exp() * torch.randn_like(mean)
        return codes, self.start(v), 0.5 * (mean**2 + (2 * log_std).exp() - 2 * log_std - 1).sum()

    def bound(self, path, values, divergence):
        likelihood = torch.distributions.Normal(self.readout(path), self.log_noise.exp()).log_prob(values).sum()
        return (divergence - likelihood) / values.numel()


class ODEField(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = mlp(SIZE["state"], SIZE["state"], SIZE["width"], nn.Softplus)

    def forward(self, t, y):
        return torch.tanh(self.net(y))


def ode(times, series, labels, options):
    values = series[:, :, 1:]
    net = Latent(values.shape[2])
    net.field = ODEField()
    integrate = torchdiffeq.odeint_adjoint if options.get("adjoint") else torchdiffeq.odeint

    def loss():
        _, y0, divergence = net.begin(values)
        # As many evaluations as Heun's method.
        path = integrate(net.field, y0, times, method="midpoint").transpose(0, 1)
        return net.bound(path, values, divergence)

    return trained(net, loss)


class LatentSDE(Latent):
    sde_type, noise_type = "ito", "diagonal"

    def __init__(self, channels, times):
        super().__init__(channels)
        state, width, hidden = SIZE["state"], SIZE["width"], SIZE["hidden"]
        self.prior, self.control = (
            mlp(state + 1, state, width, nn.Softplus),
            mlp(state + hidden + 1, state, width, nn.Softplus),
        )
        self.noise = nn.ModuleList(mlp(1, 1, width, nn.Tanh) for _ in range(state))
        self.times, self.codes = times, None

    def h(self, t, y):
        return torch.tanh(self.prior(torch.cat([t.expand(len(y), 1), y], 1)))

    def g(self, t, y):
        parts = [net(part) for net, part in zip(self.noise, y.split(1, dim=1), strict=True)]
        return nn.functional.softplus(torch.cat(parts, dim=1))

    def f(self, t, y):
        row = min(int(torch.searchsorted(self.times, t, right=True)), len(self.times) - 1)
        u = self.control(torch.cat([t.expand(len(y), 1), y, self.codes[:, row]], 1))
        return self.h(t, y) + self.g(t, y) * u


def sde(times, series, labels, options):
    values = series[:, :, 1:]
    net, dt = LatentSDE(values.shape[2], times), float(times[1] - times[0])

    def loss():
        net.codes, y0, divergence = net.begin(values)
        size = (len(y0), y0.shape[1] + 1) if options.get("interval") else None
        noise = None if size is None else torchsde.BrownianInterval(
            0.0, 1.0, size, dt=dt, levy_area_approximation="none", cache_size=None)  # fmt: skip
        path, kl = torchsde.sdeint(net, y0, times, bm=noise, method="euler", dt=dt, logqp=True)
        return net.bound(path.transpose(0, 1), values, divergence + kl.sum())

    return trained(net, loss)


class Generator(nn.Module):
    sde_type, noise_type = "stratonovich", "general"

    def __init__(self, channels):
        super().__init__()
        state, width, noise = SIZE["state"], SIZE["width"], SIZE["noise"]
        self.initial, self.readout = mlp(state, state, width, LipSwish), nn.Linear(state, channels)
        self.mu = mlp(state + 1, state, width, LipSwish, nn.Tanh())
        self.sigma, self.shape = mlp(state + 1, state * noise, width, LipSwish, nn.Tanh()), (state, noise)

    def f_and_g(self, t, x):
        tx = torch.cat([t.expand(len(x), 1), x], 1)
        return self.mu(tx), self.sigma(tx).view(len(x), *self.shape)

    def forward(self, times, batch):
        dt = float(times[1] - times[0])
        x0 = self.initial(torch.randn(batch, SIZE["state"]))
        path = torchsde.sdeint_adjoint(
            self, x0, times, method="reversible_heun", dt=dt, adjoint_method="adjoint_reversible_heun"
        ).transpose(0, 1)
        return torch.cat([times[None, :, None].expand(batch, -1, 1), self.readout(path)], 2)


class Critic(nn.Module):
    def __init__(self, channels):
        super().__init__()
        state, width = SIZE["state"], SIZE["width"]
        self.initial, self.readout = mlp(channels + 1, state, width, LipSwish), nn.Linear(state, 1)
        self.mu = mlp(state + 1, state, width, LipSwish, nn.Tanh())
        self.sigma, self.shape = mlp(state + 1, state * channels, width, LipSwish, nn.Tanh()), (state, channels)

    def forward(self, times, series):
        path = torchcde.LinearInterpolation(series, t=times)
        h0 = self.initial(path.evaluate(times[0]))
        h = torchcde.cdeint(path, self.field, h0, times[[0, -1]], adjoint=False, method="midpoint",
                            options={"grid_constructor": lambda *_: times})  # fmt: skip
        return self.readout(h[:, -1]).mean()

    def field(self, t, h):
        th = torch.cat([t.expand(len(h), 1), h], 1)
        return torch.cat([self.mu(th)[:, :, None], self.sigma(th).view(len(h), *self.shape)], 2)


def gan(times, series, labels, options):
    generator, critic = Generator(series.shape[2] - 1), Critic(series.shape[2] - 1)
    first = torch.optim.RMSprop(generator.parameters(), lr=1e-3)
    second = torch.optim.RMSprop(critic.parameters(), lr=5e-3)

    def step():
        second.zero_grad(set_to_none=True)
        with torch.no_grad():
            fake = generator(times, len(series))
        loss = critic(times, fake) - critic(times, series)
        loss.backward()
        second.step()
        with torch.no_grad():
            for module in critic.modules():
                if isinstance(module, nn.Linear):
                    bound = 1 / module.out_features
                    module.weight.clamp_(-bound, bound)
        first.zero_grad(set_to_none=True)
        (-critic(times, generator(times, len(series)))).backward()
        first.step()
        return loss

    return step


STEPS = {"cde": cde, "ode": ode, "sde": sde, "gan": gan}
