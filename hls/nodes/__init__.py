"""What the accelerator can do with each operator."""

from collections.abc import Mapping

from hls.nodes.base import Rule, UnsupportedNodeError, lane_counts, raster
from hls.nodes.binary import BinaryConvRule, ByOperands
from hls.nodes.convolution import ConvRule
from hls.nodes.elementwise import MAPS, AddRule, MultiplyRule
from hls.nodes.movement import ConcatRule, DepthToSpaceRule, PadRule, SpaceToDepthRule, UpsampleRule
from hls.nodes.pooling import PoolRule
from hls.nodes.requantise import RequantiseRule
from hls.nodes.resize import ResizeRule
from ir.ops import (
    Add,
    Concat,
    Conv2d,
    DepthToSpace,
    GatedConv2d,
    MaxPool2d,
    Multiply,
    MultiplyShift,
    Op,
    Pad,
    Resize,
    Sign,
    SpaceToDepth,
    SumPool2d,
    Thresholds,
    Upsample,
)

RULES: Mapping[type[Op], Rule] = {
    Add: AddRule(),
    Concat: ConcatRule(),
    Conv2d: ByOperands(BinaryConvRule(), ConvRule()),
    DepthToSpace: DepthToSpaceRule(),
    GatedConv2d: BinaryConvRule(),
    MaxPool2d: PoolRule(),
    Multiply: MultiplyRule(),
    MultiplyShift: RequantiseRule(),
    Pad: PadRule(),
    Resize: ResizeRule(),
    Sign: RequantiseRule(),
    SpaceToDepth: SpaceToDepthRule(),
    SumPool2d: PoolRule(),
    Thresholds: RequantiseRule(),
    Upsample: UpsampleRule(),
    **MAPS,
}

__all__ = ["RULES", "Rule", "UnsupportedNodeError", "lane_counts", "raster"]
