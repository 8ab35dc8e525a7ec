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

/// What an experiment is called, what it measures, and how long it is.
struct Description {
  std::string name;                ///< of the program and of its files in out/
  std::string about;               ///< for --help, and the title of the chart
  std::string metric;              ///< what is measured: "sign error"
  std::string x_label;             ///< what an iteration is: "episodes"
  double chance = 0;               ///< the metric's value without an idea (see also Trial::set_chance)
  std::int64_t iterations = 1000;  ///< of training, in full
  std::int64_t quick = 100;        ///< and with --quick
  bool log_y = false;
};

/// A learner's record over one seed.
struct Record {
  std::vector<double> values;  // the metric at every iteration
  double result = 0, seconds = 0;
};

/// Makes a network's weights fixed: alpha is zero and stays.
void remove_plasticity(plasticity::Network& network);

/// The parameters of several modules as one list, for Adam and clip_gradients.
std::vector<plasticity::ParameterView> together(
    std::initializer_list<std::vector<plasticity::ParameterView>> modules);

/// One seed of an experiment: what the training loops are given, and tell how they do.
class Trial {
 public:
  std::uint64_t seed() const { return seed_; }
  bool quick() const { return quick_; }
  std::int64_t iterations() const { return iterations_; }
  plasticity::Device device() const { return device_; }

  /// The metric's value without an idea, where it depends on the data. A dashed line in the chart.
  void set_chance(double chance) { chance_ = chance; }

  /// A learner has done an iteration, and the metric was `value` (not a number: not known this time). Moves
  /// the progress bar on a terminal, and is a point of the learner's curve.
  void step(const std::string& learner, double value);

  /// The mean of the learner's last `count` values (fewer where there are not as many).
  double recent(const std::string& learner, std::size_t count) const;

  /// A learner's outcome, what the table shows.
  void result(const std::string& learner, double value);

  /// A learner's network, and the readouts that belong to it, go to out/NAME.LEARNER.safetensors (first
  /// seed).
  void save(const std::string& learner, const plasticity::Network& network,
            std::vector<plasticity::ParameterView> readouts = {});

  /// The mean of the learner's outcomes over the seeds must be below (above) `limit`; otherwise the program
  /// ends with exit code 1.
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

  std::string name_, out_;
  std::uint64_t seed_ = 1;
  bool quick_ = false, first_ = true, terminal_ = false, line_open_ = false;
  std::int64_t iterations_ = 0;
  double chance_ = 0;
  plasticity::Device device_ = plasticity::Device::cpu(1);
  std::vector<std::string> learners_;  // in the order of their first step
  std::map<std::string, Record> records_;
  std::map<std::string, Expectation> expected_;
  Clock::time_point since_ = Clock::now(), drawn_{};
};

/// A program that trains over one or more seeds. It reads --seed, --seeds, --iterations, --device, --quick
/// and --out, and after every seed writes the curves (median over the seeds, and the quartiles) to
/// out/NAME.png and all outcomes to out/NAME.json, and prints one result line.
class Experiment {
 public:
  explicit Experiment(Description description);

  /// To add options of the program's own.
  CLI::App& app() { return app_; }

  /// Runs `train` for every seed. The exit code: 0; 1 where an expectation is not met; 2 for a wrong call.
  int run(int argc, char** argv, const std::function<void(Trial&)>& train);

 private:
  int train_all(const std::function<void(Trial&)>& train, const std::string& command);
  /// What the seeds so far have reached; the command and the times are left open.
  Outcomes gather(const std::vector<Trial>& trials) const;
  void draw(const Outcomes& outcomes) const;

  Description description_;
  CLI::App app_;
  std::uint64_t seed_ = 1;
  std::int64_t seeds_ = 1, iterations_ = 0;
  std::string device_ = "best", out_ = "out";
  bool quick_ = false;
};

}  // namespace examples
