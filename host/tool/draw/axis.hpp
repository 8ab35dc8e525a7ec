#pragma once

#include <string>
#include <utility>
#include <vector>

namespace plasticity::draw {

/// Whether a chart shows a value: finite and of magnitude at most 1e150; on a logarithmic axis also at least
/// 1e-150.
bool drawable(double value, bool log);

/// Multiples of 1, 2 or 5 times a power of ten in [low, high], at most 1.25 `wanted` + 1 of them. low < high,
/// both drawable.
std::vector<double> linear_ticks(double low, double high, int wanted);

/// Ticks of a logarithmic axis. Short ranges: 1, 2 and 5 times powers of ten, or linear_ticks() if there are
/// not three of them. Long ranges: powers of ten.
std::vector<double> log_ticks(double low, double high, int wanted);

/// The labels of ticks, all in one format: "0", "0.5", "1.0"; "0", "10k", "20k"; "1e-6", "1e-4".
std::vector<std::string> tick_labels(const std::vector<double>& ticks);

/// An axis that covers all its values.
class Axis {
 public:
  /// Covers the drawable values, and on both sides a share `pad` of their range. A linear axis with pad > 0
  /// begins at zero if its lowest value is close to zero and not negative.
  Axis(const std::vector<double>& values, bool log, double pad, int wanted_ticks);

  double low() const { return low_; }
  double high() const { return high_; }
  /// The position of a drawable value: 0 at low, 1 at high.
  double position(double value) const;

  const std::vector<double>& ticks() const { return ticks_; }  ///< rising
  const std::vector<std::string>& labels() const { return labels_; }
  /// Multiples of the powers of ten, for a fainter grid. Empty for a linear axis and for many decades.
  const std::vector<double>& minor_ticks() const { return minor_; }

 private:
  bool log_;
  double low_, high_;
  std::vector<double> ticks_, minor_;
  std::vector<std::string> labels_;
};

}  // namespace plasticity::draw
