#include "tool/cli/images/experiment.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/throw_error.hpp"
#include "io/spec_metadata.hpp"

namespace plasticity::images {
namespace {

constexpr double max_learning_rate = 1e-2;
constexpr double gradient_norm = 1;
constexpr std::int64_t warm_up = 50;      // iterations
constexpr std::int64_t evaluations = 25;  // per run
constexpr std::int64_t evaluated = 64;    // episodes per evaluation

Spec spec_of(const ExperimentOptions& options, bool plastic) {
  return {.cell = Cell::rnn,
          .rule = Rule::oja,
          .rate = Rate::fixed,
          .alpha = plastic ? Granularity::connection : Granularity::scalar,
          .neurons = options.size * options.size + 1};
}

std::string key_of(const Learner& learner) { return learner.name.substr(0, learner.name.find(' ')) + "."; }

/// Returns the iterations of the evaluations, at most `iteration`. Throws Error(format).
std::vector<float> read_evaluated_at(const io::TensorFile& file, const std::filesystem::path& path,
                                     std::int64_t iteration) {
  std::vector<float> evaluated_at = io::to_floats(file.at("evaluated_at"));
  float last = 1;
  for (const float at : evaluated_at) {
    if (!(at >= last) || at > static_cast<float>(iteration)) {
      throw_error(ErrorCode::format, str_cat(path.string(), " tensor 'evaluated_at'"),
                  str_cat("iterations from 1 to ", iteration, " in their order"), str_cat(at));
    }
    last = at;
  }
  return evaluated_at;
}

/// Returns a learner with the curve of `evaluated_times` evaluations. Throws Error(format).
Learner read_learner(const io::TensorFile& file, const std::filesystem::path& path,
                     const ExperimentOptions& options, bool plastic, std::size_t evaluated_times) {
  Learner learner(options, plastic);
  const std::string key = key_of(learner);
  io::TensorFile part;
  part.source = file.source;
  for (const auto& [name, tensor] : file.tensors) {
    if (name.starts_with(key)) part.tensors[name.substr(key.size())] = tensor;
  }
  for (const auto& [name, value] : file.metadata) {
    if (name.starts_with(key)) part.metadata[name.substr(key.size())] = value;
  }
  learner.network.load(part);
  learner.trainer.load(part);
  learner.curve = io::to_floats(part.at("curve"));
  const std::string curve = str_cat(path.string(), " tensor '", key, "curve'");
  if (learner.curve.size() != evaluated_times)
    throw_error(ErrorCode::format, curve, str_cat(evaluated_times, " elements"),
                str_cat(learner.curve.size()));
  for (const float error : learner.curve) {
    if (!(error >= 0)) throw_error(ErrorCode::format, curve, "values of at least 0", str_cat(error));
  }
  const std::vector<float> recent = io::to_floats(part.at("recent"));
  if (recent.size() != 1)
    throw_error(ErrorCode::format, str_cat(path.string(), " tensor '", key, "recent'"), "1 element",
                str_cat(recent.size()));
  learner.recent = recent[0];
  return learner;
}

}  // namespace

Learner::Learner(const ExperimentOptions& options, bool plastic)
    : name(plastic ? "plastic" : "fixed weights"),
      network(spec_of(options, plastic), {.batch = slice_of(options.communicator, options.batch).count,
                                          .device = options.device,
                                          .seed = options.seed}),
      trainer(network, {.clip_norm = gradient_norm,
                        .reduction = Reduction::relative,
                        .communicator = options.communicator}) {
  if (plastic) {
    // With alpha about .02 instead of 0, the traces recall a little from the start: it learns faster.
    for (float& alpha : network.parameter("alpha")) alpha += .02f;
    network.parameter("eta")[0] = .05f;
  } else {
    network.parameter("alpha")[0] = 0;
    network.set_trainable("alpha", false);
    network.set_trainable("eta", false);
  }
}

Experiment::Experiment(const ExperimentOptions& options, const Pictures& train, const Pictures& test)
    : options_(options),
      train_(train),
      test_(test),
      checksum_(str_cat(train.checksum(), ' ', test.checksum())) {
  if (options.iterations < 1) bad_argument("iterations", "at least 1", str_cat(options.iterations));
  if (options.batch < 1) bad_argument("batch", "at least 1", str_cat(options.batch));
  for (const bool plastic : {true, false}) learners_.emplace_back(options, plastic);
}

double Experiment::learning_rate() const {
  const double part = static_cast<double>(iteration_) / static_cast<double>(options_.iterations);
  const double warm = std::min(1.0, static_cast<double>(iteration_ + 1) / static_cast<double>(warm_up));
  return max_learning_rate * warm * (1 + std::cos(std::numbers::pi * part)) / 2;
}

void Experiment::advance() {
  Random random(options_.seed, static_cast<std::uint64_t>(iteration_));
  const Episode episode = make_episode(train_, options_.plan, options_.batch, random,
                                       slice_of(options_.communicator, options_.batch));
  for (Learner& learner : learners_) {
    learner.network.reset();
    learner.trainer.set_learning_rate(learning_rate());
    const auto error =
        static_cast<float>(learner.trainer.step(episode.sequence(), episode.target, episode.asked));
    learner.recent += (error - learner.recent) * (iteration_ == 0 ? 1.0f : .03f);
  }
  ++iteration_;
  const std::int64_t every = std::max<std::int64_t>(1, options_.iterations / evaluations);
  if (iteration_ % every != 0 && !finished()) return;
  evaluated_at_.push_back(static_cast<float>(iteration_));
  for (Learner& learner : learners_)
    learner.curve.push_back(static_cast<float>(test_error(learner, evaluated)));
}

Episode Experiment::test_episode(std::int64_t index) const {
  Random random(~options_.seed, static_cast<std::uint64_t>(index));
  return make_episode(test_, options_.plan, options_.batch, random, {0, options_.batch});
}

std::span<const float> Experiment::complete(Learner& learner, const Episode& episode) {
  learner.network.reset(options_.batch);
  return learner.network.infer(episode.sequence());
}

double Experiment::test_error(Learner& learner, std::int64_t episodes) {
  const std::int64_t batches = (episodes + options_.batch - 1) / options_.batch;
  double sum = 0;
  for (std::int64_t index = 0; index < batches; ++index) {
    const Episode episode = test_episode(index);
    sum += normalised_error(episode, complete(learner, episode));
  }
  return sum / static_cast<double>(batches);
}

void Experiment::save(const std::filesystem::path& path) const {
  io::TensorFile file;
  file.metadata = {{"format", "plasticity-images-1"},
                   {"iteration", str_cat(iteration_)},
                   {"iterations", str_cat(options_.iterations)},
                   {"size", str_cat(options_.size)},
                   {"batch", str_cat(options_.batch)},
                   {"seed", str_cat(options_.seed)},
                   {"pictures", train_.source()},
                   {"checksum", checksum_}};
  const auto add = [&](const std::string& name, const std::vector<float>& values) {
    file.tensors[name] =
        io::make_tensor({static_cast<std::int64_t>(values.size())}, std::span<const float>(values));
  };
  add("evaluated_at", evaluated_at_);
  for (const Learner& learner : learners_) {
    io::TensorFile part;
    learner.network.save(part);
    learner.trainer.save(part);
    for (auto& [name, tensor] : part.tensors) file.tensors[key_of(learner) + name] = std::move(tensor);
    for (auto& [name, value] : part.metadata) file.metadata[key_of(learner) + name] = std::move(value);
    add(key_of(learner) + "curve", learner.curve);
    add(key_of(learner) + "recent", {learner.recent});
  }
  io::save(path, file);
}

std::string Experiment::saved_source(const std::filesystem::path& path) {
  return read_metadata(io::load(path), "pictures");
}

void Experiment::load(const std::filesystem::path& path, bool own_iterations) {
  const io::TensorFile file = io::load(path);
  const auto expect = [&](const std::string& key, const std::string& value) {
    if (read_metadata(file, key) != value) {
      throw_error(ErrorCode::format, str_cat(path.string(), " (checkpoint) '", key, "'"), value,
                  read_metadata(file, key));
    }
  };
  expect("format", "plasticity-images-1");
  expect("size", str_cat(options_.size));
  expect("batch", str_cat(options_.batch));
  expect("seed", str_cat(options_.seed));
  expect("pictures", train_.source());
  if (const auto saved = file.metadata.find("checksum");  // earlier versions did not save it
      saved != file.metadata.end() && saved->second != checksum_) {
    throw_error(ErrorCode::format, str_cat(path.string(), " (checkpoint)"), "the pictures of --data",
                "a run on other pictures");
  }
  const auto iteration = read_number<std::int64_t>(file, "iteration");
  const auto iterations =
      own_iterations ? options_.iterations : read_number<std::int64_t>(file, "iterations");
  if (iteration < 0 || iterations < std::max<std::int64_t>(iteration, 1)) {
    throw_error(ErrorCode::format, str_cat(path.string(), " (checkpoint) 'iteration'"),
                str_cat("0 to ", iterations, ", the number of iterations"), str_cat(iteration));
  }

  const std::vector<float> evaluated_at = read_evaluated_at(file, path, iteration);
  std::vector<Learner> learners;
  for (const bool plastic : {true, false})
    learners.push_back(read_learner(file, path, options_, plastic, evaluated_at.size()));
  evaluated_at_ = evaluated_at;
  iteration_ = iteration;
  options_.iterations = iterations;
  learners_ = std::move(learners);
}

}  // namespace plasticity::images
