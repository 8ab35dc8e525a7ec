#include "cuda/tune.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "cuda/cuda_plan.hpp"
#include "cuda/runtime.hpp"
#include "plasticity/device_memory.hpp"

namespace plasticity::cuda {
namespace {

/// A sequence of an rnn with hard_clip and fan_out, with all tensors zero: the times do not depend on values.
class Sequence {
 public:
  Sequence(int index, const Measurement& measurement)
      : device_(Device::cuda(index)),
        spec_{.cell = Cell::rnn,
              .rule = Rule::hard_clip,
              .rate = Rate::fan_out,
              .neurons = measurement.neurons},
        options_{.steps = measurement.steps,
                 .batch = measurement.batch,
                 .device = device_,
                 .checkpoint_interval = measurement.interval,
                 .execution = measurement.execution},
        plan_(spec_, options_),
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
    forward_.y = static_cast<float*>(y_.data());
    backward_.parameters = forward_.parameters;
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
            .sizes = {options_.batch, options_.steps},
            .candidate = choice.candidates[choice.chosen],
            .measured = time(seconds)};
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::size_t bytes_of_matrix() const {
    return static_cast<std::size_t>(spec_.neurons * spec_.neurons) * sizeof(float);
  }
  std::size_t bytes_of_outputs() const {
    return static_cast<std::size_t>(options_.steps * options_.batch * spec_.neurons) * sizeof(float);
  }
  std::size_t bytes_of_inputs() const { return std::max(bytes_of_matrix(), bytes_of_outputs()); }

  /// The median time of a call in µs per step. Several calls share a wait for the device. The first two calls
  /// load kernels and capture a graph; they are not timed.
  template <class Work>
  double median(Work work, double seconds) const {
    constexpr int calls = 10, min_times = 5;
    const auto timed = [&](int repeats) {
      const Clock::time_point start = Clock::now();
      for (int repeat = 0; repeat < repeats; ++repeat) work();
      synchronize(device_, {});
      return std::chrono::duration<double, std::micro>(Clock::now() - start).count() /
             static_cast<double>(repeats * options_.steps);
    };
    timed(2);
    std::vector<double> times;
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    while (times.size() < min_times || Clock::now() < end) times.push_back(timed(calls));
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
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

std::vector<Measurement> tuning_measurements() {
  struct Size {
    std::int64_t neurons, batch;
  };
  std::vector<Measurement> all;
  for (const Size& size : {Size{64, 1}, Size{64, 64}, Size{128, 300}, Size{200, 30}, Size{256, 64},
                           Size{512, 32}, Size{1000, 1}, Size{1024, 16}}) {
    for (const std::int64_t steps : {4, 64}) {
      for (const std::int64_t interval : {1, 8}) {
        for (const Execution execution :
             {Execution::step, Execution::graph, Execution::cta, Execution::cluster, Execution::grid})
          all.push_back({size.neurons, size.batch, steps, interval, execution});
      }
    }
  }
  return all;
}

std::vector<Observation> measure(int index, const std::vector<Measurement>& measurements, double seconds) {
  std::vector<Observation> observations;
  for (const Measurement& measurement : measurements) {
    try {
      const Sequence sequence(index, measurement);
      observations.push_back(sequence.observe(seconds / static_cast<double>(measurements.size())));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unsupported) throw;
    }
  }
  return observations;
}

Tuning run_tune(int index, double seconds) {
  const CurrentDevice current(index);
  const DeviceLimits limits = DeviceLimits::of_device(index);
  const std::vector<Observation> observations = measure(index, tuning_measurements(), seconds);
  const DeviceConstants before, after = fit_constants(observations, limits, before);
  Tuning tuning{.file = tuning_text(after, Device::cuda(index).name()), .lines = {}};
  char line[128];
  for (const auto& member : DeviceConstants::members()) {
    std::snprintf(line, sizeof line, "%-26s %10.4g  built in %10.4g\n", std::string(member.name).c_str(),
                  after.*member.pointer, before.*member.pointer);
    tuning.lines += line;
  }
  std::snprintf(line, sizeof line, "%zu times; error of the estimates %.0f %%, built in %.0f %%\n",
                2 * observations.size(), 100 * log_error(observations, limits, after),
                100 * log_error(observations, limits, before));
  tuning.lines += line;
  return tuning;
}

}  // namespace plasticity::cuda
