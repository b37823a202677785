"""The two reference networks over what a peer has: SparseResUNet42 of TorchSparse and MinkUNet18A of MinkowskiEngine.

Inference, norms folded into the weights, sums and ReLU in place, features in PyTorch tensors. A kit says how a peer builds
relations and layers:

    submanifold(rows, size) -> relation        down(rows) -> (coarse rows, relation)      kernel 2, stride 2
    back(relation) -> the relation of the way up           layer(c_in, c_out, volume) -> layer
    layer.open(relation, n_in, n_out), layer(x) -> y, layer.products(): multiply-adds of a run; relation None: row by row
"""
import torch


class UNet:
    def __init__(self, network, kit):
        self.kit = kit
        self.layers = {}
        mink = network == "minkunet18a"
        if not mink and network != "sparse_resunet42":
            raise ValueError("no network of that name here")
        self.stem = [("stem", 32, 5)] if mink else [("stem0", 32, 3), ("stem1", 32, 3)]
        self.encoder = [32, 32, 64, 128, 256]
        self.decoder = [128, 128, 96, 96] if mink else [256, 128, 96, 96]
        self.classes = 20 if mink else 0

    def open(self, rows):
        """Sets and relations, as far as the layers need them."""
        kit, self.rows, self.down = self.kit, [rows], []
        self.stem_map = kit.submanifold(rows, 5) if self.stem[0][2] == 5 else None
        for level in range(4):
            coarse, relation = kit.down(self.rows[level])
            self.rows.append(coarse)
            self.down.append(relation)
        self.up = [kit.back(relation) for relation in self.down]
        self.same = [kit.submanifold(level, 3) for level in self.rows]
        self.opened = set()

    def layer(self, name, x, c_out, relation, volume, n_out):
        layer = self.layers.get(name)
        if layer is None:
            layer = self.layers[name] = self.kit.layer(x.shape[1], c_out, volume)
        if name not in self.opened:
            layer.open(relation, x.shape[0], n_out)
            self.opened.add(name)
        return layer(x)

    def block(self, name, x, c_out, level):
        n = len(self.rows[level])
        y = self.layer(name + ".1", x, c_out, self.same[level], 27, n).relu_()
        y = self.layer(name + ".2", y, c_out, self.same[level], 27, n)
        short = x if x.shape[1] == c_out else self.layer(name + ".short", x, c_out, None, 1, n)
        return y.add_(short).relu_()

    def __call__(self, x):
        n = len(self.rows[0])
        for name, c_out, size in self.stem:
            relation = self.stem_map if size == 5 else self.same[0]
            x = self.layer(name, x, c_out, relation, size**3, n).relu_()
        levels = [x]
        for i in range(4):
            x = self.layer(f"down{i}", x, self.encoder[i], self.down[i], 8, len(self.rows[i + 1])).relu_()
            x = self.block(f"enc{i}.0", x, self.encoder[i + 1], i + 1)
            x = self.block(f"enc{i}.1", x, self.encoder[i + 1], i + 1)
            levels.append(x)
        for i in range(4):
            x = self.layer(f"up{i}", x, self.decoder[i], self.up[3 - i], 8, len(self.rows[3 - i])).relu_()
            x = torch.cat([x, levels[3 - i]], 1)
            x = self.block(f"dec{i}.0", x, self.decoder[i], 3 - i)
            x = self.block(f"dec{i}.1", x, self.decoder[i], 3 - i)
        return self.layer("final", x, self.classes, None, 1, n) if self.classes else x

    def products(self):
        return sum(layer.products() for layer in self.layers.values())
