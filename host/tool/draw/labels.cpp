#include "tool/draw/labels.hpp"

#include <algorithm>
#include <cstddef>

#include "tool/draw/font.hpp"

namespace plasticity::draw {

std::vector<double> spread(const std::vector<double>& wanted, double pitch, double low, double high) {
  // Labels in touch move as one, to the mean of what they would like; one that then touches the next joins
  // it.
  struct Group {
    double first;  // the place of its first label
    std::size_t size;
  };
  const auto fit = [&](Group& g) {
    g.first = std::clamp(g.first, low, std::max(low, high - pitch * static_cast<double>(g.size - 1)));
  };
  std::vector<Group> groups;
  for (const double y : wanted) {
    groups.push_back({y, 1});
    fit(groups.back());
    while (groups.size() > 1) {
      const Group next = groups.back();
      Group& group = groups[groups.size() - 2];
      const double here = static_cast<double>(group.size), there = static_cast<double>(next.size);
      if (next.first >= group.first + pitch * here) break;
      group.first = (group.first * here + (next.first - pitch * here) * there) / (here + there);
      group.size += next.size;
      groups.pop_back();
      fit(groups.back());
    }
  }
  std::vector<double> places;
  for (const Group& g : groups)
    for (std::size_t i = 0; i < g.size; ++i) places.push_back(g.first + pitch * static_cast<double>(i));
  return places;
}

std::string shortened(const std::string& text, int width, int scale, Weight weight) {
  if (Canvas::text_width(text, scale, weight) <= width) return text;
  std::string start = text;
  while (!start.empty()) {
    while (start.size() > 1 && !starts_character(start.back())) start.pop_back();  // a whole UTF-8 character
    start.pop_back();
    while (!start.empty() && start.back() == ' ') start.pop_back();
    if (!start.empty() && Canvas::text_width(start + "...", scale, weight) <= width) return start + "...";
  }
  return {};
}

}  // namespace plasticity::draw
