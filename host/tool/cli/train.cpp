#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "base/throw_error.hpp"
#include "tool/cli/commands.hpp"
#include "tool/cli/images/experiment.hpp"
#include "tool/cli/images/report.hpp"
#include "tool/cli/interrupt.hpp"
#include "tool/cli/progress.hpp"
#include "tool/draw/chart.hpp"

namespace plasticity::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::int64_t test_episodes = 1024;
constexpr int signal_exit = 128;  // shells add the number of the signal

struct Options {
  images::ExperimentOptions experiment;
  std::string data, device = "best", out = "out", checkpoint;
  int threads = 0;
  bool resume = false, iterations_given = false;
};

/// Renames a checkpoint of an earlier run, which this run would overwrite, to the first free name.
void keep_earlier(const std::filesystem::path& checkpoint) {
  namespace fs = std::filesystem;
  if (!fs::exists(checkpoint)) return;
  if (!fs::is_regular_file(checkpoint)) {
    throw_error(ErrorCode::io, checkpoint.string(), "a regular file or no file",
                fs::is_directory(checkpoint) ? "a folder" : "a pipe or device");
  }
  fs::path kept = checkpoint;
  kept += ".previous";
  for (int number = 2; fs::exists(kept); ++number) {
    kept = checkpoint;
    kept += str_cat(".previous-", number);
  }
  fs::rename(checkpoint, kept);
  std::printf("an earlier checkpoint is kept as %s (--resume would have continued it)\n", kept.c_str());
}

/// Throws Error(io) if no file can be written in the folder, before hours of training depend on it.
void probe(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / str_cat(".plasticity-probe-", getpid());
  const std::ofstream out(file);
  const int reason = errno;
  if (!out) {
    throw Error(ErrorCode::io,
                str_cat(folder.string(), ": cannot write files in it: ", std::strerror(reason)));
  }
  std::filesystem::remove(file);
}

/// Saves the checkpoint, or prints a warning. Returns whether it is saved. A full disk must not end a
/// training run: the next checkpoint may fit.
bool try_save(const images::Experiment& experiment, const std::filesystem::path& checkpoint,
              Progress& progress) {
  try {
    experiment.save(checkpoint);
    return true;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::io) throw;
    progress.end_line();
    std::fprintf(stderr, "plasticity: warning: no checkpoint at iteration %lld: %s\n",
                 static_cast<long long>(experiment.iteration()), error.what());
    return false;
  }
}

/// Whether this process prints, draws and writes: the only one, or rank 0.
bool leads(const Communicator* communicator) { return communicator == nullptr || communicator->rank() == 0; }

/// Returns the numbers of all ranks; none without a communicator.
std::vector<int> gather(Communicator* communicator, int own) {
  if (communicator == nullptr) return {};
  const auto size = static_cast<std::size_t>(communicator->size());
  std::vector<int> all(size);
  all[static_cast<std::size_t>(communicator->rank())] = own;
  std::vector<std::int64_t> first(size + 1);
  std::iota(first.begin(), first.end(), 0);
  communicator->all_gather(std::span(all), first);
  return all;
}

std::string list_of(const std::vector<int>& numbers) {
  std::string list;
  for (const int number : numbers) list += str_cat(' ', number);
  return list;
}

/// Returns the signal that this process or another rank has got, or 0. All ranks stop at the same iteration.
int signal_of_ranks(const InterruptGuard& guard, Communicator* communicator) {
  int signal = guard.signal();
  for (const int of_rank : gather(communicator, signal)) signal = std::max(signal, of_rank);
  return signal;
}

/// Trains until the end or a signal. Returns the signal, or 0 if training is finished.
int train(images::Experiment& experiment, const std::filesystem::path& checkpoint) {
  const InterruptGuard guard;
  Communicator* const communicator = experiment.options().communicator;
  const bool leading = leads(communicator);
  Progress progress(experiment.iteration(), experiment.options().iterations);
  Clock::time_point tried = Clock::now();
  const auto total = static_cast<long long>(experiment.options().iterations);
  while (!experiment.finished()) {
    experiment.advance();
    const auto iteration = static_cast<long long>(experiment.iteration());
    char status[128];
    std::snprintf(status, sizeof status, "iteration %lld/%lld  error: plastic %.3f, fixed weights %.3f",
                  iteration, total, static_cast<double>(experiment.plastic().recent),
                  static_cast<double>(experiment.fixed().recent));
    if (leading) progress.show(experiment.iteration(), status);
    const int signal = signal_of_ranks(guard, communicator);
    if (!leading && signal != 0) return experiment.finished() ? 0 : signal;
    if (!leading) continue;
    bool saved = false;
    if (signal != 0 || experiment.finished() || Clock::now() - tried > std::chrono::seconds(10)) {
      saved = try_save(experiment, checkpoint, progress);
      tried = Clock::now();
    }
    if (signal != 0 && !experiment.finished()) {
      progress.end_line();
      std::printf("stopped at iteration %lld of %lld and %s %s; the same command with --resume continues\n",
                  iteration, total, saved ? "saved in" : "could not save in", checkpoint.c_str());
      return signal;
    }
  }
  return 0;
}

void save_network(const images::Learner& learner, const std::filesystem::path& path) {
  io::TensorFile file;
  learner.network.save(file);
  io::save(path, file);
  std::printf("%s\n", path.c_str());
}

/// Returns the data for Pictures: --data, or the word for drawn pictures if a checkpoint of drawn pictures is
/// resumed without --data.
std::string data_of(const Options& options, const std::filesystem::path& checkpoint) {
  if (!options.resume || !options.data.empty()) return options.data;
  return images::Experiment::saved_source(checkpoint) == images::drawn_source ? "drawn" : "";
}

// The results in the folder of --out.
constexpr const char *completion_file = "completion.png", *curve_file = "learning_curve.png",
                     *plastic_file = "plastic.safetensors", *fixed_file = "fixed.safetensors";

/// Throws Error(invalid_argument) if the results would replace the checkpoint.
void check_checkpoint_name(const std::filesystem::path& out, const std::filesystem::path& checkpoint) {
  const auto complete =
      [](const std::filesystem::path& path) {  // equal on all ranks, whether `out` exists or not
        return std::filesystem::weakly_canonical(std::filesystem::absolute(path));
      };
  for (const char* name : {completion_file, curve_file, plastic_file, fixed_file}) {
    if (complete(checkpoint) == complete(out / name))
      bad_argument("--checkpoint", str_cat("another file than the result ", name), checkpoint.string());
  }
}

/// Creates the folder of the results, and checks that it and that of the checkpoint can be written.
void prepare_folders(const std::filesystem::path& out, const std::filesystem::path& checkpoint) {
  std::error_code failed;
  std::filesystem::create_directories(out, failed);
  if (failed)
    throw Error(ErrorCode::io, str_cat(out.string(), ": cannot create the folder: ", failed.message()));
  probe(out);
  if (checkpoint.has_parent_path() && checkpoint.parent_path() != out) probe(checkpoint.parent_path());
}

/// Prints the pictures, the device, and the processes of the ranks.
void print_start(const images::ExperimentOptions& options, bool data_given,
                 const images::Pictures& train_pictures, const images::Pictures& test_pictures,
                 const std::vector<int>& processes) {
  const bool lacks_data = !data_given && train_pictures.source() == images::drawn_source;
  std::printf("%s%s, %lldx%lld, %lld to train and %lld to test, on %s\n", train_pictures.source().c_str(),
              lacks_data ? " (without the data of Omniglot: see --data)" : "",
              static_cast<long long>(options.size), static_cast<long long>(options.size),
              static_cast<long long>(train_pictures.count()), static_cast<long long>(test_pictures.count()),
              options.device.name().c_str());
  if (!processes.empty())
    std::printf("%zu ranks, processes%s\n", processes.size(), list_of(processes).c_str());
}

/// Writes the pictures and the networks, and prints their files and the errors. `start` is the time at which
/// the run began.
void write_results(images::Experiment& experiment, const std::filesystem::path& out,
                   Clock::time_point start) {
  if constexpr (draw::available) {
    images::draw_completions(experiment, out / completion_file);
    images::draw_learning_curve(experiment, out / curve_file);
    std::printf("%s\n%s\n", (out / completion_file).c_str(), (out / curve_file).c_str());
  } else {
    std::printf("%s\n", draw::unavailable_reason);
  }
  save_network(experiment.plastic(), out / plastic_file);
  save_network(experiment.fixed(), out / fixed_file);
  const double plastic = experiment.test_error(experiment.plastic(), test_episodes);
  const double fixed = experiment.test_error(experiment.fixed(), test_episodes);
  std::printf(
      "completion error: plastic %.3f, fixed weights %.3f (1 = no idea), %lld test episodes, %.0f s\n",
      plastic, fixed, static_cast<long long>(test_episodes),
      std::chrono::duration<double>(Clock::now() - start).count());
}

/// Trains and writes the results. Only the leading rank prints and writes. Returns the exit code.
int run(const Options& options) {
  const Clock::time_point start = Clock::now();
  Communicator* const communicator = options.experiment.communicator;
  const bool leading = leads(communicator);
  slice_of(communicator, options.experiment.batch);  // checks the batch
  const std::filesystem::path out = options.out;
  const std::filesystem::path checkpoint = options.checkpoint.empty()
                                               ? out / "images.checkpoint.safetensors"
                                               : std::filesystem::path(options.checkpoint);
  if (out.empty()) bad_argument("--out", "a folder", "an empty name");
  if (leading) prepare_folders(out, checkpoint);
  check_checkpoint_name(out, checkpoint);

  const std::string data = data_of(options, checkpoint);
  const images::Pictures train_pictures(data, images::Split::train, options.experiment.size);
  const images::Pictures test_pictures(data, images::Split::test, options.experiment.size);
  images::Experiment experiment(options.experiment, train_pictures, test_pictures);
  const std::vector<int> processes =
      gather(communicator, static_cast<int>(getpid()));  // mpirun names a process
  if (leading) print_start(options.experiment, !data.empty(), train_pictures, test_pictures, processes);
  if (options.resume) experiment.load(checkpoint, options.iterations_given);
  if (leading && options.resume) {
    std::printf("resumed at iteration %lld of %lld\n", static_cast<long long>(experiment.iteration()),
                static_cast<long long>(experiment.options().iterations));
  } else if (leading) {
    keep_earlier(checkpoint);
  }
  std::fflush(stdout);
  if (const int signal = train(experiment, checkpoint); signal != 0) return signal_exit + signal;
  if (leading) write_results(experiment, out, start);
  return 0;
}

/// Runs on one rank. An error of one rank ends all.
int run_on_ranks(Options options) {
  const std::unique_ptr<Communicator> communicator = environment_communicator();
  if (communicator == nullptr) {
    options.experiment.device = device_of(options.device, options.threads);
    return run(options);
  }
  try {
    options.experiment.communicator = communicator.get();
    options.experiment.device = device_of_rank(options.device, options.threads);
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "plasticity: on rank %d: %s\n", communicator->rank(), error.what());
    communicator->abort(1);
    return 1;
  }
}

}  // namespace

void add_train(CLI::App& app, int& exit_code) {
  CLI::App* train_command = app.add_subcommand("train", "Trains a network");
  train_command->require_subcommand(1);
  const auto options = std::make_shared<Options>();
  CLI::App* command = train_command->add_subcommand("images",
                                                    "Trains a plastic and a fixed-weight network to complete "
                                                    "pictures seen a moment ago (Miconi et al. 2018)");
  command
      ->add_option(
          "--data", options->data,
          "The IDX file of Omniglot, or a folder with train-images-idx3-ubyte and t10k-images-idx3-ubyte "
          "(plain "
          "or .gz), or the word drawn for shapes drawn by the program; default: the installed Omniglot, or "
          "drawn without it")
      ->take_last();
  command->add_option("--size", options->experiment.size, "Pixels per side")
      ->check(CLI::IsMember({14, 28}))
      ->capture_default_str();
  CLI::Option* const iterations = command->add_option(
      "--iterations", options->experiment.iterations,
      "Training iterations, all in all; with --resume the default is that of the checkpoint");
  iterations->check(CLI::Range(1, 100'000'000))->capture_default_str();
  command->add_option("--batch", options->experiment.batch, "Episodes per batch")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  add_whole_number(*command, "--seed", options->experiment.seed,
                   "Seed of the parameters and of the episodes");
  command->add_option("--device", options->device, "Device that trains")
      ->check(CLI::IsMember({"best", "cpu", "cuda"}))
      ->capture_default_str();
  command
      ->add_option("--threads", options->threads,
                   "Threads, if the device is the CPU; 0: PLASTICITY_THREADS, or all")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_option("--out", options->out, "Folder for the pictures and the networks")
      ->capture_default_str();
  command->add_option("--checkpoint", options->checkpoint,
                      "File; default: images.checkpoint.safetensors in --out");
  command->add_flag("--resume", options->resume, "Continue from the checkpoint");
  command->callback([options, iterations, &exit_code] {
    options->iterations_given = iterations->count() > 0;
    exit_code = run_on_ranks(*options);
  });
}

}  // namespace plasticity::cli
