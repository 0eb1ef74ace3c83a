"""A user's architecture file, as text: small networks of the project's quantisers at mixed widths."""

FILE = '''
import torch
import torch.nn.functional as F
from torch import nn

from frontend.quantisers import BatchNorm2d, QuantActivation, SpaceToDepth, quantize_weight_tanh
from ir.records import ClassifierHead, Picture


class Conv(nn.Module):
    def __init__(self, inputs, outputs, kernel, bits, stride=1, padding=0, bias=False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) / 4)
        self.bias = nn.Parameter(torch.randn(outputs)) if bias else None
        self.bits, self.stride, self.padding = bits, stride, padding

    def forward(self, x):
        return F.conv2d(x, quantize_weight_tanh(self.weight, self.bits), self.bias, self.stride, self.padding)


class Net(nn.Module):
    """W3A5 5x5 at stride 2, W8A8 with torch's batch norm, W3A5 again after space-to-depth and concat."""

    picture = Picture(width=16, height=12, order="rgb")
    head_record = ClassifierHead(("a", "b", "c"))

    def __init__(self):
        super().__init__()
        self.stem = Conv(3, 4, 5, 3, stride=2, padding=2)
        self.norm = BatchNorm2d(4)
        self.act = QuantActivation(5)
        self.fine = Conv(4, 6, 3, 8, padding=1)
        self.torch_norm = nn.BatchNorm2d(6, eps=0.125)
        self.fine_act = QuantActivation(5)
        self.reorg = SpaceToDepth(2)
        self.pool = nn.MaxPool2d(2)
        self.head = Conv(30, 3, 1, 3, bias=True)

    def forward(self, x):
        x = self.act(self.norm(self.stem(x)))
        y = self.fine_act(self.torch_norm(self.fine(x)))
        return self.head(torch.cat((self.reorg(y), self.pool(y)), dim=1))


def make():
    return Net()


def without_records():
    net = nn.Sequential(Conv(3, 2, 1, 4))
    return net


def sine():
    class Sine(Net):
        def forward(self, x):
            return torch.sin(super().forward(x))
    return Sine()


def control_flow():
    class Branch(Net):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else x
    return Branch()


def failing():
    return 1 / 0


def no_module():
    return 3


def state(seed):
    """A trained-looking state dict."""
    torch.manual_seed(seed)
    net = Net()
    for norm in (net.norm, net.torch_norm):
        norm.running_mean.uniform_(-0.5, 0.5)
        norm.running_var.uniform_(0.01, 0.5)
        nn.init.uniform_(norm.weight, -0.6, 1.0)
        nn.init.uniform_(norm.bias, 0, 0.5)
    return net.state_dict()
'''
