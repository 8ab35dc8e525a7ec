#pragma once

#include <functional>
#include <string>
#include <vector>

namespace plasticity::draw {

/// Returns the width of a text.
using Measure = std::function<double(const std::string&)>;

/// Moves labels apart. `wanted` are their positions, rising. Returns positions in the same order, at least
/// `pitch` apart and in [low, high], close to the wanted ones. [low, high] has room for all labels.
std::vector<double> spread(const std::vector<double>& wanted, double pitch, double low, double high);

/// The UTF-8 text, cut and ended with "..." if it is wider than `width`. Empty if no character fits.
std::string shortened(const std::string& text, double width, const Measure& measure);

/// The words of the text in at most `max_lines` lines of `width`; the last line is shortened.
std::vector<std::string> wrapped(const std::string& text, double width, std::size_t max_lines,
                                 const Measure& measure);

}  // namespace plasticity::draw
