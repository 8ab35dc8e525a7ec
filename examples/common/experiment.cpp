#include "common/experiment.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>

namespace examples {

void remove_plasticity(plasticity::Network& network) {
  for (float& alpha : network.parameter("alpha")) alpha = 0;
  for (const char* name : {"alpha", "eta"}) network.set_trainable(name, false);
}

std::vector<plasticity::ParameterView> concatenate(
    std::initializer_list<std::vector<plasticity::ParameterView>> modules) {
  std::vector<plasticity::ParameterView> all;
  for (const auto& module : modules) all.insert(all.end(), module.begin(), module.end());
  return all;
}

Record& Trial::record(const std::string& learner) {
  if (records_.find(learner) == records_.end()) {
    learners_.push_back(learner);
    learner_start_ = Clock::now();
  }
  return records_[learner];
}

void Trial::step(const std::string& learner, double value) {
  Record& learner_record = record(learner);
  learner_record.values.push_back(value);
  if (terminal_) draw_progress(learner, learner_record);
}

void Trial::draw_progress(const std::string& learner, const Record& learner_record) {
  const Clock::time_point now = Clock::now();
  if (now - last_draw_ < std::chrono::milliseconds(100)) return;
  last_draw_ = now;
  const double part = static_cast<double>(learner_record.values.size()) / static_cast<double>(iterations_);
  const double elapsed = std::chrono::duration<double>(now - learner_start_).count();
  std::string bar(24, '.');
  std::fill_n(bar.begin(), std::min<std::size_t>(static_cast<std::size_t>(part * 24), 24), '#');
  std::fprintf(stderr, "\r[%s] %3.0f %%  seed %llu, %s: %.3g  %.0f s left\x1b[K", bar.c_str(), 100 * part,
               static_cast<unsigned long long>(seed_), learner.c_str(), recent(learner, 50),
               std::max(0.0, elapsed / part - elapsed));
  std::fflush(stderr);
  line_open_ = true;
}

void Trial::end_progress() {
  if (line_open_) std::fputs("\r\x1b[K", stderr);
  line_open_ = false;
}

double Trial::mean_of_ranks(double value) const {
  if (communicator_ == nullptr) return value;
  communicator_->sum(std::span(&value, 1));
  return value / communicator_->size();
}

double Trial::recent(const std::string& learner, std::size_t count) const {
  const auto found = records_.find(learner);
  if (found == records_.end()) return std::nan("");
  const std::vector<double>& values = found->second.values;
  double sum = 0, finite = 0;
  for (std::size_t k = values.size() - std::min(count, values.size()); k < values.size(); ++k) {
    if (!std::isfinite(values[k])) continue;
    sum += values[k];
    ++finite;
  }
  return sum / finite;
}

void Trial::result(const std::string& learner, double value) {
  Record& learner_record = record(learner);
  learner_record.result = value;
  learner_record.seconds = std::chrono::duration<double>(Clock::now() - learner_start_).count();
  end_progress();
}

void Trial::save(const std::string& learner, const plasticity::Network& network,
                 std::vector<plasticity::ParameterView> readouts) {
  if (!first_ || (communicator_ != nullptr && communicator_->rank() != 0)) return;
  plasticity::io::TensorFile file;
  network.save(file);
  for (const plasticity::ParameterView& view : readouts) {
    const std::span<const std::int64_t> sizes(view.shape.size);
    file.tensors["param." + view.name] = plasticity::io::make_tensor(
        {sizes.begin(), sizes.begin() + view.shape.rank}, std::span<const float>(view.value));
  }
  std::string part = learner;
  std::replace(part.begin(), part.end(), ' ', '_');
  plasticity::io::save(std::filesystem::path(out_) / (name_ + "." + part + ".safetensors"), file);
}

Experiment::Experiment(Description description)
    : description_(std::move(description)), app_(description_.about, description_.name) {
  app_.add_option("--seed", seed_, "Seed of the parameters and of the episodes")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app_.add_option("--seeds", seeds_, "Number of seeds, starting at --seed")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app_.add_option("--iterations", iterations_,
                  "Training " + description_.x_label +
                      "; default: " + std::to_string(description_.iterations) + ", with --quick " +
                      std::to_string(description_.quick))
      ->check(CLI::Range(1, 1'000'000'000));
  app_.add_option("--device", device_, "The device")
      ->check(CLI::IsMember({"best", "cpu", "cuda"}))
      ->capture_default_str();
  app_.add_flag("--quick", quick_, "A small version of a few seconds, which must beat chance");
  app_.add_option("--out", out_, "Folder for the curve, the networks and the outcomes")
      ->capture_default_str();
  if (!description_.learners.empty()) {
    app_.add_option("--only", only_, "Train this one only")->check(CLI::IsMember(description_.learners));
  }
}

int Experiment::run(int argc, char** argv, const std::function<void(Trial&)>& train) {
  std::string command = description_.name;
  for (int k = 1; k < argc; ++k) command += std::string(" ") + argv[k];
  try {
    // The next option is not the value of one whose value is missing.
    for (CLI::Option* const option : app_.get_options()) {
      if (option->get_items_expected_max() == 0) continue;
      option->check([](const std::string& value) {
        return value.starts_with("--") ? "expected a value, got the option '" + value + "'" : std::string();
      });
    }
    app_.parse(argc, argv);
    return train_all(train, command);
  } catch (const CLI::ParseError& error) {
    return app_.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: ", description_.name.c_str());
    if (communicator_ != nullptr) std::fprintf(stderr, "on rank %d: ", communicator_->rank());
    std::fprintf(stderr, "%s\n", error.what());
    if (communicator_ != nullptr) communicator_->abort(2);  // one rank cannot continue: all end
    return 2;
  }
}

/// The device of --device. Ranks of one machine share its processors, and each has a GPU of its own.
plasticity::Device Experiment::chosen_device() const {
  using plasticity::Device;
  const plasticity::LocalRanks local = plasticity::local_ranks();
  const bool alone = communicator_ == nullptr || local.size == 1;
  const int gpu = alone ? 0 : local.rank;
  if (device_ == "cuda") return Device::cuda(gpu);
  if (device_ != "cpu" && plasticity::cuda_unavailable_reason().empty()) {
    try {
      return Device::cuda(gpu);  // not Device::best(), which creates a context on GPU 0
    } catch (const plasticity::Error&) {
      if (Device::best().kind() == plasticity::DeviceKind::cuda) throw;
    }
  }
  const Device device = Device::cpu();
  return alone ? device : Device::cpu(std::max(1, device.threads() / local.size));
}

int Experiment::train_all(const std::function<void(Trial&)>& train, const std::string& command) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const std::clock_t start_of_work = std::clock();
  communicator_ = plasticity::environment_communicator();
  const bool leads = communicator_ == nullptr || communicator_->rank() == 0;
  const plasticity::Device device = chosen_device();
  if (leads) std::filesystem::create_directories(out_);
  std::vector<Trial> trials;
  Outcomes outcomes;
  for (std::int64_t k = 0; k < seeds_; ++k) {
    Trial& trial = trials.emplace_back();
    trial.name_ = description_.name;
    trial.out_ = out_;
    trial.seed_ = seed_ + static_cast<std::uint64_t>(k);
    trial.quick_ = quick_;
    trial.only_ = only_;
    trial.first_ = k == 0;
    trial.terminal_ = leads && isatty(STDERR_FILENO) != 0;
    trial.communicator_ = communicator_.get();
    trial.iterations_ = iterations_ > 0 ? iterations_ : quick_ ? description_.quick : description_.iterations;
    trial.device_ = device;
    trial.chance_ = description_.chance;
    train(trial);
    trial.end_progress();
    if (!leads) continue;
    // After every seed, so that an interrupted run keeps its results.
    outcomes = gather(trials);
    outcomes.command = command;
    outcomes.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    outcomes.processor_seconds = static_cast<double>(std::clock() - start_of_work) / CLOCKS_PER_SEC;
    draw(outcomes);
    write(outcomes, std::filesystem::path(out_) / (description_.name + ".json"));
  }
  return !leads || print(outcomes) ? 0 : 1;
}

void Experiment::draw(const Outcomes& outcomes) const {
  if constexpr (!plasticity::draw::available) {
    if (outcomes.seeds.size() == 1) std::fprintf(stderr, "%s\n", plasticity::draw::unavailable_reason);
  } else {
    std::vector<plasticity::draw::Curve> curves;
    for (const Outcome& outcome : outcomes.learners) {
      if (!outcome.curve.x.empty()) curves.push_back(outcome.curve);  // an empty curve: not trained
    }
    const std::size_t seeds = outcomes.seeds.size();
    const std::string over = seeds > 1 ? ", median and quartiles of " + std::to_string(seeds) + " seeds" : "";
    plasticity::io::write_png(
        std::filesystem::path(out_) / (description_.name + ".png"),
        plasticity::draw::line_chart(curves, {.title = description_.about,
                                              .x_label = description_.x_label,
                                              .y_label = description_.metric + over,
                                              .log_y = outcomes.log_y,
                                              .reference = {{outcomes.chance, "chance"}}}));
  }
}

Outcomes Experiment::gather(const std::vector<Trial>& trials) const {
  const Trial& first = trials.front();
  Outcomes outcomes{.experiment = description_.name,
                    .metric = description_.metric,
                    .chance = first.chance_,
                    .log_y = description_.log_y,
                    .iteration = description_.x_label,
                    .iterations = first.iterations(),
                    .device = first.device().name()};
  for (const Trial& trial : trials) outcomes.seeds.push_back(trial.seed());
  for (const std::string& learner : first.learners_) {
    Outcome& outcome = outcomes.learners.emplace_back();
    outcome.name = learner;
    std::vector<std::vector<double>> runs;
    for (const Trial& trial : trials) {
      const Record& record = trial.records_.at(learner);
      outcome.values.push_back(record.result);
      outcome.seconds.push_back(record.seconds);
      runs.push_back(record.values);
    }
    outcome.curve = median_curve(learner, runs);
    if (const auto found = first.expected_.find(learner); found != first.expected_.end()) {
      char text[48];
      std::snprintf(text, sizeof text, "%s %.4g", found->second.above ? "above" : "below",
                    found->second.limit);
      outcome.expected = text;
      outcome.met = found->second.met(mean(outcome.values));
    }
  }
  return outcomes;
}

}  // namespace examples
