"""What the accelerator can do with each operator."""

from collections.abc import Mapping

from hls.nodes.base import Rule, UnsupportedNodeError, lane_counts, raster
from hls.nodes.convolution import ConvRule
from hls.nodes.movement import ConcatRule, SpaceToDepthRule
from hls.nodes.pooling import MaxPoolRule
from hls.nodes.requantise import RequantiseRule
from ir.ops import Concat, Conv2d, MaxPool2d, MultiplyShift, Op, SpaceToDepth, Thresholds

RULES: Mapping[type[Op], Rule] = {
    Concat: ConcatRule(),
    Conv2d: ConvRule(),
    MaxPool2d: MaxPoolRule(),
    MultiplyShift: RequantiseRule(),
    SpaceToDepth: SpaceToDepthRule(),
    Thresholds: RequantiseRule(),
}

__all__ = ["RULES", "Rule", "UnsupportedNodeError", "lane_counts", "raster"]
