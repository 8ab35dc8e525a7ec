// Forward and backward passes over whole sequences, in the sizes of the papers' experiments. Before a case is
// timed, its outputs and its gradient of w are compared with the reference.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <new>
#include <plasticity/plasticity.hpp>
#include <random>
#include <vector>

namespace {

using namespace plasticity;

struct Case {
  const char* name;
  Spec spec;
  std::int64_t batch, steps;
};

const Case cases[] = {
    {"rnn_hard_clip_fan_out_N200_B30_T100",
     {.rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = 40, .neurons = 200},
     30,
     100},
    {"rnn_hard_clip_modulated_N100_B30_T200",
     {.rule = Rule::hard_clip, .rate = Rate::modulated, .inputs = 40, .neurons = 100},
     30,
     200},
    {"rnn_decay_N256_B32_T30", {.rule = Rule::decay, .neurons = 256}, 32, 30},
    {"rnn_decay_N1000_B1_T106", {.rule = Rule::decay, .neurons = 1000}, 1, 106},
    {"lstm_hard_clip_fan_out_N200_B30_T50",
     {.cell = Cell::lstm,
      .rule = Rule::hard_clip,
      .rate = Rate::fan_out,
      .alpha = Granularity::post,
      .inputs = 40,
      .neurons = 200},
     30,
     50},
};

struct AlignedDelete {
  void operator()(std::byte* memory) const { ::operator delete (memory, std::align_val_t{64}); }
};
using AlignedMemory = std::unique_ptr<std::byte, AlignedDelete>;
AlignedMemory aligned(std::size_t bytes) {
  return AlignedMemory(static_cast<std::byte*>(::operator new (bytes, std::align_val_t{64})));
}

/// A case's tensors, arguments and memory.
struct Setup {
  explicit Setup(const Case& with, std::int64_t steps)
      : plan(with.spec, {.steps = steps, .batch = with.batch}) {
    const Spec& spec = with.spec;
    const std::int64_t T = steps, B = with.batch;
    for (const auto& member : Parameters<const float>::members()) {
      const auto shape = parameter_shape(spec, member.name);
      const float scale = member.name == "eta" ? 0.1f : 1 / std::sqrt(static_cast<float>(spec.neurons));
      if (shape) forward.parameters.*member.pointer = random(shape->elements(), scale);
    }
    for (const auto& member : Parameters<float>::members()) {
      const auto shape = parameter_shape(spec, member.name);
      if (shape) backward.dparameters.*member.pointer = random(shape->elements(), 0);
    }
    for (const auto& member : Inputs<const float>::members()) {
      const auto shape = input_shape(spec, T, B, member.name);
      if (shape) forward.inputs.*member.pointer = random(shape->elements(), 1);
    }
    forward.y = random(T * B * spec.neurons, 0);
    backward.parameters = forward.parameters;
    backward.inputs = forward.inputs;
    backward.dy = random(T * B * spec.neurons, 1);
    tape_memory = aligned(plan.tape_bytes());
    scratch_memory = aligned(plan.scratch_bytes());
    tape = {{tape_memory.get(), plan.tape_bytes()}};
    scratch = {{scratch_memory.get(), plan.scratch_bytes()}};
  }

  float* random(std::int64_t size, float scale) {
    std::vector<float>& values = storage.emplace_back(static_cast<std::size_t>(size));
    std::uniform_real_distribution<float> distribution(-1, 1);
    for (float& value : values) value = scale * distribution(engine);
    return values.data();
  }

  std::mt19937 engine{1};
  std::vector<std::vector<float>> storage;
  Plan plan;
  ForwardArgs<float> forward;
  BackwardArgs<float> backward;
  AlignedMemory tape_memory, scratch_memory;
  Tape tape;
  Scratch scratch;
};

double difference(const float* got, const float* want, std::int64_t size) {
  double error = 0, norm = 0;
  for (std::int64_t k = 0; k < size; ++k) {
    error += std::pow(static_cast<double>(got[k]) - want[k], 2);
    norm += std::pow(static_cast<double>(want[k]), 2);
  }
  return std::sqrt(error) / std::max(std::sqrt(norm), 1.0);
}

/// The error against the reference, over a few steps of the same configuration.
double check(const Case& c) {
  constexpr std::int64_t steps = 3;
  Case small = c;
  small.batch = std::min<std::int64_t>(c.batch, 2);
  Setup ours(small, steps);
  ours.plan.forward({}, ours.forward, ours.tape, ours.scratch);
  ours.plan.backward({}, ours.backward, ours.tape, ours.scratch);
  Setup theirs(small, steps);
  reference::forward(small.spec, steps, small.batch, theirs.forward);
  reference::backward(small.spec, steps, small.batch, theirs.backward);
  const std::int64_t outputs = steps * small.batch * small.spec.neurons;
  const std::int64_t weights = small.spec.presynaptic() * small.spec.neurons;
  return std::max(difference(ours.forward.y, theirs.forward.y, outputs),
                  difference(ours.backward.dparameters.w, theirs.backward.dparameters.w, weights));
}

void run(benchmark::State& state, const Case& c, bool backward) {
  if (const double error = check(c); !(error < 1e-4)) {
    state.SkipWithError("differs from the reference");
    return;
  }
  Setup setup(c, c.steps);
  setup.plan.forward({}, setup.forward, setup.tape, setup.scratch);
  for (auto _ : state) {
    if (backward) {
      setup.plan.backward({}, setup.backward, setup.tape, setup.scratch);
    } else {
      setup.plan.forward({}, setup.forward, setup.tape, setup.scratch);
    }
  }
  state.counters["ms_per_step"] =
      benchmark::Counter(static_cast<double>(state.iterations() * c.steps) / 1e3,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["tape_MB"] = static_cast<double>(setup.plan.tape_bytes()) / 1e6;
}

const bool registered = [] {
  for (const Case& c : cases) {
    for (const bool backward : {false, true}) {
      benchmark::RegisterBenchmark((std::string(c.name) + (backward ? "/backward" : "/forward")).c_str(),
                                   [&c, backward](benchmark::State& state) { run(state, c, backward); })
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    }
  }
  return true;
}();

}  // namespace
