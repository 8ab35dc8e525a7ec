#include "tool/draw/axis.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>

namespace plasticity::draw {
namespace {

constexpr double largest = 1e150;
constexpr double narrowest = 1e-9;    // a range, of the size of its values: below it is widened to be a range
constexpr double zero_within = 0.25;  // a low end of this share of the high end is moved down to zero
constexpr double few = 1.5;           // decades: with more they are the ticks
constexpr double many = 5;            // decades: with fewer there are minor ticks between them
constexpr double slack = 1e-9;        // of a step, for a tick that rounding has moved out of the range

/// 10^n, the double next to it: pow() may be one off.
double power_of_ten(int n) { return std::strtod(("1e" + std::to_string(n)).c_str(), nullptr); }

/// 1, 2 or 5 times a power of ten, the smallest of them that is not below `least`.
struct Step {
  int digit, exponent;
  double value() const { return digit * power_of_ten(exponent); }
};

Step round_step(double least) {
  const int exponent = static_cast<int>(std::floor(std::log10(least)));
  for (const int digit : {1, 2, 5})
    if (Step{digit, exponent}.value() >= least * (1 - slack)) return {digit, exponent};
  return {1, exponent + 1};
}

/// digits * step, rounded once: 3 * 0.1 is not 0.3, but 3 / 10 is.
double multiple(double count, Step step) {
  return step.exponent < 0 ? count * step.digit / power_of_ten(-step.exponent) : count * step.value();
}

std::string written(const char* format, int precision, double value) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, precision, value);
  return buffer.data();
}

/// The fewest digits after the point with which `format` says the value.
int digits_needed(const char* format, double value) {
  int n = 0;
  const auto off = [&] {
    return std::abs(std::strtod(written(format, n, value).c_str(), nullptr) - value) >
           1e-12 * std::abs(value);
  };
  while (n < 12 && off()) ++n;
  return n;
}

int decimals(double value) { return digits_needed("%.*f", value); }

/// "1.5e-06" as "1.5e-6".
std::string scientific(double value) {
  if (value == 0) return "0";
  const std::string all = written("%.*e", digits_needed("%.*e", value), value);
  const std::size_t e = all.find('e');
  return all.substr(0, e + 1) + std::to_string(std::stoi(all.substr(e + 1)));
}

std::string fixed(double value, int places) { return value == 0 ? "0" : written("%.*f", places, value); }

bool evenly_spaced(const std::vector<double>& ticks) {
  if (ticks.size() < 3) return ticks.size() < 2 || ticks[0] <= 0 || ticks[1] < 10 * ticks[0];
  const double step = ticks[1] - ticks[0];
  for (std::size_t i = 2; i < ticks.size(); ++i)
    if (std::abs(ticks[i] - ticks[i - 1] - step) > 1e-3 * step) return false;
  return true;
}

/// What is counted in: "20k" is 20 of the unit k.
struct Unit {
  double size;
  const char* name;
};

Unit unit_of(double value) {
  return value >= 1e6 ? Unit{1e6, "M"} : value >= 1e3 ? Unit{1e3, "k"} : Unit{1, ""};
}

/// Evenly spaced ticks: one unit, one number of decimals.
std::vector<std::string> even_labels(const std::vector<double>& ticks, double most) {
  Unit unit = most >= 1e4 ? unit_of(most) : unit_of(0);
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

/// Ticks of several sizes: each as short as it can be.
std::vector<std::string> uneven_labels(const std::vector<double>& ticks, double most) {
  std::vector<std::string> labels;
  for (const double tick : ticks) {
    const Unit unit = most >= 1e4 ? unit_of(tick) : unit_of(0);
    labels.push_back(fixed(tick / unit.size, decimals(tick / unit.size)) + unit.name);
  }
  return labels;
}

}  // namespace

bool drawable(double value, bool log) {
  return std::isfinite(value) && std::abs(value) <= largest && (!log || value >= 1 / largest);
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
  const auto of = [&](std::initializer_list<int> digits, int stride) {
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
  std::vector<double> ticks = of({1}, 1);
  const double decades = std::log10(high / low);
  if (ticks.size() >= 2 && decades > few) {
    const std::vector<double> fewer = of({1}, static_cast<int>(std::ceil(decades / std::max(1, wanted))));
    return fewer.size() >= 2 ? fewer : ticks;
  }
  ticks = of({1, 2, 5}, 1);
  return ticks.size() >= 3 ? ticks : linear_ticks(low, high, wanted);
}

std::vector<std::string> tick_labels(const std::vector<double>& ticks) {
  double most = 0;
  for (const double tick : ticks) most = std::max(most, std::abs(tick));
  const bool even = evenly_spaced(ticks);
  const bool small = even ? most < 1e-3 : !ticks.empty() && ticks.front() > 0 && ticks.front() < 0.99e-4;
  if (!(small || most >= 1e10)) return even ? even_labels(ticks, most) : uneven_labels(ticks, most);
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
  const bool narrow = high_ - low_ <= std::max(narrowest * size, 1 / largest);
  if (!any || (!log && narrow && size <= 1 / largest)) {
    low_ = log ? 1 : 0;
    high_ = log ? 10 : 1;
  } else if (log) {
    const double room = narrow ? 2 : std::pow(high_ / low_, pad);
    low_ /= room;
    high_ *= room;
  } else {
    const bool from_zero = pad > 0 && low_ >= 0 && low_ <= zero_within * high_;
    const double room = narrow ? size / 10 : pad * (high_ - low_);
    low_ = from_zero ? 0 : low_ - room;
    high_ += room;
  }
  ticks_ = log ? log_ticks(low_, high_, wanted_ticks) : linear_ticks(low_, high_, wanted_ticks);
  labels_ = tick_labels(ticks_);
  const double decades = log ? std::log10(high_ / low_) : 0;
  for (int n = static_cast<int>(std::floor(std::log10(log ? low_ : 1))); decades > few && decades < many;
       ++n) {
    if (power_of_ten(n) > high_) break;
    for (int digit = 2; digit < 10; ++digit)
      if (const double v = multiple(1, {digit, n}); v >= low_ && v <= high_) minor_.push_back(v);
  }
}

double Axis::position(double value) const {
  return log_ ? std::log(value / low_) / std::log(high_ / low_) : (value - low_) / (high_ - low_);
}

}  // namespace plasticity::draw
