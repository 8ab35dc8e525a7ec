#include "tool/draw/axis.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>

namespace plasticity::draw {
namespace {

constexpr double max_value = 1e150;
constexpr double min_range = 1e-9;         // relative to the largest value; a narrower range is widened
constexpr double zero_share = 0.25;        // a low end of at most this share of the high end becomes zero
constexpr double min_power_decades = 2.5;  // a longer axis has ticks at powers of ten only
constexpr double min_minor_decades = 1;    // an axis longer than this
constexpr double max_minor_decades = 5;    // and shorter than this has minor ticks
constexpr double slack = 1e-9;             // in steps, for a tick that rounding moved out of the range

/// The double nearest to 10^n. (pow() may be one off.)
double power_of_ten(int n) { return std::strtod(("1e" + std::to_string(n)).c_str(), nullptr); }

/// A digit times a power of ten.
struct Step {
  int digit, exponent;
  double value() const { return digit * power_of_ten(exponent); }
};

/// The smallest step of digit 1, 2 or 5 that is at least `min_step`.
Step round_step(double min_step) {
  const int exponent = static_cast<int>(std::floor(std::log10(min_step)));
  for (const int digit : {1, 2, 5})
    if (Step{digit, exponent}.value() >= min_step * (1 - slack)) return {digit, exponent};
  return {1, exponent + 1};
}

/// count * step, rounded once: 3 * 0.1 is not 0.3, but 3 / 10 is.
double multiple(double count, Step step) {
  return step.exponent < 0 ? count * step.digit / power_of_ten(-step.exponent) : count * step.value();
}

std::string formatted(const char* format, int precision, double value) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, precision, value);
  return buffer.data();
}

/// The fewest digits after the point with which `format` prints the value.
int digits_needed(const char* format, double value) {
  int n = 0;
  const auto off = [&] {
    return std::abs(std::strtod(formatted(format, n, value).c_str(), nullptr) - value) >
           1e-12 * std::abs(value);
  };
  while (n < 12 && off()) ++n;
  return n;
}

int decimals(double value) { return digits_needed("%.*f", value); }

/// "1.5e-06" as "1.5e-6".
std::string scientific(double value) {
  if (value == 0) return "0";
  const std::string all = formatted("%.*e", digits_needed("%.*e", value), value);
  const std::size_t e = all.find('e');
  return all.substr(0, e + 1) + std::to_string(std::stoi(all.substr(e + 1)));
}

std::string fixed(double value, int places) { return value == 0 ? "0" : formatted("%.*f", places, value); }

bool evenly_spaced(const std::vector<double>& ticks) {
  if (ticks.size() < 3) return ticks.size() < 2 || ticks[0] <= 0 || ticks[1] < 10 * ticks[0];
  const double step = ticks[1] - ticks[0];
  for (std::size_t i = 2; i < ticks.size(); ++i)
    if (std::abs(ticks[i] - ticks[i - 1] - step) > 1e-3 * step) return false;
  return true;
}

/// The unit of a label: "20k" is 20 of the unit k.
struct Unit {
  double size;
  const char* name;
};

Unit unit_of(double value) {
  return value >= 1e6 ? Unit{1e6, "M"} : value >= 1e3 ? Unit{1e3, "k"} : Unit{1, ""};
}

/// Labels of evenly spaced ticks, all with the same unit and the same number of decimals.
std::vector<std::string> even_labels(const std::vector<double>& ticks, double max_tick) {
  Unit unit = max_tick >= 1e4 ? unit_of(max_tick) : unit_of(0);
  const auto places_in = [&](double size) {
    int places = 0;
    for (const double tick : ticks) places = std::max(places, decimals(tick / size));
    return places;
  };
  if (places_in(unit.size) > 3) unit = unit_of(0);
  const int places = places_in(unit.size);
  std::vector<std::string> labels;
  for (const double tick : ticks)
    labels.push_back(fixed(tick / unit.size, places) + (tick == 0 ? "" : unit.name));
  return labels;
}

/// Labels of ticks of several sizes, each as short as possible.
std::vector<std::string> uneven_labels(const std::vector<double>& ticks, double max_tick) {
  std::vector<std::string> labels;
  for (const double tick : ticks) {
    const Unit unit = max_tick >= 1e4 ? unit_of(tick) : unit_of(0);
    labels.push_back(fixed(tick / unit.size, decimals(tick / unit.size)) + unit.name);
  }
  return labels;
}

}  // namespace

bool drawable(double value, bool log) {
  return std::isfinite(value) && std::abs(value) <= max_value && (!log || value >= 1 / max_value);
}

std::vector<double> linear_ticks(double low, double high, int wanted) {
  const Step step = round_step((high - low) / (1.25 * std::max(1, wanted)));
  const double first = std::ceil(low / step.value() - slack), last = std::floor(high / step.value() + slack);
  std::vector<double> ticks;
  for (double i = first; i <= last && ticks.size() < 1000; ++i) {
    const double tick = multiple(i, step);
    if (tick >= low && tick <= high) ticks.push_back(tick == 0 ? 0 : tick);  // no minus zero
  }
  return ticks;
}

std::vector<double> log_ticks(double low, double high, int wanted) {
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  const auto multiples = [&](std::initializer_list<int> digits, int stride) {
    std::vector<double> ticks;
    for (int n = first; n <= last; ++n) {
      if (n % stride != 0) continue;
      for (const int digit : digits) {
        const double tick = multiple(1, {digit, n});
        if (tick >= low && tick <= high) ticks.push_back(tick);
      }
    }
    return ticks;
  };
  const std::vector<double> powers = multiples({1}, 1), digits = multiples({1, 2, 5}, 1);
  const double decades = std::log10(high / low);
  const bool few = decades <= min_power_decades && 3 * decades <= 1.25 * wanted;
  if (powers.size() >= 2 && !few) {
    const std::vector<double> fewer =
        multiples({1}, static_cast<int>(std::ceil(decades / std::max(1, wanted))));
    return fewer.size() >= 2 ? fewer : powers;
  }
  return digits.size() >= 3 ? digits : linear_ticks(low, high, wanted);
}

std::vector<std::string> tick_labels(const std::vector<double>& ticks) {
  double max_tick = 0;
  for (const double tick : ticks) max_tick = std::max(max_tick, std::abs(tick));
  const bool even = evenly_spaced(ticks);
  const bool small = even ? max_tick < 1e-3 : !ticks.empty() && ticks.front() > 0 && ticks.front() < 0.99e-4;
  if (!small && max_tick < 1e10) return even ? even_labels(ticks, max_tick) : uneven_labels(ticks, max_tick);
  std::vector<std::string> labels;
  for (const double tick : ticks) labels.push_back(scientific(tick));
  return labels;
}

Axis::Axis(const std::vector<double>& values, bool log, double pad, int wanted_ticks) : log_(log) {
  low_ = high_ = 0;
  bool any = false;
  for (const double value : values) {
    if (!drawable(value, log)) continue;
    low_ = any ? std::min(low_, value) : value;
    high_ = any ? std::max(high_, value) : value;
    any = true;
  }
  const double size = std::max(std::abs(low_), std::abs(high_));
  const bool narrow = high_ - low_ <= std::max(min_range * size, 1 / max_value);
  if (!any || (!log && narrow && size <= 1 / max_value)) {
    low_ = log ? 1 : 0;
    high_ = log ? 10 : 1;
  } else if (log) {
    const double room = narrow ? 2 : std::pow(high_ / low_, pad);
    low_ /= room;
    high_ *= room;
  } else {
    const bool from_zero = pad > 0 && low_ >= 0 && low_ <= zero_share * high_;
    const double room = narrow ? size / 10 : pad * (high_ - low_);
    low_ = from_zero ? 0 : low_ - room;
    high_ += room;
  }
  ticks_ = log ? log_ticks(low_, high_, wanted_ticks) : linear_ticks(low_, high_, wanted_ticks);
  labels_ = tick_labels(ticks_);
  const double decades = log ? std::log10(high_ / low_) : 0;
  for (int n = static_cast<int>(std::floor(std::log10(log ? low_ : 1)));
       decades > min_minor_decades && decades < max_minor_decades; ++n) {
    if (power_of_ten(n) > high_) break;
    for (int digit = 2; digit < 10; ++digit)
      if (const double v = multiple(1, {digit, n}); v >= low_ && v <= high_) minor_.push_back(v);
  }
}

double Axis::position(double value) const {
  return log_ ? std::log(value / low_) / std::log(high_ / low_) : (value - low_) / (high_ - low_);
}

}  // namespace plasticity::draw
