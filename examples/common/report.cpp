#include "common/report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>

namespace examples {
namespace {

/// A quantile of sorted values, interpolated between neighbours.
double quantile(const std::vector<double>& sorted, double part) {
  if (sorted.empty()) return std::nan("");
  const double at = part * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

/// The mean of the finite values in [from, to).
double block_mean(const std::vector<double>& values, std::size_t from, std::size_t to) {
  double sum = 0, count = 0;
  for (std::size_t k = from; k < std::min(to, values.size()); ++k) {
    if (!std::isfinite(values[k])) continue;
    sum += values[k];
    ++count;
  }
  return count > 0 ? sum / count : std::nan("");
}

/// Rounds to four digits, which suffice to read and draw a curve.
std::vector<double> rounded(std::vector<double> values) {
  for (double& value : values) {
    char text[32];
    std::snprintf(text, sizeof text, "%.4g", value);
    value = std::strtod(text, nullptr);
  }
  return values;
}

std::string spread(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  char text[96];
  if (values.size() == 1) {
    std::snprintf(text, sizeof text, "%.3g", values[0]);
  } else {
    std::snprintf(text, sizeof text, "%.3g (%.3g to %.3g)", mean(values), *low, *high);
  }
  return text;
}

}  // namespace

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

plasticity::draw::Curve median_curve(const std::string& name, const std::vector<std::vector<double>>& runs) {
  constexpr std::size_t max_blocks = 60;
  std::size_t length = 0;
  for (const auto& run : runs) length = std::max(length, run.size());
  const std::size_t blocks = std::min(length, max_blocks);
  plasticity::draw::Curve curve{.name = name, .x = {}, .y = {}};
  for (std::size_t block = 0; block < blocks; ++block) {
    const std::size_t from = block * length / blocks, to = (block + 1) * length / blocks;
    std::vector<double> means;
    for (const auto& run : runs) {
      const double value = block_mean(run, from, to);
      if (std::isfinite(value)) means.push_back(value);
    }
    if (means.empty()) continue;
    std::sort(means.begin(), means.end());
    curve.x.push_back(static_cast<double>(to));
    curve.y.push_back(quantile(means, .5));
    curve.low.push_back(quantile(means, .25));
    curve.high.push_back(quantile(means, .75));
  }
  return curve;
}

void write(const Outcomes& outcomes, const std::filesystem::path& file) {
  nlohmann::ordered_json json{{"experiment", outcomes.experiment},
                              {"command", outcomes.command},
                              {"metric", outcomes.metric},
                              {"chance", outcomes.chance},
                              {"log_y", outcomes.log_y},
                              {"iteration", outcomes.iteration},
                              {"iterations", outcomes.iterations},
                              {"seeds", outcomes.seeds},
                              {"device", outcomes.device},
                              {"seconds", outcomes.seconds},
                              {"processor_seconds", outcomes.processor_seconds},
                              {"learners", nlohmann::ordered_json::array()}};
  for (const Outcome& outcome : outcomes.learners) {
    const auto [low, high] = std::minmax_element(outcome.values.begin(), outcome.values.end());
    json["learners"].push_back({{"name", outcome.name},
                                {"values", outcome.values},
                                {"mean", mean(outcome.values)},
                                {"low", *low},
                                {"high", *high},
                                {"seconds", mean(outcome.seconds)},
                                {"expected", outcome.expected},
                                {"met", outcome.met},
                                {"curve",
                                 {{"x", outcome.curve.x},
                                  {"median", rounded(outcome.curve.y)},
                                  {"low", rounded(outcome.curve.low)},
                                  {"high", rounded(outcome.curve.high)}}}});
  }
  // Writes a second file and renames it, so that the old one stays readable.
  std::filesystem::path fresh = file;
  fresh += ".new";
  std::ofstream out(fresh);
  if (!(out << json.dump(2) << std::endl)) throw std::runtime_error(fresh.string() + " cannot be written");
  out.close();
  std::filesystem::rename(fresh, file);
}

bool print(const Outcomes& outcomes) {
  bool all_met = true;
  std::string line = outcomes.experiment + ": " + outcomes.metric, missed;
  for (const Outcome& outcome : outcomes.learners) {
    line +=
        (&outcome == &outcomes.learners.front() ? " " : ", ") + outcome.name + " " + spread(outcome.values);
    if (!outcome.met) missed += "; " + outcome.name + " was expected " + outcome.expected;
    all_met = all_met && outcome.met;
  }
  std::printf("%s; chance %.3g; %lld %s, %zu seed%s, %.0f s%s\n", line.c_str(), outcomes.chance,
              static_cast<long long>(outcomes.iterations), outcomes.iteration.c_str(), outcomes.seeds.size(),
              outcomes.seeds.size() == 1 ? "" : "s", outcomes.seconds, missed.c_str());
  return all_met;
}

}  // namespace examples
