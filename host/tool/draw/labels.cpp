#include "tool/draw/labels.hpp"

#include <algorithm>
#include <cstddef>

namespace plasticity::draw {
namespace {

/// Whether a byte of UTF-8 text begins a character.
bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0u) != 0x80u; }

}  // namespace

std::vector<double> spread(const std::vector<double>& wanted, double pitch, double low, double high) {
  // Labels that touch form a group, which moves as one to the mean of their wanted positions. A group that
  // then touches the group before it joins it.
  struct Group {
    double first;  // position of its first label
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
      const Group last = groups.back();
      Group& previous = groups[groups.size() - 2];
      const auto previous_size = static_cast<double>(previous.size),
                 last_size = static_cast<double>(last.size);
      if (last.first >= previous.first + pitch * previous_size) break;
      previous.first = (previous.first * previous_size + (last.first - pitch * previous_size) * last_size) /
                       (previous_size + last_size);
      previous.size += last.size;
      groups.pop_back();
      fit(groups.back());
    }
  }
  std::vector<double> positions;
  for (const Group& g : groups)
    for (std::size_t i = 0; i < g.size; ++i) positions.push_back(g.first + pitch * static_cast<double>(i));
  return positions;
}

std::string shortened(const std::string& text, double width, const Measure& measure) {
  if (measure(text) <= width) return text;
  std::string start = text;
  while (!start.empty()) {
    while (start.size() > 1 && !starts_character(start.back())) start.pop_back();
    start.pop_back();
    while (!start.empty() && start.back() == ' ') start.pop_back();
    if (!start.empty() && measure(start + "...") <= width) return start + "...";
  }
  return {};
}

std::vector<std::string> wrapped(const std::string& text, double width, std::size_t max_lines,
                                 const Measure& measure) {
  std::vector<std::string> lines;
  std::size_t begin = 0;
  while (begin < text.size() && lines.size() + 1 < max_lines) {
    std::size_t end = text.find(' ', begin);  // of the line: at least one word
    for (std::size_t next = end; next != std::string::npos;) {
      next = text.find(' ', next + 1);
      if (measure(text.substr(begin, next - begin)) > width) break;
      end = next;
    }
    if (end == std::string::npos) break;  // the rest fits
    lines.push_back(shortened(text.substr(begin, end - begin), width, measure));
    begin = end + 1;
  }
  if (begin < text.size()) lines.push_back(shortened(text.substr(begin), width, measure));
  return lines;
}

}  // namespace plasticity::draw
