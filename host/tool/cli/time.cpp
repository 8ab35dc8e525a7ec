#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/throw_error.hpp"
#include "device/cuda_api.hpp"
#include "plan/staging.hpp"
#include "plasticity/plan.hpp"
#include "plasticity/version.hpp"
#include "tool/cli/commands.hpp"
#include "tool/cli/random_arguments.hpp"

namespace plasticity::cli {
namespace {

struct Options {
  Spec spec{.neurons = 200};
  std::int64_t batch = 1, steps = 100;
  std::string device = "best";
  int threads = 0;
  Precision precision = Precision::f32;
  std::int64_t checkpoint_interval = 0;
  std::size_t memory_budget = 0;
  Execution execution = Execution::automatic;
  double seconds = 1;
  bool paced = false;
  bool one_line = false;  // of JSON
  std::string gpu;        // estimate on it instead of timing
};

struct Timing {
  double median_ms, min_ms, max_ms;
  std::int64_t repetitions;
};

/// Times `work`, one sequence, for about `seconds` and at least `min_repetitions` times. wait() returns when
/// all enqueued work is done. On a GPU (`many`) one timing covers up to 20 sequences and one wait, because a
/// wait takes about as long as a short step. Fewer sequences share a wait if 20 exceed `seconds`.
template <class Work, class Wait>
Timing measure(double seconds, std::size_t min_repetitions, bool many, Work work, Wait wait) {
  using Clock = std::chrono::steady_clock;
  constexpr double max_sequences = 20;
  const auto timed = [&](std::int64_t sequences) {
    const Clock::time_point start = Clock::now();
    for (std::int64_t k = 0; k < sequences; ++k) work();
    wait();
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count() /
           static_cast<double>(sequences);
  };
  const Clock::time_point start = Clock::now();
  std::int64_t sequences = 1;
  std::vector<double> times;
  if (many) {
    const double room = seconds * 1e3 / static_cast<double>(min_repetitions);
    const double one = std::min({timed(1), timed(1), timed(1)});  // a single one may have been interrupted
    sequences = static_cast<std::int64_t>(std::clamp(room / one, 1.0, max_sequences));
  }
  const auto until =
      start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  while (times.size() < min_repetitions || Clock::now() < until) times.push_back(timed(sequences));
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times.front(), times.back(),
          static_cast<std::int64_t>(times.size()) * sequences};
}

/// Returns a field of /proc/self/status ("VmRSS:", "VmHWM:") in bytes. Without that file, returns the peak of
/// getrusage(), which some systems inherit from the parent process.
std::int64_t memory_of_process(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::int64_t kilobytes = 0;
    if (word == field && status >> kilobytes) return kilobytes * 1024;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

nlohmann::ordered_json configuration(const Options& options, const Device& device) {
  const Spec& spec = options.spec;
  return {{"version", version()},
          {"cell", to_string(spec.cell)},
          {"rule", to_string(spec.rule)},
          {"rate", to_string(spec.rate)},
          {"eligibility", to_string(spec.eligibility)},
          {"alpha", to_string(spec.alpha)},
          {"activation", to_string(spec.activation)},
          {"neurons", spec.neurons},
          {"inputs", spec.inputs},
          {"batch", options.batch},
          {"steps", options.steps},
          {"precision", to_string(options.precision)},
          {"device", device.name()},
          {"threads", device.threads()}};
}

/// The plan of a configuration with its arguments and memory on the device.
template <class Real>
class TimedPlan {
 public:
  TimedPlan(const Options& options, const Device& device)
      : idle_bytes_(memory_of_process("VmRSS:")),
        options_(options),
        device_(device),
        plan_(options.spec, {.steps = options.steps,
                             .batch = options.batch,
                             .device = device,
                             .precision = options.precision,
                             .checkpoint_interval = options.checkpoint_interval,
                             .memory_budget = options.memory_budget,
                             .execution = options.execution}),
        args_(options.spec, options.steps, options.batch),
        staging_(device, {}, device_tensors_),
        tape_(device, plan_.tape_bytes()),
        scratch_(device, plan_.scratch_bytes()) {
    stage_forward(staging_, options.spec, options.steps, options.batch, args_.forward);
    stage_gradients(staging_, options.spec, options.steps, options.batch, args_.backward);
    staging_.send();
    args_.backward.parameters = args_.forward.parameters;
    args_.backward.inputs = args_.forward.inputs;
  }

  /// Runs both directions twice. A graph is captured in the second call.
  void warm_up() const {
    for (int call = 0; call < 2; ++call) {
      forward();
      backward();
    }
    wait();
  }

  /// Times both directions, each at least `min_repetitions` times. Returns the result.
  nlohmann::ordered_json times(std::size_t min_repetitions) const {
    const bool many = device_.kind() == DeviceKind::cuda;
    const auto measured = [&](const auto& work) {
      return measure(options_.seconds, min_repetitions, many, work, [&] { wait(); });
    };
    const Timing forward_time = measured([&] { forward(); });
    const Timing backward_time = measured([&] { backward(); });
    const double per_step = 1 / static_cast<double>(std::max<std::int64_t>(options_.steps, 1));
    return {
        {"forward_ms_per_step", forward_time.median_ms * per_step},
        {"backward_ms_per_step", backward_time.median_ms * per_step},
        {"forward_ms_per_step_range", {forward_time.min_ms * per_step, forward_time.max_ms * per_step}},
        {"backward_ms_per_step_range", {backward_time.min_ms * per_step, backward_time.max_ms * per_step}},
        {"repetitions", {forward_time.repetitions, backward_time.repetitions}},
        {"tape_bytes", plan_.tape_bytes()},
        {"scratch_bytes", plan_.scratch_bytes()},
        {"device_memory_bytes", plan_.tape_bytes() + plan_.scratch_bytes() + args_.tensors.bytes()},
        {"checkpoint_interval", plan_.checkpoint_interval()},
        {"execution", to_string(plan_.execution())},
        {"idle_rss_bytes", idle_bytes_},
        {"peak_rss_bytes", memory_of_process("VmHWM:")},
        {"configuration", configuration(options_, device_)}};
  }

 private:
  void forward() const { plan_.forward({}, args_.forward, tape_.as<Tape>(), scratch_.as<Scratch>()); }
  void backward() const { plan_.backward({}, args_.backward, tape_.as<Tape>(), scratch_.as<Scratch>()); }
  void wait() const { synchronize(device_, {}); }

  std::int64_t idle_bytes_;  // of the process before the plan
  const Options& options_;
  const Device& device_;
  Plan plan_;
  RandomArguments<Real> args_;
  DeviceMemory device_tensors_{};
  Staging staging_;
  DeviceMemory tape_, scratch_;
};

/// Prints the times of a configuration once, or with --paced once per line of stdin.
template <class Real>
void run(const Options& options, const Device& device) {
  const TimedPlan<Real> plan(options, device);
  plan.warm_up();
  if (!options.paced) {
    std::printf("%s\n", plan.times(5).dump(options.one_line ? -1 : 2).c_str());
    return;
  }
  for (std::string line; std::getline(std::cin, line);) {
    std::printf("%s\n", plan.times(1).dump().c_str());
    std::fflush(stdout);
  }
}

/// Prints the planner's estimates for a GPU that this machine need not have.
void print_estimates(const Options& options) {
  if (options.precision == Precision::f64)
    throw_error(ErrorCode::unsupported, "--precision", "f32 or bf16 with --estimate", "f64");
  if (cuda_api() == nullptr) {
    throw_error(ErrorCode::unsupported, "--estimate", "a build with the CUDA library", "one without");
  }
  const PlanOptions plan{.steps = options.steps,
                         .batch = options.batch,
                         .precision = options.precision,
                         .checkpoint_interval = options.checkpoint_interval,
                         .memory_budget = options.memory_budget,
                         .execution = options.execution};
  std::printf("%s\n", cuda_api()->estimates(options.spec, plan, options.gpu).c_str());
}

void print_times(const Options& options) {
  if (!options.gpu.empty()) return print_estimates(options);
  const Device device = device_of(options.device, options.threads);
  if (options.precision == Precision::f64)
    run<double>(options, device);
  else
    run<float>(options, device);
}

void add_options(CLI::App* command, const std::shared_ptr<Options>& options) {
  const auto size = [&](const char* name, std::int64_t& value, std::int64_t min, const char* help) {
    return command->add_option(name, value, help)
        ->check(CLI::Range(min, std::int64_t{1} << 40))
        ->capture_default_str();
  };
  add_choice(*command, "--cell", options->spec.cell, "Cell")->default_str("")->required();
  add_choice(*command, "--rule", options->spec.rule, "Trace rule")->default_str("")->required();
  add_choice(*command, "--rate", options->spec.rate, "Source of the rate")->default_str("")->required();
  add_choice(*command, "--eligibility", options->spec.eligibility, "Eligibility trace");
  add_choice(*command, "--alpha", options->spec.alpha, "Granularity of alpha");
  add_choice(*command, "--activation", options->spec.activation, "Activation");
  size("--neurons", options->spec.neurons, 1, "N")->default_str("")->required();
  size("--batch", options->batch, 0, "B")->default_str("")->required();
  size("--steps", options->steps, 0, "T")->default_str("")->required();
  size("--inputs", options->spec.inputs, 0, "I; 0: the input current of an rnn is given directly");
  command->add_option("--device", options->device, "Device that runs")
      ->check(CLI::IsMember({"best", "cpu", "cuda"}))
      ->capture_default_str();
  command
      ->add_option("--threads", options->threads,
                   "Threads, if the device is the CPU; 0: PLASTICITY_THREADS, or all")
      ->check(CLI::Range(0, 1024));
  add_choice(*command, "--precision", options->precision,
             "Arithmetic; bf16: float, with bfloat16 traces on the tape");
  command->add_option("--checkpoint-interval", options->checkpoint_interval, "K; 0: the plan chooses")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40));
  add_whole_number(*command, "--memory-budget", options->memory_budget, "Maximum bytes of tape; 0: no limit")
      ->default_str("");
  add_choice(*command, "--execution,--path", options->execution, "Kernels of --device cuda");
  command
      ->add_option("--estimate", options->gpu,
                   "Prints the planner's estimates for this GPU instead, which the machine need not have")
      ->check(CLI::IsMember({"a100", "h100", "h200", "b200"}));
  add_seconds(*command, options->seconds, 0, "Time spent on each direction");
}

/// Times the configuration of a line and prints the result or the error as one line of JSON. Returns whether
/// it was timed.
bool time_line(const std::string& line) {
  const auto options = std::make_shared<Options>();
  std::string problem;
  try {
    CLI::App parser("a line of times", "times");
    add_options(&parser, options);
    refuse_options_as_values(parser);
    parser.parse(line);
    options->one_line = true;
    print_times(*options);
  } catch (const CLI::CallForHelp&) {
    problem = "line: expected the options of a configuration, got --help";
  } catch (const std::exception& error) {  // from the parser or the library
    problem = error.what();
  }
  if (!problem.empty()) {
    // The problem may quote bytes of the line that are not UTF-8.
    using Json = nlohmann::ordered_json;
    const std::string text = Json{{"error", problem}}.dump(-1, ' ', false, Json::error_handler_t::replace);
    std::printf("%s\n", text.c_str());
  }
  std::fflush(stdout);
  return problem.empty();
}

/// Whether a line is blank or begins with #.
bool is_comment(const std::string& line) {
  const std::size_t first = line.find_first_not_of(" \t\r");
  return first == std::string::npos || line[first] == '#';
}

/// Times each line of a file, except comments. Returns 0 if all were timed, else 1.
int time_lines(const std::string& file) {
  const auto fail = [&] { throw_error(ErrorCode::io, "FILE", "a file that can be read", file); };
  std::ifstream opened;
  if (file != "-") {
    opened.open(file);
    if (!opened) fail();
  }
  std::istream& lines = file == "-" ? std::cin : opened;
  bool all = true;
  for (std::string line; std::getline(lines, line);) {
    if (!is_comment(line)) all = time_line(line) && all;
  }
  if (lines.bad()) fail();  // as for a directory, which can be opened
  return all ? 0 : 1;
}

}  // namespace

void add_time(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("time", "Times forward and backward of one configuration; JSON on stdout");
  add_options(command, options);
  command->add_flag("--paced", options->paced,
                    "Prints one line of JSON per line on stdin, so that several programs can take turns");
  command->callback([options, &exit_code] {
    print_times(*options);
    exit_code = 0;
  });

  const auto file = std::make_shared<std::string>("-");
  CLI::App* many =
      app.add_subcommand("times",
                         "Times many configurations in one process. Each line of FILE has the "
                         "options of `time`; each result is a line of JSON. Blank lines and lines that "
                         "begin with # are skipped");
  many->add_option("FILE", *file, "File of lines; -: stdin")->capture_default_str();
  many->callback([file, &exit_code] { exit_code = time_lines(*file); });
}

}  // namespace plasticity::cli
