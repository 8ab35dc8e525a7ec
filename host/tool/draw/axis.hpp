#pragma once

#include <string>
#include <utility>
#include <vector>

namespace plasticity::draw {

/// Whether a chart shows a value: finite, and of a size that it can reckon with, at most 1e150; on a
/// logarithmic axis also at least 1e-150.
bool drawable(double value, bool log);

/// Multiples of 1, 2 or 5 times a power of ten in [low, high], about `wanted`: at most 1.25 of it and one
/// more. low < high, both drawable.
std::vector<double> linear_ticks(double low, double high, int wanted);

/// The same on a logarithmic axis: powers of ten where there is room for two, else also twice and five times
/// them, else as linear_ticks().
std::vector<double> log_ticks(double low, double high, int wanted);

/// What is written at ticks, all in one manner: "0", "0.5", "1.0"; "0", "10k", "20k"; "1e-6", "1e-4".
std::vector<std::string> tick_labels(const std::vector<double>& ticks);

/// An axis over values, all of which it shows with some room around.
class Axis {
 public:
  /// From the lowest to the highest of the drawable ones of `values`. `pad`: room to leave on both sides, as
  /// a share of the range; where there is room, a linear axis of values that come close to zero begins there.
  Axis(const std::vector<double>& values, bool log, double pad, int wanted_ticks);

  double low() const { return low_; }
  double high() const { return high_; }
  /// 0 at low, 1 at high. The value is drawable.
  double position(double value) const;

  const std::vector<double>& ticks() const { return ticks_; }  ///< rising
  const std::vector<std::string>& labels() const { return labels_; }
  /// Values between the powers of ten, for a fainter grid: of a logarithmic axis with few of them.
  const std::vector<double>& minor_ticks() const { return minor_; }

 private:
  bool log_;
  double low_, high_;
  std::vector<double> ticks_, minor_;
  std::vector<std::string> labels_;
};

}  // namespace plasticity::draw
