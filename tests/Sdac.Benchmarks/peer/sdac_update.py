"""One SDAC update in PyTorch, as one would write it: the peer that `./build.sh bench --peer` measures in turn with ours.

It does what the published code does on every update: actions by reverse sampling for obs and next_obs (best of N), both
critics' targets and gradients, the RSSM loss with one network row per Monte-Carlo draw, Adam for all networks, Polyak averages.
The policy is stepped on every second update only, but its loss is computed on all, as published.

Reads its sizes as JSON from the command line. For each line on standard input: one even and one odd update, and the
mean of their seconds on standard output. Other lines begin with '#'.
"""

import copy
import json
import math
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Perceptron(nn.Sequential):
    def __init__(self, widths):
        layers = []
        for i, (a, b) in enumerate(zip(widths, widths[1:])):
            layers.append(nn.Linear(a, b))
            if i < len(widths) - 2:
                layers.append(nn.Mish())
        super().__init__(*layers)


class NoiseNetwork(nn.Module):
    def __init__(self, obs_dim, action_dim, hidden, time_dim=16):
        super().__init__()
        self.time = Perceptron([time_dim, 2 * time_dim, time_dim])
        self.main = Perceptron([obs_dim + action_dim + time_dim, *hidden, action_dim])
        half = time_dim // 2
        self.register_buffer("frequencies", torch.exp(-math.log(10000.0) * torch.arange(half) / half))
        self.scale = 1 / math.sqrt(time_dim)

    def forward(self, obs, action, t):
        angles = t[:, None] * self.frequencies
        encoded = self.scale * torch.cat([angles.sin(), angles.cos()], dim=1)
        return self.main(torch.cat([obs, action, self.time(encoded)], dim=1))


class Critic(nn.Module):
    def __init__(self, obs_dim, action_dim, hidden):
        super().__init__()
        self.main = Perceptron([obs_dim + action_dim, *hidden, 1])

    def forward(self, obs, action):
        return self.main(torch.cat([obs, action], dim=1)).squeeze(1)


class Agent:
    def __init__(self, size):
        self.size = size
        o, a, hidden = size["obs"], size["action"], size["hidden"]
        self.policy = NoiseNetwork(o, a, hidden)
        self.q = [Critic(o, a, hidden) for _ in range(2)]
        self.target_policy = copy.deepcopy(self.policy)
        self.target_q = copy.deepcopy(self.q)
        self.adam_policy = torch.optim.Adam(self.policy.parameters(), 3e-4)
        self.adam_q = [torch.optim.Adam(q.parameters(), 3e-4) for q in self.q]
        self.temperature = 3.0
        steps = size["timesteps"]
        beta = torch.linspace(1e-4, 0.999, steps) * 0.8
        alpha = 1 - beta
        self.alpha_bar = alpha.cumprod(0)
        before = torch.cat([torch.ones(1), self.alpha_bar[:-1]])
        self.mean_clean = before.sqrt() * beta / (1 - self.alpha_bar)
        self.mean_noisy = alpha.sqrt() * (1 - before) / (1 - self.alpha_bar)
        self.sigma = ((1 - before) / (1 - self.alpha_bar) * beta).sqrt()

    def min_q(self, critics, obs, action):
        return torch.minimum(critics[0](obs, action), critics[1](obs, action))

    @torch.no_grad()
    def sample(self, obs):
        n, batch, width = self.size["particles"], obs.shape[0], self.size["action"]
        rows = obs.repeat_interleave(n, dim=0)
        x = 0.5 * torch.randn(batch * n, width)
        for t in reversed(range(self.size["timesteps"])):
            noise = self.policy(rows, x, torch.full((batch * n,), float(t)))
            bar = self.alpha_bar[t]
            clean = (x / bar.sqrt() - (1 / bar - 1).sqrt() * noise).clamp(-1, 1)
            x = self.mean_clean[t] * clean + self.mean_noisy[t] * x
            if t > 0:
                x = x + self.sigma[t] * torch.randn_like(x)
        value = self.min_q(self.q, rows, x).view(batch, n)
        x = x.view(batch, n, width)
        best = x[torch.arange(batch), value.argmax(dim=1)]
        return best + 0.1 * self.temperature * torch.randn_like(best)

    def policy_loss(self, obs, action):
        batch, width, k = obs.shape[0], self.size["action"], self.size["draws"]
        t = torch.randint(0, self.size["timesteps"], (batch,))
        bar = self.alpha_bar[t][:, None]
        noisy = bar.sqrt() * action + (1 - bar).sqrt() * torch.randn_like(action)
        rows, noisy, t, bar = (x.repeat_interleave(k, dim=0) for x in (obs, noisy, t.float(), bar))
        noise = torch.randn(batch * k, width)
        with torch.no_grad():
            draws = (noisy / bar.sqrt() - (1 / bar - 1).sqrt() * noise).clamp(-1, 1)
            energy = self.min_q(self.q, rows, draws).view(batch, k) * 5 / self.temperature
            weight = energy.softmax(dim=1).view(-1, 1)
        return (weight * (self.policy(rows, noisy, t) - noise) ** 2).mean()

    def update(self, batch, even):
        obs, action, reward, next_obs, terminated = batch
        next_action = self.sample(next_obs)
        new_action = self.sample(obs)
        with torch.no_grad():
            value = self.min_q(self.target_q, next_obs, next_action)
            target = 0.2 * reward + 0.99 * (1 - terminated) * value
        for q, adam in zip(self.q, self.adam_q):
            loss = F.mse_loss(q(obs, action), target)
            adam.zero_grad()
            loss.backward()
            adam.step()
        loss = self.policy_loss(obs, new_action)
        self.adam_policy.zero_grad()
        loss.backward()
        if even:
            self.adam_policy.step()
            with torch.no_grad():
                for old, new in zip([self.target_policy, *self.target_q], [self.policy, *self.q]):
                    for p, q in zip(old.parameters(), new.parameters()):
                        p.lerp_(q, 0.005)


def main():
    size = json.loads(sys.argv[1])
    torch.manual_seed(0)
    torch.set_num_threads(size["threads"])
    agent = Agent(size)
    b, o, a = size["batch"], size["obs"], size["action"]
    batch = (torch.randn(b, o), 2 * torch.rand(b, a) - 1, torch.randn(b), torch.randn(b, o), torch.zeros(b))
    print(f"# PyTorch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        agent.update(batch, True)
        agent.update(batch, False)
        print((time.perf_counter() - start) / 2, flush=True)


main()
