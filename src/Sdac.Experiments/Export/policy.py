"""Acts with a checkpoint of Sdac.Functional, in numpy alone. From the same noise come the same actions.

    policy = Policy("runs/cheetah/checkpoints/best.safetensors")
    action = policy(obs, *policy.noise(np.random.default_rng(0), len(obs)))    # obs [B, O] -> [B, A], in the task's units
"""
import json, math
import numpy as np

ACTIVATIONS = {
    "identity": lambda x: x, "relu": lambda x: np.maximum(x, 0), "tanh": np.tanh,
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)), "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / 2**0.5)) / 2}

def activated(name, x):
    function = ACTIVATIONS[name]
    return function(x)

class Policy:
    def __init__(self, path):
        data = open(path, "rb").read()
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        self.form = json.loads(header.pop("__metadata__")["policy"])
        if "none" in self.form:
            raise ValueError(f"the policy in {path} cannot be read: {self.form['none']}")
        types = {"F32": "<f4", "F64": "<f8"}
        self.tensors = {
            name: np.frombuffer(data, types[t["dtype"]], math.prod(t["shape"]), start + t["data_offsets"][0]).reshape(t["shape"])
            for name, t in header.items() if t["dtype"] in types}

    def network(self, pieces, x):
        for piece in pieces:
            h, last = activated(piece["before"], x), piece["layers"] - 1
            for i in range(last + 1):
                part = lambda name: self.tensors[f"{piece['prefix']}{i}.{name}"]
                h = h @ part("weight") + part("bias")
                if "norm" in piece and i < last:
                    h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + piece["norm"])
                    h = h * part("norm.weight") + part("norm.bias")
                h = activated(piece["output" if i == last else "hidden"], h)
            x = x + h if piece["skip"] else h
        return x

    def embedding(self, time, step):
        if "frequencies" in time:
            angle = 2 * np.pi * self.tensors[time["frequencies"]] * time["at"][step]
            waves = np.concatenate([np.cos(angle), np.sin(angle)])
        else:
            angle = time["at"][step] * time["base"] ** (-np.arange(time["count"]) / time["span"])
            waves = time["scale"] * np.concatenate([np.sin(angle), np.cos(angle)])
        return self.network(time["network"], waves.astype("f4"))

    def noise(self, rng, states):
        """Standard normal numbers for so many observations: initial [B, N, A] and steps [T, B, N, A]."""
        shape = states, self.form["particles"], len(self.form["low"])
        steps = len(self.form.get("chain", {"steps": []})["steps"])
        return rng.standard_normal(shape, "f4"), rng.standard_normal((steps, *shape), "f4")

    def candidates(self, obs, initial, steps):
        form, (batch, n, width) = self.form, initial.shape
        rows = np.repeat(obs[:, None], n, 1)
        if "chain" in form:
            chain, x = form["chain"], np.float32(form["chain"]["scale"]) * initial
            limit = chain.get("noiseClip", np.inf)
            for i, (of_x, of_output, of_estimate, kept, spread) in enumerate(np.array(chain["steps"], "f4")):
                told = [np.broadcast_to(self.embedding(t, i), (batch, n, self.embedding(t, i).size)) for t in chain["times"]]
                estimate = of_x * x + of_output * self.network(form["network"], np.concatenate([rows, x, *told], -1))
                estimate = np.clip(estimate, -1, 1) if chain["clipsEstimate"] else estimate
                x = of_estimate * estimate + kept * x + spread * np.clip(steps[i], -limit, limit)
                x = np.clip(x, -1, 1) if chain["clipsState"] else x
        else:
            output = self.network(form["network"], rows)
            x, deviation = output[..., :width], np.float32(form.get("deviation", 0))
            if "logStd" in form:
                std, raw = form["logStd"], output[..., width:]
                smooth = std["low"] + (std["high"] - std["low"]) / 2 * (np.tanh(raw) + 1)
                deviation = np.exp(smooth if std["smooth"] else np.clip(raw, std["low"], std["high"]))
            x = x + deviation * initial
        return np.clip(x, -1, 1) if form["end"] == "clipped" else np.tanh(x) if form["end"] == "tanh" else x

    def __call__(self, obs, initial, steps):
        form, obs = self.form, np.asarray(obs, "f4")
        if "moments" in form:
            m = form["moments"]
            seen = (obs - self.tensors[m["mean"]]) / np.sqrt(self.tensors[m["variance"]] + 1e-8)
            obs = np.clip(seen, -m["clip"], m["clip"]).astype("f4")
        actions = self.candidates(obs, initial, steps)
        best = np.zeros(len(obs), int)
        if "critics" in form:
            inputs = np.concatenate([np.repeat(obs[:, None], actions.shape[1], 1), actions], -1)
            values = [self.network(critic, inputs)[..., 0] for critic in form["critics"]]
            best = (np.minimum(*values) if form["reduction"] == "minimum" else sum(values)).argmax(1)
        low, high = np.array(form["low"]), np.array(form["high"])
        return np.clip(low + (high - low) / 2 * (actions[np.arange(len(obs)), best] + 1), low, high)
