// The time of one step at B = 1 on one thread: Plan::step, Network::infer, plain loops (loops.cpp), and one
// pass over the matrices, which is the floor of a step that does not fit in the cache. The network is an RNN
// with rule decay, a fixed rate and alpha per connection.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "loops.hpp"
#include "plasticity/plasticity.hpp"

namespace plasticity::bench {
namespace {

Spec spec_of(std::int64_t N) { return {.cell = Cell::rnn, .rule = Rule::decay, .inputs = 0, .neurons = N}; }

/// Values for all contenders. `u` has input currents for many steps, so that no step can be hoisted.
struct Data {
  explicit Data(std::int64_t N) : size(N), w(N * N), alpha(N * N), u(steps * N), y(N) {
    std::uint32_t state = 1;
    const auto uniform = [&] {
      state = state * 1664525u + 1013904223u;
      return static_cast<float>(state >> 8) / 8388608.0f - 1;
    };
    const float scale = 1 / std::sqrt(static_cast<float>(N));
    for (float& value : w) value = scale * uniform();
    for (float& value : alpha) value = scale * uniform();
    for (float& value : u) value = uniform();
  }
  const float* input(std::int64_t t) const { return u.data() + t % steps * size; }

  static constexpr std::int64_t steps = 64;
  std::int64_t size;
  std::vector<float> w, alpha, u, y;
  float eta = .02f;
};

/// Plan::step with its memory.
struct Stepper {
  explicit Stepper(Data& values)
      : data(values),
        plan(spec_of(data.size), {.device = Device::cpu(1)}),
        state(plan.options().device, plan.step_state_bytes()),
        scratch(plan.options().device, plan.scratch_bytes()) {
    plan.load({}, State<const float>{}, state.as<StepState>());
    args.parameters = {.w = data.w.data(), .alpha = data.alpha.data(), .eta = &data.eta};
    args.y = data.y.data();
  }
  void operator()(std::int64_t t) {
    args.inputs.u = data.input(t);
    plan.step({}, args, state.as<StepState>(), scratch.as<Scratch>());
  }

  Data& data;
  Plan plan;
  DeviceMemory state, scratch;
  StepArgs<float> args;
};

/// Network::infer of one step.
struct Inferrer {
  explicit Inferrer(Data& values) : data(values), network(spec_of(data.size), {.device = Device::cpu(1)}) {
    std::copy(data.w.begin(), data.w.end(), network.parameter("w").begin());
    std::copy(data.alpha.begin(), data.alpha.end(), network.parameter("alpha").begin());
    network.parameter("eta")[0] = data.eta;
  }
  void operator()(std::int64_t t) {
    const auto y = network.infer({.u = {data.input(t), static_cast<std::size_t>(data.size)}});
    data.y.assign(y.begin(), y.end());
  }

  Data& data;
  Network network;
};

struct Looper {
  explicit Looper(Data& values)
      : data(values), hebb(values.w.size()), current(static_cast<std::size_t>(values.size)) {}
  void operator()(std::int64_t t) {
    run_loops(
        {data.size, data.w.data(), data.alpha.data(), data.eta, hebb.data(), data.y.data(), current.data()},
        data.input(t));
  }

  Data& data;
  std::vector<float> hebb, current;
};

struct Passer {
  explicit Passer(Data& values) : data(values), hebb(values.w.size()) {}
  void operator()(std::int64_t t) {
    benchmark::DoNotOptimize(run_pass(
        {data.size, data.w.data(), data.alpha.data(), data.eta, hebb.data(), nullptr, nullptr}, t % 2 != 0));
  }

  Data& data;
  std::vector<float> hebb;
};

/// Ends the program if a contender's output after some steps differs from the loops'.
template <class Contender>
void check(const char* name, std::int64_t N) {
  Data ours(N), theirs(N);
  Contender contender(ours);
  Looper loops(theirs);
  for (std::int64_t t = 0; t < 20; ++t) {
    contender(t);
    loops(t);
  }
  for (std::size_t j = 0; j < ours.y.size(); ++j) {
    if (std::abs(ours.y[j] - theirs.y[j]) < 1e-4f) continue;
    std::fprintf(stderr, "single_step: %s at N=%d: y[%zu] is %g, the loops have %g\n", name,
                 static_cast<int>(N), j, static_cast<double>(ours.y[j]), static_cast<double>(theirs.y[j]));
    std::exit(1);
  }
}

template <class Contender>
void measure(benchmark::State& state) {
  Data data(state.range(0));
  Contender contender(data);
  std::int64_t t = 0;
  for (auto _ : state) {
    contender(t++);
    benchmark::ClobberMemory();
  }
}

template <class Contender>
void add(const char* name) {
  auto* benchmark = benchmark::RegisterBenchmark(name, measure<Contender>);
  for (const std::int64_t N : {16, 64, 128, 256, 500, 512}) {
    if constexpr (!std::is_same_v<Contender, Looper> && !std::is_same_v<Contender, Passer>)
      check<Contender>(name, N);
    benchmark->Arg(N);
  }
}

}  // namespace
}  // namespace plasticity::bench

int main(int argc, char** argv) {
  using namespace plasticity::bench;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  add<Looper>("loops");
  add<Stepper>("Plan::step");
  add<Inferrer>("Network::infer");
  add<Passer>("pass");
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
