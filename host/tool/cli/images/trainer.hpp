#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "plasticity/network.hpp"
#include "plasticity/trainer.hpp"
#include "tool/cli/images/episode.hpp"

namespace plasticity::images {

struct TrainerOptions {
  std::int64_t size = 14;
  std::int64_t iterations = 1500;
  std::int64_t batch = 16;
  std::uint64_t seed = 1;
  Device device = Device::cpu(1);
  Schedule schedule;
};

/// A network that learns the task, and how it did.
struct Learner {
  Learner(const TrainerOptions& options, bool plastic);

  std::string name;  // "plastic", "fixed weights"
  Network network;
  plasticity::Trainer trainer;
  std::vector<float> curve{};  // test error at every evaluation
  float recent = 1;            // running mean of the training error
};

/// Trains a plastic network and its fixed-weight twin on the same episodes. Iteration k draws its episode
/// from (seed, k) alone, so a run that was stopped and resumed ends with the same bits as one that was not.
class Trainer {
 public:
  Trainer(const TrainerOptions& options, const Pictures& train, const Pictures& test);

  std::int64_t iteration() const { return iteration_; }
  bool finished() const { return iteration_ >= options_.iterations; }
  const TrainerOptions& options() const { return options_; }
  Learner& plastic() { return learners_[0]; }
  Learner& fixed() { return learners_[1]; }
  const std::vector<float>& evaluated_at() const { return evaluated_at_; }

  /// One iteration of both learners, with an evaluation where one is due.
  void advance();

  /// The normalised error of a learner on `episodes` test episodes, the same ones at every call.
  double test_error(Learner& learner, std::int64_t episodes);

  /// The first test episodes, and what a learner makes of them: y [T,B,N].
  Episode test_episode(std::int64_t index) const;
  std::span<const float> complete(Learner& learner, const Episode& episode);

  /// Everything that is needed to go on.
  void save(const std::filesystem::path& file) const;
  /// Goes on from there. Throws Error(format) for a file of other options, and changes nothing.
  void load(const std::filesystem::path& file);

 private:
  double learning_rate() const;
  TrainerOptions options_;
  const Pictures& train_;
  const Pictures& test_;
  std::vector<Learner> learners_;
  std::vector<float> evaluated_at_;
  std::int64_t iteration_ = 0;
};

}  // namespace plasticity::images
