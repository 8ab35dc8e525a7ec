#pragma once

#include <string>
#include <vector>

#include "tool/draw/canvas.hpp"

namespace plasticity::draw {

/// Where labels go that would like to be at `wanted`, in pixels, rising: in the same order, at least `pitch`
/// apart and in [low, high], as near to their wish as that allows. There is room for them.
std::vector<double> spread(const std::vector<double>& wanted, double pitch, double low, double high);

/// The text, cut with "..." at the end where it is wider than `width` pixels; empty where not even that fits.
std::string shortened(const std::string& text, int width, int scale, Weight weight = Weight::regular);

}  // namespace plasticity::draw
