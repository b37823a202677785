"""Modules of the three frameworks."""
import copy
import importlib
import pickle

import numpy as np
import pytest
from conftest import Arrays, need, random_rows

from lattice import SparseTensor, ops


@pytest.fixture(params=["numpy", "torch", "mlx"])
def F(request):
    need(request.param)
    return Arrays(request.param), importlib.import_module(f"lattice.{request.param}.nn")


def tensor(A, n=30, channels=4, **options):
    rng = np.random.default_rng(2)
    return SparseTensor(A.coords(random_rows(rng, n, 4)), A.f32(rng.normal(size=(n, channels))), **options)


BUILDS = {
    "Conv3d": lambda nn: nn.Conv3d(4, 6, stride=2, padding=1),
    "Conv3d_without_bias": lambda nn: nn.Conv3d(4, 6, kernel_size=(3, 1, 2), bias=False),
    "SubmConv3d": lambda nn: nn.SubmConv3d(4, 6, dilation=2),
    "NormalizedSubmConv3d": lambda nn: nn.NormalizedSubmConv3d(4, 6),
    "ConvTranspose3d": lambda nn: nn.ConvTranspose3d(4, 6),
    "NormalizedConvTranspose3d": lambda nn: nn.NormalizedConvTranspose3d(4, 6),
    "GenerativeConvTranspose3d": lambda nn: nn.GenerativeConvTranspose3d(4, 6),
    "NormalizedGenerativeConvTranspose3d": lambda nn: nn.NormalizedGenerativeConvTranspose3d(4, 6),
    "QuantizedConv3d": lambda nn: nn.QuantizedConv3d(4, 6, bits=8),
    "QuantizedSubmConv3d": lambda nn: nn.QuantizedSubmConv3d(4, 6),
    "QuantizedConvTranspose3d": lambda nn: nn.QuantizedConvTranspose3d(4, 6),
    "QuantizedGenerativeConvTranspose3d": lambda nn: nn.QuantizedGenerativeConvTranspose3d(4, 6),
    "Linear": lambda nn: nn.Linear(4, 6),
    "QuantizedLinear": lambda nn: nn.QuantizedLinear(4, 6, bits=8),
    "ReLU": lambda nn: nn.ReLU(),
    "Sigmoid": lambda nn: nn.Sigmoid(),
    "SiLU": lambda nn: nn.SiLU(),
    "Tanh": lambda nn: nn.Tanh(),
    "GELU": lambda nn: nn.GELU("precise"),
    "LeakyReLU": lambda nn: nn.LeakyReLU(),
    "Softplus": lambda nn: nn.Softplus(),
    "Dropout": lambda nn: nn.Dropout(0.5),
    "BatchNorm": lambda nn: nn.BatchNorm(4),
    "LayerNorm": lambda nn: nn.LayerNorm(4),
    "RMSNorm": lambda nn: nn.RMSNorm(4),
    "InstanceNorm": lambda nn: nn.InstanceNorm(4),
    "GroupNorm": lambda nn: nn.GroupNorm(2, 4),
    "Pool3d": lambda nn: nn.Pool3d(mode="avg"),
    "SumPool3d": lambda nn: nn.SumPool3d(),
    "MaxPool3d": lambda nn: nn.MaxPool3d(kernel_size=3),
    "AvgPool3d": lambda nn: nn.AvgPool3d(),
    "PoolTranspose3d": lambda nn: nn.PoolTranspose3d(),
    "TrilinearUpsample3d": lambda nn: nn.TrilinearUpsample3d(),
    "GlobalSumPool": lambda nn: nn.GlobalSumPool(),
    "GlobalAvgPool": lambda nn: nn.GlobalAvgPool(),
    "GlobalMaxPool": lambda nn: nn.GlobalMaxPool(),
}


@pytest.mark.parametrize("name", list(BUILDS))
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_module_runs_in_the_dtype_of_its_input(F, name, dtype):
    A, nn = F
    module = BUILDS[name](nn)
    x = tensor(A, stride=2).astype(dtype)
    y = module(x)
    got = y.feats if isinstance(y, SparseTensor) else y
    assert isinstance(y, SparseTensor) != name.startswith("Global")
    assert A.owns(got) and dtype in str(got.dtype)
    assert np.isfinite(A.np(got)).all()
    assert name.split("_")[0] in repr(module)
    with pytest.raises(TypeError, match="expected SparseTensor"):
        module(x.feats)


def test_a_module_refuses_another_library():
    need("torch")
    from lattice.numpy import nn

    with pytest.raises(TypeError, match="another array library: got torch, expected numpy"):
        nn.ReLU()(tensor(Arrays("torch")))


def test_module_equals_function(F):
    A, nn = F
    x = tensor(A)
    conv = nn.Conv3d(4, 6, stride=2)
    y = conv(x)
    want = ops.conv3d(x, conv._value(conv.weight), conv._value(conv.bias), stride=2)
    np.testing.assert_array_equal(A.np(y.feats), A.np(want.feats))
    onto = conv(x, coordinates=want)
    assert onto.coords is want.coords
    with pytest.raises(ValueError, match="odd kernel_size"):
        nn.SubmConv3d(4, 6, kernel_size=2)(x)
    bound = (1 / (4 * 27)) ** 0.5
    weight = A.np(conv._value(conv.weight))
    assert weight.shape == (6, 3, 3, 3, 4) and np.abs(weight).max() <= bound and np.abs(weight).max() > 0.8 * bound
    assert not hasattr(nn.Conv3d(4, 6, bias=False), "bias") or nn.Conv3d(4, 6, bias=False).bias is None


def test_batch_norm(F):
    A, nn = F
    x = tensor(A)
    norm = nn.BatchNorm(4)
    feats = A.np(x.feats).astype(np.float64)
    np.testing.assert_allclose(A.np(norm(x).feats), (feats - feats.mean(0)) / np.sqrt(feats.var(0) + 1e-5), atol=1e-5)
    np.testing.assert_allclose(A.np(norm.running_mean), 0.1 * feats.mean(0), atol=1e-6)
    np.testing.assert_allclose(A.np(norm.running_var), 0.9 + 0.1 * feats.var(0), atol=1e-6)
    norm.eval()
    mean, var = A.np(norm.running_mean), A.np(norm.running_var)
    np.testing.assert_allclose(A.np(norm(x).feats), (feats - mean) / np.sqrt(var + 1e-5), atol=1e-5)
    np.testing.assert_array_equal(A.np(norm.running_mean), mean)
    plain = nn.BatchNorm(4, affine=False, track_running_stats=False)
    plain.eval()
    np.testing.assert_allclose(A.np(plain(x).feats).mean(0), 0, atol=1e-5)


def test_dropout_and_quantization(F):
    A, nn = F
    x = tensor(A, channels=32)
    drop = nn.Dropout(0.5)
    drop.eval()
    assert drop(x) is x
    for module, packed in ((nn.Conv3d(32, 8), nn.QuantizedConv3d), (nn.SubmConv3d(32, 8), nn.QuantizedSubmConv3d)):
        quantized = module.to_quantized(bits=8)
        assert type(quantized) is packed and quantized.bits == 8 and quantized.group_size == 32
        np.testing.assert_allclose(A.np(quantized(x).feats), A.np(module(x).feats), atol=0.05)
    linear = nn.Linear(32, 8)
    np.testing.assert_allclose(A.np(linear.to_quantized(bits=8)(x).feats), A.np(linear(x).feats), atol=0.05)
    assert type(nn.QuantizedConv3d.from_conv(nn.Conv3d(32, 8), bits=4, group_size=32)) is nn.QuantizedConv3d
    with pytest.raises(ValueError, match="normalization"):
        nn.NormalizedSubmConv3d(32, 8).to_quantized()
    with pytest.raises(ValueError, match="mode"):
        nn.Conv3d(32, 8).to_quantized(mode="other")


def test_class_relations(F):
    _, nn = F
    assert issubclass(nn.NormalizedSubmConv3d, nn.SubmConv3d) and issubclass(nn.MaxPool3d, nn.Pool3d)
    assert nn.MaxPool3d().mode == "max" and nn.AvgPool3d().mode == "avg" and nn.SumPool3d().mode == "sum"


def small_torch_net():
    import torch

    from lattice.torch import nn

    return torch.nn.Sequential(
        nn.Conv3d(4, 8, stride=2), nn.BatchNorm(8), nn.ReLU(), nn.SubmConv3d(8, 8), nn.LayerNorm(8), nn.GlobalAvgPool()
    )


def test_torch_modules_are_torch_modules(torch):
    A = Arrays("torch")
    x = tensor(A)
    net = small_torch_net()
    y = net(x)
    other = small_torch_net()
    other.load_state_dict(net.state_dict())
    net.eval(), other.eval()
    torch.testing.assert_close(other(x), net(x), rtol=0, atol=0)
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        torch.testing.assert_close(again(x), net(x), rtol=0, atol=0)
    net.train()
    net(x).sum().backward()
    assert all(p.grad is not None for p in net.parameters()) and y.shape == (2, 8)
    half = copy.deepcopy(net).eval().to(torch.bfloat16)
    assert half(x.astype("bfloat16")).dtype == torch.bfloat16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net[0](x).dtype == torch.bfloat16
    packed = copy.deepcopy(net[0]).to_quantized(bits=8)
    assert sorted(packed.state_dict()) == ["bias", "biases", "scales", "weight"] and not list(packed.parameters())
    again = pickle.loads(pickle.dumps(packed))
    torch.testing.assert_close(again(x).feats, packed(x).feats, rtol=0, atol=0)


def test_torch_training_lowers_the_loss(torch):
    A = Arrays("torch")
    torch.manual_seed(0)
    x, net = tensor(A), small_torch_net()
    head = torch.nn.Linear(8, 2)
    optimizer = torch.optim.Adam([*net.parameters(), *head.parameters()], lr=0.02)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(head(net(x)), torch.tensor([0, 1]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_torch_compile_breaks_the_graph(torch):
    if not hasattr(torch, "compile"):
        pytest.skip("skipped: torch has no compile")
    A = Arrays("torch")
    x = tensor(A)
    weight = torch.ones(3, 4)

    def function(feats):
        y = ops.linear(x.replace(feats=feats * 2), weight)
        return y.feats + 1

    compiled = torch.compile(function, backend="eager")
    torch.testing.assert_close(compiled(x.feats), function(x.feats))


def test_mlx_modules_are_mlx_modules(mx):
    import mlx.nn
    import mlx.optimizers
    from mlx.utils import tree_flatten

    from lattice.mlx import nn

    A = Arrays("mlx")
    x = tensor(A)

    class Net(mlx.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.head = nn.SubmConv3d(4, 8), nn.BatchNorm(8), nn.Linear(8, 2)

        def __call__(self, x):
            return self.head(nn.ReLU()(self.norm(self.conv(x)))).feats

    net = Net()
    names = {name for name, _ in tree_flatten(net.trainable_parameters())}
    assert names == {"conv.weight", "conv.bias", "norm.weight", "norm.bias", "head.weight", "head.bias"}
    optimizer = mlx.optimizers.Adam(learning_rate=0.01)
    step = mlx.nn.value_and_grad(net, lambda x: (net(x) ** 2).mean())
    losses = []
    for _ in range(10):
        loss, grads = step(x)
        optimizer.update(net, grads)
        mx.eval(net.parameters(), optimizer.state)
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert isinstance(net.head, mlx.nn.Linear)
    packed = nn.QuantizedConv3d(4, 8)
    assert packed.trainable_parameters() == {}
    packed.unfreeze()
    assert packed.trainable_parameters() == {}
    wide = mlx.nn.Sequential(nn.SubmConv3d(32, 8), nn.Linear(8, 4))
    mlx.nn.quantize(wide, group_size=32, bits=8)
    assert type(wide.layers[0]) is nn.QuantizedSubmConv3d and type(wide.layers[1]) is nn.QuantizedLinear


def test_numpy_state(tmp_path):
    from lattice.numpy import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Conv3d(4, 6), nn.BatchNorm(6)]
            self.head = nn.Linear(6, 2)

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return self.head(x)

    a, b = Net().eval(), Net().eval()
    b.load_state_dict(a.state_dict())
    x = tensor(Arrays("numpy"))
    np.testing.assert_array_equal(a(x).feats, b(x).feats)
    assert "layers.1.running_mean" in a.state_dict() and a.layers[1].training is False
    with pytest.raises(ValueError, match="missing array"):
        b.load_state_dict({})
