"""The operations in float64 PyTorch, over the edges of a relation: slow, and shares nothing with the library's arithmetic."""
import torch


def edges(relation):
    return [torch.as_tensor(a).long() for a in (relation.in_rows, relation.out_rows, relation.kernel_ids)]


def kernel_major(weight):
    c_out, c_in = weight.shape[0], weight.shape[-1]
    return weight.reshape(c_out, -1, c_in).permute(1, 2, 0)


def conv(relation, x, weight, bias=None, groups=1):
    i, o, k = edges(relation)
    w = kernel_major(weight)
    y = torch.zeros(relation.n_out_capacity, w.shape[2], dtype=x.dtype)
    step_in, step_out = x.shape[1] // groups, w.shape[2] // groups
    parts = []
    for g in range(groups):
        xs = x[:, g * step_in : (g + 1) * step_in]
        ws = w[:, :, g * step_out : (g + 1) * step_out]
        part = torch.zeros(relation.n_out_capacity, step_out, dtype=x.dtype)
        parts.append(part.index_add(0, o, torch.einsum("ec,ecd->ed", xs[i], ws[k])))
    y = torch.cat(parts, 1)
    return y if bias is None else y + bias


def normalized(relation, x, weight, bias=None, eps=1e-8):
    y = conv(relation, x, weight) / (conv(relation, torch.ones_like(x), weight * weight) + eps).sqrt()
    return y if bias is None else y + bias


def reduce_edges(x, i, o, n, mode):
    if mode == "max":
        rows = []
        for row in range(n):
            rows.append(torch.amax(x[i[o == row]], 0) if bool((o == row).any()) else torch.full((x.shape[1],), -float("inf"), dtype=x.dtype))
        return torch.stack(rows) if rows else x[:0]
    y = torch.zeros(n, x.shape[1], dtype=x.dtype).index_add(0, o, x[i])
    if mode == "avg":
        count = torch.zeros(n, dtype=x.dtype).index_add(0, o, torch.ones(len(o), dtype=x.dtype))
        y = y / count.clamp(min=1)[:, None]
    return y


def pool(relation, x, mode):
    i, o, _ = edges(relation)
    return reduce_edges(x, i, o, relation.n_out_capacity, mode)


def trilinear(relation, x, steps):
    i, o, k = edges(relation)
    axes = [[1 - abs(j - (s - 1)) / s for j in range(2 * s - 1)] for s in steps]
    taps = torch.tensor([a * b * c for a in axes[0] for b in axes[1] for c in axes[2]], dtype=x.dtype)[k]
    n = relation.n_out_capacity
    y = torch.zeros(n, x.shape[1], dtype=x.dtype).index_add(0, o, x[i] * taps[:, None])
    return y / torch.zeros(n, dtype=x.dtype).index_add(0, o, taps).clamp(min=1e-12)[:, None]


def norm(x, mean, var, weight, bias, eps):
    y = (x - mean) / (var + eps).sqrt() * weight
    return y if bias is None else y + bias


def batch_norm(x, weight, bias, eps=1e-5):
    return norm(x, x.mean(0), x.var(0, unbiased=False), weight, bias, eps)


def layer_norm(x, weight, bias, eps=1e-5):
    return norm(x, x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True), weight, bias, eps)


def rms_norm(x, weight, eps=1e-5):
    return x * ((x * x).mean(1, keepdim=True) + eps).rsqrt() * weight


def items(x, batches, groups, weight, bias, eps=1e-5):
    """Norm per batch item and group of channels."""
    y = torch.zeros_like(x)
    step = x.shape[1] // groups
    for b in batches.unique():
        rows = (batches == b).nonzero()[:, 0]
        for g in range(groups):
            part = x[rows][:, g * step : (g + 1) * step]
            part = (part - part.mean()) / (part.var(unbiased=False) + eps).sqrt()
            block = torch.zeros_like(x)
            block[rows[:, None], torch.arange(g * step, (g + 1) * step)] = part
            y = y + block
    return y * weight + bias


def take(x, rows, fill=0.0):
    rows = torch.as_tensor(rows).long()
    y = x[rows.clamp(min=0)] if len(x) else torch.zeros(len(rows), x.shape[1], dtype=x.dtype)
    return torch.where((rows >= 0)[:, None], y, torch.full_like(y, fill))
