#pragma once

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "plasticity/parameter_view.hpp"

namespace plasticity {

/// Members of a view: its value, its gradient, or both.
using ViewParts = std::initializer_list<std::span<float> ParameterView::*>;

/// Returns the indices of two views that overlap, the lower one first, or the index of a view whose gradient
/// overlaps its value, twice. A step would change their memory twice. Nothing if no views overlap. Only
/// `parts` of the views are compared.
inline std::optional<std::pair<std::size_t, std::size_t>> overlapping_views(
    std::span<const ParameterView> views, ViewParts parts) {
  struct Region {
    const float *begin, *end;
    std::size_t view;
  };
  std::vector<Region> regions;
  regions.reserve(parts.size() * views.size());
  for (std::size_t k = 0; k < views.size(); ++k) {
    for (const auto part : parts) {
      const std::span<float> memory = views[k].*part;
      if (!memory.empty()) regions.push_back({memory.data(), memory.data() + memory.size(), k});
    }
  }
  std::sort(regions.begin(), regions.end(),
            [](const Region& a, const Region& b) { return std::less<>()(a.begin, b.begin); });
  for (std::size_t k = 1; k < regions.size(); ++k) {
    if (std::less<>()(regions[k].begin, regions[k - 1].end)) {
      return std::minmax({regions[k - 1].view, regions[k].view});
    }
  }
  return std::nullopt;
}

}  // namespace plasticity
