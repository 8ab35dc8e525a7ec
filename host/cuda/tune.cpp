#include "cuda/tune.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include "cuda/cuda_plan.hpp"
#include "cuda/observations.hpp"
#include "cuda/runtime.hpp"
#include "plasticity/device_memory.hpp"

namespace plasticity::cuda {
namespace {

/// A plan with its memory. All tensors are zero: the times do not depend on values.
class TimedPlan {
 public:
  TimedPlan(int index, const ShapedRun& run)
      : device_(Device::cuda(index)),
        spec_(run.measurement.spec()),
        options_{.steps = run.measurement.steps,
                 .batch = run.measurement.batch,
                 .device = device_,
                 .precision = run.measurement.bf16 ? Precision::bf16 : Precision::f32,
                 .checkpoint_interval = run.measurement.interval,
                 .execution = run.measurement.execution},
        plan_(spec_, options_, run.shape),
        zeros_(device_, bytes_of_inputs()),
        y_(device_, bytes_of_outputs()),
        w_(device_, bytes_of_matrix()),
        alpha_(device_, bytes_of_matrix()),
        tape_(device_, plan_.tape_bytes()),
        scratch_(device_, plan_.scratch_bytes()) {
    for (const DeviceMemory* memory : {&zeros_, &w_, &alpha_})
      fill_zero(device_, {}, memory->data(), memory->bytes());
    const auto* zeros = static_cast<const float*>(zeros_.data());
    for (const auto& member : Parameters<const float>::members())
      if (parameter_shape(spec_, member.name)) forward_.parameters.*member.pointer = zeros;
    forward_.inputs.x = spec_.inputs > 0 ? zeros : nullptr;
    forward_.y = static_cast<float*>(y_.data());
    backward_.parameters = forward_.parameters;
    backward_.inputs = forward_.inputs;
    backward_.dy = zeros;
    backward_.dparameters.w = static_cast<float*>(w_.data());
    backward_.dparameters.alpha = static_cast<float*>(alpha_.data());
  }

  /// µs per step of each direction.
  Estimate time(double seconds) const {
    const auto forward = [&] {
      plan_.enqueue_forward({}, forward_, tape_.as<Tape>(), scratch_.as<Scratch>());
    };
    const auto backward = [&] {
      plan_.enqueue_backward({}, backward_, tape_.as<Tape>(), scratch_.as<Scratch>());
    };
    return {.forward = median(forward, seconds / 2), .backward = median(backward, seconds / 2)};
  }

  Observation observe(double seconds) const {
    const ExecutionChoice& choice = plan_.choice();
    return {.spec = spec_,
            .sizes = {options_.batch, options_.steps, options_.precision == Precision::bf16},
            .candidate = choice.chosen(),
            .measured = time(seconds)};
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::size_t bytes_of_matrix() const {
    return static_cast<std::size_t>(spec_.neurons * spec_.neurons * spec_.gates()) * sizeof(float);
  }
  std::size_t bytes_of_outputs() const {
    return static_cast<std::size_t>(options_.steps * options_.batch * spec_.neurons * spec_.gates()) *
           sizeof(float);
  }
  std::size_t bytes_of_inputs() const { return std::max(bytes_of_matrix(), bytes_of_outputs()); }

  /// The median time of a call in µs per step. Several calls share a wait for the device. The first two calls
  /// load kernels and capture a graph; they are not timed.
  template <class Work>
  double median(Work work, double seconds) const {
    constexpr int min_times = 3, max_calls = 10;
    constexpr double shared_wait = 2000;  // µs of calls that share a wait
    const auto timed = [&](int repeats) {
      const Clock::time_point start = Clock::now();
      for (int repeat = 0; repeat < repeats; ++repeat) work();
      synchronize(device_, {});
      return std::chrono::duration<double, std::micro>(Clock::now() - start).count() / repeats;
    };
    timed(1);
    const int calls = std::clamp(static_cast<int>(shared_wait / timed(1)), 1, max_calls);
    std::vector<double> times;
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    while (times.size() < min_times || Clock::now() < end) times.push_back(timed(calls));
    std::sort(times.begin(), times.end());
    return times[times.size() / 2] / static_cast<double>(options_.steps);
  }

  Device device_;
  Spec spec_;
  PlanOptions options_;
  CudaPlan plan_;
  DeviceMemory zeros_, y_, w_, alpha_, tape_, scratch_;
  ForwardArgs<float> forward_;
  BackwardArgs<float> backward_;
};

}  // namespace

Spec Measurement::spec() const {
  return {.cell = cell,
          .rule = rule,
          .rate = rule == Rule::decay ? Rate::fixed : Rate::fan_out,
          .inputs = cell == Cell::lstm ? 40 : 0,
          .neurons = neurons};
}

std::vector<Measurement> tuning_measurements() {
  struct Size {
    std::int64_t neurons, batch;
  };
  constexpr std::array executions = {Execution::step, Execution::graph, Execution::cta, Execution::cluster,
                                     Execution::grid};
  constexpr std::int64_t steps = 50;
  std::vector<Measurement> all;
  for (const Size& size : {Size{64, 1}, Size{64, 64}, Size{128, 300}, Size{200, 30}, Size{256, 64},
                           Size{512, 32}, Size{1000, 1}, Size{1024, 16}}) {
    for (const Execution execution : executions) {
      const Measurement base{size.neurons, size.batch, steps, 8, execution};
      const auto add = [&](auto change) { change(all.emplace_back(base)); };
      add([](Measurement& m) { m.every_shape = true; });
      add([](Measurement& m) { m.interval = 1; });
      add([](Measurement& m) { m.rule = Rule::decay; });
      add([](Measurement& m) { m.bf16 = true, m.interval = 1; });
      add([](Measurement& m) { m.bf16 = true, m.rule = Rule::decay; });
      if (size.neurons == 200) {
        add([](Measurement& m) { m.cell = Cell::lstm; });
        add([](Measurement& m) { m.cell = Cell::lstm, m.interval = 1; });
      }
      if (size.batch == 64 || size.batch == 1)  // the cost per sequence
        add([](Measurement& m) { m.steps = 4, m.interval = 1; });
    }
  }
  return all;
}

std::vector<ShapedRun> runs_of(const std::vector<Measurement>& measurements, const DeviceLimits& limits) {
  std::vector<ShapedRun> runs;
  for (const Measurement& each : measurements) {
    const Spec spec = each.spec();
    const Sizes sizes{.B = each.batch, .T = each.steps, .bf16 = each.bf16};
    try {
      const ExecutionChoice choice = choose_execution(
          spec, sizes, limits, {.wanted = each.execution, .intervals = {each.interval}, .constants = {}});
      const Candidate& preferred = choice.chosen();
      if (!preferred.resident()) {
        runs.push_back({each, std::nullopt});
      } else if (!each.every_shape) {
        runs.push_back({each, preferred.shape});
      } else {
        std::string reason;
        std::optional<GroupShape> last;
        for (const ResidentShape& shape :
             shapes_that_fit(spec, each.bf16, limits, preferred.shape.group.kind, reason)) {
          // A shape may fit with and without a sum for alpha. Only the first is timed.
          const bool repeated =
              last && last->columns == shape.group.columns && last->thread == shape.group.thread;
          if (!repeated) runs.push_back({each, shape});
          last = shape.group;
        }
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unsupported) throw;
    }
  }
  return runs;
}

std::vector<Observation> measure(int index, const std::vector<Measurement>& measurements, double seconds) {
  const std::vector<ShapedRun> runs = runs_of(measurements, DeviceLimits::of_device(index));
  std::vector<Observation> observations;
  for (const ShapedRun& run : runs) {
    try {
      const TimedPlan plan(index, run);
      observations.push_back(plan.observe(seconds / static_cast<double>(runs.size())));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unsupported) throw;
    }
  }
  return observations;
}

namespace {

/// The tuning file of measurements, with a report for people.
Tuning tuning_of(const Measurements& measurements) {
  const std::vector<Observation>& observations = measurements.observations;
  const DeviceLimits& limits = measurements.limits;
  const DeviceConstants before, after = fit_constants(observations, limits, before);
  Tuning tuning{.file = tuning_text(after, measurements), .lines = {}};
  char line[128];
  for (const auto& member : DeviceConstants::members()) {
    std::snprintf(line, sizeof line, "%-26s %10.4g  built in %10.4g\n", std::string(member.name).c_str(),
                  after.*member.pointer, before.*member.pointer);
    tuning.lines += line;
  }
  tuning.lines += describe_choices(measurements, after);
  std::snprintf(line, sizeof line, "%zu times; error of the estimates %.0f %%, built in %.0f %%\n",
                2 * observations.size(), 100 * log_error(observations, limits, after),
                100 * log_error(observations, limits, before));
  tuning.lines += line;
  return tuning;
}

}  // namespace

Tuning run_tune(int index, double seconds) {
  const CurrentDevice current(index);
  return tuning_of({.device = Device::cuda(index).name(),
                    .limits = DeviceLimits::of_device(index),
                    .observations = measure(index, tuning_measurements(), seconds)});
}

Tuning run_fit(const std::string& path) { return tuning_of(read_measurements(path)); }

}  // namespace plasticity::cuda
