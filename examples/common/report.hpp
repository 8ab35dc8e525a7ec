#pragma once

#include <filesystem>
#include <plasticity/plasticity.hpp>
#include <string>
#include <vector>

#include "tool/draw/chart.hpp"

namespace examples {

/// The outcomes of one learner, one per seed.
struct Outcome {
  std::string name;
  std::vector<double> values, seconds;
  plasticity::draw::Curve curve;  // the training curve
  std::string expected;           // "below 0.1", or empty
  bool met = true;
};

struct Outcomes {
  std::string experiment, metric;
  double chance = 0;
  bool log_y = false;  // how the chart shows the metric
  std::string iteration;
  std::int64_t iterations = 0;
  std::string device, command{};
  double seconds = 0, processor_seconds = 0;  // of all seeds; processor time of all threads
  std::vector<std::uint64_t> seeds{};
  std::vector<Outcome> learners{};
};

double mean(const std::vector<double>& values);

/// The median of the runs, with the quartiles as its band, in at most 60 blocks of iterations. A run is the
/// metric at every iteration; values that are not finite are skipped.
plasticity::draw::Curve median_curve(const std::string& name, const std::vector<std::vector<double>>& runs);

/// Writes the outcomes as JSON and replaces the file.
void write(const Outcomes& outcomes, const std::filesystem::path& file);

/// Prints the result line. Returns whether every expectation is met.
bool print(const Outcomes& outcomes);

}  // namespace examples
