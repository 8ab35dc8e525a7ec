#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/random.hpp"
#include "base/throw_error.hpp"
#include "plan/staging.hpp"
#include "plasticity/version.hpp"
#include "tool/cli/commands.hpp"

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
  Execution path = Execution::automatic;
  double seconds = 1;
  bool paced = false;
};

/// Tensors of random numbers on the host, filled on demand and kept.
template <class Real>
class Tensors {
 public:
  Real* random(std::int64_t size, double scale) {
    std::vector<Real>& values = storage_.emplace_back(static_cast<std::size_t>(size));
    for (Real& value : values) value = static_cast<Real>(random_.uniform(-scale, scale));
    return values.data();
  }
  Real* zeros(std::int64_t size) { return storage_.emplace_back(static_cast<std::size_t>(size)).data(); }
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const std::vector<Real>& values : storage_) sum += values.size() * sizeof(Real);
    return sum;
  }

 private:
  Random random_{1};
  std::vector<std::vector<Real>> storage_;
};

struct Timing {
  double median_ms, least_ms, most_ms;
  std::int64_t repetitions;
};

/// Runs `work`, which returns when it is done, for about `seconds`, and at least so many times.
template <class Work>
Timing measure(double seconds, std::size_t least, Work work) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> times;
  const Clock::time_point end =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  while (times.size() < least || Clock::now() < end) {
    const Clock::time_point start = Clock::now();
    work();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times.front(), times.back(), static_cast<std::int64_t>(times.size())};
}

/// A line of /proc/self/status in bytes ("VmRSS:", "VmHWM:"); where there is none, the peak of getrusage(),
/// which on some systems begins with that of the parent process.
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

template <class Real>
void run(const Options& options, const Device& device) {
  const std::int64_t idle = memory_of_process("VmRSS:");
  const Spec& spec = options.spec;
  const std::int64_t T = options.steps, B = options.batch, N = spec.neurons;
  const Plan plan(spec, {.steps = T,
                         .batch = B,
                         .device = device,
                         .precision = options.precision,
                         .checkpoint_interval = options.checkpoint_interval,
                         .memory_budget = options.memory_budget,
                         .execution = options.path});
  Tensors<Real> tensors;
  ForwardArgs<Real> forward;
  BackwardArgs<Real> backward;
  for (const auto& member : Parameters<const Real>::members()) {
    const auto shape = parameter_shape(spec, member.name);
    if (!shape) continue;
    const double scale = member.name == "eta" ? 0.1 : 1 / std::sqrt(static_cast<double>(N));
    forward.parameters.*member.pointer = tensors.random(shape->elements(), scale);
  }
  for (const auto& member : Parameters<Real>::members()) {
    const auto shape = parameter_shape(spec, member.name);
    if (shape) backward.dparameters.*member.pointer = tensors.zeros(shape->elements());
  }
  for (const auto& member : Inputs<const Real>::members()) {
    const auto shape = input_shape(spec, T, B, member.name);
    if (shape)
      forward.inputs.*member.pointer = tensors.random(shape->elements(), member.name == "rate" ? 0.1 : 1);
  }
  for (const auto& member : Inputs<Real>::members()) {
    const auto shape = input_shape(spec, T, B, member.name);
    if (shape) backward.dinputs.*member.pointer = tensors.zeros(shape->elements());
  }
  for (const auto& member : State<Real>::members()) {
    const auto shape = state_shape(spec, B, member.name);
    if (!shape) continue;
    forward.final_state.*member.pointer = tensors.zeros(shape->elements());
    backward.dinitial_state.*member.pointer = tensors.zeros(shape->elements());
  }
  forward.y = tensors.zeros(T * B * N);
  backward.dy = tensors.random(T * B * N, 1);

  DeviceMemory tensors_there;
  Staging staging(device, {}, tensors_there);
  stage_forward(staging, spec, T, B, forward);
  stage_gradients(staging, spec, T, B, backward);
  staging.send();
  backward.parameters = forward.parameters;
  backward.inputs = forward.inputs;
  const DeviceMemory tape(device, plan.tape_bytes()), scratch(device, plan.scratch_bytes());

  const auto forward_once = [&] {
    plan.forward({}, forward, tape.as<Tape>(), scratch.as<Scratch>());
    synchronize(device, {});
  };
  const auto backward_once = [&] {
    plan.backward({}, backward, tape.as<Tape>(), scratch.as<Scratch>());
    synchronize(device, {});
  };
  const auto round = [&](std::size_t least) -> nlohmann::ordered_json {
    const Timing forth = measure(options.seconds, least, forward_once);
    const Timing back = measure(options.seconds, least, backward_once);
    const double per_step = 1 / static_cast<double>(std::max<std::int64_t>(T, 1));
    return {{"forward_ms_per_step", forth.median_ms * per_step},
            {"backward_ms_per_step", back.median_ms * per_step},
            {"forward_ms_per_step_range", {forth.least_ms * per_step, forth.most_ms * per_step}},
            {"backward_ms_per_step_range", {back.least_ms * per_step, back.most_ms * per_step}},
            {"repetitions", {forth.repetitions, back.repetitions}},
            {"tape_bytes", plan.tape_bytes()},
            {"scratch_bytes", plan.scratch_bytes()},
            {"device_memory_bytes", plan.tape_bytes() + plan.scratch_bytes() + tensors.bytes()},
            {"checkpoint_interval", plan.checkpoint_interval()},
            {"path", to_string(plan.execution())},
            {"idle_rss_bytes", idle},
            {"peak_rss_bytes", memory_of_process("VmHWM:")},
            {"configuration", configuration(options, device)}};
  };
  forward_once();  // warms up
  backward_once();
  if (!options.paced) {
    std::printf("%s\n", round(5).dump(2).c_str());
    return;
  }
  for (std::string line; std::getline(std::cin, line);) {
    std::printf("%s\n", round(1).dump().c_str());
    std::fflush(stdout);
  }
}

void print_times(const Options& options) {
  const Device device = device_of(options.device, options.threads);
  if (options.precision == Precision::f64)
    run<double>(options, device);
  else
    run<float>(options, device);
}

}  // namespace

void add_time(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("time", "Times forward and backward of one configuration; JSON on stdout");
  const auto size = [&](const char* name, std::int64_t& value, std::int64_t least, const char* help) {
    return command->add_option(name, value, help)
        ->check(CLI::Range(least, std::int64_t{1} << 40))
        ->capture_default_str();
  };
  add_choice(*command, "--cell", options->spec.cell, "Cell")->required();
  add_choice(*command, "--rule", options->spec.rule, "Trace rule")->required();
  add_choice(*command, "--rate", options->spec.rate, "Where the rate comes from")->required();
  add_choice(*command, "--eligibility", options->spec.eligibility, "Eligibility trace");
  add_choice(*command, "--alpha", options->spec.alpha, "Granularity of alpha");
  add_choice(*command, "--activation", options->spec.activation, "Activation");
  size("--neurons", options->spec.neurons, 1, "N")->required();
  size("--batch", options->batch, 0, "B")->required();
  size("--steps", options->steps, 0, "T")->required();
  size("--inputs", options->spec.inputs, 0, "I; an rnn of 0 gets its current directly");
  command->add_option("--device", options->device, "Where it runs")
      ->check(CLI::IsMember({"best", "cpu", "cuda"}))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "CPU threads; 0: PLASTICITY_THREADS, or all")
      ->check(CLI::Range(0, 1024));
  add_choice(*command, "--precision", options->precision,
             "Arithmetic; bf16: float with the traces stored as bfloat16");
  command->add_option("--checkpoint-interval", options->checkpoint_interval, "K; 0: the plan chooses")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40));
  command->add_option("--memory-budget", options->memory_budget, "Bytes of tape; 0: K = sqrt(T)");
  add_choice(*command, "--path", options->path, "Kernels of --device cuda");
  command->add_option("--seconds", options->seconds, "Time spent on each direction")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  command->add_flag("--paced", options->paced,
                    "Times once more for every line on stdin, a line of JSON each: to take turns");
  command->callback([options, &exit_code] {
    print_times(*options);
    exit_code = 0;
  });
}

}  // namespace plasticity::cli
