#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "plasticity/network.hpp"
#include "plasticity/trainer.hpp"
#include "tool/cli/images/episode.hpp"

namespace plasticity::images {

struct ExperimentOptions {
  std::int64_t size = 14;
  std::int64_t iterations = 2500;
  std::int64_t batch = 16;
  std::uint64_t seed = 1;
  Device device = Device::cpu(1);
  EpisodePlan plan;
  Communicator* communicator = nullptr;  // the ranks that train together, or null
};

/// A network that learns the task, with its errors.
struct Learner {
  Learner(const ExperimentOptions& options, bool plastic);

  std::string name;  // "plastic", "fixed weights"
  Network network;
  Trainer trainer;
  std::vector<float> curve{};  // test error at every evaluation
  float recent = 1;            // running mean of the training error
};

/// Trains a plastic network and a network with fixed weights on the same episodes. The episode of iteration k
/// depends only on (seed, k), so a run that was stopped and resumed ends with the same bits as an
/// uninterrupted run. Each rank trains with its slice of the batch; tests use the whole batch on every
/// rank.
class Experiment {
 public:
  Experiment(const ExperimentOptions& options, const Pictures& train, const Pictures& test);

  std::int64_t iteration() const { return iteration_; }
  bool finished() const { return iteration_ >= options_.iterations; }
  const ExperimentOptions& options() const { return options_; }
  Learner& plastic() { return learners_[0]; }
  Learner& fixed() { return learners_[1]; }
  const std::vector<float>& evaluated_at() const { return evaluated_at_; }

  /// Runs one iteration of both learners. Evaluates them 25 times per run.
  void advance();

  /// Returns the normalised error of a learner on `episodes` test episodes, the same at every call.
  double test_error(Learner& learner, std::int64_t episodes);

  /// Returns test batch `index`, and the outputs of a learner for it: [T,B,N].
  Episode test_episode(std::int64_t index) const;
  std::span<const float> complete(Learner& learner, const Episode& episode);

  /// Saves everything that load() needs to continue.
  void save(const std::filesystem::path& file) const;
  /// Continues from a saved run. The number of iterations is that of the options if `own_iterations`,
  /// otherwise that of the file. Throws Error(format) for a file of other options or of more iterations, and
  /// changes nothing then.
  void load(const std::filesystem::path& file, bool own_iterations);
  /// Returns Pictures::source() of a saved run. Throws Error(io | format).
  static std::string saved_source(const std::filesystem::path& file);

 private:
  double learning_rate() const;
  ExperimentOptions options_;
  const Pictures& train_;
  const Pictures& test_;
  std::string checksum_;  // of all pictures
  std::vector<Learner> learners_;
  std::vector<float> evaluated_at_;
  std::int64_t iteration_ = 0;
};

}  // namespace plasticity::images
