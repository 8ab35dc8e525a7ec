#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <plasticity/plasticity.hpp>
#include <string>
#include <vector>

#include "common/report.hpp"

namespace examples {

/// The name, the metric and the length of an experiment.
struct Description {
  std::string name;                ///< name of the program and of its files in out/
  std::string about;               ///< text of --help and title of the chart
  std::string metric;              ///< the metric: "sign error"
  std::string x_label;             ///< the unit of an iteration: "episodes"
  double chance = 0;               ///< the metric at chance level (see also Trial::set_chance)
  std::int64_t iterations = 1000;  ///< training iterations
  std::int64_t quick = 100;        ///< training iterations with --quick
  bool log_y = false;
  std::vector<std::string> learners{};  ///< those that --only can choose from
};

/// The names of learners, for Description::learners.
template <class Variants>
std::vector<std::string> names_of(const Variants& variants) {
  std::vector<std::string> names;
  for (const auto& variant : variants) names.emplace_back(variant.name);
  return names;
}

/// A learner's record over one seed.
struct Record {
  std::vector<double> values;  // the metric at every iteration
  double result = 0, seconds = 0;
};

/// Removes the plasticity of a network: sets alpha to zero and excludes it from training.
void remove_plasticity(plasticity::Network& network);

/// Concatenates the parameters of several modules, for Adam and clip_gradients.
std::vector<plasticity::ParameterView> concatenate(
    std::initializer_list<std::vector<plasticity::ParameterView>> modules);

/// One seed of an experiment. The training loops read its settings and report their progress to it.
class Trial {
 public:
  std::uint64_t seed() const { return seed_; }
  bool quick() const { return quick_; }
  std::int64_t iterations() const { return iterations_; }
  /// Whether to train this learner: --only leaves out all others.
  bool trains(const std::string& learner) const { return only_.empty() || only_ == learner; }
  plasticity::Device device() const { return device_; }
  /// The ranks that mpirun started, or null. Each trains with its slice of the batch; rank 0 prints and
  /// writes.
  plasticity::Communicator* communicator() const { return communicator_; }
  /// The mean of a value over the ranks.
  double mean_of_ranks(double value) const;

  /// Sets the metric's chance level, if it depends on the data. The chart shows it as a dashed line.
  void set_chance(double chance) { chance_ = chance; }

  /// Records that a learner did one iteration, with the metric `value` (NaN: not measured). Adds a point to
  /// the learner's curve and, on a terminal, updates the progress bar.
  void step(const std::string& learner, double value);

  /// The mean of the learner's last `count` values, or of all if there are fewer.
  double recent(const std::string& learner, std::size_t count) const;

  /// Records a learner's outcome for the table.
  void result(const std::string& learner, double value);

  /// Saves a learner's network and its readouts to out/NAME.LEARNER.safetensors (first seed only).
  void save(const std::string& learner, const plasticity::Network& network,
            std::vector<plasticity::ParameterView> readouts = {});

  /// Requires that the mean of the learner's outcomes over the seeds is below (above) `limit`. Otherwise the
  /// exit code is 1.
  void expect_below(const std::string& learner, double limit) { expected_[learner] = {limit, false}; }
  void expect_above(const std::string& learner, double limit) { expected_[learner] = {limit, true}; }

 private:
  friend class Experiment;
  using Clock = std::chrono::steady_clock;
  struct Expectation {
    double limit;
    bool above;
    bool met(double value) const { return above ? value > limit : value < limit; }
  };
  Record& record(const std::string& learner);
  void draw_progress(const std::string& learner, const Record& record);
  void end_progress();

  std::string name_, out_, only_;
  std::uint64_t seed_ = 1;
  bool quick_ = false, first_ = true, terminal_ = false, line_open_ = false;
  std::int64_t iterations_ = 0;
  double chance_ = 0;
  plasticity::Device device_ = plasticity::Device::cpu(1);
  plasticity::Communicator* communicator_ = nullptr;
  std::vector<std::string> learners_;  // in the order of their first step
  std::map<std::string, Record> records_;
  std::map<std::string, Expectation> expected_;
  Clock::time_point learner_start_ = Clock::now(), last_draw_{};
};

/// A program that trains with one or more seeds. It parses --seed, --seeds, --iterations, --device, --quick
/// and
/// --out. After every seed it writes the curves (median and quartiles over the seeds) to out/NAME.png and all
/// outcomes to out/NAME.json. At the end it prints one result line.
class Experiment {
 public:
  explicit Experiment(Description description);

  /// The parser, to which a program can add options.
  CLI::App& app() { return app_; }

  /// Runs `train` for every seed. Returns the exit code: 1 if an expectation is not met, 2 for invalid
  /// arguments, otherwise 0.
  int run(int argc, char** argv, const std::function<void(Trial&)>& train);

 private:
  int train_all(const std::function<void(Trial&)>& train, const std::string& command);
  plasticity::Device chosen_device() const;
  /// Collects the outcomes of the seeds so far, without the command and the times.
  Outcomes gather(const std::vector<Trial>& trials) const;
  void draw(const Outcomes& outcomes) const;

  Description description_;
  CLI::App app_;
  std::uint64_t seed_ = 1;
  std::int64_t seeds_ = 1, iterations_ = 0;
  std::string device_ = "best", out_ = "out", only_;
  bool quick_ = false;
  std::unique_ptr<plasticity::Communicator> communicator_{};
};

}  // namespace examples
