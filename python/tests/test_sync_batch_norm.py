"""Batch norm over the rows of two processes equals batch norm over all of them in one."""
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="skipped: torch is not installed")

WORKER = """
import sys
import torch, torch.distributed as dist
from lattice import SparseTensor
from lattice.torch import nn
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
torch.manual_seed(0)
feats, weights = torch.randn(30, 4), torch.randn(30, 4)
coords = torch.zeros(30, 4, dtype=torch.int32)
coords[:, 1] = torch.arange(30)
part = slice(0, 11) if rank == 0 else slice(11, 30)
net = nn.SyncBatchNorm.convert(torch.nn.Sequential(nn.BatchNorm(4)))
mine = feats[part].clone().requires_grad_()
y = net(SparseTensor(coords[part], mine)).feats
(y * weights[part]).sum().backward()
grads = [p.grad.clone() for p in net.parameters()]
for g in grads:
    dist.all_reduce(g)
plain = nn.BatchNorm(4)
whole = feats.clone().requires_grad_()
z = plain(SparseTensor(coords, whole)).feats
(z * weights).sum().backward()
close = dict(rtol=1e-4, atol=1e-5)
torch.testing.assert_close(y, z[part], **close)
torch.testing.assert_close(mine.grad, whole.grad[part], **close)
for g, p in zip(grads, plain.parameters()):
    torch.testing.assert_close(g, p.grad, **close)
torch.testing.assert_close(net[0].running_mean, plain.running_mean, **close)
torch.testing.assert_close(net[0].running_var, plain.running_var, **close)
net.eval(), plain.eval()
torch.testing.assert_close(net(SparseTensor(coords, feats)).feats, plain(SparseTensor(coords, feats)).feats, **close)
# DistributedDataParallel: gradients are the average of both processes' own.
torch.manual_seed(rank)
block = torch.nn.Sequential(nn.SubmConv3d(4, 6), nn.BatchNorm(6), nn.ReLU(), nn.Linear(6, 2))
wrapped = torch.nn.parallel.DistributedDataParallel(block)
start = [p.detach().clone() for p in block.parameters()]
for p in start:
    dist.broadcast(p, 0)
for p, q in zip(block.parameters(), start):
    torch.testing.assert_close(p, q, rtol=0, atol=0)
x = SparseTensor(coords[part], feats[part])
(wrapped(x).feats ** 2).mean().backward()
shared = [p.grad.clone() for p in block.parameters()]
block.zero_grad()
(block(x).feats ** 2).mean().backward()
for g, p in zip(shared, block.parameters()):
    dist.all_reduce(p.grad)
    torch.testing.assert_close(g, p.grad / 2, **close)
print("equal")
dist.destroy_process_group()
"""


def test_two_processes(tmp_path):
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("skipped: torch has no gloo here")
    command = [sys.executable, "-c", WORKER]
    other = subprocess.Popen([*command, "1", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        first = subprocess.run([*command, "0", str(tmp_path)], capture_output=True, text=True, timeout=120)
        out, errors = other.communicate(timeout=120)
    finally:
        other.kill()
    assert "equal" in first.stdout, first.stderr
    assert "equal" in out, errors
